"""Upkeep: the jobs of dead workers, and the removal of finished jobs.

It must not know what becomes of an orphan, or how long finished jobs are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from attrs import frozen

from semiont_jobs.errors import ClaimLost, JobDecodeError, JobHeld
from semiont_jobs.model import FINISHED, AnyJob, JobStatus, PendingJob, RunningJob
from semiont_jobs.stores.files.copies import BUSY, ODD_NAME, Bad, Copies, Copy
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.layout import SUFFIX, check_folder, id_of
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.quarantine import Quarantine
from semiont_jobs.stores.files.removals import Removals
from semiont_jobs.stores.files.taking import Taking

REMOVED_AT_ONCE: Final = 64
"""Jobs whose files are held together while finished ones are removed: far below the limit of 256
open files that some systems give a process."""


@frozen
class Spent:
    """Which finished jobs are removed."""

    before: datetime
    type_name: str | None

    def covers(self, job: AnyJob) -> bool:
        """Whether a job is one of them."""
        if isinstance(job, PendingJob | RunningJob) or job.completed_at >= self.before:
            return False
        return self.type_name is None or job.metadata.type == self.type_name


ANY: Final = Spent(datetime.max.replace(tzinfo=UTC), None)
"""Every finished job."""


class Upkeep:
    """Looks after one data directory."""

    def __init__(
        self,
        moves: Moves,
        taking: Taking,
        quarantine: Quarantine,
        removals: Removals,
    ) -> None:
        self._copies: Copies = moves.copies
        self._disk = moves.disk
        self._layout = moves.layout
        self._moves = moves
        self._taking = taking
        self._quarantine = quarantine
        self._removals = removals

    # -- invalid files -------------------------------------------------------------------

    def note_odd_names(self) -> None:
        """Set aside what is in the finished folders under a name that is not a job's.

        No worker meets it there, and the TypeScript package stops at the first one.
        """
        for status in FINISHED:
            for name in self._names(status):
                if id_of(name) is None:
                    self._quarantine.put_if_bad(status, name, ODD_NAME)

    def set_aside_suspects(self) -> None:
        """Move to quarantine what readers, which change nothing, have met."""
        for path in self._copies.suspects():
            status, name = self._layout.place(path)
            job_id = id_of(name)
            copy = ODD_NAME if job_id is None else self._copies.read(status, job_id)
            if isinstance(copy, Bad):
                self._quarantine.put_if_bad(status, name, copy)
            else:
                self._copies.forget_suspect(path)

    def _names(self, status: JobStatus) -> list[str]:
        folder = self._layout.folders[status]
        check_folder(self._layout, self._disk, folder)
        return self._disk.names(folder)

    # -- upkeep --------------------------------------------------------------------------

    def orphans(self, now: datetime, foreign_stale_after: timedelta) -> Iterator[FileHold]:
        """See `JobStore.orphans`. The proof is that the lock of a running file can be taken."""
        refused: OSError | None = None
        for name in self._names("running"):
            job_id = id_of(name)
            hold = None
            try:
                if job_id is None:
                    self._quarantine.put_if_bad("running", name, ODD_NAME)
                elif self._taking.holds.get(job_id) is None:
                    hold = self._orphan(job_id, now, foreign_stale_after)
            except OSError as error:
                # One file that the disk refuses must not keep the others from rescue.
                refused = refused or error
            if hold is not None:
                yield hold
        if refused is not None:
            raise refused

    def _orphan(
        self, job_id: str, now: datetime, foreign_stale_after: timedelta
    ) -> FileHold | None:
        held = self._copies.hold_at("running", job_id)
        if held is None or held == BUSY:
            return None
        if isinstance(held, Bad):
            self._quarantine.put_if_bad("running", f"{job_id}{SUFFIX}", held)
            return None
        hold = None
        try:
            copy = self._copies.read_held(held, "running", job_id)
            if self._moves.settle(job_id, "running", held, copy) != "stays":
                return None
            if isinstance(copy, Copy) and not _is_foreign(copy, now, foreign_stale_after):
                hold = self._taking.held(held, copy.job)
        finally:
            if hold is None:
                self._copies.close(held)
        if isinstance(copy, Bad):
            self._quarantine.put_if_bad("running", f"{job_id}{SUFFIX}", copy)
        return hold

    def remove(
        self,
        statuses: Iterable[JobStatus],
        before: datetime,
        removed: Callable[[AnyJob], object],
        type_name: str | None = None,
    ) -> None:
        """See `JobStore.remove`."""
        for status in statuses:
            names = iter(self._names(status))
            while some := list(islice(names, REMOVED_AT_ONCE)):
                self._remove_some(status, some, Spent(before, type_name), removed)

    def remove_one(self, job_id: str) -> AnyJob | None:
        """See `JobStore.remove_one`."""
        for status in FINISHED:
            check_folder(self._layout, self._disk, self._layout.folders[status])
            gone: list[AnyJob] = []
            self._remove_some(status, [f"{job_id}{SUFFIX}"], ANY, gone.append)
            if gone:
                return gone[0]
        return None

    def _remove_some(
        self,
        status: JobStatus,
        names: list[str],
        spent: Spent,
        removed: Callable[[AnyJob], object],
    ) -> None:
        holds: list[FileHold] = []
        gone: list[AnyJob] = []
        try:
            for name in names:
                hold = self._hold_spent(status, name, spent)
                if hold is not None:
                    holds.append(hold)
            if holds:
                try:
                    self._removals.prepare(holds)
                except ClaimLost:
                    return  # the store was closed in between
            try:
                for hold in holds:
                    if _remove(hold):
                        gone.append(hold.job)
            finally:
                if gone:
                    # They are reported as removed and must stay so: a job that came back would win
                    # against a new one of its id.
                    self._moves.secure_folder(status)
                    for job in gone:
                        removed(job)
        finally:
            for hold in holds:
                hold.let_go()

    def remove_held(self, hold: FileHold, target: str) -> None:
        """Move a held job's file to `target`, which is nowhere among the jobs; the hold ends.

        The job may have any status.

        :raises ClaimLost: another program was first.
        """
        status = hold.job.status
        self._removals.prepare([hold])
        hold.remove(target)
        # The new name first: a power cut may bring the old one back, but must not remove both.
        if self._moves.forcing.is_durable:
            self._disk.fsync_folder(os.path.dirname(target))
        self._moves.secure_folder(status)

    def _hold_spent(self, status: JobStatus, name: str, spent: Spent) -> FileHold | None:
        """Hold a finished job if it is to be removed; it is read before it is locked."""
        job_id = id_of(name)
        if job_id is None:
            self._quarantine.put_if_bad(status, name, ODD_NAME)
            return None
        copy = self._copies.read(status, job_id)
        if isinstance(copy, Bad):
            self._quarantine.put_if_bad(status, name, copy)
            return None
        if copy is None or not spent.covers(copy.job):
            return None
        try:
            hold = self._taking.settled(status, job_id)
        except (JobHeld, JobDecodeError):
            return None
        if hold is None or spent.covers(hold.job):
            return hold
        hold.let_go()
        return None


def _remove(hold: FileHold) -> bool:
    try:
        hold.remove()
    except ClaimLost:
        return False  # another program was first
    return True


def _is_foreign(copy: Copy, now: datetime, stale_after: timedelta) -> bool:
    """Whether the TypeScript package, which takes no lock, may still be working on it."""
    if copy.job.metadata.claim is not None:
        return False
    return now.timestamp() - copy.found.st_mtime < stale_after.total_seconds()
