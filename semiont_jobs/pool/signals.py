"""SIGTERM, SIGINT and SIGHUP as messages in a mailbox that the main thread reads.

It must not know what is done about them.

It does not use an event: a signal handler interrupts the main thread anywhere, and setting an event
while a wait or another signal handler holds its lock blocks for ever. A `SimpleQueue` accepts a
message at any time.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, Literal, TypeAlias

from semiont_jobs import signals

Message: TypeAlias = Literal["signal", "ended"]
Mailbox: TypeAlias = "SimpleQueue[Message]"

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


def handle(hear: Callable[[int], object]) -> Callable[[], None]:
    """Call `hear` with the number of each SIGTERM and SIGINT; return a function that restores the
    handlers from before. See `signals.handle`."""
    handled = [signals.handle(number, hear) for number in STOPPING]

    def put_back() -> None:
        for each in handled:
            each()

    return put_back


def handle_hangup(hear: Callable[[int], object]) -> Callable[[], None]:
    """The same for SIGHUP, which comes when a terminal is closed, where it would end the process.

    Not where it is ignored, as under ``nohup``: then the process is meant to live on, and so are
    the programs that its jobs start, which would not inherit a handler.
    """
    if sys.platform == "win32" or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        return lambda: None
    return signals.handle(signal.SIGHUP, hear)


@contextmanager
def caught(mailbox: Mailbox) -> Iterator[None]:
    """Within this context each SIGTERM and SIGINT puts ``"signal"`` into the mailbox, and so does
    the first SIGHUP only: a shell and the kernel both send one for the same terminal, which is not
    urgent."""
    hangups: list[int] = []

    def hang_up(number: int) -> None:
        hangups.append(number)
        if len(hangups) == 1:
            mailbox.put("signal")

    handled = [handle(lambda _number: mailbox.put("signal")), handle_hangup(hang_up)]
    try:
        yield
    finally:
        for put_back in handled:
            put_back()
