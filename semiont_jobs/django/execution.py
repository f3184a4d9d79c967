"""TaskWorker: a worker that runs Django's tasks.

It must not know how tasks are enqueued or looked up.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from django.db import close_old_connections

from semiont_jobs.claim import AnyClaim
from semiont_jobs.django.backend import JobsBackend, as_json
from semiont_jobs.django.compat import (
    InvalidTaskBackend,
    TaskContext,
    task_backends,
    task_started,
)
from semiont_jobs.django.results import is_task, result_of
from semiont_jobs.django.tasks import TASK_TYPE, TaskCall, imported_task
from semiont_jobs.errors import InvalidValue
from semiont_jobs.model import AnyJob, RunningJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.worker import ERROR_BACKOFF, POLL_INTERVAL, JobWorker

LONGEST_ID: Final = 64
"""Characters of a worker's id, as in Django's own backends."""

_serial: Final = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext(TaskContext):
    """What a task with ``takes_context=True`` gets: Django's context, and the claim on its job.

    ``context.claim`` reports progress, keeps checkpoints, and shows a request to stop the task: see
    `Claim`.
    """

    claim: AnyClaim


class TaskWorker(JobWorker):
    """Runs the tasks of one backend, one at a time.

    :param backend: the alias in TASKS.
    :param queue_names: only tasks of these queues; None: of all.
    :param exclude: no tasks of these queues.
    :param worker_id: shown in results; must be unique. Default: host, process and number.
    :raises InvalidTaskBackend: there is no such backend, or it is not a `JobsBackend`.
    """

    job_types: ClassVar[Iterable[str] | None] = (TASK_TYPE,)

    def __init__(
        self,
        backend: str = "default",
        *,
        queue_names: Iterable[str] | None = None,
        exclude: Iterable[str] = (),
        worker_id: str | None = None,
        poll_interval: float = POLL_INTERVAL,
        error_backoff: float = ERROR_BACKOFF,
    ) -> None:
        found = task_backends[backend]
        if not isinstance(found, JobsBackend):
            raise InvalidTaskBackend(f"TASKS[{backend!r}] is no {JobsBackend.__name__}")
        found.queue  # noqa: B018 - wrong options are refused here, before anything starts
        # The queue is looked up at its first use: a pool's process sets its own.
        super().__init__(None, poll_interval, error_backoff)
        self.backend = backend
        self._names = None if queue_names is None else _names("queue_names", queue_names)
        self._excluded = _names("exclude", exclude)
        self._id = _own_id() if worker_id is None else _checked_id(worker_id)
        self._error: BaseException | None = None

    @property
    def queue(self) -> JobQueue:
        """The backend's queue, unless a pool has set another one for the same place."""
        if self._queue is None:
            self._queue = task_backends[self.backend].queue
        return self._queue

    def get_worker_name(self) -> str:
        """The worker's id."""
        return self._id

    def can_process_job(self, job: AnyJob) -> bool:
        """Accept tasks of this backend and these queues. A job that cannot be read as a task is
        accepted too, and fails: otherwise it would wait for ever."""
        queue = job.metadata.queue
        if (self._names is not None and queue not in self._names) or queue in self._excluded:
            return False
        return not is_task(job) or job.params.backend == self.backend

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        """Call the task. The attempt fails with the task's error, also if the task cannot be
        imported, a receiver of ``task_started`` raises, or JSON cannot represent the result."""
        try:
            close_old_connections()
            return {"value": as_json(self._call(job))}
        except BaseException as error:
            self._error = error
            raise
        finally:
            # A task may leave its transaction open or its connection broken; and a waiting worker
            # must not keep connections, since a server limits their number.
            close_old_connections()

    def _call(self, job: RunningJob[TaskCall, Any]) -> object:
        task = imported_task(job.params.task)
        result = result_of(job)
        task_started.send(sender=type(task_backends[self.backend]), task_result=result)
        if task.takes_context:
            context = JobContext(task_result=result, claim=self.claim)
            return task.call(context, *result.args, **result.kwargs)
        return task.call(*result.args, **result.kwargs)

    def work_on(self, claim: AnyClaim) -> None:
        """See `JobWorker.work_on`. No outcome is put off: ``task_finished`` is sent in this thread,
        whose connections are closed afterwards."""
        claim.deferred = None
        super().work_on(claim)

    def _record(self, claim: AnyClaim, outcome: Callable[[], object]) -> None:
        error, self._error = self._error, None
        if error is None:
            super()._record(claim, outcome)
            return
        traceback = error.__traceback__
        try:
            raise error
        except BaseException:  # noqa: BLE001 - the task's own, which was caught before
            # Recorded while it is being handled: `task_finished` is sent from here, and what logs
            # that signal finds the error as with Django's own backends. The traceback is that of
            # the task, without this line.
            error.__traceback__ = traceback
            super()._record(claim, outcome)


def _own_id() -> str:
    tail = f"-{os.getpid()}-{next(_serial)}"
    return socket.gethostname()[: LONGEST_ID - len(tail)] + tail


def _checked_id(worker_id: str) -> str:
    if not isinstance(worker_id, str) or not 0 < len(worker_id) <= LONGEST_ID:
        rule = f"a text of 1 to {LONGEST_ID} characters is needed"
        raise InvalidValue(rule, field="worker_id", value=worker_id)
    return worker_id


def _names(field: str, names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, Iterable) and not isinstance(names, str):
        given = list(names)
        if all(isinstance(name, str) for name in given):
            return frozenset(given)
    raise InvalidValue("a list of queue names is needed", field=field, value=names)
