"""What the tests of the file store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from files.children import Children
from files.places import Actors, Place


@pytest.fixture
def actor(tmp_path: Path) -> Iterator[Actors]:
    """Makes queues on this test's directory, each with a watched disk of its own."""
    actors = Actors(tmp_path / "data")
    yield actors
    actors.close()


@pytest.fixture
def place(actor: Actors) -> Place:
    """This test's directory."""
    return actor.place


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """Processes on this test's directory, ended with it."""
    with Children(tmp_path) as started:
        yield started
