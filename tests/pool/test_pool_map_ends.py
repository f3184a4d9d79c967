"""A run that nobody asks any more ends, whoever dropped it and however the process goes on."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from files.places import PATIENCE, meanwhile
from striking import no_collection

from semiont_jobs import JobQueue, JobWorker, RunningJob, WorkerPool
from semiont_jobs.pool import mapping, results
from semiont_jobs.pool.watch import Watch
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 30.0


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    with JobQueue(tmp_path / "data", fsync=False) as one:
        yield one


def of_runs(queue: JobQueue) -> list[Any]:
    return [job for job in queue.query_jobs(limit=None) if job.metadata.type.startswith("map")]


# -- closed in the midst ---------------------------------------------------------------------


def test_a_queue_that_is_closed_as_a_run_begins_ends_it(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Watch.start

    def closed_at_once(self: Watch) -> None:
        start(self)
        queue.close()
        assert self.wait(PATIENCE)

    monkeypatch.setattr(Watch, "start", closed_at_once)
    pool, goes_on = WorkerPool(queue, threads=1), threading.Event()

    with meanwhile(lambda: next(pool.map(lambda _item: goes_on.wait(PATIENCE), "xyz"))) as result:
        error = result.exception(PATIENCE)
    goes_on.set()

    assert isinstance(error, RuntimeError)
    with meanwhile(pool.stop) as stopped:
        assert stopped.result(PATIENCE)


class Own(JobWorker):
    """Does nothing."""

    job_types = ("own",)

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Nothing."""


# -- dropped ---------------------------------------------------------------------------------


def test_a_run_that_is_dropped_is_ended_at_once(queue: JobQueue) -> None:
    with WorkerPool(queue, threads=2) as pool:
        for _result in pool.map(len, ["x"] * 300):
            break

        if not results._ALONE:  # by another thread, soon
            eventually(lambda: of_runs(queue) == [], timeout=TIMEOUT)
        assert of_runs(queue) == []


class Collects(JobWorker):
    """Has the collector come."""

    job_types = ("collect",)

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Collect."""
        gc.collect()


@pytest.mark.parametrize("where", ["a job's thread", "the watch"])
def test_a_run_that_the_collector_comes_upon_ends_and_holds_up_nobody(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    comes = threading.Event()
    rounds = Watch._round

    def collecting(self: Watch, now: float) -> None:
        if comes.is_set():
            comes.clear()
            gc.collect()
        rounds(self, now)

    monkeypatch.setattr(Watch, "_round", collecting)
    with no_collection(), WorkerPool(queue, [Collects], threads=1) as pool:
        run: Any = pool.map(len, ["x"] * 300)
        next(run)
        circle: list[Any] = [run]
        circle.append(circle)
        del run, circle
        if where == "the watch":
            comes.set()
        else:
            queue.wait_for(queue.enqueue({}, type="collect", priority=9).metadata.id, TIMEOUT)

        eventually(lambda: not of_runs(queue), TIMEOUT)
        with meanwhile(pool.stop) as stopped:
            assert stopped.result(PATIENCE)


def test_nothing_of_ours_runs_when_the_collector_comes() -> None:
    # The interpreter would handle Ctrl-C in there, and swallow what its handler raises.
    script = "import gc, semiont_jobs, semiont_jobs.pool.results; print(gc.callbacks)"

    told = subprocess.check_output([sys.executable, "-c", script], text=True, timeout=TIMEOUT)

    assert told == "[]\n"


# -- at the end of the process ---------------------------------------------------------------

HALF_READ = """
import sys
from semiont_jobs import JobQueue, WorkerPool
queue = JobQueue(sys.argv[1], fsync=False)
pool = WorkerPool(queue, threads=2, processes=int(sys.argv[2]))
results = pool.map(abs, range(400), name="half")
print(next(results))
"""


@pytest.mark.parametrize("processes", [1, 2])
def test_a_script_that_ends_with_half_of_a_run_leaves_no_job_at_work(
    tmp_path: Path, processes: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HALF_READ, str(tmp_path), str(processes)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert (0, "0\n") == (done.returncode, done.stdout), done.stderr
    with JobQueue(tmp_path, fsync=False) as queue:
        assert queue.query_jobs(status="running") == []
        assert queue.get_stats().total > 1
        assert {job.metadata.crash_count for job in queue.query_jobs(limit=None)} == {0}


# -- interrupted -----------------------------------------------------------------------------

INTERRUPTED = """
import faulthandler, os, signal, sys, time
from semiont_jobs import JobQueue, WorkerPool

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
faulthandler.dump_traceback_later(50)

def say(text):
    os.write(1, text.encode() + b"\\n")  # whole, whoever writes beside it

def sleeps(item):
    if item:
        say("at work")
        time.sleep(600)

if __name__ == "__main__":
    with JobQueue(sys.argv[1], fsync=False) as queue:
        with WorkerPool(queue, threads=1, processes=int(sys.argv[2]), grace=600) as pool:
            try:
                for _first in pool.map(sleeps, [0, 1, 2], name="long"):
                    say("waiting")
            finally:
                say("over")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_interrupt_of_a_script_gives_the_items_in_hand_back(
    processes: int, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    running = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "data"), str(processes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    try:
        said = {running.stdout.readline() for _ in range(1 + processes)}
        running.send_signal(signal.SIGINT)
        # For the items in hand. One that comes right before a wait is heard after it, which takes a
        # second: a second one that comes sooner is one with it.
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(5 * mapping.LOOK_AGAIN)
        running.send_signal(signal.SIGINT)
        rest, complained = running.communicate(timeout=PATIENCE)
    finally:
        running.kill()

    assert (said, rest) == ({"waiting\n", "at work\n"}, "over\n")
    assert running.returncode == -signal.SIGINT, complained
    with JobQueue(tmp_path / "data", fsync=False) as queue:
        left = {job.params["item"]: job for job in queue.query_jobs()}
        assert {item: job.status for item, job in left.items()} == {
            0: "complete",
            1: "pending",
            2: "pending",
        }
        assert {job.metadata.retry_count for job in left.values()} == {0}
