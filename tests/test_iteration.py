"""A work that yields goes on where it was: after failures, time-outs and snoozes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from iterating import TIMEOUT, Iterating, Work, cursor_of

from semiont_jobs import (
    CancelledJob,
    FailedJob,
    JobQueue,
    PendingJob,
    Snooze,
)
from semiont_jobs.codec import documents
from semiont_jobs.iteration import KEY
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.waiting import eventually


@pytest.fixture
def queue() -> JobQueue:
    return JobQueue("memory:")


def ended(queue: JobQueue, work: Work, **options: Any) -> Any:
    """The job's state after its last attempt with that work."""
    job = queue.enqueue({}, type="task", **{"max_retries": 1, **options})
    with Iterating(queue, work):
        return queue.wait_for(job.metadata.id, TIMEOUT)


def failing_once_at(unit: Any, units: list[Any], done: list[Any]) -> Work:
    """Does the units in that order and notes each; the first attempt fails at one of them."""

    def work(_worker: Any, job: Any, cursor: Any) -> Iterator[Any]:
        begin = 0 if cursor is None else units.index(cursor) + 1
        for each in units[begin:]:
            if each == unit and job.metadata.retry_count == 0:
                raise ConnectionError("away")
            done.append(each)
            yield each
        return {"units": len(done)}

    return work


def test_what_the_generator_returns_is_the_result(queue: JobQueue) -> None:
    seen = []

    def work(_worker: Any, _job: Any, cursor: Any) -> Any:
        seen.append(cursor)
        yield 1
        yield 2
        return {"done": 2}

    done = ended(queue, work)

    assert ([None], "complete", {"done": 2}) == (seen, done.status, done.result)


@pytest.mark.parametrize(
    "units",
    [
        [1, 2, 3, 4],
        [0.5, 1.5, 2.5, 3.5],
        ["page-9", "page-10", "page-1", "a"],
        [4, 3, 2, 1],
        [[2, "b"], [1, "c"], [1, "a"], [0, "z"]],
        [{"next": "x", "n": 1}, {"next": "c", "n": 2}, {"next": "k", "n": 3}, {"next": "", "n": 4}],
    ],
)
def test_the_next_attempt_goes_on_after_the_latest_unit_whatever_the_cursors_order(
    queue: JobQueue, units: list[Any]
) -> None:
    done: list[Any] = []

    job = ended(queue, failing_once_at(units[3], units, done))

    assert (units, {"units": 4}) == (done, job.result)
    assert units[2] == cursor_of(job)


def test_a_third_attempt_goes_on_where_the_second_came(queue: JobQueue) -> None:
    done: list[int] = []

    def work(_worker: Any, job: Any, cursor: Any) -> Any:
        for unit in range(cursor or 0, 6):
            if unit == 2 * (job.metadata.retry_count + 1):
                raise ConnectionError("away")
            done.append(unit)
            yield unit + 1

    job = ended(queue, work, max_retries=2)

    assert (list(range(6)), "complete") == (done, job.status)
    assert (4, 4) == (cursor_of(job), job.metadata.unit_cursors[KEY]["steps"])


def test_a_work_that_is_to_stop_is_left_at_its_next_yield_and_closed(queue: JobQueue) -> None:
    closed = []
    at_work = threading.Event()

    def work(_worker: Any, job: Any, _cursor: Any) -> Any:
        try:
            for unit in range(10**9):
                at_work.set()
                yield unit
        finally:
            closed.append(threading.current_thread().name)

    job = queue.enqueue({}, type="task")
    with Iterating(queue, work):
        assert at_work.wait(TIMEOUT)
        queue.cancel_job(job.metadata.id)
        stopped = queue.wait_for(job.metadata.id, TIMEOUT)

    assert isinstance(stopped, CancelledJob)
    assert ["Iterating"] == closed
    assert cursor_of(stopped) >= 0


def test_a_work_whose_time_is_up_keeps_its_cursor_for_the_next_attempt() -> None:
    clock = FakeClock()
    queue = JobQueue("memory:", clock=clock)
    begun = []

    def work(_worker: Any, _job: Any, cursor: Any) -> Any:
        begun.append(cursor)
        yield "a"
        if cursor is None:
            clock.advance(20)
        yield "b"
        return None

    job = ended(queue, work, timeout=10)

    assert ["timeout", "completed"] == [each.outcome for each in job.metadata.attempts]
    assert [None, "b"] == begun


def test_a_snooze_keeps_the_cursor(queue: JobQueue) -> None:
    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        yield 7
        raise Snooze(3600)

    job = queue.enqueue({}, type="task")
    with Iterating(queue, work):
        snoozed = eventually(lambda: _put_off(queue, job.metadata.id), TIMEOUT)

    assert (7, 0) == (cursor_of(snoozed), snoozed.metadata.attempt_count)


def _put_off(queue: JobQueue, id_: str) -> Any:
    job = queue.get_job(id_)
    return job if isinstance(job, PendingJob) and job.metadata.run_after else None


