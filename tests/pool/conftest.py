"""Queues for pools: on either store, by the real clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from semiont_jobs import JobQueue


@pytest.fixture(params=["files", "memory"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobQueue]:
    """On files or in memory."""
    place = tmp_path / "data" if request.param == "files" else "memory:"
    with JobQueue(place, fsync=False) as opened:
        yield opened


@pytest.fixture
def memory() -> Iterator[JobQueue]:
    """In memory only: for what no store has a part in."""
    with JobQueue("memory:") as opened:
        yield opened
