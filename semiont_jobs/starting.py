"""A start that a signal's handler interrupts, and the stop that it asks for.

It must not know what is started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Start:
    """Knows which thread is in the midst of it. A stop by that thread comes from the handler of a
    signal, or of garbage: to wait there for what has begun would be to wait for itself."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._within: float | None = None

    @contextmanager
    def then(self, stop: Callable[[float], object]) -> Iterator[None]:
        """While this holds, what starts does so, in one thread at a time. After that it is stopped,
        if that was put off; also where an exception came out of it, as a handler's that stops and
        leaves the program."""
        try:
            with self._lock:
                self._thread = threading.get_ident()
                try:
                    yield
                finally:
                    self._thread = 0
        finally:
            if self._within is not None:
                stop(self._within)

    def puts_off(self, seconds: float) -> bool:
        """Whether a stop, within so many seconds, is to wait for the end of the start; the shortest
        time counts."""
        if self._thread != threading.get_ident():
            return False
        self._within = seconds if self._within is None else min(self._within, seconds)
        return True
