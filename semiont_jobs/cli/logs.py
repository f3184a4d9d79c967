"""What a command tells besides, and what a worker logs, as lines on standard error.

It must not know what that is.
"""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from typing import Any, Final, cast

import click

from semiont_jobs.cli.text import plain
from semiont_jobs.events import logger

FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"


def announce(message: str) -> None:
    """Print a line on standard error, if it can be written: a full disk of logs keeps nobody from
    work, nor is it a failure of work that is done."""
    with suppress(OSError):
        click.echo(message, err=True)


def log_to_stderr() -> None:
    """Show warnings of everybody, and of this library the outcome of every job.

    An application that set logging up itself, when its module was imported, keeps what it chose.
    """
    _keep_nothing_back()
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Escaping(FORMAT))
    handler.addFilter(_is_wanted)
    root.addHandler(handler)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


def _keep_nothing_back() -> None:
    """Have standard error write at once, or not at all.

    What it could not write would stay in its buffer, and multiprocessing empties that before it
    starts a process: on a full disk none could be started.
    """
    stream = sys.__stderr__
    if stream is None or sys.stderr is not stream:
        return  # it is somebody's own, or this one's already
    raw = io.FileIO(stream.fileno(), "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        cast("Any", raw), encoding=stream.encoding, errors=stream.errors, write_through=True
    )


def _is_wanted(record: logging.LogRecord) -> bool:
    # One line for a job is enough, and that it was taken is less than how it ended.
    return getattr(record, "event", "") != "claimed"


class _Escaping(logging.Formatter):
    """A message is one line, whatever texts of a job are in it; a traceback is indented, so that
    no line of it passes for a message."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # Of a job that is tried again the line is enough.
        traceback = getattr(record, "traceback", "") if record.levelno >= logging.ERROR else ""
        return f"{text}\n{_indented(traceback.rstrip())}" if traceback else text

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return plain(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return _indented(stack_info)


def _indented(text: str) -> str:
    return "\n".join(f"  {plain(line)}" for line in text.split("\n"))
