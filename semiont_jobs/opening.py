"""An opening: the time from a queue's initialize to its close, to which its workers belong.

It must not know queues or workers: only that it is over, and whom to tell.
"""

from __future__ import annotations

import threading
import weakref


class Opening:
    """One life of an open queue. What claims in a loop claims within one opening, so that it
    cannot open again what its user has closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Weakly: a worker that ended is not kept for as long as its queue is open.
        self._stops: weakref.WeakSet[threading.Event] = weakref.WeakSet()
        self.is_over: bool = False
        """Whether the queue was closed since."""

    def stops(self, stop: threading.Event) -> None:
        """Set that event when this opening is over; at once if it is."""
        with self._lock:
            self._stops.add(stop)
            if self.is_over:
                stop.set()

    def end(self) -> None:
        """It is over. A second call does nothing."""
        with self._lock:
            self.is_over = True
            for stop in self._stops:
                stop.set()
