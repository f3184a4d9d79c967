"""One place for a child process in a pool: its process, and how the earlier ones ended.

It must not know the other places, nor why a pool leaves.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Iterator, MutableSequence
from contextlib import closing
from multiprocessing.process import BaseProcess
from typing import Any, Final

from attrs import evolve

from semiont_jobs.events import logger
from semiont_jobs.pool.child import Assignment, Told, serve
from semiont_jobs.pool.crew import Reason
from semiont_jobs.pool.echo import levels_here
from semiont_jobs.pool.parcel import Parcel
from semiont_jobs.pool.watch import LAST_WORDS
from semiont_jobs.pool.wire import Wire
from semiont_jobs.retry import error_pace

SETTLED: Final = 60.0
"""Seconds. A process that lived longer did not die because of how it begins: the count starts
again."""
LOOP: Final = 5
"""Deaths in a row that count as a crash loop: one more than a single job that kills its workers can
cause before it fails."""
FIRST_PAUSE: Final = 0.1
"""Seconds until a process that died is started again; doubled each time it dies again."""
LONGEST_PAUSE: Final = 30.0
"""Seconds: then a process that cannot live costs almost nothing, and is back soon after the cause
is mended."""
FAREWELL: Final = 10.0
"""Seconds that a process has to end after its last message, or after its jobs should have been
released: it writes a few outcomes. Then it is killed, so that a pool always ends."""

# A fresh interpreter: a fork of a process with threads has their locks, but not the threads.
_CONTEXT: Final = multiprocessing.get_context("spawn")


class Slot:
    """Starts a process, starts the next one when it has ended, and paces that."""

    def __init__(self, number: int, assignment: Assignment) -> None:
        self.name: str = f"process {number + 1}"
        self.is_wanted: bool = True
        """Whether its process is to be replaced when it ends."""
        self.deaths: int = 0
        """How many processes in a row died within a minute."""
        self.in_hand: int = 0
        """How many running jobs its process may have: as many as it reported last, and at least one
        once it takes any."""
        self.is_ready: bool = False
        """Whether its process has begun to work."""
        self.unready_deaths: int = 0
        """How many processes in a row died before they began to work."""
        self.left: Reason | None = None
        """Why its process leaves, once it has reported that."""
        self.process: BaseProcess | None = None
        self.wire: Wire | None = None
        self._assignment = assignment
        self._pace = error_pace(LONGEST_PAUSE, first=FIRST_PAUSE)
        self._limits: MutableSequence[float] = []
        self._kill_at = float("inf")
        self._is_killed = False
        self._started_at = 0.0
        self._next_at = 0.0

    @property
    def is_looping(self) -> bool:
        """Whether its processes die again and again."""
        return self.deaths >= LOOP

    def is_due(self, now: float) -> bool:
        """Whether a process is to be started here now."""
        return self.is_wanted and self.process is None and now >= self._next_at

    def start(self) -> None:
        """Start a process; one that cannot be started counts as dead."""
        self.left, self.is_ready, self.in_hand = None, False, 0
        self._kill_at, self._is_killed = float("inf"), False
        self._started_at = time.monotonic()
        ends: list[Any] = []
        try:
            self._limits = _CONTEXT.RawArray("d", self._assignment.orders.threads)
            ends += _CONTEXT.Pipe()
            ours, theirs = ends
            wire = Wire(ours)
            with closing(Parcel(evolve(self._assignment, levels=levels_here()))) as parcel:
                # Not a daemon: its jobs may start processes of their own.
                process = _CONTEXT.Process(
                    target=serve,
                    args=(parcel, theirs, self._limits),
                    name=f"semiont-jobs {self.name}",
                    daemon=False,
                )
                process.start()
        except Exception:  # noqa: BLE001 - such as no more processes or descriptors
            logger.exception("%s cannot be started", self.name)
            for end in ends:
                end.close()
            self._died()
        else:
            self.process, self.wire = process, wire
            theirs.close()

    def tell(self, message: Told) -> None:
        """Send the process a message, if there is a process."""
        if self.wire is not None:
            try:
                self.wire.send(message)
            except OSError as error:
                # If it only stands still, it is killed in the end.
                logger.debug("%s is not told %s: %s", self.name, message, error)

    @property
    def has_message(self) -> bool:
        """Whether a message was read that `messages` has not given yet."""
        return self.wire is not None and self.wire.has_message

    def messages(self, most: int) -> Iterator[tuple[Any, ...]]:
        """The messages that the process has sent since; at most so many, since it may never stop
        sending. One that has not arrived in full is not waited for."""
        for _ in range(most):
            if self.wire is None:
                return
            try:
                told = self.wire.take()
                if told is None:
                    if not self.wire.read():
                        return
                    continue
            except (EOFError, OSError):
                self._hang_up()
                return
            except ValueError as error:
                logger.error(
                    "%s told what cannot be read, and is heard no more: %s", self.name, error
                )
                self._hang_up()
                return
            try:
                message: tuple[Any, ...] = pickle.loads(told)
            except Exception as error:  # noqa: BLE001 - unpickling runs code of the application
                kind = type(error).__name__
                logger.warning("%s told what cannot be read: %s: %s", self.name, kind, error)
                continue
            yield message

    def overdue(self, now: float) -> str | None:
        """Why the process is to be killed; None: it is not."""
        if self._is_killed:
            return None  # it may take a while to end, if the kernel does not let go of it
        if now > self._kill_at:
            return "has told that it leaves, and stays" if self.left else "is not heard, and stays"
        if any(limit and now > limit for limit in self._limits):
            # So late that no thread of the process can have run since.
            return "did not see its job's time limit pass"
        return None

    def note_left(self, reason: Reason) -> None:
        """Note that the process has reported that it leaves."""
        self.left, self._kill_at = reason, time.monotonic() + FAREWELL
        self.is_wanted = self.is_wanted and reason != "drained"

    @property
    def has_ended(self) -> bool:
        """Whether there was a process, and it has ended."""
        process = self.process
        return process is not None and (not process.is_alive() or not _is_there(process.pid or 0))

    def kill(self) -> None:
        """End the process with SIGKILL: its locks are released, its jobs are rescued."""
        if self.process is not None:
            self.process.kill()
            self._is_killed = True

    def bury(self) -> str | None:
        """Clear up after a process that has ended.

        :returns: how it died; None if it had reported that it leaves.
        """
        process, self.process = self.process, None
        assert process is not None
        is_lost = process.is_alive()
        if is_lost:
            # Otherwise it could not be closed, and would keep its descriptors.
            process._popen.returncode = 0  # type: ignore[attr-defined]  # noqa: SLF001
        process.join()
        code = None if is_lost else process.exitcode
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
        if self.wire is not None:
            self.wire.close()
            self.wire = None
            # By itself it leaves as after a SIGTERM, but it could not report that.
            grace = self._assignment.orders.grace
            self._kill_at = min(self._kill_at, time.monotonic() + grace + LAST_WORDS + FAREWELL)

    def _died(self) -> None:
        now = time.monotonic()
        self.deaths = 1 if now - self._started_at >= SETTLED else self.deaths + 1
        self.unready_deaths = 0 if self.is_ready else self.unready_deaths + 1
        self._next_at = now + self._pace(self.deaths)


def _is_there(pid: int) -> bool:
    """Whether there is such a process, also one whose end nobody has asked for yet.

    If this program ignores SIGCHLD, or other code in it waits for any process, ``is_alive`` never
    learns of the end.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it has become another user's
    return True


def _ending(code: int | None) -> str:
    if code is None:
        return "exit code lost: this program ignores SIGCHLD, or waits for any process"
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
