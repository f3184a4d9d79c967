"""What `update_job` means: the TypeScript package's generic update, decided as a lifecycle
transition.

It must not know stores or claims: it decides, `queue` acts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias

from attrs import frozen

from semiont_jobs import lifecycle
from semiont_jobs.errors import InvalidJob, InvalidTransition, JobFailed, StaleJob
from semiont_jobs.events import EventName
from semiont_jobs.failure import Failure
from semiont_jobs.lifecycle import evolve_metadata
from semiont_jobs.model import (
    AnyJob,
    CancelledJob,
    FailedJob,
    JobMetadata,
    JobStatus,
    PendingJob,
    RunningJob,
    evolve,
)


@frozen
class Update:
    """A job as an update leaves it, and the event to send (None: only an edit)."""

    job: AnyJob
    event: EventName | None


Retryable: TypeAlias = FailedJob[Any] | CancelledJob[Any]


def check_expected(current: AnyJob, given: AnyJob, old_status: JobStatus | None) -> None:
    """Refuse an update of a job that no claim holds unless it is the job the caller read.

    :raises InvalidTransition: its status is not `old_status`.
    :raises StaleJob: it has changed since.
    """
    if old_status is not None and current.status != old_status:
        raise InvalidTransition(
            current.metadata.id, f"expected to be {old_status}, it is {current.status}"
        )
    if current.metadata.revision != given.metadata.revision:
        raise StaleJob(
            current.metadata.id,
            f"the update is of revision {given.metadata.revision}, "
            f"the job is at {current.metadata.revision}: read it again",
        )


def decide(current: AnyJob, given: AnyJob, now: datetime, *, run: str) -> Update:
    """What the held job `current` becomes when the caller wants it to be `given`.

    A pending job that is to run is not decided here: that is a claim.

    :raises InvalidTransition: the lifecycle has no such step.
    :raises InvalidJob: the update would change what a job keeps for life.
    """
    for name in ("type", "created", "user_id"):
        if getattr(current.metadata, name) != getattr(given.metadata, name):
            raise InvalidJob(
                "an update cannot change this",
                field=f"metadata.{name}",
                value=getattr(given.metadata, name),
                job_id=current.metadata.id,
            )
    if current.status == "running":
        return _of_running(current, given, now)
    if current.status == "pending" and given.status == "pending":
        edited = evolve_metadata(_edited(current, given), revision=current.metadata.revision + 1)
        return Update(evolve(current, metadata=edited, params=given.params), None)
    if current.status == "pending" and given.status == "cancelled":
        return Update(lifecycle.cancel(current, now), "cancelled")
    if isinstance(current, FailedJob | CancelledJob) and given.status == "pending":
        return Update(_retried(current, given, run), "retried")
    raise InvalidTransition(
        current.metadata.id, f"a {current.status} job cannot become {given.status}"
    )


def _of_running(current: RunningJob[Any, Any], given: AnyJob, now: datetime) -> Update:
    current = evolve(current, metadata=_edited(current, given))
    if given.status == "running":
        return Update(lifecycle.report(current, given.progress), "reported")
    if given.status == "complete":
        return Update(lifecycle.complete(current, given.result, now), "completed")
    if given.status == "cancelled":
        return Update(lifecycle.cancel(current, now), "cancelled")
    if given.status == "failed":
        failure = Failure.of(JobFailed(given.error))
        failed = lifecycle.fail(current, failure, now, retry_at=None)
        # The caller's own string, without the name of the class.
        return Update(evolve(failed, error=given.error), "failed")
    return _put_back(current, given, now)


def _put_back(current: RunningJob[Any, Any], given: PendingJob[Any], now: datetime) -> Update:
    """running -> pending: a retry if the caller counted one, else the job is released."""
    retries = given.metadata.retry_count
    if retries <= current.metadata.retry_count:
        return Update(lifecycle.release(current), "released")
    _check_budget(retries, current.metadata)
    failure = Failure.of(JobFailed("put back to be tried again"))
    retry_at = given.metadata.run_after or now
    tried = lifecycle.fail(current, failure, now, retry_at=retry_at)
    return Update(
        evolve(tried, metadata=evolve_metadata(tried.metadata, retry_count=retries)), "retrying"
    )


def _retried(current: Retryable, given: PendingJob[Any], run: str) -> PendingJob[Any]:
    """A retry by hand that keeps the caller's retry count, as the example in TypeScript does."""
    metadata = given.metadata
    _check_budget(metadata.retry_count, metadata)
    again = lifecycle.retry(current, run=run)
    changed = evolve_metadata(
        again.metadata,
        retry_count=metadata.retry_count,
        **{name: getattr(metadata, name) for name in _EDITABLE if name != "run_after"},
    )
    return evolve(again, metadata=changed, params=given.params)


def _check_budget(retries: int, metadata: JobMetadata) -> None:
    if retries > metadata.max_retries:
        raise InvalidJob(
            f"more than metadata.max_retries = {metadata.max_retries}",
            field="metadata.retry_count",
            value=retries,
            job_id=metadata.id,
        )


_EDITABLE: Final = ("queue", "priority", "run_after", "max_retries", "timeout", "extra")


def _edited(current: AnyJob, given: AnyJob) -> JobMetadata:
    """The current metadata, with the fields that a caller may set taken from the given one."""
    return evolve_metadata(
        current.metadata, **{name: getattr(given.metadata, name) for name in _EDITABLE}
    )
