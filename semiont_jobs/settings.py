"""Valid settings of a queue and its workers: a place, hooks, types, policies, names.

It must not know what they do with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

from semiont_jobs.errors import InvalidValue
from semiont_jobs.events import Hook
from semiont_jobs.fields import is_limit
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.store import Accept, JobStore
from semiont_jobs.stores import open_store

T = TypeVar("T")

CONFIGURABLE: Final = (
    "fsync",
    "durability",
    "retry_policy",
    "max_crashes",
    "dir_mode",
    "file_mode",
    "allow_network_fs",
)
"""The settings of `JobQueue` that an application's configuration may have, besides the place: those
whose values a file of settings can hold."""
LONGEST_NAME: Final = 255
"""Characters of a worker's name, which every attempt on record repeats: as many as a file's or
a host's name may have, and few enough that a hundred fit in what a new job leaves free."""


def store_at(
    data_dir: str | os.PathLike[str] | JobStore, *, fsync: bool, **store_options: Any
) -> JobStore:
    """The store of a directory or a database, or the one given."""
    if isinstance(data_dir, str | os.PathLike):
        if not isinstance(os.fspath(data_dir), str):
            raise InvalidValue("a path of text is needed", field="data_dir", value=data_dir)
        return open_store(data_dir, fsync=fsync, **store_options)
    if not _is_store(data_dir):
        rule = "a data directory's path, a database's URL, 'memory:' or a JobStore is needed"
        raise InvalidValue(rule, field="data_dir", value=data_dir)
    if store_options:
        raise TypeError(f"a store has its own options: {', '.join(store_options)}")
    return data_dir


def checked_list(given: Iterable[T], field: str) -> tuple[T, ...]:
    """A list or tuple, as a tuple."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidValue("a list or tuple is needed", field=field, value=given)
    return tuple(given)


def checked_hook(hook: Hook) -> Hook:
    """A function of an event."""
    if not callable(hook):
        raise InvalidValue("a function of an event is needed", field="hook", value=hook)
    return hook


def checked_name(worker: str) -> str:
    """A worker's name, which is written into the job's file unchanged."""
    if not isinstance(worker, str) or not 0 < len(worker) <= LONGEST_NAME:
        rule = f"a text of 1 to {LONGEST_NAME} characters is needed"
        raise InvalidValue(rule, field="worker", value=worker)
    try:
        str.encode(worker, "utf-8")
    except UnicodeEncodeError as error:
        raise InvalidValue("a lone surrogate is not text", field="worker", value=worker) from error
    return worker


def checked_types(field: str, types: Iterable[str] | None) -> frozenset[str] | None:
    """Names of job types, or None for any."""
    if types is None:
        return None
    if isinstance(types, Iterable) and not isinstance(types, str):
        names = list(types)
        if all(isinstance(name, str) for name in names):
            return frozenset(names)
    example = types if isinstance(types, str) else "mail"
    rule = f'a list of type names is needed, as ("{example}",)'
    raise InvalidValue(rule, field=field, value=types)


def checked_job_types(field: str, types: Iterable[str] | None) -> frozenset[str] | None:
    """Names of job types that are read again and again, or None for any."""
    if isinstance(types, Iterator):
        rule = "a list of type names is needed: an iterator is empty at the second look"
        raise InvalidValue(rule, field=field, value=types)
    return checked_types(field, types)


def checked_policy(field: str, policy: RetryPolicy | None) -> RetryPolicy | None:
    """A retry policy, or None for the next one's."""
    if policy is not None and not isinstance(policy, RetryPolicy):
        raise InvalidValue("a RetryPolicy is needed", field=field, value=policy)
    return policy


def checked_accept(accept: Accept | None) -> Accept | None:
    """A claim's `accept`: a function that can be remembered."""
    if accept is None:
        return None
    try:
        hash(accept)
    except TypeError as error:
        rule = "it needs a hash: what it refuses is remembered under it"
        raise InvalidValue(rule, field="accept", value=accept) from error
    if not callable(accept):
        raise InvalidValue("a function of a job is needed", field="accept", value=accept)
    return accept


def checked_timeout(field: str, seconds: float | None) -> float | None:
    """Seconds that an attempt may take, or None for no limit."""
    if seconds is not None and not is_limit(seconds):
        raise InvalidValue("a positive number of seconds is needed", field=field, value=seconds)
    return seconds


def _is_store(given: object) -> bool:
    """Whether it has every method of a `JobStore`."""
    methods = [name for name in vars(JobStore) if not name.startswith("_")]
    return not isinstance(given, type) and all(
        callable(getattr(given, name, None)) for name in methods
    )
