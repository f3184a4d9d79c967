"""How a job moves from state to state: the table, and one pure function per transition.

It must not know what asks for a transition, when, or where the job is stored. Every function takes
the job as it is and the instant, and returns the job as it will be, its revision one higher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from attrs import evolve, frozen

from semiont_jobs.errors import InvalidTransition, WorkerCrashed
from semiont_jobs.failure import Failure
from semiont_jobs.fields import checked_instant, cut
from semiont_jobs.model import (
    AnyJob,
    Attempt,
    AttemptOutcome,
    CancelledJob,
    ClaimStamp,
    CompleteJob,
    FailedJob,
    JobMetadata,
    JobStatus,
    PendingJob,
    RunningJob,
    made_of,
)

KEPT_ATTEMPTS: Final = 100
"""Entries of `metadata.attempts`: a job that is snoozed and retried for months stays readable, and
older failures have no news."""
KEPT_TRACEBACKS: Final = 10
"""Tracebacks help to debug the last failures; older ones only fill the file."""
OLD_TEXT_LIMIT: Final = 1000
"""Characters of a message older than the last tracebacks: enough to say what it was. So a new job
can leave room for all its attempts (`codec.MAX_NEW_JOB_BYTES`)."""


@frozen
class Transition:
    """One arrow of the lifecycle: a verb, and the statuses it leads from and to."""

    verb: str
    source: JobStatus | None
    target: JobStatus | None
    when: str = ""


TRANSITIONS: Final = (
    Transition("create", None, "pending"),
    Transition("claim", "pending", "running"),
    Transition("report", "running", "running"),
    Transition("checkpoint", "running", "running"),
    Transition("complete", "running", "complete"),
    Transition("fail", "running", "pending", "retries left"),
    Transition("fail", "running", "failed", "no retries left, or permanent"),
    Transition("snooze", "running", "pending"),
    Transition("release", "running", "pending"),
    Transition("rescue", "running", "pending", "the worker died"),
    Transition("rescue", "running", "failed", "too many workers died"),
    Transition("cancel", "pending", "cancelled"),
    Transition("cancel", "running", "cancelled"),
    Transition("retry", "failed", "pending"),
    Transition("retry", "cancelled", "pending"),
    Transition("remove", "complete", None),
    Transition("remove", "failed", None),
    Transition("remove", "cancelled", None),
)
"""The whole lifecycle. The diagram in the documentation is drawn from this table."""

_SOURCES: Final[Mapping[str, frozenset[JobStatus | None]]] = {
    verb: frozenset(t.source for t in TRANSITIONS if t.verb == verb)
    for verb in dict.fromkeys(t.verb for t in TRANSITIONS)
}


def allows(verb: str, status: JobStatus) -> bool:
    """Whether `verb` may act on a job of that status."""
    return status in _SOURCES[verb]


def require(verb: str, job: AnyJob) -> None:
    """Raise `InvalidTransition` unless `verb` may act on `job` in its present status."""
    if not allows(verb, job.status):
        allowed = " or ".join(sorted(str(source) for source in _SOURCES[verb]))
        raise InvalidTransition(
            job.metadata.id, f"cannot {verb} a {job.status} job (only a {allowed} one)"
        )


Tried: TypeAlias = PendingJob[Any] | FailedJob[Any]
"""The result of a failed attempt: a job to be retried, or one given up."""


# -- one function per transition ---------------------------------------------------------


def claim(job: PendingJob[Any], stamp: ClaimStamp, now: datetime) -> RunningJob[Any, Any]:
    """pending -> running, held by `stamp`, which may name the worker by the job."""
    return made_of(
        RunningJob,
        {
            "metadata": _next(job.metadata, claim=stamp.on(job)),
            "params": job.params,
            "started_at": checked_instant(now, "started_at"),
            "progress": _nothing(job),
            "extra": _carried(job.extra),
        },
    )


def report(job: RunningJob[Any, Any], progress: Any) -> RunningJob[Any, Any]:
    """running -> running, with that progress instead of the last."""
    return evolve(
        job,
        metadata=_next(job.metadata),
        progress=progress,
        extra=_carried(job.extra),
    )


def checkpoint(
    job: RunningJob[Any, Any],
    units: Iterable[str] = (),
    cursors: Mapping[str, Any] | None = None,
    *,
    progress: Any = None,
) -> RunningJob[Any, Any]:
    """running -> running, with `units` added to those completed, cursors moved forward.

    A cursor is a number, a string, or a list or object of these, and is replaced whole. One that
    compares lower than the stored one (by value, item by item) changes nothing.

    If `progress` is not None, it is stored, too: one write serves both.
    """
    done = job.metadata.completed_units
    known = set(done)
    fresh = tuple(dict.fromkeys(unit for unit in units if unit not in known))
    metadata = _next(
        job.metadata,
        completed_units=done + fresh,
        unit_cursors=_advanced(job.metadata.unit_cursors, cursors or {}),
    )
    if progress is None:
        return evolve(job, metadata=metadata)
    return evolve(job, metadata=metadata, progress=progress, extra=_carried(job.extra))


def _advanced(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    forward = {
        unit: cursor
        for unit, cursor in given.items()
        if unit not in stored or not _lies_before(cursor, stored[unit])
    }
    return {**stored, **forward}


def _lies_before(cursor: Any, stored: Any) -> bool:
    try:
        return bool(_position(cursor) < _position(stored))
    except TypeError:  # of another shape: there is no order between them
        return False


def _position(cursor: Any) -> tuple[Any, ...]:
    if isinstance(cursor, Mapping):
        return tuple(cursor.values())
    return tuple(cursor) if isinstance(cursor, list | tuple) else (cursor,)


def complete(job: RunningJob[Any, Any], result: Any, now: datetime) -> CompleteJob[Any, Any]:
    """running -> complete, with that result; None is stored as an empty object."""
    return made_of(
        CompleteJob,
        {
            "metadata": _ended(job, "completed", now),
            "params": job.params,
            "started_at": job.started_at,
            "completed_at": checked_instant(now, "completed_at"),
            "result": _nothing(job) if result is None else result,
            "extra": _carried(job.extra),
        },
    )


def fail(
    job: RunningJob[Any, Any], failure: Failure, now: datetime, *, retry_at: datetime | None
) -> Tried:
    """running -> pending, due at `retry_at`, with one retry used; if that is None, -> failed."""
    metadata = _ended(job, failure.outcome, now, failure)
    if retry_at is None:
        return _given_up(job, metadata, str(failure), now)
    return _back(
        job,
        evolve_metadata(metadata, retry_count=metadata.retry_count + 1, run_after=cut(retry_at)),
    )


def snooze(job: RunningJob[Any, Any], until: datetime) -> PendingJob[Any]:
    """running -> pending, not before `until`, without using an attempt."""
    return _back(job, _next(job.metadata, claim=None, run_after=cut(until)))


def release(job: RunningJob[Any, Any]) -> PendingJob[Any]:
    """running -> pending, at once, without using an attempt."""
    return _back(job, _next(job.metadata, claim=None))


def rescue(job: RunningJob[Any, Any], now: datetime, *, max_crashes: int) -> Tried:
    """running -> pending after its worker died; -> failed if that happened too often."""
    crashes = job.metadata.crash_count + 1
    worker = job.metadata.claim.worker if job.metadata.claim else "unknown"
    failure = Failure(
        error_type=WorkerCrashed.__name__,
        message=f"the worker {worker} died while it held the job ({crashes} of its workers did)",
        outcome="crashed",
        error_module=WorkerCrashed.__module__,
    )
    metadata = evolve_metadata(_ended(job, "crashed", now, failure), crash_count=crashes)
    if crashes > max_crashes:
        return _given_up(job, metadata, str(failure), now)
    return _back(job, metadata)


def cancel(job: PendingJob[Any] | RunningJob[Any, Any], now: datetime) -> CancelledJob[Any]:
    """pending or running -> cancelled; a running job's start and attempt are kept."""
    if job.status == "running":
        metadata, started_at = _ended(job, "cancelled", now), job.started_at
    else:
        metadata, started_at = _next(job.metadata), None
    return CancelledJob(
        metadata=metadata,
        params=job.params,
        started_at=started_at,
        completed_at=now,
        extra=_carried(job.extra),
    )


