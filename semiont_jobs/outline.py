"""An outline of a job: the few facts that counting and timing need.

It must not know params, progress or results, or where an outline was read.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attrs import frozen

from semiont_jobs.model import AnyJob, JobStatus

_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@frozen(eq=True)
class Outline:
    """Instants are whole milliseconds since 1970: their sums are exact, and hundreds of thousands
    take little room."""

    id: str
    status: JobStatus
    type: str
    queue: str
    user_id: str
    revision: int
    created: int
    run_after: int | None
    started: int | None
    completed: int | None
    outcomes: tuple[str, ...]
    """How the recorded attempts ended, in order."""

    @property
    def due(self) -> int:
        """When the job became due last, or is due next."""
        return self.created if self.run_after is None else self.run_after


def outline_of(job: AnyJob) -> Outline:
    """The outline of a job."""
    metadata = job.metadata
    whole: Any = job
    return Outline(
        str(metadata.id),
        job.status,
        metadata.type,
        metadata.queue,
        metadata.user_id,
        metadata.revision,
        milliseconds(metadata.created),
        None if metadata.run_after is None else milliseconds(metadata.run_after),
        _instant(getattr(whole, "started_at", None)),
        _instant(getattr(whole, "completed_at", None)),
        tuple(each.outcome for each in metadata.attempts),
    )


def milliseconds(instant: datetime) -> int:
    """An instant as milliseconds since 1970."""
    return (instant - _BEGINNING) // _MILLISECOND


def _instant(value: datetime | None) -> int | None:
    return None if value is None else milliseconds(value)
