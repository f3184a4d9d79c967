"""What a pool's processes log, logged again by the process that set logging up.

It must not know how a record gets from one to the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from logging.handlers import QueueHandler
from typing import Any, Literal

from semiont_jobs.events import logger

Tell = Callable[[tuple[Literal["log"], logging.LogRecord]], object]
"""Sends a record to the other process, or has it logged `log_for_nobody`."""


def levels_here() -> dict[str, int]:
    """From which level on this process logs: at all, and what this library has to say."""
    return {"": logging.getLogger().level, logger.name: logger.level}


def log_there(tell: Tell, levels: Mapping[str, int]) -> None:
    """Have another process log what this one does, unless a module set logging up here."""
    root = logging.getLogger()
    if root.handlers:
        return
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    root.addHandler(_Sender(tell))


def log_here(record: logging.LogRecord) -> None:
    """Log what another process did."""
    its = logging.getLogger(record.name)
    if its.isEnabledFor(record.levelno):
        its.handle(record)


def log_for_nobody(record: logging.LogRecord) -> None:
    """Log what the other process is not there to log: to standard error, better than nowhere."""
    if record.levelno >= logging.WARNING:
        last: Any = logging.lastResort
        last.handle(record)


class _Sender(QueueHandler):
    """Makes of records what can be sent: texts, instead of the objects that they are about."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self._tell = tell

    def enqueue(self, record: logging.LogRecord) -> None:
        self._tell(("log", record))
