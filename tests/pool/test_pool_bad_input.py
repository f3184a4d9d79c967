"""What is no worker, option or queue is refused before a pool starts."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from attrs import frozen
from pool.members import TIMEOUT, Echo, Waits, results

from semiont_jobs import InvalidValue, JobQueue, JobType, JobWorker, WorkerPool, job_handler
from semiont_jobs.pool.crew import Crew
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import checked_roster
from semiont_jobs.pool.watch import Watch


@frozen
class Some:
    n: int


@job_handler("echo")
def other_echo(params: dict[str, Any]) -> None: ...


@job_handler(JobType("typed", Some))
def typed(params: Some) -> None: ...


def plain(params: Any) -> None: ...


class Needs(Echo):
    def __init__(self, queue: JobQueue, more: int) -> None:
        super().__init__(queue)


class Unmade(Echo):
    def __init__(self) -> None:
        """Without the worker's own."""


class Connects(Echo):
    def start(self) -> None:
        super().start()


class Disconnects(Echo):
    def stop(self, timeout: float = 60.0) -> bool:
        return super().stop(timeout)


@pytest.mark.parametrize(
    ("workers", "rule"),
    [
        ([Connects], r"Connects has a start\(\) of its own, which a pool does not call"),
        ([lambda: Disconnects()], r"has a stop\(\) of its own, which a pool does not call"),
        (Echo, "a list of workers is needed"),
        ("Echo", "a list of workers is needed"),
        ([5], "a JobWorker class, a function that makes one, or a handler is needed"),
        ([plain], "a function of a job is made a handler with @job_handler"),
        ([lambda: 5], "makes int, not a worker"),
        ([Needs], "cannot make a worker of Needs: TypeError"),
        ([JobWorker], "cannot make a worker of JobWorker: TypeError"),
        ([Unmade], r"its __init__ has to call super\(\).__init__\(\)"),
        ([Echo, other_echo], "Echo does 'echo' jobs already"),
        ([other_echo, typed, other_echo], "other_echo does 'echo' jobs already"),
    ],
)
def test_what_is_no_worker_is_refused_before_anything_starts(
    memory: JobQueue, workers: Any, rule: str
) -> None:
    before = set(threading.enumerate())

    with pytest.raises(InvalidValue, match=rule):
        WorkerPool(memory, workers)

    # By name, not by number: a thread of an earlier test may end meanwhile.
    assert set() == set(threading.enumerate()) - before


def test_a_worker_instance_and_one_of_another_queue_are_refused(memory: JobQueue) -> None:
    other = JobQueue("memory:")

    with pytest.raises(InvalidValue, match="give the class"):
        WorkerPool(memory, [Echo(memory)])
    with pytest.raises(InvalidValue, match="made for another queue"):
        WorkerPool(memory, [lambda: Echo(other)])


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0},
        {"threads": True},
        {"threads": 2.0},
        {"processes": 0},
        {"grace": -1},
        {"grace": float("nan")},
        {"grace": float("inf")},
        {"grace": 10**400},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"stuck_after": -1},
        {"max_jobs": 0},
        {"max_rss": -5},
        {"burst": 1},
        {"poll_interval": 0},
        {"types": "echo"},
        {"types": []},
        {"types": ["nobody does"]},
        {"queues": [1]},
    ],
)
def test_an_option_out_of_range_is_refused_before_anything_starts(
    memory: JobQueue, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue) as told:
        WorkerPool(memory, [Echo], **options)

    assert next(iter(options)) == told.value.field


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon", True])
def test_a_stop_within_no_time_is_refused_and_stops_nothing(memory: JobQueue, timeout: Any) -> None:
    with WorkerPool(memory, [Echo]) as pool:
        with pytest.raises(InvalidValue, match="timeout"):
            pool.stop(timeout)
        job = memory.enqueue({"n": 7}, type="echo")

        assert 7 == results(memory, [job.metadata.id])[0][0]


def test_what_is_no_queue_is_refused() -> None:
    with pytest.raises(InvalidValue, match="a JobQueue is needed"):
        WorkerPool("data", [Echo])  # type: ignore[arg-type]


def test_a_pool_without_workers_cannot_be_run(memory: JobQueue) -> None:
    with pytest.raises(InvalidValue, match="at least one worker is needed"):
        WorkerPool(memory).run()


def test_a_stop_by_a_job_that_is_quicker_than_the_watch_is_waited_for(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    watch_may_begin = threading.Event()
    Waits.at_work.clear()

    def begin_late(thread: threading.Thread) -> None:
        assert watch_may_begin.wait(TIMEOUT)
        thread.start()

    monkeypatch.setattr("semiont_jobs.pool.watch.begin", begin_late)
    watch = Watch(
        Crew(
            memory,
            checked_roster([lambda: Waits(memory, let_go)], memory),
            Orders(threads=1, grace=0),
        )
    )
    starter = threading.Thread(target=watch.start)
    memory.enqueue({}, type="waits")

    starter.start()
    assert Waits.at_work.wait(TIMEOUT)
    watch.leave("stopped")

    assert not watch.wait(0.01)
    let_go.set()
    watch_may_begin.set()
    assert watch.wait(TIMEOUT)
    starter.join(TIMEOUT)
