"""Handlers of signals which concern this process alone, and not those that its jobs fork.

It must not know what is done about a signal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_numbers: Final[set[int]] = set()
"""All signals that were ever caught here."""


class _Handler:
    """Hears a signal in the process that caught it, and knows the handler from before."""

    def __init__(self, number: int, hear: Callable[[int], object]) -> None:
        self._number = number
        self._hear = hear
        self.before = signal.getsignal(number)
        self._pid = os.getpid()

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            self._hear(number)
        else:  # in a forked child, by a handler that was set over this one
            self.leave()
            os.kill(os.getpid(), number)

    def put_back(self) -> None:
        """Restore the handler from before."""
        _set(self._number, self.before)

    def leave(self) -> None:
        """Restore the last handler that was none of these."""
        before: Any = self
        while isinstance(before, _Handler):
            before = before.before
        _set(self._number, before)


def _set(number: int, handler: Any) -> None:
    # None: set by something that is not Python, and cannot be restored from here.
    signal.signal(number, signal.SIG_DFL if handler is None else handler)


def handle(number: int, hear: Callable[[int], object]) -> Callable[[], None]:
    """Have `hear` called with the number of a signal when it comes; returns what restores the old
    handler.

    Only the main thread may catch signals: elsewhere this does nothing. A forked child has its
    parent's handlers, but not the threads that would act, so there the handler from before is
    restored. So ``Process.terminate`` of multiprocessing ends it.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    handler = _Handler(number, hear)
    _numbers.add(number)
    signal.signal(number, handler)
    return handler.put_back


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Within the block, SIGTERM raises `KeyboardInterrupt` in the main thread, as Ctrl-C does.

    It does so only if SIGTERM would end the process at once otherwise. In another thread the block
    does nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    is_deadly = is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    try:
        if is_deadly:
            handle(signal.SIGTERM, _interrupt)
        yield
    finally:
        if is_deadly:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(_number: int) -> None:
    raise KeyboardInterrupt


# -- in forked children --------------------------------------------------------------------

if sys.platform != "win32":

    class _Masks(threading.local):
        def __init__(self) -> None:
            # A signal's handler may fork during a fork.
            self.before: list[set[int]] = []

    _masks: Final = _Masks()

    def _hold_back() -> None:
        _masks.before.append(signal.pthread_sigmask(signal.SIG_BLOCK, set(_numbers)))

    def _let_come() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before.pop())

    def _begin_child() -> None:
        for number in _numbers:
            handler = signal.getsignal(number)
            if isinstance(handler, _Handler):
                handler.leave()
        _let_come()

    # A signal to the child is held back until the child has restored the handlers. Later is too
    # late: Python drops signals that come during a fork, and a handler does not end a call that
    # begins to wait just then.
    os.register_at_fork(before=_hold_back, after_in_parent=_let_come, after_in_child=_begin_child)
