"""Jobs as the seed's users change them: a copy with other fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from semiont_jobs import AnyJob, FailedJob, JobQueue, PendingJob, RunningJob
from semiont_jobs.testing.suite import some

T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
T1 = T0 + timedelta(minutes=1)


def created(queue: JobQueue, **options: Any) -> PendingJob[Any]:
    return queue.enqueue({"page": 1}, type="task", **options)


def running(job: AnyJob, **fields: Any) -> RunningJob[Any, Any]:
    """The job as a caller writes it down who wants it to run."""
    return RunningJob(metadata=job.metadata, params=job.params, started_at=T0, **fields)


def failed(queue: JobQueue, **options: Any) -> FailedJob[Any]:
    job = created(queue, **{"max_retries": 0, **options})
    gone = some(queue.claim_next_job()).fail("it broke")
    assert isinstance(gone, FailedJob)
    assert gone.metadata.id == job.metadata.id
    return gone


def now_of(queue: JobQueue, job: AnyJob) -> Any:
    return some(queue.get_job(job.metadata.id))
