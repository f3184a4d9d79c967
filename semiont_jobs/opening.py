"""An opening: the time from a queue's initialize to its close, to which its workers belong.

It must not know queues or workers: only that it is over, and whom to tell.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from semiont_jobs.errors import QueueClosed
from semiont_jobs.latch import Latch


class Opening:
    """One life of an open queue. What claims in a loop claims within one opening, so that it
    cannot open again what its user has closed.

    It lasts; then it `is_over`: nobody begins to claim in it, and its claims are given back; then
    it `is_closed`, and another one is the queue's. With `done` those go on who waited for that,
    also where the disk refused, so that the queue is as open as before.
    """

    def __init__(self) -> None:
        # Reentrant, both: a signal's handler may close the queue at any point.
        self._lock = threading.RLock()
        self._turn = threading.RLock()
        # Weakly: a worker that ended is not kept for as long as its queue is open.
        self._stops: weakref.WeakSet[threading.Event] = weakref.WeakSet()
        self._closer = 0
        self.is_over: bool = False
        """Whether somebody has begun to close the queue since."""
        self.is_owed: bool = False
        """Whether it is to be closed once a claim that is being made is there."""
        self.is_closed: bool = False
        """Whether all is closed."""
        self.done: Latch = Latch()
        """Set when it is, or could not be."""

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

    def end(self) -> None:
        """It is over. A second call does nothing, but for what an interrupt left undone."""
        with self._lock:
            self.is_over = True
            for stop in self._stops:
                stop.set()

    @contextmanager
    def closing(self, seconds: float) -> Iterator[None]:
        """Close what belongs to it, one thread after the other. Who has waited so long goes on all
        the same: the one before may be about to be done, or be interrupted and gone."""
        has_turn = self._turn.acquire(timeout=seconds)
        try:
            self._closer = threading.get_ident()
            yield
        finally:
            self._closer = 0
            if has_turn:
                self._turn.release()

    def wait_closed(self, seconds: float) -> bool:
        """Wait until somebody is done with closing it, so long at most; whether that is so. Nobody
        waits for himself, in a hook, say, that is called in the midst of the closing."""
        is_mine = self.is_owed or self._closer == threading.get_ident()
        return self.done.wait(0 if is_mine else seconds)
