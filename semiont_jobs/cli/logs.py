"""Messages of commands and log records of workers, as lines on standard error.

It must not know what they say.
"""

from __future__ import annotations

import io
import logging
import sys
from contextlib import suppress
from typing import Any, Final, cast

import click

from semiont_jobs.cli.text import plain
from semiont_jobs.events import LOGGER

FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"


def announce(message: str) -> None:
    """Print a line on standard error, if that can be written: a full disk for logs must neither
    stop jobs nor make a finished job fail."""
    with suppress(OSError):
        click.echo(message, err=True)


def log_to_stderr() -> None:
    """Show all warnings, and from this library the outcome of every job.

    If the application set logging up itself, when its module was imported, that is kept.
    """
    _keep_nothing_back()
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Escaping(FORMAT))
    handler.addFilter(_is_wanted)
    root.addHandler(handler)
    own = logging.getLogger(LOGGER)
    if own.level == logging.NOTSET:
        own.setLevel(logging.INFO)


def _keep_nothing_back() -> None:
    """Make standard error write at once, or not at all.

    What it could not write would stay in its buffer. Multiprocessing flushes that before it starts
    a process, so on a full disk no process could be started.
    """
    stream = sys.__stderr__
    if stream is None or sys.stderr is not stream:
        return  # it was replaced by the application, or here already
    raw = io.FileIO(stream.fileno(), "w", closefd=False)
    sys.stderr = io.TextIOWrapper(
        cast("Any", raw), encoding=stream.encoding, errors=stream.errors, write_through=True
    )


def _is_wanted(record: logging.LogRecord) -> bool:
    # One line a job is enough, and the outcome matters more than the claim.
    return getattr(record, "event", "") != "claimed"


class _Escaping(logging.Formatter):
    """Makes each message one line, whatever strings of a job it contains, and indents tracebacks,
    so that no line of them looks like a message."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        # For a job that is tried again the line is enough.
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
