"""Lists: which jobs, and in what order.

It must not know how jobs are stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from attrs import frozen

from semiont_jobs.model import AnyJob, JobMetadata, JobStatus
from semiont_jobs.outline import Outline


@frozen
class Filters:
    """Which jobs a list is of. None: whatever it is."""

    statuses: tuple[JobStatus, ...]
    type: str | None
    user_id: str | None
    queue: str | None

    def match(self, job: AnyJob) -> bool:
        """Whether a job matches every filter."""
        return self._fit(job.status, job.metadata)

    def cover(self, outline: Outline) -> bool:
        """The same for the outline of a job."""
        return self._fit(outline.status, outline)

    def _fit(self, status: JobStatus, facts: JobMetadata | Outline) -> bool:
        return (
            status in self.statuses
            and (self.type is None or facts.type == self.type)
            and (self.user_id is None or facts.user_id == self.user_id)
            and (self.queue is None or facts.queue == self.queue)
        )

    def newest_of(self, jobs: Iterable[AnyJob]) -> list[AnyJob]:
        """Those that match, newest first, ties by id."""
        found = [job for job in jobs if self.match(job)]
        found.sort(key=lambda job: job.metadata.id)
        found.sort(key=lambda job: job.metadata.created, reverse=True)
        return found


@runtime_checkable
class Listing(Protocol):
    """An optional part of a store: a short list without reading all jobs."""

    def newest(self, filters: Filters, most: int) -> list[AnyJob]:
        """The first so many of `Filters.newest_of` all jobs, as they were at one instant."""
        ...
