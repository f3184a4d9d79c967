"""An opening: the time between a queue's opening and its close, to which its workers belong.

It must not know queues or workers: only that the opening is over, and which events to set.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from semiont_jobs.errors import QueueClosed
from semiont_jobs.latch import Latch


class Opening:
    """One period in which a queue is open; a loop claims within one opening only.

    So a loop cannot open again what the user has closed. First, an opening `is_over`: no claim is
    begun in it, and its claims are released. Then it `is_closed`, and the queue has another one.
    Threads that wait for that go on at `done`, which is set also if the disk refused and the queue
    is as open as before.
    """

    def __init__(self) -> None:
        # Reentrant, both: a signal's handler may close the queue at any point.
        self._lock = threading.RLock()
        self._turn = threading.RLock()
        # Weakly: an open queue does not keep workers that have ended.
        self._stops: weakref.WeakSet[threading.Event] = weakref.WeakSet()
        self._closer = 0
        self.is_over: bool = False
        """Whether a close of the queue has begun."""
        self.is_owed: bool = False
        """Whether it is to be closed as soon as the claim in the making exists."""
        self.is_closed: bool = False
        """Whether the close is done."""
        self.done: Latch = Latch()
        """Set when a close has ended or failed."""

    def stops(self, stop: threading.Event) -> None:
        """Have `stop` set when this opening is over; at once if it is."""
        with self._lock:
            self._stops.add(stop)
            if self.is_over:
                stop.set()

    def check(self) -> None:
        """Return only if the opening is not over.

        :raises QueueClosed: it is over.
        """
        if self.is_over:
            raise QueueClosed("the queue was closed")

    def end(self) -> None:
        """Mark it as over.

        A second call does only what an interrupt left undone.
        """
        with self._lock:
            self.is_over = True
            for stop in self._stops:
                stop.set()

    @contextmanager
    def closing(self, seconds: float) -> Iterator[None]:
        """Have the turn to close, one thread at a time.

        A thread that has waited `seconds` goes on without it: the thread before may be almost done,
        or was interrupted.
        """
        has_turn = self._turn.acquire(timeout=seconds)
        try:
            self._closer = threading.get_ident()
            yield
        finally:
            self._closer = 0
            if has_turn:
                self._turn.release()

    def wait_closed(self, seconds: float) -> bool:
        """Wait until a close has ended, for `seconds` at most; returns whether one has.

        A thread does not wait for its own close, for example in a hook that the close calls.
        """
        is_mine = self.is_owed or self._closer == threading.get_ident()
        return self.done.wait(0 if is_mine else seconds)
