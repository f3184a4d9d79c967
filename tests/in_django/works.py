"""Tasks for the tests of our own backend; defined under it, see `projects`."""

from __future__ import annotations

import logging
import threading
from typing import Any, NoReturn

from django.apps import apps
from django.db import connection

from semiont_jobs.django.compat import TaskContext, task

calls: list[Any] = []


@task
def give(value: Any = None) -> Any:
    calls.append(value)
    return value


@task
def fail(text: str) -> NoReturn:
    raise LookupError(text)


@task(takes_context=True)
def fail_at_first(context: TaskContext, times: int) -> int:
    calls.append(context.attempt)
    if context.attempt <= times:
        raise LookupError(f"attempt {context.attempt}")
    return context.attempt


@task(takes_context=True)
def count_to(context: Any, number: int) -> int:
    for done in range(number):
        context.claim.report({"done": done + 1})
        calls.append(context.task_result.job.progress)
    return number


@task(takes_context=True)
def wait_for_the_end(context: Any) -> NoReturn:
    entered.set()
    while True:
        context.claim.raise_if_cancelled()
        released.wait(0.01)


@task
def query(value: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s", [value])
        [found] = cursor.fetchone()
    calls.append(connection.connection is not None)
    return int(found)


@task
def leave_a_transaction_open() -> None:
    connection.set_autocommit(False)


@task
def log(text: str) -> None:
    logging.getLogger("works").warning(text)


entered = threading.Event()
released = threading.Event()
not_a_task = str.upper


def plain() -> None:
    """No task."""


@task(takes_context=True)
def hang_at_first(context: TaskContext) -> int:
    if context.attempt == 1:
        threading.Event().wait(60)
    return context.attempt


@task
def wait_until_released() -> str:
    entered.set()
    released.wait(30)
    return "released"


@task
def is_django_set_up() -> bool:
    return apps.ready
