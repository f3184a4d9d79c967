"""What threads need that `threading` gives only half of: a start that may be refused, a pause, and
a condition that an interrupt cannot leave locked.

It must not know what the threads do.
"""

from __future__ import annotations

import threading
from typing import Final

from semiont_jobs.errors import ThreadRefused

LOOK_EVERY: Final = 0.05
"""Seconds between two looks of a thread that waits for another. It is woken when there is something
to see; this is for when an interrupt strikes the one that was about to wake it."""


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


def begin(thread: threading.Thread) -> None:
    """Start a thread.

    :raises ThreadRefused: the system gives none.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise ThreadRefused(f"no thread for {thread.name}: {error}") from error
