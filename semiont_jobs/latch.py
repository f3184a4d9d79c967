"""A latch: set once, and waited for where Ctrl-C may strike.

It must not know what has ended.
"""

from __future__ import annotations

import queue


class Latch:
    """What `threading.Event` is, for a main thread.

    An Event is Python code around a lock: a `KeyboardInterrupt` between taking the lock and
    noting that it is taken leaves it locked for ever, and whoever sets or waits for the event
    next never returns. A `SimpleQueue` waits in one call that Ctrl-C ends cleanly.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        """Let every waiter go, now and from now on."""
        self._is_set = True
        self._tokens.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most `timeout` seconds; whether it is."""
        # The flag first: a token may have been taken by a wait that Ctrl-C ended just then.
        if self._is_set:
            return True
        try:
            self._tokens.get(timeout=timeout)
        except queue.Empty:
            return self._is_set
        self._tokens.put(None)  # for whoever waits besides
        return True
