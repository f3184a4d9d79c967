"""One thread of a crew: its workers, its running job, and whether it is still wanted.

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
    """A hand's running job, and when it counts as stuck: one value, so that no reader takes the
    time of one job for that of another."""

    claim: AnyClaim
    stuck_at: float | None
    """By the monotonic clock; None: never."""


class Hand:
    """One thread's state: the thread writes it, the crew's watch reads it."""

    def __init__(self, number: int, own: Sequence[JobWorker]) -> None:
        self.number = number
        """Its place in the crew, from 0; its replacement gets the same."""
        self._own = own
        self.shift: Shift
        self.workers: Sequence[JobWorker] = own
        """Its own workers, and those of the guests of its shift."""
        self.names: Mapping[int, str] = {}
        self.claimer: Claimer | None = None
        """None: the hand has no thread."""
        self.thread: threading.Thread
        self.task: Task | None = None
        self.chosen: JobWorker | None = None
        """The worker chosen for the job that was offered last."""
        self.is_dismissed = False
        """Another thread has its place; whatever its thread still does, it claims no more."""
        self.has_ended = False
        """Whether its thread has ended."""
        self.error: BaseException | None = None
        """The error that ended its thread early."""

    def join(self, shift: Shift, guests: Iterable[JobWorker]) -> None:
        """Join a shift, with these workers besides its own."""
        # First: from then on, a run that is not in the new shift assumes that this hand has none of
        # its jobs.
        self.end_claiming()
        self.workers = (*self._own, *guests)
        # Asked for once: the workers' own code must not run in the middle of a claim.
        self.names = {id(worker): worker.get_worker_name() for worker in self.workers}
        self.shift = shift

    def claim_with(self, claimer: Claimer) -> None:
        """Use this claimer from now on."""
        self.claimer = claimer

    def end_claiming(self) -> None:
        """Claim no more, and wait for the disk. Any thread may call this."""
        if self.claimer is not None:
            self.claimer.end()

    def take_up(self, claim: AnyClaim, stuck_after: float) -> Task:
        """Begin a job, which counts as stuck `stuck_after` seconds after its time limit."""
        seconds = claim.timeout
        at = None if seconds is None else time.monotonic() + seconds + stuck_after
        task = self.task = Task(claim, at)
        return task

    def stuck_task(self, now: float) -> Task | None:
        """The task if its code has ignored the time limit for too long, else None."""
        task = self.task
        if task is None or task.stuck_at is None or now < task.stuck_at:
            return None
        if self.waits_for_disk:
            return None  # its code has ended
        return task

    @property
    def waits_for_disk(self) -> bool:
        """Whether its job has its outcome, and the disk refuses it."""
        task = self.task
        return task is not None and task.claim.waits_for_disk

    def where(self) -> TracebackType | None:
        """Where its thread is at this moment, as the traceback of an exception."""
        frame = frame_of(self.thread)
        return None if frame is None else _traceback_of(frame)


def _traceback_of(innermost: FrameType) -> TracebackType | None:
    """The traceback of an exception raised at that frame."""
    found: TracebackType | None = None
    frame: FrameType | None = innermost
    while frame is not None:
        found = TracebackType(found, frame, frame.f_lasti, frame.f_lineno or 0)
        frame = frame.f_back
    return found
