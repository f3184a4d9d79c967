"""SIGTERM and SIGINT as messages in a mailbox that the main thread reads.

It must not know what is done about them.

Not an event: a handler runs in the midst of whatever the main thread does, and an event that is
set while its own lock is held, by a wait or by another signal's handler, waits for ever. This
kind of queue may be put into at any time.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, Literal, TypeAlias

from semiont_jobs import signals

Message: TypeAlias = Literal["signal", "ended"]
Mailbox: TypeAlias = "SimpleQueue[Message]"

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


def handle(hear: Callable[[int], object]) -> Callable[[], None]:
    """Have `hear` called with the number of each of the two that comes; returns what puts back the
    handlers there were. See `signals.handle`."""
    handled = [signals.handle(number, hear) for number in STOPPING]

    def put_back() -> None:
        for each in handled:
            each()

    return put_back


@contextmanager
def caught(mailbox: Mailbox) -> Iterator[None]:
    """While this holds, each of the two puts ``"signal"`` into the mailbox."""
    put_back = handle(lambda _number: mailbox.put("signal"))
    try:
        yield
    finally:
        put_back()
