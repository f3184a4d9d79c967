"""An opening: the time from a queue's initialize to its close, to which its workers belong.

It must not know queues or workers: only that it is over, and whom to tell.
"""

from __future__ import annotations

import threading
import weakref

from semiont_jobs.errors import QueueClosed


class Opening:
    """One life of an open queue. What claims in a loop claims within one opening, so that it
    cannot open again what its user has closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Weakly: a worker that ended is not kept for as long as its queue is open.
        self._stops: weakref.WeakSet[threading.Event] = weakref.WeakSet()
        self._closer = 0
        self._is_closed = threading.Event()
        self.is_over: bool = False
        """Whether somebody has begun to close the queue since."""

    def stops(self, stop: threading.Event) -> None:
        """Set that event when this opening is over; at once if it is."""
        with self._lock:
            self._stops.add(stop)
            if self.is_over:
                stop.set()

    def check(self) -> None:
        """Go on only while it lasts.

        :raises QueueClosed: it is over.
        """
        if self.is_over:
            raise QueueClosed("the queue was closed")

    def end(self) -> bool:
        """It is over, and this thread is to close what was opened; False: another one is at that,
        or has done it."""
        with self._lock:
            if self.is_over:
                return False
            self._closer = threading.get_ident()
            self.is_over = True
            for stop in self._stops:
                stop.set()
        return True

    def closed(self) -> None:
        """All is closed, as far as it could be."""
        self._is_closed.set()

    def wait_closed(self, seconds: float) -> bool:
        """Wait until all is closed, so long at most; whether it is. Nobody waits for himself, in a
        hook, say, that is called in the midst of the closing."""
        waits = 0 if self._closer == threading.get_ident() else seconds
        return self._is_closed.wait(waits)
