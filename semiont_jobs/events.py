"""What happened to a job: one frozen fact per transition, and the hook that logs them.

It must not know what sends events, or why.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from datetime import datetime
from traceback import print_exc
from typing import Any, Final, Literal, TypeAlias

from attrs import frozen

from semiont_jobs.errors import abridged
from semiont_jobs.model import AnyJob

EventName: TypeAlias = Literal[
    "created",
    "claimed",
    "reported",
    "checkpointed",
    "completed",
    "failed",
    "retrying",
    "retried",
    "snoozed",
    "released",
    "cancelled",
    "rescued",
    "quarantined",
    "removed",
    "stuck",
    "crash_loop",
]


@frozen(kw_only=True)
class Event:
    """A transition that is stored: sent once, in the process that made it.

    ``retrying`` is a failed attempt with retries left, ``retried`` a retry by hand. A ``rescued``
    job, whose worker died, is pending again; one whose workers died too often is ``failed``. Two
    events are not transitions but troubles of a pool: ``stuck``, a job whose code ignores its time
    limit (the attempt has failed; ``job`` is as it was before), and ``crash_loop``, a process that
    dies again and again.
    """

    name: EventName
    at: datetime
    job_id: str
    """The job's id. Of an invalid file (``quarantined``): its file name; of a ``crash_loop``: the
    process's."""
    job: AnyJob | None
    """The job as stored after the transition; None for ``quarantined`` and ``crash_loop``."""
    reason: str = ""
    """Why an entry was quarantined, code is stuck or a process counts as looping."""


ENDS: Final[frozenset[EventName]] = frozenset({"completed", "failed", "cancelled"})
"""Events after which a job is finished."""

Hook: TypeAlias = Callable[[Event], object]
"""Called with every event, in the thread that acted; it should return quickly."""


LOGGER: Final = "semiont_jobs"
"""The name of the logger of this library."""


@contextmanager
def logging_errors_printed() -> Iterator[None]:
    """Print what logging raises, as `logging` itself does with the errors of handlers.

    Filters, record factories and logger classes are the application's code too. What they raise
    must not end the thread that logs: a worker, for example, that has an outcome to store.
    """
    try:
        yield
    except Exception:  # noqa: BLE001 - of whatever the application has added
        if logging.raiseExceptions and sys.stderr is not None:
            with suppress(Exception):  # standard error may be closed, or full
                print_exc()


class _Log(logging.LoggerAdapter[logging.Logger]):
    """Logs on the application's logger of that name, of whatever class it is, and never raises."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> Any:
        """Leave the record as it is."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a record."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # this call is not of interest
        with logging_errors_printed():
            super().log(level, msg, *args, **kwargs)


logger: Final = _Log(logging.getLogger(LOGGER))
# Without a handler of its own, logging's last resort would write warnings to standard error,
# also in an application that never asked for logs.
logger.logger.addHandler(logging.NullHandler())


def log_trouble(error: Exception, message: str, *args: object) -> None:
    """Log that something failed and is tried again: in one line if the disk refused, else with a
    traceback, which helps only with a bug."""
    is_bug = not isinstance(error, OSError)
    logger.error(message, *args, exc_info=error if is_bug else None, stacklevel=2)


_LEVELS: Final[Mapping[EventName, int]] = {
    "reported": logging.DEBUG,
    "checkpointed": logging.DEBUG,
    "failed": logging.ERROR,
    "retrying": logging.WARNING,
    "rescued": logging.WARNING,
    "quarantined": logging.ERROR,
    "stuck": logging.ERROR,
    "crash_loop": logging.ERROR,
}


def is_logged(name: EventName) -> bool:
    """Whether `log_event` would write a record of such an event."""
    return logger.isEnabledFor(_LEVELS.get(name, logging.INFO))


def log_event(event: Event) -> None:
    """The hook that every queue starts with: logs one record per event on ``semiont_jobs``.

    The record's ``extra`` has ``job_id``, ``job_type``, ``attempt`` and ``event``, for a formatter
    or a structured handler; and of a failure ``traceback``, that of the job's code, which is not in
    the message.
    """
    if not is_logged(event.name):
        return
    metadata = event.job.metadata if event.job else None
    attempt = metadata.attempt_count if metadata else 0
    if metadata and event.name in _DURING:
        attempt += 1
    error, traceback = _last_error(event)
    detail = event.reason or error
    logger.log(
        _LEVELS.get(event.name, logging.INFO),
        # A job's strings may hold newlines and terminal controls: abridged() escapes them.
        "%s %s%s",
        event.name,
        event.job_id if event.job else abridged(event.job_id),
        f": {abridged(detail)}" if detail else "",
        extra={
            "event": event.name,
            "job_id": event.job_id,
            "job_type": metadata.type if metadata else "",
            "attempt": attempt,
            "traceback": traceback,
        },
    )


# While an attempt goes on, `attempt_count` does not count it.
_DURING: Final = frozenset({"claimed", "reported", "checkpointed", "stuck"})


def _last_error(event: Event) -> tuple[str, str]:
    """The error of the attempt that failed, in a line, and its traceback."""
    if event.name not in ("failed", "retrying", "rescued") or event.job is None:
        return "", ""
    attempts = event.job.metadata.attempts
    return (attempts[-1].error or "", attempts[-1].traceback or "") if attempts else ("", "")
