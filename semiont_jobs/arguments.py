"""What a queue is made with, and what a worker is called: checked before anything starts.

It must not know what becomes of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from semiont_jobs.errors import InvalidValue
from semiont_jobs.events import Hook
from semiont_jobs.store import JobStore
from semiont_jobs.stores import open_store

T = TypeVar("T")

LONGEST_NAME: Final = 255
"""Characters of a worker's name, which every attempt on record repeats: as many as a file's or
a host's name may have, and few enough that a hundred fit in what a new job leaves free."""


def store_at(
    data_dir: str | os.PathLike[str] | JobStore, *, fsync: bool, **store_options: Any
) -> JobStore:
    """The store of a directory, or the one given."""
    if isinstance(data_dir, str | os.PathLike):
        if not isinstance(os.fspath(data_dir), str):
            raise InvalidValue("a path of text is needed", field="data_dir", value=data_dir)
        return open_store(data_dir, fsync=fsync, **store_options)
    if not _is_store(data_dir):
        rule = "a data directory's path, 'memory:' or a JobStore is needed"
        raise InvalidValue(rule, field="data_dir", value=data_dir)
    if store_options:
        raise TypeError(f"a store has its own options: {', '.join(store_options)}")
    return data_dir


def _is_store(given: object) -> bool:
    """Whether it has every method of a `JobStore`."""
    methods = [name for name in vars(JobStore) if not name.startswith("_")]
    return not isinstance(given, type) and all(
        callable(getattr(given, name, None)) for name in methods
    )


def checked_list(given: Iterable[T], field: str) -> tuple[T, ...]:
    """What is to be a list, as a tuple. Raises `InvalidValue` for a text or no iterable."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidValue("a list or tuple is needed", field=field, value=given)
    return tuple(given)


def checked_hook(hook: Hook) -> Hook:
    """A function of an event. Raises `InvalidValue` for anything that cannot be called."""
    if not callable(hook):
        raise InvalidValue("a function of an event is needed", field="hook", value=hook)
    return hook


def checked_name(worker: str) -> str:
    """A worker's name, which goes into the job's file as it is. Raises `InvalidValue`."""
    if not isinstance(worker, str) or not 0 < len(worker) <= LONGEST_NAME:
        rule = f"a text of 1 to {LONGEST_NAME} characters is needed"
        raise InvalidValue(rule, field="worker", value=worker)
    try:
        str.encode(worker, "utf-8")
    except UnicodeEncodeError as error:
        raise InvalidValue("a lone surrogate is not text", field="worker", value=worker) from error
    return worker
