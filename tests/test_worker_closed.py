"""When its queue is closed, a worker ends and gives its job back."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from workers import TIMEOUT, Worker, outcome

from semiont_jobs import (
    ClaimLost,
    JobQueue,
    JobWorker,
    MemoryStore,
    PendingJob,
    QueueClosed,
    RunningJob,
)
from semiont_jobs.testing.waiting import eventually


@pytest.fixture
def queue() -> JobQueue:
    return JobQueue("memory:")


class Story:
    """A work that is held up until the test lets it go on, and how often it ran."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.over = (threading.Event() for _ in range(3))
        self.runs: list[str] = []
        self.told: list[BaseException] = []

    def __call__(self, worker: Worker, job: Any) -> object:
        self.runs.append(job.metadata.id)
        self.begun.set()
        assert self.go_on.wait(TIMEOUT)
        try:
            worker.raise_if_cancelled()
        except BaseException as error:
            self.told.append(error)
            raise
        finally:
            self.over.set()
        return "too late"


def test_a_worker_whose_queue_is_closed_does_not_open_it_again(tmp_path: Path) -> None:
    queue, story = JobQueue(tmp_path, fsync=False), Story()
    queue.enqueue({}, type="task", id="j")
    worker = Worker(queue, story)
    worker.start()
    assert story.begun.wait(TIMEOUT)

    queue.close()
    story.go_on.set()

    assert worker._ended.wait(TIMEOUT)
    assert not queue._is_open
    assert ["j"] == story.runs
    assert [ClaimLost] == [type(error) for error in story.told]
    with JobQueue(tmp_path, fsync=False) as other:
        left = other.get_job("j")
    assert isinstance(left, PendingJob)
    assert 0 == left.metadata.attempt_count


def test_a_worker_that_was_stopped_by_a_close_stays_stopped_when_its_user_looks(
    queue: JobQueue,
) -> None:
    story = Story()
    queue.enqueue({}, type="task", id="j")
    worker = Worker(queue, story)
    worker.start()
    assert story.begun.wait(TIMEOUT)

    queue.close()
    assert 1 == queue.get_stats().pending  # which opens it
    story.go_on.set()

    assert worker.stop(TIMEOUT)
    assert ["j"] == story.runs
    assert "complete" == outcome(queue, lambda _worker, _job: None, id="k").status


def test_a_close_wakes_an_idle_worker_and_ends_it(queue: JobQueue) -> None:
    class Idle(JobWorker):
        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            return None

    worker = Idle(queue, poll_interval=3600)
    ended = threading.Thread(target=worker.run)
    ended.start()
    eventually(lambda: worker._thread is not None)

    queue.close()
    ended.join(TIMEOUT)

    assert not ended.is_alive()
    assert not queue._is_open


def test_a_worker_that_a_close_has_ended_is_kept_by_nobody(queue: JobQueue) -> None:
    worker = Worker(queue, lambda _worker, _job: None)
    worker.start()
    queue.close()
    assert worker._ended.wait(TIMEOUT)
    thread, known = worker._thread, weakref.ref(worker)
    assert thread is not None
    thread.join(TIMEOUT)

    del worker, thread
    gc.collect()

    assert known() is None


def test_a_work_that_waits_to_be_stopped_is_told_of_a_close(queue: JobQueue) -> None:
    begun, told = threading.Event(), threading.Event()

    def work(worker: Worker, _job: Any) -> object:
        cancelled = worker.cancelled
        begun.set()
        if cancelled.wait(TIMEOUT):
            told.set()
        return None

    queue.enqueue({}, type="task")
    worker = Worker(queue, work)
    worker.start()
    assert begun.wait(TIMEOUT)

    queue.close()

    assert told.wait(TIMEOUT)
    assert worker.stop(TIMEOUT)


class ClosedMeanwhile(MemoryStore):
    """Its queue is closed at the worst moment: when a job was claimed and nobody knows it yet,
    or when a waiter has looked for the last time and does not wait yet."""

    queue: JobQueue

    def claim(self, *arguments: Any) -> Any:
        hold = super().claim(*arguments)
        self.queue.close()
        return hold

    def wait(self, *arguments: Any) -> None:
        self.queue.close()
        super().wait(*arguments)


@pytest.fixture
def closing() -> JobQueue:
    """A queue that is closed whenever somebody claims or waits."""
    store = ClosedMeanwhile()
    store.queue = JobQueue(store)
    return store.queue


def test_a_job_claimed_while_the_queue_is_closed_is_given_back(closing: JobQueue) -> None:
    closing.enqueue({}, type="task", id="j")
    opening = closing.open_for_work(threading.Event())

    claimer = closing.claimer(opening=opening)
    with pytest.raises(QueueClosed, match="given back"):
        claimer()
    with pytest.raises(QueueClosed):
        claimer()

    assert not closing._is_open
    [left] = closing.query_jobs()
    assert ("pending", None) == (left.status, left.metadata.claim)


def test_a_close_reaches_a_waiter_that_has_looked_and_does_not_wait_yet(closing: JobQueue) -> None:
    stop = threading.Event()
    opening = closing.open_for_work(stop)
    waiter = threading.Thread(
        target=closing.wait_for_work, args=(stop, 3600), kwargs={"opening": opening}, daemon=True
    )
    waiter.start()
    waiter.join(TIMEOUT)

    assert not waiter.is_alive()
    assert not closing._is_open


def test_a_loop_that_has_not_heard_of_the_close_yet_does_not_open_the_queue(
    queue: JobQueue,
) -> None:
    queue.enqueue({}, type="task")
    worker = Worker(queue, lambda _worker, _job: None)
    opening = queue.open_for_work(threading.Event())
    queue.close()

    loop = threading.Thread(target=worker._loop, args=(opening,), daemon=True)
    loop.start()
    loop.join(TIMEOUT)

    assert not loop.is_alive()
    assert not queue._is_open
