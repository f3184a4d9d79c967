"""The queue of an application: made once at start-up, available anywhere.

It must not know what a queue does.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterable
from typing import Any, Final

from semiont_jobs.errors import InvalidValue, QueueNotInitialized
from semiont_jobs.forks import reset_in_child
from semiont_jobs.queue import JobQueue
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.store import JobStore
from semiont_jobs.stores import MEMORY, FileStore, is_url


class _Turn:
    """The lock under which the application's queue is made: one thread at a time."""

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        # The thread that held it at the fork does not exist in the child.
        self.lock = threading.Lock()


_turn: Final = _Turn()
_queue: JobQueue | None = None
_settings: dict[str, Any] | None = None


def initialize_job_queue(
    data_dir: str | os.PathLike[str] | JobStore | None = None,
    *,
    url: str | None = None,
    **settings: Any,
) -> JobQueue:
    """Make the application's queue, and return it; from now on `get_job_queue` returns it, too.

    Its directory, or its schema in the database at `url`, is created. With the same settings,
    another call returns the same queue. With others, it makes a new one; open claims finish on the
    old one. Settings are those of `JobQueue`; one that you leave out equals its default, and retry
    policies are compared by value.

    :raises InvalidValue: neither a directory nor a URL is given, or both are.
    """
    global _queue, _settings  # noqa: PLW0603 - one per process is the point
    for name in settings.keys() & {"job_types", "hooks"}:
        if isinstance(settings[name], Iterable):
            # Read twice: compared, then used. And a list equals a tuple here.
            settings[name] = tuple(settings[name])
    data_dir = _one_of(data_dir, url)
    wanted = _filled_in(data_dir, settings)
    with _turn.lock:
        if _queue is None or _settings != wanted:
            _queue = JobQueue(data_dir, **settings).initialize()
            _settings = wanted
        return _queue


def _one_of(
    data_dir: str | os.PathLike[str] | JobStore | None, url: str | None
) -> str | os.PathLike[str] | JobStore:
    """The place, of whichever of the two is given."""
    if data_dir is None and url is None:
        raise InvalidValue("a directory, or url=, is needed", field="data_dir", value=None)
    if data_dir is not None and url is not None:
        rule = "jobs live in one place: give a directory or a URL, not both"
        raise InvalidValue(rule, field="data_dir", value=data_dir)
    if url is None:
        assert data_dir is not None
        return data_dir
    if not is_url(url):
        # Not its value, which may contain a password.
        raise InvalidValue("a postgresql:// URL is needed", field="url", value="...")
    return url


def _filled_in(data_dir: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, with the defaults of those left out, so that equal ones compare equal."""
    place = _place(data_dir)
    # Of stores, only those of directories and databases take options.
    made: tuple[type[Any], ...] = (JobQueue,)
    if is_url(place):
        # Here, because programs that keep jobs in files may have no driver.
        from semiont_jobs.stores.postgres import PostgresStore

        made = (JobQueue, PostgresStore)
    elif isinstance(place, str) and place != MEMORY:
        made = (JobQueue, FileStore)
    filled = {name: default for each in made for name, default in _defaults(each).items()}
    filled.update(settings, data_dir=place)
    filled["retry_policy"] = filled["retry_policy"] or RetryPolicy()
    return filled


def _defaults(made: type[Any]) -> dict[str, Any]:
    parameters = inspect.signature(made).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def _place(data_dir: str | os.PathLike[str] | JobStore) -> object:
    """The absolute path of a directory: the current one may change before the next call."""
    if isinstance(data_dir, str | os.PathLike) and data_dir != MEMORY and not is_url(data_dir):
        return os.path.abspath(os.fspath(data_dir))
    return data_dir


def get_job_queue() -> JobQueue:
    """Return the queue that `initialize_job_queue` made.

    :raises QueueNotInitialized: it has not been called yet in this process.
    """
    if _queue is None:
        raise QueueNotInitialized(
            "call initialize_job_queue(data_dir=...) once at start-up, before get_job_queue()"
        )
    return _queue
