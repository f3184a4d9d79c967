"""A start that a signal's handler interrupts, and the stop that it asks for.

It must not know what is started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Start:
    """Knows which thread is starting something.

    If that thread also stops it, a handler of a signal or of garbage does so, and must not wait for
    the start: it would wait for itself.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._within: float | None = None

    @contextmanager
    def then(self, stop: Callable[[float], object]) -> Iterator[None]:
        """Start something in this block, in one thread at a time; then stop it, if a stop was put
        off.

        It is stopped also if the block raises, for example because a handler stops it and exits.
        """
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
        """Whether a stop, within `seconds`, must wait for the end of the start; the shortest time
        counts."""
        if self._thread != threading.get_ident():
            return False
        self._within = seconds if self._within is None else min(self._within, seconds)
        return True