def retry(job: FailedJob[Any] | CancelledJob[Any], *, run: str) -> PendingJob[Any]:
    """failed or cancelled -> pending by hand: a new life `run` with a fresh budget."""
    metadata = _next(job.metadata, retry_count=0, crash_count=0, run_after=None, run=run)
    return _back(job, metadata)


# -- what they share ---------------------------------------------------------------------


def evolve_metadata(metadata: JobMetadata, **changes: Any) -> JobMetadata:
    """`metadata` with some fields changed, unchecked: values out of range that another program
    wrote are kept."""
    return made_of(JobMetadata, metadata.__dict__ | changes)


def _next(metadata: JobMetadata, **changes: Any) -> JobMetadata:
    changes["revision"] = metadata.revision + 1
    return made_of(JobMetadata, metadata.__dict__ | changes)


def _ended(
    job: RunningJob[Any, Any],
    outcome: AttemptOutcome,
    now: datetime,
    failure: Failure | None = None,
) -> JobMetadata:
    """The next revision of the metadata, with the attempt that just ended on record."""
    metadata = job.metadata
    attempt = made_of(
        Attempt,
        {
            "number": metadata.attempt_count + 1,
            "started_at": job.started_at,
            "ended_at": checked_instant(now, "ended_at"),
            "worker": metadata.claim.worker if metadata.claim else "unknown",
            "outcome": outcome,
            "error_type": failure.error_type if failure else None,
            "error_module": failure.error_module if failure else None,
            "message": failure.message if failure else None,
            "traceback": failure.traceback if failure else None,
            "extra": {},
        },
    )
    return _next(
        metadata,
        claim=None,
        attempts=_trimmed((*metadata.attempts, attempt)),
        attempt_count=metadata.attempt_count + 1,
    )


