"""What a backend's OPTIONS may hold, and what is wrong with those given.

It must not touch the place where jobs live.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import frozen
from django.db import connections
from django.utils.module_loading import import_string

from semiont_jobs.errors import SemiontJobsError
from semiont_jobs.fields import is_limit
from semiont_jobs.queue import JobQueue
from semiont_jobs.settings import CONFIGURABLE
from semiont_jobs.stores import is_url

PLACES: Final = ("data_dir", "url")
TASK_OPTIONS: Final = ("max_retries", "timeout", "enqueue_on_commit", "using")
"""Defaults for every task of the backend, and how tasks are stored."""
KNOWN: Final = (*PLACES, *TASK_OPTIONS, *CONFIGURABLE)


@frozen
class Fault:
    """One error: the number of its system check, what is wrong, and what to do."""

    number: str
    text: str
    hint: str = ""


def faults(options: Mapping[str, Any]) -> Iterator[Fault]:
    """Everything wrong with OPTIONS, in the order in which a user would correct it."""
    given = [name for name in PLACES if options.get(name) not in (None, "")]
    if len(given) != 1:
        text = "both 'data_dir' and 'url'" if given else "neither 'data_dir' nor 'url'"
        yield Fault("E001", f"OPTIONS has {text}", "Give the one place where the jobs live.")
    unknown = sorted(str(name) for name in options if name not in KNOWN)
    if unknown:
        yield Fault(
            "E002",
            f"OPTIONS has what this backend does not know: {', '.join(unknown)}",
            f"It knows {', '.join(KNOWN)}.",
        )
    yield from _values(options)
    if len(given) == 1 and not unknown:
        try:
            JobQueue(**queue_settings(options))
        except (SemiontJobsError, TypeError, ValueError, ImportError) as error:
            yield Fault("E003", f"OPTIONS has what no queue can be made of: {error}")


def queue_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `JobQueue` in OPTIONS; a retry policy may be given by its import path."""
    settings = {name: options[name] for name in CONFIGURABLE if name in options}
    policy = settings.get("retry_policy")
    if isinstance(policy, str):
        settings["retry_policy"] = import_string(policy)
    return {"data_dir": options.get("data_dir") or options.get("url"), **settings}


def retries_fault(value: object) -> str | None:
    """Why that cannot be a number of retries; None: it can."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return None
    return "max_retries must be a whole number from 0."


def timeout_fault(value: object) -> str | None:
    """Why that cannot be the seconds an attempt may take; None: it can."""
    if value is None or is_limit(value):
        return None
    return "timeout must be a positive number of seconds."


def _values(options: Mapping[str, Any]) -> Iterator[Fault]:
    for text in (
        retries_fault(options.get("max_retries")),
        timeout_fault(options.get("timeout")),
        None
        if isinstance(options.get("enqueue_on_commit", False), bool)
        else "enqueue_on_commit must be True or False.",
    ):
        if text is not None:
            yield Fault("E003", f"OPTIONS has a value that cannot be: {text}")
    using = options.get("using")
    text = None if using is None else _using_fault(using, options)
    if text is not None:
        yield Fault(
            "E006",
            f"OPTIONS has 'using': {using!r}, but {text}",
            "It names the database of Django's in whose transactions tasks are stored.",
        )


def _using_fault(using: Any, options: Mapping[str, Any]) -> str | None:
    if using not in connections:
        return f"DATABASES has no {using!r}"
    if connections[using].vendor != "postgresql":
        return "that is no PostgreSQL database"
    if not is_url(str(options.get("url") or "")):
        return "the jobs are not in PostgreSQL: that takes a 'url'"
    if options.get("enqueue_on_commit"):
        return "with 'enqueue_on_commit' a task is stored after the transaction"
    return None
