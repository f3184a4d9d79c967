"""What `threading` gives threads only half of: a start that may be refused, a pause, where another
thread is, whether they run side by side, the removal of one entry of a dict that they share, and
a condition and an event that an interrupt cannot leave locked.

It must not know what the threads do.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Final, TypeVar

from semiont_jobs.errors import ThreadRefused

K = TypeVar("K")
V = TypeVar("V")

LOOK_EVERY: Final = 0.05
"""Seconds between two looks of a thread that waits for another. Usually it is woken; this is for
when an interrupt hits the thread that was about to wake it."""

LOOK_AGAIN: Final = 1.0
"""The same for a thread that may wait for hours: a wake-up a second costs nothing."""

END_TIME: Final = 5.0
"""Seconds that a process takes at most for its last steps, unless something holds it up."""


class Flag(threading.Event):
    """A `threading.Event` that a signal's handler may interrupt, and may set, at any point.

    An Event is Python code around a lock. If a handler raises an exception in there, as Ctrl-C
    does, the lock is left taken for ever; so it is by a fork there. This class has no such lock: a
    waiter takes a lock of its own twice, and `set` releases it. Each operation on the set of these
    locks is in C, and atomic.
    """

    def __init__(self) -> None:
        # Nothing of the Event's own, which is its lock. All its methods that use more than `_flag`
        # are defined here.
        self._flag = False
        self._bells: set[threading.Lock] = set()

    def is_set(self) -> bool:
        """Whether it is true."""
        return self._flag

    def set(self) -> None:
        """Make it true, and wake every waiter."""
        # Before any waiter is woken: a waiter that an interrupt keeps from being woken sees it by
        # itself.
        self._flag = True
        while self._bells:
            with suppress(KeyError):  # another thread took the last one
                self._bells.pop().release()

    def clear(self) -> None:
        """Make it false."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is true, for `timeout` seconds at most; returns whether it came true."""
        if self._flag:
            return True
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        bell = threading.Lock()
        bell.acquire()
        try:
            # Before the look at the flag: a thread that sets it after that finds the bell.
            self._bells.add(bell)
            while not self._flag:
                left = deadline - time.monotonic()
                if bell.acquire(timeout=max(0.0, min(left, LOOK_AGAIN))):
                    return True  # also if it was cleared since
                if not left > LOOK_AGAIN:  # as it is of NaN
                    return self._flag
            return True
        finally:
            self._bells.discard(bell)

    def _at_fork_reinit(self) -> None:
        self._bells.clear()


_ending: Final = Flag()


def lock_and_condition() -> tuple[threading.RLock, threading.Condition]:
    """A lock, to be entered (``with lock:``), and its condition, to wait on and to notify.

    If the condition itself is entered, it runs Python code before and after its lock is taken. If a
    signal's handler raises an exception in there, as Ctrl-C does, the lock is left taken for ever.
    The lock's own steps are in C, which nothing interrupts.
    """
    lock = threading.RLock()
    return lock, threading.Condition(lock)


def has_gil() -> bool:
    """Whether Python runs one thread at a time: there is a global interpreter lock.

    There is none in a free-threaded Python (https://docs.python.org/3/howto/free-threading-python.html),
    unless a module that needs the lock was imported.
    """
    is_enabled = getattr(sys, "_is_gil_enabled", None)  # since Python 3.13
    return is_enabled is None or bool(is_enabled())


def pop_entry(shared: dict[K, V], key: K, value: V) -> None:
    """Remove this very value from a dict; what another thread puts in its place stays there.

    The caller saw it there, perhaps a moment ago.
    """
    gone = shared.pop(key, None)
    if gone is not value and gone is not None:  # it was put there at this very moment
        shared.setdefault(key, gone)


def pause(seconds: float) -> None:
    """Wait for `seconds`."""
    threading.Event().wait(seconds)


def stand_still_at_the_end() -> None:
    """Stop a daemon thread for a while, if the process is about to end.

    The interpreter would stop the thread at one of its next steps. What the thread prints until
    then, such as the traceback of an unhandled error, may hit the interpreter in its own last
    steps. The pause ends, because the thread may hold a lock that is needed before the end.
    """
    if _ending.is_set() and threading.current_thread().daemon:
        pause(END_TIME)


def tell_the_end() -> None:
    """Note that the process is about to end: only daemon threads are left, and this one."""
    _ending.set()


def begin(thread: threading.Thread) -> None:
    """Start a thread.

    :raises ThreadRefused: the system gives none.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise ThreadRefused(f"no thread for {thread.name}: {error}") from error


def frame_of(thread: threading.Thread) -> FrameType | None:
    """The current frame of a thread; None: it has not begun, or has ended.

    Before Python 3.11.8, a garbage collection within `sys._current_frames` stops all threads for
    ever (https://github.com/python/cpython/issues/106883): so none runs meanwhile.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        frames = sys._current_frames()  # noqa: SLF001 - documented
    finally:
        if collects:
            gc.enable()
    return frames.get(thread.ident or 0)