def _trimmed(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    kept = attempts[-KEPT_ATTEMPTS:]
    if len(kept) <= KEPT_TRACEBACKS:
        return kept
    old, recent = kept[:-KEPT_TRACEBACKS], kept[-KEPT_TRACEBACKS:]
    return (*map(_aged, old), *recent)


def _aged(attempt: Attempt) -> Attempt:
    if attempt.traceback is None and len(attempt.message or "") <= OLD_TEXT_LIMIT:
        return attempt
    return evolve(
        attempt, traceback=None, message=attempt.message and attempt.message[:OLD_TEXT_LIMIT]
    )


def _back(job: AnyJob, metadata: JobMetadata) -> PendingJob[Any]:
    extra = _carried(job.extra)
    return made_of(PendingJob, {"metadata": metadata, "params": job.params, "extra": extra})


def _given_up(
    job: RunningJob[Any, Any], metadata: JobMetadata, error: str, now: datetime
) -> FailedJob[Any]:
    return FailedJob(
        metadata=metadata,
        params=job.params,
        started_at=job.started_at,
        completed_at=now,
        error=error,
        extra=_carried(job.extra),
    )


def _carried(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """`extra` without its keys for parts of the job that end with the old state."""
    if _PARTS.isdisjoint(extra):
        return extra
    return {key: value for key, value in extra.items() if key not in _PARTS}


_PARTS: Final = frozenset({"startedAt", "completedAt", "progress", "result", "error"})


def _nothing(job: AnyJob) -> Any:
    # An untyped job's empty progress or result is the `{}` that is in its file; a registered
    # class has no empty value, so there it is None.
    return {} if isinstance(job.params, Mapping) else None
