"""The queue of an application: made once at start-up, had anywhere.

It must not know what a queue does.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Iterable
from typing import Any, Final

from semiont_jobs.errors import QueueNotInitialized
from semiont_jobs.forks import reset_in_child
from semiont_jobs.queue import JobQueue
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.store import JobStore
from semiont_jobs.stores import MEMORY, FileStore


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


def initialize_job_queue(data_dir: str | os.PathLike[str] | JobStore, **settings: Any) -> JobQueue:
    """Make the application's queue and its directory; `get_job_queue` returns it from now on.

    Again with the same settings it returns the same queue; with others it makes a new one,
    while claims in progress finish on the old one. Settings are those of `JobQueue`; one left
    out is the same as its default, and retry policies are compared by value.
    """
    global _queue, _settings  # noqa: PLW0603 - one per process is the point
    for name in settings.keys() & {"job_types", "hooks"}:
        if isinstance(settings[name], Iterable):
            # Read twice, compared and then used; and a list is as good as a tuple.
            settings[name] = tuple(settings[name])
    wanted = _filled_in(data_dir, settings)
    with _turn.lock:
        if _queue is None or _settings != wanted:
            _queue = JobQueue(data_dir, **settings).initialize()
            _settings = wanted
        return _queue


def _filled_in(data_dir: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the defaults of those left out, so that equal ones compare equal."""
    place = _place(data_dir)
    # Of stores, only directories take options.
    made = (JobQueue, FileStore) if isinstance(place, str) and place != MEMORY else (JobQueue,)
    filled = {name: default for each in made for name, default in _defaults(each).items()}
    filled.update(settings, data_dir=place)
    filled["retry_policy"] = filled["retry_policy"] or RetryPolicy()
    return filled


def _defaults(made: type[Any]) -> dict[str, Any]:
    parameters = inspect.signature(made).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def _place(data_dir: str | os.PathLike[str] | JobStore) -> object:
    """The directory meant, whatever the current one is at the next call."""
    if isinstance(data_dir, str | os.PathLike) and data_dir != MEMORY:
        return os.path.abspath(os.fspath(data_dir))
    return data_dir


def get_job_queue() -> JobQueue:
    """The queue that `initialize_job_queue` made.

    :raises QueueNotInitialized: it has not been called yet in this process.
    """
    if _queue is None:
        raise QueueNotInitialized(
            "call initialize_job_queue(data_dir=...) once at start-up, before get_job_queue()"
        )
    return _queue
