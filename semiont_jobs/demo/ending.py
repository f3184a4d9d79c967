"""The signals that end a demonstration, handled only where it may end.

It must not know what has to be cleaned up.

If the signal handler raised, the end would come between any two steps, including those of the
standard library. Between taking the lock in `Popen.poll` and the block that releases it, it left
the lock taken for ever, so the wait for that worker process never ended.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Self

from semiont_jobs.pool.signals import handle


class Ending:
    """While entered, a signal is kept until the next `pause`; a second one acts at once, as without
    this, for users who will not wait. Only the main thread may catch signals: elsewhere this only
    pauses."""

    def __init__(self) -> None:
        self._heard: SimpleQueue[int] = SimpleQueue()
        self._put_back: Callable[[], object] = lambda: None  # not entered yet

    def __enter__(self) -> Self:
        self._put_back = handle(self._hear)
        return self

    def __exit__(self, *exc: object) -> None:
        self._put_back()

    def _hear(self, number: int) -> None:
        self._heard.put(number)
        self._put_back()

    def pause(self, seconds: float) -> None:
        """Wait, unless a signal came.

        :raises SystemExit: a signal came; the code is what shells report for a program that it
            ended.
        """
        try:
            number = self._heard.get(timeout=seconds)
        except Empty:
            return
        raise SystemExit(128 + number)
