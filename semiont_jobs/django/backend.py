"""JobsBackend: Django's tasks as jobs of a queue.

It must not know how tasks are run (`execution`), nor what their results look like (`results`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from attrs import evolve
from django.core.checks import CheckMessage
from django.db import connections, transaction
from django.utils import timezone

from semiont_jobs.django.checks import messages
from semiont_jobs.django.compat import (
    BaseTaskBackend,
    InvalidTask,
    InvalidTaskBackend,
    Task,
    TaskResultDoesNotExist,
    normalize_json,
    task_enqueued,
)
from semiont_jobs.django.options import faults, retries_fault, timeout_fault
from semiont_jobs.django.queues import queues
from semiont_jobs.django.results import JobResult, is_task, local, result_of
from semiont_jobs.django.tasks import TASK_TYPE, JobTask, TaskCall
from semiont_jobs.errors import InvalidJobId, JobDecodeError
from semiont_jobs.fields import instant_after
from semiont_jobs.model import DEFAULT_MAX_RETRIES, JobMetadata, PendingJob
from semiont_jobs.queue import JobQueue


class JobsBackend(BaseTaskBackend):
    """A backend of ``TASKS``; its OPTIONS are on the page about Django.

    Each thread has its own; all for the same place share one queue.
    """

    task_class = JobTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    @cached_property
    def queue(self) -> JobQueue:
        """The queue in which the tasks are jobs, for everything that a task's result does not show.

        :raises InvalidTaskBackend: OPTIONS are wrong; the system checks report the same.
        """
        for fault in faults(self.options):
            raise InvalidTaskBackend(f"TASKS[{self.alias!r}]: {fault.text}. {fault.hint}".strip())
        return queues.of(self.options)

    def validate_task(self, task: Task) -> None:
        """Check what Django requires of a task, and its retries, time limit and ``run_after``.

        :raises InvalidTask: one of these is invalid.
        """
        run_after = task.run_after
        if run_after is not None and not isinstance(run_after, datetime | timedelta):
            raise InvalidTask("run_after must be an aware datetime.")
        asked: Any = task
        if isinstance(run_after, timedelta):
            # Django's own code takes it for a datetime and fails with an AttributeError.
            names = ("func", "takes_context", "priority", "queue_name")
            asked = SimpleNamespace(run_after=None, **{name: getattr(task, name) for name in names})
        super().validate_task(asked)
        for fault in (
            retries_fault(getattr(task, "max_retries", None)),
            timeout_fault(getattr(task, "timeout", None)),
        ):
            if fault is not None:
                raise InvalidTask(fault)

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> JobResult:
        """Store the task as a job, and return its result, READY.

        The job is durable when this returns, also inside a database transaction. With the option
        ``enqueue_on_commit`` it is stored when the transaction commits, and never if that is rolled
        back; until then the result has no ``enqueued_at``. With the option ``using`` it is stored
        within the transaction of that database, and rolled back with it.

        :raises InvalidTask: the task is not valid (any more).
        :raises TypeError: JSON cannot represent an argument.
        :raises ValueError: likewise (NaN, bytes that are not UTF-8), or the arguments are too
            large.
        :raises StoreError: the disk refused; nothing was stored.
        """
        self.validate_task(task)
        now = self.queue.clock()
        due = _instant(task.run_after, now)
        if isinstance(task.run_after, timedelta):
            task = replace(task, run_after=local(due))
        job = self._job(task, args, kwargs, now=now, due=due)
        if not self.options.get("enqueue_on_commit"):
            self._store(job, task)
            return result_of(job, task)
        # Whatever can be refused is refused here, where the caller can catch it.
        self.queue.codec.encode(job, is_new=True)
        result = result_of(job, task)
        object.__setattr__(result, "enqueued_at", None)
        transaction.on_commit(lambda: self._store(self._as_of_now(job), task))
        return result

    def get_result(self, result_id: str) -> JobResult:
        """The current result of that id.

        :raises TaskResultDoesNotExist: there is none, or it belongs to another backend.
        """
        try:
            job = self.queue.get_job(result_id)
        except (InvalidJobId, JobDecodeError) as error:
            raise TaskResultDoesNotExist(result_id) from error
        if job is None or not is_task(job) or job.params.backend != self.alias:
            raise TaskResultDoesNotExist(result_id)
        return result_of(job)

    def check(self, **_kwargs: Any) -> Iterable[CheckMessage]:
        """What is wrong with the settings and the place, as system checks."""
        return messages(self.alias, self.options)

    # -- private -------------------------------------------------------------------------

    def _job(
        self,
        task: Task,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        now: datetime,
        due: datetime | None,
    ) -> PendingJob[TaskCall]:
        own = {name: getattr(task, name, None) for name in ("max_retries", "timeout")}
        said = {
            name: self.options.get(name) if value is None else value for name, value in own.items()
        }
        if said["max_retries"] is None:
            said["max_retries"] = DEFAULT_MAX_RETRIES
        return PendingJob(
            metadata=JobMetadata(
                type=TASK_TYPE,
                created=now,
                queue=task.queue_name,
                priority=int(task.priority),  # Django accepts 1.0 as a whole number
                run_after=due,
                **said,
            ),
            params=TaskCall(
                task=task.module_path,
                args=as_json(list(args)),
                kwargs=as_json(dict(kwargs)),
                backend=self.alias,
                run_after=None if due is None else due.isoformat(),
                **own,
            ),
        )

    def _connection(self) -> Any:
        """The connection in whose transaction tasks are stored; None: one of the queue's own."""
        using = self.options.get("using")
        if using is None:
            return None
        django_s = connections[using]
        django_s.ensure_connection()
        return django_s.connection

    def _as_of_now(self, job: PendingJob[TaskCall]) -> PendingJob[TaskCall]:
        return evolve(job, metadata=evolve(job.metadata, created=self.queue.clock()))

    def _store(self, job: PendingJob[TaskCall], task: Task) -> None:
        self.queue.create_job(job, connection=self._connection())
        task_enqueued.send(type(self), task_result=result_of(job, task))


def as_json(value: Any) -> Any:
    """`value` as it is read back from JSON: a key 1 is a string, a tuple is a list.

    :raises TypeError: JSON has no such type.
    :raises ValueError: JSON has no such number or string.
    """
    return json.loads(json.dumps(normalize_json(value), allow_nan=False))


def _instant(run_after: datetime | timedelta | None, now: datetime) -> datetime | None:
    if run_after is None:
        return None
    if isinstance(run_after, datetime) and timezone.is_naive(run_after):
        # Only with USE_TZ = False: it is in the project's time zone.
        run_after = timezone.make_aware(run_after, timezone.get_default_timezone())
    if isinstance(run_after, datetime):
        return run_after.astimezone(UTC)
    return instant_after(run_after, now, field="run_after")
