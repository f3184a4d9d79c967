"""What a pool's processes log, logged again by the process that set logging up.

It must not know how a record gets from one to the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from logging.handlers import QueueHandler
from typing import Any, Final, Literal

from semiont_jobs.events import LOGGER, logging_errors_printed

Tell = Callable[[tuple[Literal["log"], logging.LogRecord]], object]
"""Sends a record to the other process, or else calls `log_for_nobody`."""


def levels_here() -> dict[str, int]:
    """The levels of the root logger and of this library's logger in this process."""
    return {name: logging.getLogger(name).level for name in ("", LOGGER)}


def log_there(tell: Tell, levels: Mapping[str, int]) -> None:
    """Make another process log what this one logs, unless a module set logging up here."""
    root = logging.getLogger()
    if root.handlers:
        return
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.addHandler(_Sender(tell))


def log_here(record: logging.LogRecord) -> None:
    """Log a record of another process."""
    its = logging.getLogger(record.name)
    if its.isEnabledFor(record.levelno):
        with logging_errors_printed():
            its.handle(record)


def log_for_nobody(record: logging.LogRecord) -> None:
    """Log to standard error what the other process can no longer log."""
    if record.levelno >= logging.WARNING:
        last: Any = logging.lastResort
        last.handle(record)


class _Sender(QueueHandler):
    """Makes records ready to send: with strings instead of the objects that they refer to."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._tell = tell

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit without a handler's lock. Sending needs none, and garbage that logs may be collected
        in the sending thread, which must not wait for a thread that waits for the sending."""
        filtered: logging.LogRecord | bool = self.filter(record)
        if filtered:
            self.emit(record if filtered is True else filtered)
        return bool(filtered)

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record = super().prepare(record)
        for name, value in vars(record).items():
            if not _is_plain(value):
                setattr(record, name, _told(value))
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        self._tell(("log", record))


_SCALARS: Final = (str, int, float, bool, type(None))


def _is_plain(value: object) -> bool:
    """Whether it is the same in every process. What can be pickled need not be: for example, an
    exception is rebuilt from its message, which its class may not accept."""
    try:
        kind = type(value)
        if kind is dict:
            return all(_is_plain(key) and _is_plain(held) for key, held in list(value.items()))  # type: ignore[attr-defined]
        if kind is list or kind is tuple:
            return all(map(_is_plain, list(value)))  # type: ignore[call-overload]
    except RecursionError:  # it contains itself
        return False
    return kind in _SCALARS


def _told(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - the application's object; the message is logged all the same
        return object.__repr__(value)
