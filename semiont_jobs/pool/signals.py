"""SIGTERM and SIGINT as messages in a mailbox that the main thread reads.

It must not know what is done about them.

Not an event: a handler runs in the midst of whatever the main thread does, and an event that is
set while its own lock is held, by a wait or by another signal's handler, waits for ever. This
kind of queue may be put into at any time.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Final, Literal, TypeAlias

Message: TypeAlias = Literal["signal", "ended"]
Mailbox: TypeAlias = "SimpleQueue[Message]"

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def caught(mailbox: Mailbox) -> Iterator[None]:
    """While this holds, each of the two puts ``"signal"`` into the mailbox. Only the main thread
    may catch signals: elsewhere this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(_number: int, _frame: object) -> None:
        mailbox.put("signal")

    before: list[tuple[signal.Signals, Any]] = [
        (number, signal.signal(number, note)) for number in STOPPING
    ]
    try:
        yield
    finally:
        for number, handler in before:
            # None: set by something that is not Python, which cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
