"""The floor: one thread of a process at a time claims and ends short jobs, as this is faster.

It must not know what the threads do with it.

A thread gives up the interpreter at every system call, and gets it back when another thread comes
to its next call. Four threads with some twenty short calls a job do half of what one thread does:
they wait for each other after every call, on processors whose caches have forgotten them. So one
thread at a time does all that comes between two jobs, and goes on with the next job while that
pays.

In a free-threaded Python threads do not wait for an interpreter, and every thread has the floor.

The floor is a courtesy; nothing depends on it. The head of the line is the next when it has waited
for `TURN`. A thread that has waited for `PATIENCE`, for the line or for the lock, goes ahead. A
thread that is about to wait for a disk, or for another thread, leaves.
"""

from __future__ import annotations

import threading
import time
from threading import get_ident
from typing import Final

from semiont_jobs.forks import reset_in_child
from semiont_jobs.threads import has_gil

TURN: Final = 0.002
"""Seconds that a thread goes on while another one waits: some five short jobs. A handover costs
about as much as half a job."""
PATIENCE: Final = 0.05
"""Seconds that a thread waits at most for the line, and then for the lock: enough for the turns
before its own, and not for a thread that hangs."""


class _Gate:
    """A lock for one thread at a time, and a line before it of which one thread is the head."""

    def __init__(self) -> None:
        self.lock: threading.Lock = threading.Lock()
        self.line: threading.Lock = threading.Lock()
        self.head_since: float | None = None
        """Since when the head of the line has waited for the lock."""
        self.passed = 0
        """How often a thread had the lock."""

    @property
    def is_owed(self) -> bool:
        """Whether the head of the line is the next."""
        since = self.head_since
        return since is not None and time.monotonic() - since >= TURN

    def enter_in_line(self) -> bool:
        """Take the lock after earlier threads; False: the line or the lock took `PATIENCE`."""
        if not self.line.acquire(timeout=PATIENCE):
            return False
        try:
            self.head_since = time.monotonic()
            return self.lock.acquire(timeout=PATIENCE)
        finally:
            self.head_since = None
            self.line.release()


class Floor:
    """One floor for all threads."""

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """A forked child has no other threads."""
        self._gate = _Gate()
        self._holder: tuple[int, list[_Gate]] | None = None
        """The thread that has it, and the gate that it will unlock, once: a signal's handler may do
        so first."""

    @property
    def is_mine(self) -> bool:
        """Whether this thread has it."""
        holder = self._holder
        return holder is not None and holder[0] == get_ident()

    def take(self) -> None:
        """Wait for the floor, and have it until `leave`, unless this thread has it already."""
        me = get_ident()
        holder = self._holder
        if holder is not None and holder[0] == me:
            return
        gate = self._gate
        passed = gate.passed
        if (not gate.is_owed and gate.lock.acquire(blocking=False)) or gate.enter_in_line():
            gate.passed += 1
            self._holder = (me, [gate])
        elif gate is self._gate and (gate.passed == passed or gate.head_since is None):
            # One thread had it all the time, so that thread hangs; or an interrupt kept a thread
            # from noting that it had it, or was the head of the line. Leave this gate behind.
            self._gate = _Gate()

    def leave(self) -> bool:
        """Let another thread have it; returns whether this thread had it."""
        holder = self._holder
        if holder is None or holder[0] != get_ident():
            return False
        try:
            gate = holder[1].pop()
        except IndexError:
            return True
        self._holder = None
        gate.lock.release()
        return True


class OpenFloor(Floor):
    """For what has no use for one: every thread has it."""

    def take(self) -> None:
        """Go ahead."""


OPEN: Final = OpenFloor()


def new_floor() -> Floor:
    """A floor for the threads of one process, if Python runs them one at a time."""
    return Floor() if has_gil() else OPEN
