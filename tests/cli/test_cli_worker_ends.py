"""How a worker ends: with a full disk, with jobs that are left, without its terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from semiont_jobs import JobQueue

TIMEOUT = 60.0

WORK = """
import resource, threading
from semiont_jobs import JobWorker, job_handler

class Fills(JobWorker):
    job_types = ("fills",)
    def execute_job(self, job):
        # No file may grow from now on: what a disk refuses when it is full, without filling one.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        print("begun", flush=True)
        threading.Event().wait()

class Choosy(JobWorker):
    job_types = ("upper",)
    def can_process_job(self, job):
        return False
    def execute_job(self, job):
        return None
"""


def worker(place: Path, *arguments: str) -> subprocess.Popen[str]:
    (place / "work.py").write_text(WORK)
    return subprocess.Popen(
        [sys.executable, "-m", "semiont_jobs", "worker", "--data-dir", "data", *arguments],
        cwd=place,
        # Where coverage is measured a full disk would keep it from being written, which it tells.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begun(process: subprocess.Popen[str]) -> None:
    """Wait until the work is at its job."""
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_full_disk_at_the_end_is_told_in_lines_and_the_job_is_not_finished(
    tmp_path: Path, processes: str
) -> None:
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({}, type="fills")
    process = worker(tmp_path, "work:Fills", "--grace", "0", "--processes", processes)
    begun(process)

    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=TIMEOUT)

    assert 3 == process.returncode, told
    assert "not finished: 1\n" in told
    assert "File too large" in told
    assert "Traceback" not in told
    assert not [line for line in told.splitlines() if line.startswith(" ")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "left: jobs are due still\n"),
        (("--types", "upper"), "left: jobs are due still\n"),
        (("--queues", "mail"), "takes, such as of type 'upper' in queue 'default'\n"),
    ],
)
def test_a_burst_tells_of_no_type_that_its_workers_take(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    JobQueue(tmp_path / "data", fsync=False).enqueue({}, type="upper")

    process = worker(tmp_path, "work:Choosy", "--burst", *arguments)

    _, printed = process.communicate(timeout=TIMEOUT)
    assert (0, True) == (process.returncode, printed.endswith(told)), printed
