"""One thread of a crew: its workers, the job it has in hand, and whether it is still wanted.

It must not know what the thread does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from types import FrameType, TracebackType

from attrs import frozen

from semiont_jobs.claim import AnyClaim
from semiont_jobs.claimer import Claimer
from semiont_jobs.pool.routing import Shift
from semiont_jobs.threads import frame_of
from semiont_jobs.worker import JobWorker


@frozen
class Task:
    """A job in a hand, and when its work counts as stuck: one value, so that nobody who reads it
    takes the time of one job for another's."""

    claim: AnyClaim
    stuck_at: float | None
    """By the monotonic clock; None: never."""


class Hand:
    """Its thread writes it, the crew's watch reads it."""

    def __init__(self, number: int, own: Sequence[JobWorker]) -> None:
        self.number = number
        """Its place in the crew, from 0; who replaces it takes it over."""
        self._own = own
        self.shift: Shift
        self.workers: Sequence[JobWorker] = own
        """Its own, and those of the guests of its shift."""
        self.names: Mapping[int, str] = {}
        self.claimer: Claimer | None = None
        """None: nobody is there."""
        self.thread: threading.Thread
        self.task: Task | None = None
        self.chosen: JobWorker | None = None
        """Which worker the job that was offered last is for."""
        self.is_dismissed = False
        """Another thread has its place; whatever it does still, it claims no more."""
        self.has_ended = False
        """Its thread has come to an end."""
        self.error: BaseException | None = None
        """What ended its thread before its time."""

    def join(self, shift: Shift, guests: Iterable[JobWorker]) -> None:
        """Work for that shift from now on, with these workers besides its own."""
        # First: a run that is not of the new shift takes this hand's jobs for ended from then on.
        self.end_claiming()
        self.workers = (*self._own, *guests)
        # Asked for once: in the midst of a claim is no place for the workers' own code.
        self.names = {id(worker): worker.get_worker_name() for worker in self.workers}
        self.shift = shift

    def claim_with(self, claimer: Claimer) -> None:
        """Claim with that from now on."""
        self.claimer = claimer

    def end_claiming(self) -> None:
        """Claim no more, and wait for the disk. From any thread."""
        if self.claimer is not None:
            self.claimer.end()

    def take_up(self, claim: AnyClaim, stuck_after: float) -> None:
        """Begin work on a job, which counts as stuck that long after its time limit."""
        seconds = claim.timeout
        at = None if seconds is None else time.monotonic() + seconds + stuck_after
        self.task = Task(claim, at)

    def stuck_task(self, now: float) -> Task | None:
        """The task whose work has ignored its time limit for too long, if it has."""
        task = self.task
        if task is None or task.stuck_at is None or now < task.stuck_at:
            return None
        return task

    def where(self) -> TracebackType | None:
        """Where its thread stands at this moment, as the traceback of an exception."""
        frame = frame_of(self.thread)
        return None if frame is None else _traceback_of(frame)


def _traceback_of(innermost: FrameType) -> TracebackType | None:
    """The traceback that an exception raised there would have."""
    found: TracebackType | None = None
    frame: FrameType | None = innermost
    while frame is not None:
        found = TracebackType(found, frame, frame.f_lasti, frame.f_lineno or 0)
        frame = frame.f_back
    return found
