"""Who of a process's loops has the floor: claiming and ending short jobs is too slow side by side.

It must not know what is done there.

A thread gives the interpreter away at every system call, and gets it back when another one comes to
its next call. Four threads at it, each with some twenty short calls a job, do half of what one
does: they wait for each other after every call, on processors that have forgotten them. So one at a
time does all that comes between two works, and goes on with the next job while that is worth it.

It is a courtesy, which nothing depends on. Who has waited for `TURN` is the next. Who has waited
for `PATIENCE` goes ahead. Whoever is about to wait for a disk, or for anybody else, leaves.
"""

from __future__ import annotations

import threading
import time
from threading import get_ident
from typing import Final

from semiont_jobs.forks import reset_in_child

TURN: Final = 0.002
"""Seconds that a thread goes on for while another one waits: some five short jobs. To hand over
costs about as much as half of one."""
PATIENCE: Final = 0.05
"""Seconds that a thread waits at most: for as many turns as there may be before its own, and not
for one that stands still."""


class _Gate:
    """What one thread at a time passes, and behind it a line of which one at a time is the head."""

    def __init__(self) -> None:
        self.lock: threading.Lock = threading.Lock()
        self.line: threading.Lock = threading.Lock()
        self.head_since: float | None = None
        """Since when the head of the line waits for the lock."""
        self.passed = 0
        """How often somebody had it."""

    @property
    def is_owed(self) -> bool:
        """Whether the head of the line is the next."""
        since = self.head_since
        return since is not None and time.monotonic() - since >= TURN

    def enter_in_line(self) -> bool:
        """Have the lock after those who were here before; False: not within one's patience."""
        if not self.line.acquire(timeout=PATIENCE):
            return False
        try:
            self.head_since = time.monotonic()
            return self.lock.acquire(timeout=PATIENCE)
        finally:
            self.head_since = None
            self.line.release()


class Floor:
    """One for all threads."""

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Nobody is there in a forked child."""
        self._gate = _Gate()
        self._holder: tuple[int, list[_Gate]] | None = None
        """Who has it, and the gate that is to be let go of, once: a signal's handler may come
        first."""

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
            # The same one all the time: it stands still, or an interrupt kept it from noting that
            # it was there. Or from noting that it was the head of the line. It is left behind.
            self._gate = _Gate()

    def leave(self) -> bool:
        """Let another thread have it; whether it was this one's."""
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
    """Of what has no use for one: everybody has it."""

    def take(self) -> None:
        """Go ahead."""


OPEN: Final = OpenFloor()
