"""Moving house: every job of one place to another, exactly as it stands.

It must not know what the places are, nor how the move is told.

One job after the other, in steps of which each can be the last:

1. it is held, so that nobody works on it or changes it;
2. its document arrives at the target, durably, where nobody sees it, and is compared there;
3. it leaves the source, durably;
4. the target admits it among its jobs.

So at every instant it stands in one place at least, and can be worked on in one at most. A move
that was broken off is finished by another: what arrived is admitted if its job has left the source
(between the third step and the fourth), and thrown away if it has not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from threading import Event
from typing import Any, Final

from attrs import define, field

from semiont_jobs import lifecycle
from semiont_jobs.errors import (
    InvalidValue,
    JobDecodeError,
    JobExists,
    JobHeld,
    JobNotFound,
    SemiontJobsError,
    StoreError,
)
from semiont_jobs.model import AnyJob, JobStatus, PendingJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.store import Hold, Moving

ORDER: Final[tuple[JobStatus, ...]] = ("pending", "complete", "failed", "cancelled")
"""What waits goes first: workers of the source find nothing more to do, and those of the target
begin."""
LOOK_AGAIN: Final = 0.2
"""Seconds between two looks whether running jobs have ended."""


@define
class Report:
    """What became of a move."""

    moved: dict[JobStatus, int] = field(factory=lambda: dict.fromkeys(ORDER, 0))
    """Jobs moved, by the status that they had."""
    resumed: int = 0
    """Of an earlier move that was broken off: jobs admitted now that had left already."""
    running: list[str] = field(factory=list)
    """Ids of those that stay, since somebody works on them still."""
    refused: dict[str, str] = field(factory=dict)
    """Ids of those that stay for another reason, and the reason."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing stays behind."""
        return not self.running and not self.refused

    @property
    def total(self) -> int:
        """How many jobs are in their new place."""
        return sum(self.moved.values()) + self.resumed


def transfer(
    source: JobQueue,
    target: JobQueue,
    *,
    wait: float = 0.0,
    on_moved: Callable[[AnyJob], object] = lambda _job: None,
) -> Report:
    """Move every job from one queue's store to another's, documents, ids and revisions as they
    are. Workers on both sides may go on.

    :param wait: seconds that jobs which somebody works on have to end; afterwards they stay.
    :raises InvalidValue: a store that cannot be moved from or to.
    :raises StoreError: one of the places refused; what was moved is moved, so call again.
    """
    return _Move(source, target, on_moved).done(wait)


class _Move:
    def __init__(
        self, source: JobQueue, target: JobQueue, on_moved: Callable[[AnyJob], object]
    ) -> None:
        for side, queue in (("source", source), ("target", target)):
            if not isinstance(queue.store, Moving):
                rule = f"jobs of a {type(queue.store).__name__} cannot be moved"
                raise InvalidValue(rule, field=side, value=queue)
        self._source = source.initialize()
        target.initialize()
        self._from: Any = source.store
        self._to: Any = target.store
        self._on_moved = on_moved
        self._report = Report()

    def done(self, wait: float) -> Report:
        """Go through all that stands in the source, until nothing does or the time is up."""
        self._resume()
        deadline = time.monotonic() + wait
        pause = Event()
        rounds = 0
        while True:
            rounds += 1
            self._move_all(self._standing(ORDER))
            self._source.rescue_orphans()
            left = self._standing((*ORDER, "running"))
            left = [
                (job_id, status) for job_id, status in left if job_id not in self._report.refused
            ]
            # Twice at least: what a worker gave back, or a rescue, is waiting now.
            if not left or (rounds > 1 and time.monotonic() >= deadline):
                break
            pause.wait(LOOK_AGAIN)
        for job_id, status in left:
            if status == "running":
                self._report.running.append(job_id)
            else:
                self._report.refused[job_id] = "it came, or somebody held it, meanwhile"
        return self._report

    def _standing(self, statuses: Iterable[JobStatus]) -> list[tuple[str, JobStatus]]:
        """Ids, in the order in which they are to go; not the jobs, which may be many."""
        found = [(job.metadata.id, job.status) for job in self._from.jobs(statuses)]
        return sorted(found, key=lambda one: (_place_of(one[1]), one[0]))

    def _move_all(self, found: list[tuple[str, JobStatus]]) -> None:
        for job_id, _status in found:
            if job_id in self._report.refused:
                continue
            try:
                hold = self._from.hold(job_id)
            except (JobHeld, JobNotFound):
                continue  # at work, or gone meanwhile: the next round tells
            except JobDecodeError as error:
                self._report.refused[job_id] = str(error)
                continue
            try:
                self._move(hold)
            finally:
                hold.let_go()

    def _move(self, hold: Hold) -> None:
        job = hold.job
        if job.status == "running":
            return  # nobody holds it: it is for the rescue
        if isinstance(job, PendingJob) and hold.cancel_requested():
            # Asked of a worker that died before it could obey.
            hold.move(lifecycle.cancel(job, self._source.clock()))
            return
        job_id = job.metadata.id
        if self._stands_in_target(job_id):
            self._report.refused[job_id] = "a job of this id stands in the new place already"
            return
        data = self._source.codec.encode(job, is_read=True)
        self._to.arrive(job_id, data)
        if self._to.arrival(job_id) != data:
            self._to.dismiss(job_id)
            self._report.refused[job_id] = "the new place does not give it back as it is"
            return
        self._from.leave(hold)
        self._to.admit(job_id)
        self._report.moved[job.status] += 1
        self._on_moved(job)

    def _stands_in_target(self, job_id: str) -> bool:
        try:
            return self._to.get(job_id) is not None
        except JobDecodeError:
            return True

    def _resume(self) -> None:
        """Finish, or undo, what a move before this one left in the middle."""
        for job_id in self._to.arrived():
            if self._from.get(job_id) is not None:
                self._to.dismiss(job_id)
                continue
            try:
                self._to.admit(job_id)
            except JobExists:
                # Admitted by that move, which was broken off before it could tidy up.
                self._to.dismiss(job_id)
                continue
            except (StoreError, JobNotFound):
                raise
            except SemiontJobsError as error:
                self._report.refused[job_id] = f"it arrived, but {error}"
                continue
            self._report.resumed += 1


def _place_of(status: JobStatus) -> int:
    return ORDER.index(status) if status in ORDER else len(ORDER)
