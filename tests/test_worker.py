"""A worker runs jobs one at a time, outlives their failures, and stops when asked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from workers import TIMEOUT, Worker, outcome

from semiont_jobs import (
    JobCancelled,
    JobQueue,
    JobTimeout,
    JobType,
    PermanentError,
    RetryPolicy,
    RunningJob,
    Snooze,
    StoreError,
    is_failed_job,
)
from semiont_jobs.testing.waiting import eventually


@pytest.fixture
def queue() -> JobQueue:
    return JobQueue("memory:")


def raising(error: BaseException) -> Callable[[Worker, Any], object]:
    def work(_worker: Worker, _job: Any) -> object:
        raise error

    return work


def test_what_the_work_returns_is_the_result(queue: JobQueue) -> None:
    done = outcome(queue, lambda _worker, job: [job.params["page"], None])

    assert ("complete", [1, None]) == (done.status, done.result)


@pytest.mark.parametrize(
    "error", [ValueError("no"), PermanentError("never"), SystemExit(3), KeyboardInterrupt()]
)
def test_a_work_that_raises_fails_and_the_worker_lives(
    queue: JobQueue, error: BaseException
) -> None:
    failed = outcome(queue, raising(error))

    assert is_failed_job(failed)
    assert type(error).__name__ in failed.error
    assert "complete" == outcome(queue, lambda _worker, _job: None).status


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), {"deep": [object()]}, "\ud800"])
def test_a_result_that_is_not_json_fails_the_job_and_names_the_place(
    queue: JobQueue, value: object
) -> None:
    failed = outcome(queue, lambda _worker, _job: value)

    assert is_failed_job(failed)
    assert "JobEncodeError" in failed.error
    assert "result" in failed.error


def test_a_snooze_uses_no_attempt(queue: JobQueue) -> None:
    job = queue.enqueue({}, type="task")
    worker = Worker(queue, raising(Snooze(3600)))

    with worker:
        snoozed = eventually(
            lambda: next((j for j in queue.query_jobs(status="pending") if _is_put_off(j)), None)
        )

    assert job.metadata.id == snoozed.metadata.id
    assert (0, 0) == (snoozed.metadata.attempt_count, snoozed.metadata.retry_count)


def _is_put_off(job: Any) -> bool:
    return job.metadata.run_after is not None


def test_a_cancelled_job_is_told_to_its_work(queue: JobQueue) -> None:
    at_work = threading.Event()

    def work(worker: Worker, _job: Any) -> object:
        at_work.set()
        assert worker.cancelled.wait(TIMEOUT)
        worker.raise_if_cancelled()
        return "went on"

    job = queue.enqueue({}, type="task")
    with Worker(queue, work):
        assert at_work.wait(TIMEOUT)
        assert queue.cancel_job(job.metadata.id)
        ended = queue.wait_for(job.metadata.id, TIMEOUT)

    assert "cancelled" == ended.status


def test_work_that_stops_by_itself_is_cancelled(queue: JobQueue) -> None:
    assert "cancelled" == outcome(queue, raising(JobCancelled("enough"))).status


def test_time_that_is_up_is_a_timeout(queue: JobQueue) -> None:
    def work(worker: Worker, _job: Any) -> object:
        assert worker.deadline is not None
        assert worker.cancelled.wait(TIMEOUT)
        worker.raise_if_cancelled()
        return None

    failed = outcome(queue, work, timeout=0.01)

    assert "timeout" == failed.metadata.attempts[-1].outcome
    assert JobTimeout.__name__ in failed.error


def test_progress_and_checkpoints_are_stored(queue: JobQueue) -> None:
    def work(worker: Worker, job: Any) -> object:
        worker.update_job_progress({"percentage": 10})
        stored = queue.get_job(job.metadata.id)
        worker.checkpoint(["a"], cursors={"a": 1})
        return stored.progress if isinstance(stored, RunningJob) else None

    done = outcome(queue, work)

    assert {"percentage": 10} == done.result
    assert (("a",), {"a": 1}) == (done.metadata.completed_units, done.metadata.unit_cursors)


def test_only_what_it_can_process_is_offered(queue: JobQueue) -> None:
    class Picky(Worker):
        def can_process_job(self, job: Any) -> bool:
            if job.params["page"] == 2:
                raise ValueError("cannot say")
            return bool(job.params["page"] == 3)

    jobs = [queue.enqueue({"page": n}, type="task") for n in (1, 2, 3)]

    with Picky(queue, lambda _worker, job: job.params["page"]):
        done = queue.wait_for(jobs[2].metadata.id, TIMEOUT)

    assert 3 == getattr(done, "result", None)
    assert 2 == queue.get_stats().pending


def test_a_workers_policy_goes_before_the_others(queue: JobQueue) -> None:
    class Strict(Worker):
        retry_policy = RetryPolicy(permanent=(ValueError,))

    job = queue.enqueue({}, type="task", max_retries=5)

    with Strict(queue, raising(ValueError("no"))):
        failed = queue.wait_for(job.metadata.id, TIMEOUT)

    assert ("failed", 0) == (failed.status, failed.metadata.retry_count)


@frozen
class Old:
    path: str


@frozen
class New:
    path: str
    size: int


def test_a_job_whose_params_class_changed_fails_readably_and_the_worker_lives(
    tmp_path: Path,
) -> None:
    JobQueue(tmp_path, job_types=[JobType("t", Old)]).enqueue(Old(path="a"), id="a")
    queue = JobQueue(tmp_path, job_types=[JobType("t", New)])

    with Worker(queue, lambda _worker, job: job.params.size):
        failed = queue.wait_for("a", TIMEOUT)
        queue.enqueue(New(path="b", size=2), id="b")
        done = queue.wait_for("b", TIMEOUT)

    assert is_failed_job(failed)
    assert "params.size: missing" in failed.error
    assert {"path": "a"} == failed.params
    assert 2 == getattr(done, "result", None)


def test_the_disk_is_tried_again_until_the_outcome_is_stored_and_the_work_runs_once(
    queue: JobQueue,
) -> None:
    runs: list[str] = []
    refusals = [StoreError(28, "No space left on device"), StoreError(28, "No space left")]

    def work(worker: Worker, job: Any) -> object:
        runs.append(job.metadata.id)
        hold: Any = worker.claim._hold
        move = hold.move

        def refuse(changed: Any) -> None:
            if refusals:
                raise refusals.pop()
            move(changed)

        hold.move = refuse
        return "kept"

    done = outcome(queue, work)

    assert "kept" == done.result
    assert 1 == len(runs)
