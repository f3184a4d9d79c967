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
import os, resource, threading
from semiont_jobs import JobWorker, job_handler

class Fills(JobWorker):
    job_types = ("fills",)
    def execute_job(self, job):
        # No file may grow from now on: what a disk refuses when it is full, without filling one.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        print("begun", flush=True)
        threading.Event().wait()

@job_handler("waits")
def waits(params: dict) -> None:
    print("begun", flush=True)
    while not os.path.exists("go"):
        threading.Event().wait(0.02)

class Choosy(JobWorker):
    job_types = ("upper",)
    def can_process_job(self, job):
        return False
    def execute_job(self, job):
        return None
"""


def worker(place: Path, *arguments: str, start_new_session: bool = False) -> subprocess.Popen[str]:
    (place / "work.py").write_text(WORK)
    return subprocess.Popen(
        [sys.executable, "-m", "semiont_jobs", "worker", "--data-dir", "data", *arguments],
        cwd=place,
        # Where coverage is measured a full disk would keep it from being written, which it tells.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=start_new_session,
    )


def begun(process: subprocess.Popen[str]) -> None:
    """Wait until the work is at its job."""
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"


def awaited(process: subprocess.Popen[str], word: str) -> None:
    """Read on to the line of its log that has this word."""
    assert process.stderr is not None
    assert any(word in line for line in process.stderr)


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


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_job_in_hand_is_finished_when_the_terminal_is_closed(
    tmp_path: Path, processes: str
) -> None:
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({}, type="waits")
    process = worker(
        tmp_path, "work:waits", "--grace", "1e6", "--processes", processes, start_new_session=True
    )
    begun(process)

    # To all of them, and twice: from the shell and from the kernel.
    os.killpg(process.pid, signal.SIGHUP)
    awaited(process, "stopping")
    os.killpg(process.pid, signal.SIGHUP)
    (tmp_path / "go").touch()
    _, told = process.communicate(timeout=TIMEOUT)

    assert 0 == process.returncode, told
    assert 1 == queue.get_stats().complete
    assert "stopping now" not in told


def test_a_worker_that_is_not_to_mind_its_terminal_works_on(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({}, type="waits")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        process = worker(tmp_path, "work:waits")
    finally:
        signal.signal(signal.SIGHUP, before)
    begun(process)

    process.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    next_one = queue.enqueue({}, type="waits")
    done = queue.wait_for(next_one.metadata.id, TIMEOUT)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=TIMEOUT)

    assert ("complete", 0) == (done.status, process.returncode), told
    assert 1 == told.count("stopping")
