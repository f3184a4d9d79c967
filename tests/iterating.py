"""A worker that yields what a test gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenacity import wait_none

from semiont_jobs import JobQueue, JobWorker, RetryPolicy
from semiont_jobs.iteration import KEY

TIMEOUT = 60.0
AT_ONCE = RetryPolicy(wait=wait_none())
Work = Callable[[Any, Any, Any], Any]


class Iterating(JobWorker):
    """Does what it is given, unit by unit."""

    retry_policy = AT_ONCE

    def __init__(self, queue: JobQueue, work: Work, **options: Any) -> None:
        self.checkpoint_interval = options.pop("checkpoint_interval", 3600)
        super().__init__(queue, poll_interval=0.05, error_backoff=0.05, **options)
        self.work = work

    def iterate_job(self, job: Any, cursor: Any) -> Any:
        return self.work(self, job, cursor)


def cursor_of(job: Any) -> Any:
    return job.metadata.unit_cursors[KEY]["cursor"]
