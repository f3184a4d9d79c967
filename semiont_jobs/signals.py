"""Handlers of signals which concern this process alone, and not those that its jobs fork.

It must not know what is done about a signal.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def handle(number: int, hear: Callable[[int], object]) -> Callable[[], None]:
    """Have `hear` called with the number of that signal when it comes; returns what puts back the
    handler there was. Only the main thread may catch signals: elsewhere this does nothing.

    A child that is forked has its parent's handlers, but not the threads that would act: to it the
    signal comes as if there were no `hear`. So ``Process.terminate`` of multiprocessing ends it.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    pid = os.getpid()
    before = signal.getsignal(number)

    def put_back() -> None:
        # None: set by something that is not Python, which cannot be put back from here.
        signal.signal(number, signal.SIG_DFL if before is None else before)

    def come(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == pid:
            hear(number)
        else:
            put_back()
            os.kill(os.getpid(), number)

    signal.signal(number, come)
    return put_back


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """While this holds, SIGTERM raises `KeyboardInterrupt` in the main thread, as Ctrl-C does,
    where it would end the process on the spot. In another thread this does nothing."""
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
