"""Which copy of a job is the true one, and how the others go: this makes crashes harmless.

It must not know where a job is to go. The rules (Cn) are those of the protocol page of the
documentation: change nothing here without it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, TypeAlias

from semiont_jobs.model import FINISHED, AnyJob, JobStatus
from semiont_jobs.stores.files.copies import BUSY, OF_THE_FILE, Bad, Copies, Copy, tie_loser
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.door import Disk, is_same
from semiont_jobs.stores.files.forcing import Forcing
from semiont_jobs.stores.files.layout import SUFFIX, Layout

Settled: TypeAlias = Literal["stays", "gone", "busy"]

SetAside: TypeAlias = Callable[[str, str], None]
"""Moves what is at a path to quarantine, for a reason."""


class Settling:
    """Settles the copies of jobs in one data directory, and makes durable what must not be lost."""

    def __init__(self, copies: Copies, set_aside: SetAside, forcing: Forcing) -> None:
        self.copies = copies
        self.disk: Disk = copies.disk
        self.layout: Layout = copies.layout
        self.set_aside = set_aside
        self.forcing = forcing

    def settle(self, job_id: str, status: JobStatus, held: Descriptor, mine: Copy | Bad) -> Settled:
        """Resolve all copies of a job, of which the one in `status` is held.

        Every actor that moves or removes a job does this, before it publishes anything (C1, C6, C7,
        C8). "gone": the held copy was not the true one and is no longer there. "busy": another
        actor works on another copy, so leave this job alone for now (C4).
        """
        for other, folder in self.layout.folders.items():
            if other != status and self.disk.exists(f"{folder}/{job_id}{SUFFIX}"):
                outcome = self._settle_with(job_id, status, held, mine, other)
                if outcome != "stays":
                    return outcome
        return "stays"

    def _settle_with(
        self,
        job_id: str,
        status: JobStatus,
        held: Descriptor,
        mine: Copy | Bad,
        other_status: JobStatus,
    ) -> Settled:
        other = self.copies.read(other_status, job_id)
        if other is None:
            return "stays"
        path = self.layout.path(status, job_id)
        other_path = self.layout.path(other_status, job_id)
        if mine.found and other.found and is_same(mine.found, other.found):
            # Two names of one file: a power cut kept both ends of a rename, or a backup tool made
            # them. The name goes whose folder is not the status in the file.
            if isinstance(mine, Copy):
                self._secure_mine(held, status)
                self.disk.unlink(other_path)
                self.secure_absence(other_status)
                return "stays"
            if isinstance(other, Copy):
                self._secure_other(other_path, other_status)
                self.disk.unlink(path)
                self.secure_absence(status)
            return "gone"
        if isinstance(mine, Bad):
            return self._yield_to(other, mine, status, other_status, job_id)
        if isinstance(other, Bad):
            return self._clear_bad(held, status, other_status, job_id, other)
        ours, theirs = mine.job.metadata.revision, other.job.metadata.revision
        if theirs > ours:
            # Mine is debris of a move whose mover died before unlinking it.
            self._secure_other(other_path, other_status)
            self.disk.unlink(path)
            self.secure_absence(status)
            return "gone"
        if theirs == ours and tie_loser(mine.job, other.job) == "one":
            self._secure_other(other_path, other_status)
            self.set_aside(path, _TIE)
            return "gone"
        return self._clear_lower(mine, held, status, other_status, job_id)

    def _yield_to(
        self,
        other: Copy | Bad,
        mine: Bad,
        status: JobStatus,
        other_status: JobStatus,
        job_id: str,
    ) -> Settled:
        """Settle an unreadable held copy: beside a readable one, it is debris of a power cut."""
        if isinstance(other, Bad):
            return "stays"
        path = self.layout.path(status, job_id)
        if not self.copies.is_settled_bad(path, mine):
            return "busy"
        self._secure_other(self.layout.path(other_status, job_id), other_status)
        self.disk.unlink(path)
        self.copies.forget_suspect(path)
        return "gone"

    def _clear_bad(
        self,
        held: Descriptor,
        status: JobStatus,
        other_status: JobStatus,
        job_id: str,
        bad: Bad,
    ) -> Settled:
        path = self.layout.path(other_status, job_id)
        if not self.copies.is_settled_bad(path, bad):
            return "busy"
        other = self.copies.hold_or_bad(path)
        if isinstance(other, Bad):
            return "busy" if other.is_closed else self._clear_odd(path, bad)
        if other is None:
            return "stays"
        if other == BUSY:
            return "busy"
        try:
            if isinstance(self.copies.read_held(other, other_status, job_id), Copy):
                return "busy"
            self._secure_mine(held, status)
            self.disk.unlink(path)
            self.copies.forget_suspect(path)
        finally:
            self.copies.close(other)
        return "stays"

    def _clear_odd(self, path: str, bad: Bad) -> Settled:
        """Set aside a folder or a socket, which has nothing to lock."""
        try:
            self.set_aside(path, bad.reason)
        except OSError as error:
            if error.errno not in OF_THE_FILE:
                raise
            return "busy"  # another user's entry: this job waits, those behind it do not
        return "stays"

    def _clear_lower(
        self,
        mine: Copy,
        held: Descriptor,
        status: JobStatus,
        other_status: JobStatus,
        job_id: str,
    ) -> Settled:
        """Remove another copy that is lower than the held one, under its own lock (C3)."""
        path = self.layout.path(other_status, job_id)
        other = self.copies.hold_or_bad(path)
        if other is None:
            return "stays"
        if other == BUSY or isinstance(other, Bad):
            return "busy"
        try:
            again = self.copies.read_held(other, other_status, job_id)
            if isinstance(again, Bad):
                return "busy"
            theirs, ours = again.job.metadata.revision, mine.job.metadata.revision
            if theirs > ours:
                return "busy"
            self._secure_mine(held, status)
            if theirs == ours:
                self.set_aside(path, _TIE)
            else:
                self.disk.unlink(path)
                self.secure_absence(other_status)
        finally:
            self.copies.close(other)
        return "stays"

    # -- making durable ------------------------------------------------------------------

    def secure_folder(self, status: JobStatus) -> None:
        """Make the names in a folder durable, if durability is wanted."""
        if self.forcing.is_durable:
            self.disk.fsync_folder(self.layout.folders[status])

    def secure(self, job: AnyJob) -> bool:
        """Make durable what another process published, if that is wanted; False: it is gone."""
        try:
            self._secure_other(self.layout.path(job.status, job.metadata.id), job.status)
        except FileNotFoundError:
            return False
        return True

    def secure_absence(self, status: JobStatus) -> None:
        """Keep a power cut from bringing back a copy just unlinked from a finished folder.

        It would be debris there for good, because no worker looks for jobs in that folder.
        """
        if self.forcing.is_durable and status in FINISHED:
            with suppress(OSError):  # debris does no harm, and the move itself is done
                self.disk.fsync_folder(self.layout.folders[status])

    def _secure_mine(self, held: Descriptor, status: JobStatus) -> None:
        """Make the held copy durable before the other one goes.

        Its writer may have died before making it so (C18).
        """
        if self.forcing.is_durable:
            self.disk.fsync(held.fd)
            self.disk.fsync_folder(self.layout.folders[status])

    def _secure_other(self, path: str, status: JobStatus) -> None:
        if self.forcing.is_durable:
            fd = self.disk.open_to_read(path)
            try:
                self.disk.fsync(fd)
            finally:
                self.disk.close(fd)
            self.disk.fsync_folder(self.layout.folders[status])


_TIE: Final = "two copies of one revision, which only a foreign program makes: this one lost"
