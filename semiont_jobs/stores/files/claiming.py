"""Claiming: from the next job in the index to a running job that is held.

It must not know how the index is kept. Every decision is made again from the locked file.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeAlias

from semiont_jobs import lifecycle
from semiont_jobs.codec import Turn
from semiont_jobs.errors import ClaimLost, InvalidJob, JobEncodeError
from semiont_jobs.events import Event, Hook
from semiont_jobs.model import ClaimStamp, PendingJob, RunningJob
from semiont_jobs.store import Accept, Wanted
from semiont_jobs.stores.files.copies import BUSY, Bad, Copies, Copy
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.index import Entry
from semiont_jobs.stores.files.markers import Markers
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.pending import Pending
from semiont_jobs.stores.files.taking import Taking

Publish: TypeAlias = Callable[[FileHold, RunningJob[Any, Any]], None]


class Claiming:
    """Claims jobs of one data directory."""

    def __init__(
        self, moves: Moves, markers: Markers, pending: Pending, taking: Taking, notify: Hook
    ) -> None:
        self._copies: Copies = moves.copies
        self._moves = moves
        self._markers = markers
        self._pending = pending
        self._taking = taking
        self._notify = notify

    def claim(
        self,
        wanted: Wanted,
        stamp: ClaimStamp,
        now: datetime,
        publish: Publish = FileHold.move,
    ) -> FileHold | None:
        """See `JobStore.claim`.

        :param publish: stores the job that is claimed.
        """
        try:
            return self._claim_next(wanted, stamp, now, publish)
        except BaseException as error:
            self._start_over_after(error)
            raise

    def _start_over_after(self, error: BaseException) -> None:
        if not isinstance(error, Exception):  # an interrupt, which may have come anywhere
            self._pending.start_over()

    def _claim_next(
        self, wanted: Wanted, stamp: ClaimStamp, now: datetime, publish: Publish
    ) -> FileHold | None:
        at = now.timestamp()
        while (entry := self._pending.take(wanted, at)) is not None:
            hold = None
            try:
                hold = self._claim(entry, wanted, stamp, now, publish)
            finally:
                if hold is None:
                    # Whatever went wrong: otherwise no thread here would offer the job again.
                    self._pending.index.give_back(entry, wanted)
            if hold is not None:
                return hold
        return None

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        """See `JobStore.peek`."""
        try:
            return self._peek(wanted, now)
        except BaseException as error:
            self._start_over_after(error)
            raise

    def _peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        at = now.timestamp()
        while (entry := self._pending.take(wanted, at)) is not None:
            try:
                copy = self._copies.read("pending", entry.id)
                job = self._checked(entry, copy, wanted, now)
                if job is not None and self._markers.stands_for(job):
                    # A claim would cancel it; a peek changes nothing.
                    self._pending.postpone(entry, at)
                    job = None
            finally:
                self._pending.index.give_back(entry, wanted)
            if job is not None:
                return job
        return None

    def _claim(
        self,
        entry: Entry,
        wanted: Wanted,
        stamp: ClaimStamp,
        now: datetime,
        publish: Publish,
    ) -> FileHold | None:
        """Claim the job of an entry, or report to the index why not.

        Every decision is made again from the locked file.
        """
        index = self._pending.index
        held = self._copies.hold_at("pending", entry.id)
        if held is None:
            index.forget(entry.id)
            # No claimer has lost a job that was cancelled.
            if not self._copies.disk.exists(self._copies.layout.path("cancelled", entry.id)):
                index.tried(lost=True)
            return None
        if isinstance(held, Bad):
            self._pending.unopenable(entry, held)
            return None
        if held == BUSY:
            self._pending.postpone(entry, now.timestamp())
            index.tried(lost=True)
            return None
        hold = None
        try:
            index.tried(lost=False)
            copy = self._copies.read_held(held, "pending", entry.id)
            job = self._checked(entry, copy, wanted, now)
            if job is None:
                return None
            settled = self._moves.settle(entry.id, "pending", held, copy)
            if settled == "busy":
                self._pending.postpone(entry, now.timestamp())
            elif settled == "gone":
                index.forget(entry.id)
            else:
                hold = self._taking.held(held, job)
        finally:
            if hold is None:
                self._copies.close(held)
        return None if hold is None else self._begin(hold, job, stamp, now, publish)

    def _begin(
        self,
        hold: FileHold,
        job: PendingJob[Any],
        stamp: ClaimStamp,
        now: datetime,
        publish: Publish,
    ) -> FileHold | None:
        job_id = job.metadata.id
        try:
            if not hold.cancel_requested():
                publish(hold, lifecycle.claim(job, stamp, now))
                self._pending.index.forget(job_id)
                return hold
            # The worker that was asked to stop died before it could obey (C12).
            cancelled = lifecycle.cancel(job, now)
            hold.move(cancelled)
        except ClaimLost:  # the store was closed meanwhile
            hold.let_go()
            return None
        except (InvalidJob, JobEncodeError) as error:
            # It can be read, but with what a claim adds it is too large to be written. No claimer
            # could ever take it, and it must not block the jobs behind it.
            try:
                self._moves.set_aside(self._copies.layout.path("pending", job_id), str(error))
            finally:
                hold.let_go()
            self._pending.index.forget(job_id)
            return None
        except BaseException:
            if hold.job.status == "running":  # an interrupt came after the claim, not a crash
                with suppress(Exception):
                    hold.move(lifecycle.release(hold.job))
            hold.let_go()
            raise
        self._pending.index.forget(job_id)
        self._notify(Event(name="cancelled", at=now, job_id=job_id, job=cancelled))
        return None

    def _checked(
        self, entry: Entry, copy: Copy | Bad | None, wanted: Wanted, now: datetime
    ) -> PendingJob[Any] | None:
        """The job, if it is due and wanted; else None, and the index is corrected."""
        index = self._pending.index
        if copy is None:
            index.forget(entry.id)
            return None
        if isinstance(copy, Bad) or not isinstance(copy.job, PendingJob):
            self._pending.unreadable(entry)
            return None
        job = copy.job
        metadata = job.metadata
        if not metadata.is_due(now) or not wanted.covers(metadata.type, metadata.queue):
            self._pending.learn(Turn.of(metadata), copy.found, now.timestamp())
        elif not self._is_accepted(job, wanted.accept):
            index.refused(entry)
        else:
            return job
        return None

    def _is_accepted(self, job: PendingJob[Any], accept: Accept | None) -> bool:
        if accept is None:
            return True
        self._copies.disk.floor.leave()  # the callback may take long
        return accept(job)
