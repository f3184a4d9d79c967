"""Moving house: every job of one place to another, exactly as it stands.

It must not know what the places are, nor how the move is told.

One job after the other, in steps of which each can be the last:

1. it is held, so that nobody works on it or changes it;
2. its document arrives at the target, durably, where nobody sees it, and is compared there;
3. it leaves the source, durably, which notes in the same step where it went;
4. the target admits it among its jobs, and the source forgets that it left.

So at every instant it stands in one place at least, and can be worked on in one at most. A move
that was broken off is finished by another of the same source and target: what arrived is admitted
if the source says that it left for there, and thrown away if it does not. That the source has the
job no more is no proof: it may have been worked on to its end and removed, or moved elsewhere. What
arrived from another source is left alone, since only that one can say.

One move into a place at a time has its turn there. No job depends on that (the server may end the
session that has it), but who is told so is better off than who finds jobs gone under his hands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from threading import Event
from typing import Any, Final, cast

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
    waiting: int = 0
    """Jobs that another source's move left halfway to the target: they wait for that move."""
    halfway: int = 0
    """Jobs that another move left halfway to the source, or from it to another target."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing stays behind."""
        return not self.running and not self.refused and not self.halfway

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
    :raises StoreError: one of the places refused; what was moved is moved, so call again. With
        ``EBUSY``: another transfer to the target is under way.
    """
    move = _Move(source, target, on_moved)
    with move.turn():
        return move.done(wait)


class _Move:
    def __init__(
        self, source: JobQueue, target: JobQueue, on_moved: Callable[[AnyJob], object]
    ) -> None:
        for side, queue in (("source", source), ("target", target)):
            if not isinstance(queue.store, Moving):
                rule = f"jobs of a {type(queue.store).__name__} cannot be moved"
                raise InvalidValue(rule, field=side, value=queue)
        self._source = source.initialize()
        self._target = target.initialize()
        self._from = cast("Any", source.store)
        self._to = cast("Any", target.store)
        self._on_moved = on_moved
        self._report = Report()
        self._source_id: str = self._from.identity()
        self._target_id: str = self._to.identity()

    def turn(self) -> AbstractContextManager[None]:
        """Within the block nobody else moves jobs to the target."""
        turn: AbstractContextManager[None] = self._to.turn()
        return turn

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
        self._report.waiting = len(self._to.arrived()) - len(self._arrived())
        self._report.halfway = (
            len(self._from.arrived()) + len(self._from.departed()) - len(self._departed())
        )
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
        self._to.arrive(job_id, data, self._source_id)
        if self._to.arrival(job_id, self._source_id) != data:
            self._to.dismiss(job_id, self._source_id)
            self._report.refused[job_id] = "the new place does not give it back as it is"
            return
        self._from.leave(hold, self._target_id)
        if self._admit(job_id):
            self._report.moved[job.status] += 1
            self._on_moved(job)

    def _admit(self, job_id: str) -> bool:
        """Have a job that left stand in the target; whether it does now and did not before."""
        is_new = True
        try:
            self._to.admit(job_id, self._source_id)
        except JobExists:
            if not self._was_admitted(job_id):
                # Nor is it forgotten: the arrival is the only copy that can be worked on.
                self._report.refused[job_id] = "it arrived, but a job of this id stands there"
                return False
            self._to.dismiss(job_id, self._source_id)
            is_new = False
        except (StoreError, JobNotFound):
            raise
        except SemiontJobsError as error:
            self._report.refused[job_id] = f"it arrived, but {error}"
            return False
        self._from.forget(job_id, self._target_id)
        return is_new

    def _was_admitted(self, job_id: str) -> bool:
        """Whether what stands in the target is what arrived, by a move that was broken off before
        it could tidy up; it may have been worked on since."""
        data = self._to.arrival(job_id, self._source_id)
        try:
            arrived = self._target.codec.decode(data, job_id=job_id)
            standing = self._to.get(job_id)
        except JobDecodeError:
            return False
        return standing is not None and _is_same_job(arrived, standing)

    def _stands_in_target(self, job_id: str) -> bool:
        try:
            return self._to.get(job_id) is not None
        except JobDecodeError:
            return True

    def _resume(self) -> None:
        """Finish, or undo, what a move before this one left in the middle."""
        # Before the arrivals: each had arrived before it departed.
        departed = self._departed()
        arrived = self._arrived()
        for job_id in departed:
            if job_id not in arrived:
                self._from.forget(job_id, self._target_id)  # it was admitted
            elif self._admit(job_id):
                self._report.resumed += 1
        for job_id in arrived:
            if job_id not in departed:
                self._undo(job_id)

    def _undo(self, job_id: str) -> None:
        """Throw away what arrived of a job that did not leave: while that is held it cannot."""
        try:
            hold = self._from.hold(job_id)
        except (JobHeld, JobDecodeError):
            return  # its turn comes, and the copy is replaced
        except JobNotFound:
            # It came to its end without us, unless somebody had it leave since we looked.
            if job_id not in self._departed():
                self._to.dismiss(job_id, self._source_id)
            return
        try:
            self._to.dismiss(job_id, self._source_id)
        finally:
            hold.let_go()

    def _arrived(self) -> set[str]:
        """What came from our source and is not admitted."""
        return {job_id for source, job_id in self._to.arrived() if source == self._source_id}

    def _departed(self) -> set[str]:
        """What left for our target and may not be admitted."""
        return {job_id for target, job_id in self._from.departed() if target == self._target_id}


def _is_same_job(one: AnyJob, other: AnyJob) -> bool:
    """Whether one of them is what became of the other: nothing changes these."""
    return (one.metadata.created, one.metadata.type, one.params) == (
        other.metadata.created,
        other.metadata.type,
        other.params,
    )


def _place_of(status: JobStatus) -> int:
    return ORDER.index(status) if status in ORDER else len(ORDER)