def test_a_worker_that_is_stopped_gives_an_endless_job_back_and_another_goes_on(
    queue: JobQueue,
) -> None:
    at_work = threading.Event()
    begun = []

    def endless(_worker: Any, _job: Any, cursor: Any) -> Any:
        begun.append(cursor)
        for unit in range(10**9):
            at_work.set()
            yield unit

    job = queue.enqueue({}, type="task")
    worker = Iterating(queue, endless)
    worker.start()
    assert at_work.wait(TIMEOUT)

    assert worker.stop(TIMEOUT)

    left = queue.get_job(job.metadata.id)
    assert isinstance(left, PendingJob)
    assert (0, 0) == (left.metadata.attempt_count, left.metadata.retry_count)

    def rest(_worker: Any, _job: Any, cursor: Any) -> Any:
        begun.append(cursor)
        return "done"
        yield

    with Iterating(queue, rest):
        assert "done" == queue.wait_for(job.metadata.id, TIMEOUT).result  # type: ignore[union-attr]
    assert [None, cursor_of(left)] == begun


def test_a_cursor_that_the_work_goes_on_with_is_kept_as_it_was_yielded(queue: JobQueue) -> None:
    begun = []

    def work(_worker: Any, job: Any, cursor: Any) -> Any:
        begun.append(cursor)
        state = {"done": 0, "names": []}
        state["names"].append("a")  # type: ignore[attr-defined]
        yield state
        state["names"].append("half of b")  # type: ignore[attr-defined]
        if job.metadata.retry_count == 0:
            raise ConnectionError("away")

    ended(queue, work)

    assert [None, {"done": 0, "names": ["a"]}] == begun


def test_a_progress_that_is_yielded_beside_the_cursor_is_reported(queue: JobQueue) -> None:
    told: list[Any] = []
    queue.subscribe(lambda event: event.name == "reported" and told.append(event.job))

    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        yield 1, {"page": 1}
        yield 2, None
        yield 3, {"page": 3}

    ended(queue, work)

    assert [{"page": 1}, {"page": 3}] == [job.progress for job in told]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "InvalidValue: iterate_job = None: yield a cursor"),
        ((1, 2, 3), "InvalidValue: iterate_job = (1, 2, 3): yield a cursor (a list"),
        ((None, {"page": 1}), "InvalidValue: iterate_job = (None"),
        ({1, 2}, "cursor = {1, 2}"),
        (float("nan"), "cursor = nan"),
        ("\ud800", "cursor = '\\ud800'"),
    ],
)
def test_what_is_no_cursor_fails_the_attempt_at_its_yield(
    queue: JobQueue, given: Any, told: str
) -> None:
    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        yield 1
        yield given

    failed = ended(queue, work, max_retries=0)

    assert isinstance(failed, FailedJob)
    assert told in failed.error
    assert 1 == cursor_of(failed)


def test_a_method_that_does_not_yield_fails_the_attempt(queue: JobQueue) -> None:
    failed = ended(queue, lambda _worker, _job, _cursor: [1, 2], max_retries=0)

    assert "iterate_job = [1, 2]: a generator is needed" in failed.error


@pytest.mark.parametrize("stored", [5, {"steps": "x", "cursor": 5}, {"cursor": 5}])
def test_what_somebody_else_left_in_its_place_begins_at_the_beginning(
    queue: JobQueue, stored: Any
) -> None:
    begun = []

    def work(_worker: Any, _job: Any, cursor: Any) -> Any:
        begun.append(cursor)
        return None
        yield

    queue.enqueue({}, type="task", id="a")
    claim = queue.claim_next_job()
    assert claim is not None
    claim.checkpoint(cursors={KEY: stored})
    claim.release()
    with Iterating(queue, work):
        queue.wait_for("a", TIMEOUT)

    assert [None] == begun


def test_a_generator_that_fails_when_it_is_closed_hides_no_outcome(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    at_work = threading.Event()

    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        try:
            while True:
                at_work.set()
                yield 1
        finally:
            raise OSError("no way to close it")

    job = queue.enqueue({}, type="task")
    with caplog.at_level(logging.ERROR), Iterating(queue, work):
        assert at_work.wait(TIMEOUT)
        queue.cancel_job(job.metadata.id)
        stopped = queue.wait_for(job.metadata.id, TIMEOUT)

    assert "cancelled" == stopped.status
    assert "failed when it was closed" in caplog.text


def test_a_cursor_that_is_too_large_to_be_kept_costs_no_attempt_when_its_worker_stops(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(documents, "MAX_JOB_BYTES", 2048)
    at_work = threading.Event()

    def work(worker: Any, _job: Any, _cursor: Any) -> Iterator[Any]:
        at_work.set()
        assert worker._stop.wait(TIMEOUT)
        yield "x" * 2048

    job = queue.enqueue({}, type="task")
    with Iterating(queue, work):
        assert at_work.wait(TIMEOUT)

    left = queue.get_job(job.metadata.id)
    assert isinstance(left, PendingJob)
    assert (left.metadata.retry_count, left.metadata.attempt_count) == (0, 0)
    assert "cursor not stored" in caplog.text
