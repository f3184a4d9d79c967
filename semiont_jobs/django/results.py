"""A job as Django's `TaskResult`.

It must not change a job, nor know how it is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from semiont_jobs.django.compat import Task, TaskError, TaskResult, TaskResultStatus
from semiont_jobs.django.tasks import TaskCall, stored_task
from semiont_jobs.errors import JobCancelled
from semiont_jobs.model import AnyJob, Attempt, JobStatus, PendingJob, RunningJob

STATUSES: Final[dict[JobStatus, Any]] = {
    "pending": TaskResultStatus.READY,
    "running": TaskResultStatus.RUNNING,
    "complete": TaskResultStatus.SUCCESSFUL,
    "failed": TaskResultStatus.FAILED,
    "cancelled": TaskResultStatus.FAILED,
}
"""Django knows four: a pending job, new or to be tried again, is READY."""

_CANCELLED: Final = f"{JobCancelled.__module__}.{JobCancelled.__qualname__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult(TaskResult):
    """A `TaskResult` that knows its job: progress, attempts, everything that is recorded."""

    @property
    def job(self) -> AnyJob | None:
        """The current job; None: it was removed."""
        job: AnyJob | None = self.task.get_backend().queue.get_job(self.id)
        return job

    def cancel(self) -> bool:
        """Cancel the task: see `JobQueue.cancel_job`."""
        cancelled: bool = self.task.get_backend().queue.cancel_job(self.id)
        return cancelled


def is_task(job: AnyJob | None) -> bool:
    """Whether it is the job of a task that can be read."""
    return job is not None and isinstance(job.params, TaskCall)


def result_of(job: AnyJob, task: Task | None = None) -> JobResult:
    """The result of a task's job, from that job; of `task`, if that is given."""
    call: TaskCall = job.params
    metadata = job.metadata
    attempts = metadata.attempts
    started = [attempt.started_at for attempt in attempts]
    workers = [attempt.worker for attempt in attempts]
    if job.status == "running":
        started.append(job.started_at)
        workers.append(metadata.claim.worker if metadata.claim else "unknown")
    result = JobResult(
        task=task
        or stored_task(
            call,
            priority=metadata.priority,
            backend=call.backend,
            queue_name=metadata.queue,
            run_after=_asked(call.run_after),
            max_retries=call.max_retries,
            timeout=call.timeout,
        ),
        id=str(metadata.id),
        status=STATUSES[job.status],
        enqueued_at=local(metadata.created),
        started_at=local(started[0]) if started else None,
        finished_at=local(_end(job)),
        last_attempted_at=local(started[-1]) if started else None,
        args=call.args,
        kwargs=call.kwargs,
        backend=call.backend,
        errors=_errors(job),
        worker_ids=workers,
    )
    if job.status == "complete":
        # A job completed by other code may have any result.
        value = job.result.get("value") if isinstance(job.result, dict) else job.result
        object.__setattr__(result, "_return_value", value)
    return result


def local(instant: datetime | None) -> datetime | None:
    """An instant as this project's settings need datetimes: aware, or naive in its time zone."""
    if instant is None or settings.USE_TZ:
        return instant
    return timezone.make_naive(instant, timezone.get_default_timezone())


def _end(job: AnyJob) -> datetime | None:
    return None if isinstance(job, PendingJob | RunningJob) else job.completed_at


def _asked(text: str | None) -> datetime | None:
    try:
        return None if text is None else local(datetime.fromisoformat(text))
    except ValueError:
        return None  # another program wrote it; the job's own time is what counts


def _errors(job: AnyJob) -> list[TaskError]:
    attempts = job.metadata.attempts
    errors = [_error(each) for each in attempts if each.outcome not in ("completed", "cancelled")]
    if job.status == "cancelled":
        text = f"{_CANCELLED}: job {job.metadata.id} was cancelled\n"
        errors.append(TaskError(exception_class_path=_CANCELLED, traceback=text))
    return errors


def _error(attempt: Attempt) -> TaskError:
    path = f"{attempt.error_module or 'builtins'}.{attempt.error_type or 'Exception'}"
    # Of old attempts the traceback is no longer kept.
    text = attempt.traceback or f"{path}: {attempt.message}\n"
    return TaskError(exception_class_path=path, traceback=text)
