"""The figures that a queue tells of one type of job."""

from __future__ import annotations

from typing import Any

from semiont_jobs import JobQueue
from semiont_jobs.metrics import StoredMetrics
from semiont_jobs.testing.waiting import eventually


def claimed(queue: JobQueue) -> Any:
    return eventually(queue.claim_next_job)


def stored(queue: JobQueue, type_name: str = "t", name: str = "default") -> StoredMetrics:
    [found] = [one for one in queue.metrics().stored if (one.type, one.queue) == (type_name, name)]
    return found
