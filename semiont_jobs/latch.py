"""What a main thread waits on while a signal may come at any moment.

It must not know what has ended, or what is sent.
"""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

T = TypeVar("T")

DEAF_TIME: Final = 1.0
"""Seconds for which a signal may go unheard. Python runs a signal's handler between two steps of
the main thread. If the signal comes after the last step before a wait, its handler runs after the
wait. So no wait here is longer; a wake-up a second costs nothing."""


def taken_from(mailbox: SimpleQueue[T]) -> T:
    """The next item of a queue, which a signal's handler may put there."""
    while True:
        try:
            return mailbox.get(timeout=DEAF_TIME)
        except Empty:
            continue


class Latch:
    """An event for a main thread: set once, and waited for.

    `threading.Event` is Python code around a lock. A `KeyboardInterrupt` between taking the lock
    and noting that it is taken leaves it locked for ever, and the next thread that sets or waits
    for the event never returns. A `SimpleQueue` waits in one call that Ctrl-C ends cleanly.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._tokens: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        """Let every waiter go, now and from now on."""
        self._is_set = True
        self._tokens.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for `timeout` seconds at most; returns whether it is."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        # The flag first: a wait that Ctrl-C ended just then may have taken a token.
        while not self._is_set:
            left = deadline - time.monotonic()
            try:
                self._tokens.get(timeout=min(max(left, 0.0), DEAF_TIME))
            except Empty:
                if left <= DEAF_TIME:
                    return self._is_set
                continue
            self._tokens.put(None)  # for other waiters
            return True
        return True
