"""A task with what a job can have beyond Django's: retries and a time limit; tasks as stored.

It must not know queues, nor what becomes of jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final, NoReturn

from attrs import Factory, frozen
from django.utils.module_loading import import_string

from semiont_jobs.django.compat import InvalidTask, Task
from semiont_jobs.job_types import JobType
from semiont_jobs.model import AnyJob

TASK_TYPE: Final = "django.task"
"""The type of every task's job; the params name the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTask(Task):
    """What ``@task`` makes for a `JobsBackend`.

    :param max_retries: how often a failed attempt is tried again; None: the backend's default.
    :param timeout: seconds an attempt may take; None: the backend's default.
    """

    max_retries: int | None = None
    timeout: float | None = None

    def using(
        self, *, max_retries: int | None = None, timeout: float | None = None, **changes: Any
    ) -> JobTask:
        """A copy with changes: to what Django's method accepts, `max_retries` and `timeout`.

        ``run_after`` may also be a timedelta, counted from the moment of ``enqueue``.
        """
        own = {"max_retries": max_retries, "timeout": timeout}
        # Not super(): a dataclass with slots is a different class from the one its methods know.
        changed = Task.using(self, **changes)
        return replace(changed, **{name: value for name, value in own.items() if value is not None})


@frozen(kw_only=True)
class TaskCall:
    """The params of a task's job: which task, called with what."""

    task: str
    """The path by which it can be imported."""
    args: list[Any] = Factory(list)
    kwargs: dict[str, Any] = Factory(dict)
    backend: str
    """The alias in TASKS."""
    run_after: str | None = None
    """As the caller gave it, in ISO 8601, to the microsecond; the job's own moves with every
    back-off."""
    max_retries: int | None = None
    """The task's own; None: the backend decides."""
    timeout: float | None = None


TASK_JOB: Final[JobType[TaskCall, Any, Any]] = JobType(TASK_TYPE, TaskCall)


def type_of(job: AnyJob) -> str:
    """The path of the task that a job calls, also if its params are plain data; of another job, its
    type."""
    params: Any = job.params
    if job.metadata.type == TASK_TYPE and isinstance(params, dict):
        params = params.get("task")
    elif isinstance(params, TaskCall):
        params = params.task
    return params if isinstance(params, str) else job.metadata.type


def imported_task(path: str) -> Task:
    """The task at that path.

    :raises ImportError: there is nothing (any more).
    :raises InvalidTask: it is not a task: a path in a job's file must not be enough to call any
        function.
    """
    found = import_string(path)
    if not isinstance(found, Task):
        raise InvalidTask(f"Expected {path!r} to point to a Task instance.")
    return found


def stored_task(call: TaskCall, **settings: Any) -> Task:
    """The task as it was enqueued, even if it can no longer be imported or would no longer be
    valid: its outcome must stay readable."""
    try:
        found = imported_task(call.task)
    except Exception:  # noqa: BLE001 - an application's module may raise anything when imported
        return _made(JobTask, {"takes_context": False, "func": _missing(call.task), **settings})
    own = {field.name for field in fields(found)}
    values = {name: getattr(found, name) for name in own}
    values.update((name, value) for name, value in settings.items() if name in own)
    return _made(type(found), values)


def _made(kind: type[Task], values: dict[str, Any]) -> Task:
    # Not by calling the class, which validates: the task was valid when it was enqueued, and
    # removing a queue from the settings must not make its results unreadable.
    task = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(task, name, value)
    return task


def _missing(path: str) -> Callable[..., Any]:
    def missing(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise ImportError(f"the task {path} cannot be imported")

    missing.__module__, _dot, missing.__qualname__ = path.rpartition(".")
    missing.__name__ = missing.__qualname__
    return missing
