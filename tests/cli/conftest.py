"""The command line, run as a person or a script runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Run, runner

from semiont_jobs import JobQueue


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def queue(data: Path) -> JobQueue:
    return JobQueue(data, fsync=False)


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on the data directory, in this process."""
    monkeypatch.setenv("SEMIONT_JOBS_DIR", str(data))
    return runner(capsys, monkeypatch)
