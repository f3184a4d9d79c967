"""One place for a child process in a pool: the process that has it, and how the last ones ended.

It must not know the other places, nor why a pool leaves.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import time
from collections.abc import Iterator, MutableSequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from attrs import evolve

from semiont_jobs.events import logger
from semiont_jobs.pool.child import Assignment, Told, serve
from semiont_jobs.pool.crew import Reason
from semiont_jobs.pool.echo import levels_here
from semiont_jobs.retry import error_pace

SETTLED: Final = 60.0
"""Seconds. A process that lived longer did not die of how it begins: the count starts anew."""
LOOP: Final = 5
"""Deaths in a row that are called a crash loop: one more than a single job can cause that kills
its workers, before it is given up."""
FIRST_PAUSE: Final = 0.1
"""Seconds until a process is started again that died; doubled each time it dies again."""
LONGEST_PAUSE: Final = 30.0
"""Seconds: a process that cannot live costs next to nothing then, and is back soon after whatever
kept it from living is mended."""
FAREWELL: Final = 10.0
"""Seconds that a process has to end after its last word, or after its jobs should have been given
back: it writes a few outcomes. Then it is killed, so that a pool always ends."""

# A fresh interpreter: a fork of a process with threads has their locks, and not the threads.
_CONTEXT: Final = multiprocessing.get_context("spawn")


class Slot:
    """Starts a process, starts the next when it has ended, and paces that."""

    def __init__(self, number: int, assignment: Assignment) -> None:
        self.name: str = f"process {number + 1}"
        self.is_wanted: bool = True
        """Whether its process is to be replaced when it ends."""
        self.deaths: int = 0
        """How many processes in a row died within a minute."""
        self.in_hand: int = 0
        """How many jobs its process may have in hand: as many as it told of last, and at least one
        once it takes any."""
        self.is_ready: bool = False
        """Whether its process has begun to work."""
        self.unready_deaths: int = 0
        """How many in a row died before they had."""
        self.left: Reason | None = None
        """Why its process leaves, once it has told so."""
        self.left_at: float | None = None
        self.process: BaseProcess | None = None
        self.pipe: Connection[Any, Any] | None = None
        self._assignment = assignment
        self._pace = error_pace(LONGEST_PAUSE, first=FIRST_PAUSE)
        self._limits: MutableSequence[float] = []
        self._started_at = 0.0
        self._next_at = 0.0

    @property
    def is_looping(self) -> bool:
        """Whether its processes die again and again."""
        return self.deaths >= LOOP

    def is_due(self, now: float) -> bool:
        """Whether a process is to be started here."""
        return self.is_wanted and self.process is None and now >= self._next_at

    def start(self) -> None:
        """Start a process; one that cannot be started counts as one that died."""
        self.left, self.left_at, self.is_ready, self.in_hand = None, None, False, 0
        self._started_at = time.monotonic()
        ends: list[Any] = []
        try:
            self._limits = _CONTEXT.RawArray("d", self._assignment.orders.threads)
            ends += _CONTEXT.Pipe()
            ours, theirs = ends
            # Not a daemon: its jobs may start processes of their own.
            process = _CONTEXT.Process(
                target=serve,
                args=(evolve(self._assignment, levels=levels_here()), theirs, self._limits),
                name=f"semiont-jobs {self.name}",
                daemon=False,
            )
            process.start()
        except Exception:  # noqa: BLE001 - the system has no more processes or descriptors, say
            logger.exception("%s cannot be started", self.name)
            for end in ends:
                end.close()
            self._died()
        else:
            self.process, self.pipe = process, ours
            theirs.close()

    def tell(self, message: Told) -> None:
        """Tell the process something, if there is one."""
        if self.pipe is not None:
            try:
                self.pipe.send(message)
            except OSError:
                logger.debug("%s is gone: %s is not told", self.name, message)

    def messages(self, most: int) -> Iterator[tuple[Any, ...]]:
        """What the process has told since; so many at most, for it may go on and on."""
        for _ in range(most):
            if self.pipe is None:
                return
            try:
                if not self.pipe.poll():
                    return
                told = self.pipe.recv_bytes()
            except (EOFError, OSError):
                self._hang_up()
                return
            try:
                message: tuple[Any, ...] = pickle.loads(told)
            except Exception as error:  # noqa: BLE001 - what is made again there is an application's
                kind = type(error).__name__
                logger.warning("%s told what cannot be read: %s: %s", self.name, kind, error)
                continue
            yield message

    def overdue(self, now: float) -> str | None:
        """Why the process is to be killed, if it is."""
        if self.left_at is not None and now > self.left_at + FAREWELL:
            return "has told that it leaves, and stays"
        if any(limit and now > limit for limit in self._limits):
            # So far beyond it that no thread of the process can have run since.
            return "did not see its job's time limit pass"
        return None

    def note_left(self, reason: Reason) -> None:
        """The process told that it leaves."""
        self.left, self.left_at = reason, time.monotonic()
        self.is_wanted = self.is_wanted and reason != "drained"

    def kill(self) -> None:
        """End the process as the kernel does it: its locks fall, its jobs are rescued."""
        if self.process is not None:
            self.process.kill()

    def bury(self) -> str | None:
        """Clear up after a process that has ended; how it died, or None if it told that it
        leaves."""
        process, self.process = self.process, None
        assert process is not None
        process.join()
        code = process.exitcode or 0
        process.close()
        self._hang_up()
        self._limits = []
        if self.left is not None:
            self.deaths = 0
            self.unready_deaths = 0
            self._next_at = 0.0
            return None
        self._died()
        return _ending(code)

    def _hang_up(self) -> None:
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def _died(self) -> None:
        now = time.monotonic()
        self.deaths = 1 if now - self._started_at >= SETTLED else self.deaths + 1
        self.unready_deaths = 0 if self.is_ready else self.unready_deaths + 1
        self._next_at = now + self._pace(self.deaths)


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
