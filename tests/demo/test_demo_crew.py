"""However a demonstration ends, its worker processes do not outlive it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from semiont_jobs.demo.run import MARKER

TIMEOUT = 60.0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9), (signal.SIGINT, 130)]
)
def test_the_workers_of_a_demonstration_that_is_ended_leave(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    demonstration = subprocess.Popen(
        [sys.executable, "-m", "semiont_jobs", "demo", "--data-dir", "demo", "--processes", "2"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + TIMEOUT
    while len(list(tmp_path.glob("demo/witness/*.log"))) < 2:
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)

    demonstration.send_signal(number)
    # The workers write to the same pipe: it ends when the last of them is gone.
    _, told = demonstration.communicate(timeout=TIMEOUT)

    assert code == demonstration.returncode, told
    assert "Traceback" not in told


def test_a_demonstration_replaces_an_earlier_one(tmp_path: Path) -> None:
    old = [tmp_path / "demo" / name for name in ("pages/old.md", "jobs/pending/old.json")]
    for path in (tmp_path / "demo" / MARKER, *old):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    demonstration = subprocess.Popen(
        [sys.executable, "-m", "semiont_jobs", "demo", "--data-dir", "demo"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demonstration.stderr is not None
    first = demonstration.stderr.readline()

    demonstration.terminate()
    demonstration.communicate(timeout=TIMEOUT)

    assert "jobs in" in first
    assert [False, False] == [path.exists() for path in old]
    assert (tmp_path / "demo" / MARKER).exists()
