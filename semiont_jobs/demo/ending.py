"""The signals that end a demonstration, heard only where it may end.

It must not know what there is to put in order.

Raised from a signal's handler, the end would come between any two steps, also those of the
standard library: one between taking the lock in `Popen.poll` and the block that lets go of it
left the lock taken for ever, and the wait for that worker process without an end.
"""

from __future__ import annotations

import signal
import threading
from queue import Empty, SimpleQueue
from typing import Any, Final, Self

ENDING: Final = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """While entered, a signal is kept until the next `pause`; a second one strikes at once, as
    without this: whoever sends it waits no longer. Only the main thread may catch signals:
    elsewhere this only pauses."""

    def __init__(self) -> None:
        self._heard: SimpleQueue[int] = SimpleQueue()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in ENDING}
        return self

    def __exit__(self, *exc: object) -> None:
        self._put_back()

    def _hear(self, number: int, _frame: object) -> None:
        self._heard.put(number)
        self._put_back()

    def _put_back(self) -> None:
        for number, handler in self._before.items():
            # None: set by something that is not Python, which cannot be put back from here.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def pause(self, seconds: float) -> None:
        """Wait, unless a signal was heard.

        :raises SystemExit: one was; the code is what shells report for a program that it ended.
        """
        try:
            number = self._heard.get(timeout=seconds)
        except Empty:
            return
        raise SystemExit(128 + number)
