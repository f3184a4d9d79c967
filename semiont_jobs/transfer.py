"""Moving every job of one place to another, exactly as it is.

It must not know what the places are, nor how the move is reported.

Jobs move one after the other, in steps of which each can be the last:

1. The job is held, so that no worker runs it and nothing changes it.
2. Its JSON arrives at the target, durably, where no reader sees it, and is compared there.
3. It leaves the source, durably; the source records in the same step where it went.
4. The target admits it among its jobs, and the source forgets that it left.

So at every instant it exists in at least one place, and can be worked on in at most one. If a move
was broken off, another one of the same source and target finishes it: what arrived is admitted if
the source has a record that it left for there, and discarded if not. A job that is missing from the
source proves nothing: it may have been finished and removed, or moved elsewhere. What arrived from
another source is left alone, because only that source can decide.

One move into a place at a time has its turn there. No job depends on that (the server may end the
session that has it), but a second user then gets an error instead of finding jobs gone.
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
"""Pending jobs go first: then the source's workers find nothing more to do, and those of the target
begin."""
LOOK_AGAIN: Final = 0.2
"""Seconds between two checks whether running jobs have ended."""


@define
class Report:
    """The result of a move."""

    moved: dict[JobStatus, int] = field(factory=lambda: dict.fromkeys(ORDER, 0))
    """Jobs moved, by the status that they had."""
    resumed: int = 0
    """Jobs that had left in an earlier move, which was broken off, and are admitted now."""
    running: list[str] = field(factory=list)
    """Ids of those that stay because they still run."""
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
    """Move every job from one queue's store to another's, with JSON, id and revision unchanged.

    Workers on both sides may go on.

    :param wait: seconds that running jobs have to end; afterwards they stay.
    :raises InvalidValue: a store that cannot be moved from or to.
    :raises StoreError: one of the places refused; what was moved stays moved, so call again. With
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
        """Within the block no other move to the target runs."""
        turn: AbstractContextManager[None] = self._to.turn()
        return turn

    def done(self, wait: float) -> Report:
        """Move all jobs of the source, until none is left or the time is up."""
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
            # Twice at least: a job that was released or rescued is pending now.
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
        """Ids, in the order in which they are to move; not the jobs, which may be many."""
        found = [(job.metadata.id, job.status) for job in self._from.jobs(statuses)]
        return sorted(found, key=lambda one: (_place_of(one[1]), one[0]))

    def _move_all(self, found: list[tuple[str, JobStatus]]) -> None:
        for job_id, _status in found:
            if job_id in self._report.refused:
                continue
            try:
                hold = self._from.hold(job_id)
            except (JobHeld, JobNotFound):
                continue  # running, or gone meanwhile: the next round shows
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
            return  # its worker is gone: it is for the rescue
        if isinstance(job, PendingJob) and hold.cancel_requested():
            # Requested while it ran: its worker died before it could obey.
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
        """Make the target admit a job that left; whether it is there now and was not before."""
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
        """Whether the target's job is what arrived. The move was broken off before it could clean
        up, and the job may have been worked on since."""
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
        """Finish, or undo, what an earlier move left in the middle."""
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
        """Discard what arrived of a job that did not leave: while we hold it, it cannot."""
        try:
            hold = self._from.hold(job_id)
        except (JobHeld, JobDecodeError):
            return  # it moves later, and the copy is replaced
        except JobNotFound:
            # It was finished and removed, unless another move made it leave since we looked.
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
    """Whether one job became the other: no transition changes these."""
    return (one.metadata.created, one.metadata.type, one.params) == (
        other.metadata.created,
        other.metadata.type,
        other.params,
    )


def _place_of(status: JobStatus) -> int:
    return ORDER.index(status) if status in ORDER else len(ORDER)
