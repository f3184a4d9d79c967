"""A worker that does whatever a test gives it as its work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from semiont_jobs import JobQueue, JobWorker, RunningJob

TIMEOUT = 60.0


class Worker(JobWorker):
    """Does what it is given, as the work of every job."""

    def __init__(self, queue: JobQueue | None, work: Callable[[Worker, Any], object]) -> None:
        super().__init__(queue, poll_interval=0.05, error_backoff=0.05)
        self.work = work

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return self.work(self, job)


def outcome(queue: JobQueue, work: Callable[[Worker, Any], object], **options: Any) -> Any:
    """The job's state after the first attempt with that work."""
    job = queue.enqueue({"page": 1}, **{"type": "task", "max_retries": 0, **options})
    with Worker(queue, work):
        return queue.wait_for(job.metadata.id, TIMEOUT)
