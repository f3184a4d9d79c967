"""The tasks that the kit enqueues, and what it remembers of their calls.

It must not know any backend. Calls are remembered in this process: tasks are run in it too.
"""

from __future__ import annotations

from typing import Any, NoReturn

from semiont_jobs.django.compat import TaskContext, task

calls: list[Any] = []
"""What the tasks were called with, in order."""


class Broken(Exception):
    """An error of an application."""


class Unspeakable(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@task
def echo(*args: Any, **kwargs: Any) -> Any:
    calls.append((args, kwargs))
    return {"args": args, "kwargs": kwargs}


@task
def give(value: Any = None) -> Any:
    calls.append(value)
    return value


@task
def nothing() -> None:
    calls.append("nothing")


@task
async def later(value: Any) -> Any:
    calls.append(value)
    return value


@task(takes_context=True)
def look_around(context: TaskContext, value: Any) -> Any:
    result = context.task_result
    calls.append((str(result.status), context.attempt, len(result.worker_ids), result.id))
    return value


@task(takes_context=True)
async def look_around_later(context: TaskContext, value: Any) -> Any:
    calls.append(context.attempt)
    return value


@task
def fail(text: str) -> NoReturn:
    calls.append(text)
    raise Broken(text)


@task
def fail_with_builtin(text: str) -> NoReturn:
    raise ValueError(text)


@task
def fail_without_text() -> NoReturn:
    raise Unspeakable


@task
async def fail_later(text: str) -> NoReturn:
    raise Broken(text)


@task
def leave() -> NoReturn:
    raise SystemExit(3)


@task
def give_a_set() -> object:
    return {1, 2}


@task
def chain(value: Any) -> str:
    result = give.enqueue(value)
    return str(result.id)


@task
def vanish() -> None:
    calls.append("vanished")


def plain_function() -> None:
    """No task: the kit makes tasks of it."""


async def plain_coroutine() -> None:
    """Likewise."""


def with_context(context: TaskContext) -> None:
    """Likewise."""


def without_context(value: Any) -> None:
    """Likewise: its first argument has another name."""
