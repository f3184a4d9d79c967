"""A signal's handler that stops a pool or a worker, in the midst of their start.

Here the calls that a handler would make are made by the same thread, at the same points.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pool import labour
from pool.members import TIMEOUT, Echo, threads_named

from semiont_jobs import JobQueue, WorkerPool
from semiont_jobs.testing.waiting import eventually

OPTIONS = [{"threads": 2}, {"threads": 1, "processes": 2}]


@pytest.fixture
def files(tmp_path: Path) -> JobQueue:
    return JobQueue(tmp_path / "data", fsync=False)


class Strike:
    """Does something before and after a queue is opened by somebody who begins to work on it."""

    def __init__(self, queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[object] = []
        self.do: Callable[[], object] = lambda: None
        opens = queue.open_for_work

        def struck(stop: threading.Event) -> Any:
            self.answers.append(self.do())
            try:
                return opens(stop)
            finally:
                self.answers.append(self.do())

        monkeypatch.setattr(queue, "open_for_work", struck)


def done(do: Callable[[], object]) -> list[BaseException | None]:
    """How that ended, in a thread of its own; nothing: it has not."""
    ends: list[BaseException | None] = []

    def run() -> None:
        try:
            do()
        except BaseException as error:
            ends.append(error)
        else:
            ends.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    return ends


@pytest.mark.parametrize("options", OPTIONS)
def test_a_pool_that_is_stopped_in_the_midst_of_its_start_ends_what_it_began(
    files: JobQueue, monkeypatch: pytest.MonkeyPatch, options: dict[str, int]
) -> None:
    strike = Strike(files, monkeypatch)
    pool = WorkerPool(files, [labour.pid], **options)
    strike.do = pool.stop

    ended = done(pool.start)

    assert ([None], [False, False]) == (ended, strike.answers)
    assert not threads_named("semiont-jobs-supervisor") + threads_named("semiont-jobs-1")
    assert pool.stop()


@pytest.mark.parametrize("options", OPTIONS)
def test_a_pool_whose_start_an_exit_interrupts_ends_what_it_began_and_nothing_hangs(
    files: JobQueue, monkeypatch: pytest.MonkeyPatch, options: dict[str, int]
) -> None:
    strike = Strike(files, monkeypatch)
    pool = WorkerPool(files, [labour.pid], **options)

    def leaves() -> None:
        pool.stop()
        sys.exit(3)

    strike.do = leaves

    ended = done(pool.start)

    assert [3] == [getattr(each, "code", None) for each in ended]
    assert pool.stop()


def test_jobs_that_began_before_a_stop_in_the_midst_of_the_start_have_the_time_that_it_gives(
    files: JobQueue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files.enqueue({"place": str(tmp_path)}, type="deaf", id="a")
    pool = WorkerPool(files, [labour.Deaf], threads=1)
    begin = threading.Thread.start

    def begins(thread: threading.Thread) -> None:
        begin(thread)
        if thread.name == "semiont-jobs-1":
            eventually((tmp_path / "a.pid").exists)
            assert not pool.stop(TIMEOUT)
            assert not pool.stop(0)

    monkeypatch.setattr("semiont_jobs.pool.crew.begin", begins)

    assert [None] == done(pool.start)
    (tmp_path / "go").touch()

    assert not pool.stop()
    assert (1, 1) == (pool.given_back, files.get_stats().pending)


def test_a_run_of_a_pool_that_is_stopped_as_its_crew_begins_comes_to_its_end(
    files: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike = Strike(files, monkeypatch)
    pool = WorkerPool(files, threads=1)
    strike.do = pool.stop

    (error,) = done(lambda: list(pool.map(str, range(3))))

    assert isinstance(error, RuntimeError)
    assert pool.stop()


@pytest.mark.parametrize("raises", [False, True])
def test_a_worker_that_is_stopped_in_the_midst_of_its_start_waits_for_nothing(
    files: JobQueue, monkeypatch: pytest.MonkeyPatch, raises: bool
) -> None:
    worker = Echo(files)
    stops: list[Any] = []

    def begins(thread: threading.Thread) -> None:
        stops.append(worker.stop())
        if raises:
            raise KeyboardInterrupt
        thread.start()

    monkeypatch.setattr("semiont_jobs.worker.begin", begins)
    job = files.enqueue({"n": 1}, type="echo")

    (ended,) = done(worker.start)

    assert ([False], raises) == (stops, isinstance(ended, KeyboardInterrupt))
    assert worker.stop(TIMEOUT)
    assert "pending" == getattr(files.get_job(job.metadata.id), "status", None)


SCRIPT = """
import signal, sys
from pool import labour
from semiont_jobs import JobQueue, WorkerPool

class Struck(JobQueue):
    def open_for_work(self, stop):
        signal.raise_signal(signal.SIGTERM)
        try:
            return super().open_for_work(stop)
        finally:
            signal.raise_signal(signal.SIGTERM)

if __name__ == "__main__":
    pool = WorkerPool(Struck(sys.argv[1]), [labour.pid], threads=1)
    signal.signal(signal.SIGTERM, lambda *_: pool.stop())
    pool.start()
    print("stopped", pool.stop())
"""


def test_a_program_whose_handler_of_sigterm_stops_its_pool_ends(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, str(tmp_path / "data")],
        env={"PYTHONPATH": ":".join(sys.path)},
        timeout=TIMEOUT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert ("stopped True\n", "") == (ran.stdout, ran.stderr)
