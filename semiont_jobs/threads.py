"""What threads need that `threading` gives only half of: a start that may be refused, a pause,
where another one stands, a condition and an event that an interrupt cannot leave locked.

It must not know what the threads do.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Final

from semiont_jobs.errors import ThreadRefused

LOOK_EVERY: Final = 0.05
"""Seconds between two looks of a thread that waits for another. It is woken when there is something
to see; this is for when an interrupt strikes the one that was about to wake it."""

LOOK_AGAIN: Final = 1.0
"""As above, of a thread that may wait for hours: a wake-up a second costs nothing."""

END_TIME: Final = 5.0
"""Seconds that a process takes at most for its last steps, unless somebody holds it up."""


class Flag(threading.Event):
    """A `threading.Event` that a signal's handler may interrupt, and may set, at any point.

    An Event is Python code around a lock, which an exception that a handler raises in there, as
    Ctrl-C does, leaves taken for ever; so does a fork in the midst of it. This has no such lock:
    whoever waits takes one of its own twice, and `set` releases it. Each step of the set of these
    is C, and one for all threads.
    """

    def __init__(self) -> None:
        # Nothing of the Event's own, which is its lock. Of what it does, all that looks at more
        # than `_flag` is defined here.
        self._flag = False
        self._bells: set[threading.Lock] = set()

    def is_set(self) -> bool:
        """Whether it is true."""
        return self._flag

    def set(self) -> None:
        """Make it true, and let every waiter go."""
        # Before anybody is woken: of whom an interrupt keeps that from sees it by himself.
        self._flag = True
        while self._bells:
            with suppress(KeyError):  # another thread took the last one
                self._bells.pop().release()

    def clear(self) -> None:
        """Make it false."""
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is true, at most `timeout` seconds; whether it came true."""
        if self._flag:
            return True
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        bell = threading.Lock()
        bell.acquire()
        try:
            # Before the look at the flag: who sets it after that finds the bell.
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

    A condition that is entered itself runs Python code before and after its lock is taken, and an
    exception that a signal's handler raises in there, as Ctrl-C does, leaves the lock taken for
    ever. The lock's own steps are C, which nothing interrupts.
    """
    lock = threading.RLock()
    return lock, threading.Condition(lock)


def pause(seconds: float) -> None:
    """Wait that long."""
    threading.Event().wait(seconds)


def stand_still_at_the_end() -> None:
    """In a daemon thread of a process that is about to end: go no further. The interpreter would
    stop it at one of its next steps, and what it prints until then, as the traceback of an error
    that nobody handles, may strike the interpreter in its own last steps.

    Not for ever: it may hold a lock that somebody wants before the end."""
    if _ending.is_set() and threading.current_thread().daemon:
        pause(END_TIME)


def tell_the_end() -> None:
    """The process is about to end: only daemon threads are left, and this one."""
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
    """Where a thread stands at this moment; None: it has not begun, or has ended.

    A collection of garbage in the midst of `sys._current_frames` stops all threads for ever, until
    Python 3.11.8 (https://github.com/python/cpython/issues/106883): there is none meanwhile.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        frames = sys._current_frames()  # noqa: SLF001 - documented
    finally:
        if collects:
            gc.enable()
    return frames.get(thread.ident or 0)
