"""Ten jobs to list, in any store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from semiont_jobs import JobMetadata, JobQueue, PendingJob

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def fill(queue: JobQueue, prefix: str) -> None:
    """Create them, two of each second: the later, the higher the number after the prefix."""
    for n in range(10):
        metadata = JobMetadata(
            id=f"{prefix}{n}",
            type=("even", "odd")[n % 2],
            user_id=("ann", "bob")[n // 5],
            queue=f"q{n % 3}",
            created=BEGAN + timedelta(seconds=n // 2),
        )
        queue.create_job(PendingJob(metadata=metadata, params={}))


def ids(jobs: list[Any]) -> list[str]:
    return [job.metadata.id for job in jobs]
