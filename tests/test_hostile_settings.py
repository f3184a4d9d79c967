"""A worker's own settings that fail when they are asked for again end no thread."""

from __future__ import annotations

from typing import Any

import pytest

from semiont_jobs import JobQueue, JobWorker, PendingJob, RunningJob, WorkerPool

TIMEOUT = 20.0


class Unsettled(JobWorker):
    """Has lost its time limit."""

    is_lost = False

    @property
    def timeout(self) -> float | None:  # type: ignore[override]
        if self.is_lost:
            raise KeyError("limit")
        return None

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return {}


@pytest.mark.parametrize("how", ["worker", "pool"])
def test_a_time_limit_that_cannot_be_read_fails_the_job(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = JobQueue("memory:")
    runner: Any = Unsettled(queue) if how == "worker" else WorkerPool(queue, [Unsettled], threads=1)
    runner.start()
    monkeypatch.setattr(Unsettled, "is_lost", True)
    try:
        job = queue.enqueue({}, type="t", max_retries=0)
        done = queue.wait_for(job.metadata.id, TIMEOUT)
    finally:
        monkeypatch.undo()
        runner.stop(TIMEOUT)

    assert done.status == "failed"
    assert "limit" in done.error  # type: ignore[union-attr]


class Nameless(JobWorker):
    """Has lost its name, and cannot say whether it wants one of the jobs."""

    is_lost = False

    def get_worker_name(self) -> str:
        if self.is_lost:
            raise RuntimeError("the name service is gone")
        return "one"

    def can_process_job(self, job: PendingJob[Any]) -> bool:
        if job.metadata.id == "odd":
            raise ValueError(job)
        return True

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return {}


@pytest.mark.parametrize("how", ["worker", "pool"])
def test_a_name_that_cannot_be_had_again_ends_no_worker(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = JobQueue("memory:")
    runner: Any = Nameless(queue) if how == "worker" else WorkerPool(queue, [Nameless], threads=1)
    queue.enqueue({}, type="t", id="first")
    runner.start()
    try:
        queue.wait_for("first", TIMEOUT)
        monkeypatch.setattr(Nameless, "is_lost", True)
        queue.enqueue({}, type="t", id="odd", priority=9)
        queue.enqueue({}, type="t", id="good")
        done = queue.wait_for("good", TIMEOUT)
    finally:
        runner.stop(TIMEOUT)

    assert (done.status, done.metadata.attempts[-1].worker) == ("complete", "one")
