"""A queue as simple as possible: what must be true after each operation, written by hand.

It must not know `semiont_jobs.lifecycle`, or it would be its own oracle.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from attrs import define, field

from semiont_jobs.model import AnyJob, JobStatus

BACK_OFF: Final = 10.0
"""Seconds between two attempts, always: the queue under test has a policy without jitter."""
MAX_CRASHES: Final = 1
"""A job fails when its second worker dies."""


@define
class PlainJob:
    """A job as the laws see it."""

    id: str
    type: str
    queue: str
    priority: int
    created: datetime
    max_retries: int
    run_after: datetime | None = None
    status: JobStatus = "pending"
    retries: int = 0
    crashes: int = 0
    outcomes: list[str] = field(factory=list)
    units: list[str] = field(factory=list)
    progress: Any = None
    result: Any = None
    ended_at: datetime | None = None
    is_asked_to_stop: bool = False

    def order(self) -> tuple[int, datetime, datetime, str]:
        """The sort key: smaller is claimed first."""
        return (-self.priority, self.run_after or self.created, self.created, self.id)

    def contradiction(self, job: AnyJob) -> str:
        """How the real job differs from this one; empty: not at all."""
        metadata = job.metadata
        facts = {
            "status": (self.status, job.status),
            "retry count": (self.retries, metadata.retry_count),
            "crash count": (self.crashes, metadata.crash_count),
            "run after": (self.run_after, metadata.run_after),
            "outcomes": (self.outcomes, [each.outcome for each in metadata.attempts]),
            "attempts": (len(self.outcomes), metadata.attempt_count),
            "units": (self.units, list(metadata.completed_units)),
            "claim": (self.status == "running", metadata.claim is not None),
            "progress": (self.progress, getattr(job, "progress", None)),
            "result": (self.result, getattr(job, "result", None)),
            "end": (self.ended_at, getattr(job, "completed_at", None)),
        }
        return ", ".join(
            f"{name}: {wanted!r} is {found!r}"
            for name, (wanted, found) in facts.items()
            if wanted != found
        )


class Laws:
    """All jobs, and how every operation changes them."""

    def __init__(self) -> None:
        self.jobs: dict[str, PlainJob] = {}
        self.created: int = 0
        self.removed: int = 0

    def create(self, job: PlainJob) -> None:
        """A new job is pending."""
        assert job.id not in self.jobs
        self.jobs[job.id] = job
        self.created += 1

    def next(
        self, now: datetime, types: frozenset[str] | None, queue: str | None
    ) -> PlainJob | None:
        """What a claim takes: of the due and wanted jobs the first in order. A job that was asked
        to stop in this life is not run again."""
        due = [
            job
            for job in self.jobs.values()
            if job.status == "pending"
            and not job.is_asked_to_stop
            and (job.run_after is None or job.run_after <= now)
            and (types is None or job.type in types)
            and (queue is None or job.queue == queue)
        ]
        return min(due, key=PlainJob.order, default=None)

    def claim(self, job: PlainJob) -> None:
        """pending -> running, its progress empty."""
        assert job.status == "pending"
        job.status = "running"
        job.progress = {}

    def report(self, job: PlainJob, progress: Any) -> None:
        """The progress is replaced."""
        job.progress = progress

    def checkpoint(self, job: PlainJob, units: list[str]) -> None:
        """Add the units to those completed before."""
        job.units += [unit for unit in dict.fromkeys(units) if unit not in job.units]

    def complete(self, job: PlainJob, result: Any, now: datetime) -> None:
        """running -> complete; no result is an empty object."""
        self._attempt(job, "completed")
        self._end(job, "complete", now)
        job.result = {} if result is None else result

    def fail(self, job: PlainJob, now: datetime, *, permanent: bool) -> None:
        """running -> pending while there are retries left, else failed."""
        self._attempt(job, "failed")
        if permanent or job.retries >= job.max_retries:
            self._end(job, "failed", now)
            return
        job.retries += 1
        self._back(job, now + timedelta(seconds=BACK_OFF))

    def snooze(self, job: PlainJob, until: datetime) -> None:
        """running -> pending, not before that instant; no attempt is used."""
        self._back(job, until)

    def release(self, job: PlainJob) -> None:
        """running -> pending at once; no attempt is used."""
        self._back(job, job.run_after)

    def stopped(self, job: PlainJob, now: datetime) -> None:
        """The job's code stopped as asked: running -> cancelled."""
        self._attempt(job, "cancelled")
        self._end(job, "cancelled", now)

    def cancel(self, job: PlainJob, now: datetime) -> bool:
        """A pending job is cancelled, a running one asked to stop, a finished one left alone."""
        if job.status == "running":
            job.is_asked_to_stop = True
            return True
        if job.status == "pending":
            self._end(job, "cancelled", now)
            return True
        return False

    def died(self, job: PlainJob, now: datetime) -> None:
        """The holder is dead: back to pending; failed if that happened too often; cancelled if the
        job was asked to stop."""
        if job.is_asked_to_stop:
            self.stopped(job, now)
            return
        self._attempt(job, "crashed")
        job.crashes += 1
        if job.crashes > MAX_CRASHES:
            self._end(job, "failed", now)
        else:
            self._back(job, job.run_after)

    def retry(self, job: PlainJob) -> bool:
        """failed or cancelled -> pending with a fresh budget, by hand; else refused."""
        if job.status not in ("failed", "cancelled"):
            return False
        job.retries = job.crashes = 0
        self._back(job, None)
        job.ended_at = None
        job.is_asked_to_stop = False
        return True

    def remove(self, before: datetime, statuses: frozenset[str]) -> int:
        """Finished jobs that ended before that instant are removed."""
        gone = [
            job
            for job in self.jobs.values()
            if job.status in statuses and job.ended_at is not None and job.ended_at < before
        ]
        for job in gone:
            del self.jobs[job.id]
        self.removed += len(gone)
        return len(gone)

    def _attempt(self, job: PlainJob, outcome: str) -> None:
        assert job.status == "running", "nothing leaves a finished status but a retry by hand"
        job.outcomes.append(outcome)

    def _end(self, job: PlainJob, status: JobStatus, now: datetime) -> None:
        job.status = status
        job.ended_at = now
        job.progress = None
        job.is_asked_to_stop = False

    def _back(self, job: PlainJob, run_after: datetime | None) -> None:
        job.status = "pending"
        job.run_after = run_after
        job.progress = None
