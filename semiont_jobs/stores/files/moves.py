"""How a job's file moves from folder to folder so that no step can lose it.

It must not know which jobs are wanted, or what a job becomes. The steps and the rules (Cn)
are those of the protocol page of the documentation, which were checked by exhaustive
exploration: change nothing here without it.

At every instant at least one whole copy of a job stands: the new one is written, locked and
published before the old one goes. After a crash there may be two, which `settle` resolves.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, TypeAlias

from semiont_jobs.errors import ClaimLost, JobExists, StoreError
from semiont_jobs.model import FINISHED, STATUSES, AnyJob, JobStatus
from semiont_jobs.stores.files.copies import BUSY, OF_THE_FILE, Bad, Copies, Copy, tie_loser
from semiont_jobs.stores.files.descriptors import HELD, Descriptor
from semiont_jobs.stores.files.door import Disk, is_same
from semiont_jobs.stores.files.layout import SUFFIX, Layout

LINK_TRIES: Final = 50
LINK_PAUSE: Final = 0.01
"""A creator's short-lived duplicate may stand where a retry wants to publish (C14); it goes
within microseconds unless its process is stopped. Half a second, then the caller decides."""

Settled: TypeAlias = Literal["stays", "gone", "busy"]

SetAside: TypeAlias = Callable[[str, str], None]
"""Puts what stands under a path into quarantine, for a reason."""


class Moves:
    """Publishes, moves and settles the copies of jobs in one data directory."""

    def __init__(self, copies: Copies, set_aside: SetAside, *, fsync: bool, file_mode: int) -> None:
        self.copies = copies
        self.disk: Disk = copies.disk
        self.layout: Layout = copies.layout
        self.fsync = fsync
        self._file_mode = file_mode
        self.set_aside = set_aside
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Two processes must never write the same temporary name."""
        self._temporary = f"{self.layout.tmp}/{os.getpid()}-{os.urandom(6).hex()}-"
        self._serial = itertools.count()

    # -- publishing ----------------------------------------------------------------------

    def write_temporary(self, data: bytes) -> tuple[str, Descriptor]:
        """A new file in ``.tmp``, locked (rule 2: files are published locked) and whole."""
        path = f"{self._temporary}{next(self._serial)}"
        descriptor = HELD.open(self.disk.create, path, self._file_mode)
        try:
            if not self.disk.lock(descriptor.fd):
                raise StoreError(errno.ENOLCK, "the lock of a new file is taken", path)
            self.disk.write(descriptor.fd, data)
        except BaseException:
            self.discard(path)
            self.copies.close(descriptor)
            raise
        return path, descriptor

    def discard(self, path: str) -> None:
        """Take a name away that is of no more use; where the disk refuses, a later sweep, or
        whoever settles the job, removes it."""
        try:
            self.disk.unlink(path)
        except OSError:
            return

    def create(self, job_id: str, data: bytes) -> None:
        """Publish a new job.

        Looks, publishes its locked file in ``pending``, looks in the other folders while it
        holds the lock: of two creators of one id one wins, and a worker cannot take a job
        that is about to be refused (C10).
        """
        self.check_absent(job_id)
        temporary, descriptor = self.write_temporary(data)
        self.publish_new(job_id, temporary, descriptor, durably=self.fsync)

    def check_absent(self, job_id: str) -> None:
        """Raise `JobExists` if a job of this id stands anywhere."""
        for status in STATUSES:
            if self.disk.exists(self.layout.path(status, job_id)):
                raise JobExists(job_id, f"a job of this id exists already: it is {status}")

    def publish_new(
        self, job_id: str, temporary: str, descriptor: Descriptor, *, durably: bool
    ) -> None:
        """The second half of `create`, from a locked temporary file; closes it."""
        path = self.layout.path("pending", job_id)
        published = False
        try:
            try:
                self.disk.link(temporary, path)
            except FileExistsError:
                raise JobExists(job_id) from None
            published = True
            self.discard(temporary)
            for status in STATUSES[1:]:
                if self.disk.exists(self.layout.path(status, job_id)):
                    raise JobExists(job_id, f"a job of this id exists already: it is {status}")
            if durably:
                self.disk.fsync(descriptor.fd)
                self.disk.fsync_folder(self.layout.folders["pending"])
        except BaseException:
            # Still ours: nobody else could lock it.
            self.discard(path if published else temporary)
            raise
        finally:
            self.copies.close(descriptor)

    # -- moving --------------------------------------------------------------------------

    def check_standing(self, status: JobStatus, job_id: str, held: Descriptor) -> None:
        """Raise `ClaimLost` unless the path still names what is held."""
        if not self.copies.stands(held, self.layout.path(status, job_id)):
            raise ClaimLost(job_id, "somebody else moved or removed the job")

    def rewrite(self, status: JobStatus, job_id: str, data: bytes) -> Descriptor:
        """Replace a held copy under its own name; returns the new file's descriptor, locked.

        There is no old copy beside it to fall back on: it must be durable before it replaces
        what is (C18). The caller then owns the new file, closes the old, and calls
        `secure_folder` before it acknowledges.
        """
        temporary, new = self.write_temporary(data)
        try:
            if self.fsync:
                self.disk.fsync(new.fd)
            self.disk.rename(temporary, self.layout.path(status, job_id))
        except BaseException:
            self.discard(temporary)
            self.copies.close(new)
            raise
        return new

    def secure_folder(self, status: JobStatus) -> None:
        """Make the names in a folder durable, where durability is wanted."""
        if self.fsync:
            self.disk.fsync_folder(self.layout.folders[status])

    def secure(self, job: AnyJob) -> bool:
        """Make durable what somebody else published, where durability is wanted; False: it does
        not stand there any more."""
        try:
            self._secure_other(self.layout.path(job.status, job.metadata.id), job.status)
        except FileNotFoundError:
            return False
        return True

    def move(self, source: JobStatus, job: AnyJob, data: bytes) -> Descriptor:
        """Publish `job` in another folder than the held copy's, `source`, and remove that copy.

        Returns the new file's descriptor, locked. The caller closes the old one, only now:
        closed before its name was gone, it could be locked by somebody who would then hold a
        name that we unlink (C2). When this raises, nothing new is seen and the old copy is
        held as before.
        """
        temporary, new = self.write_temporary(data)
        try:
            self._publish_beside(temporary, job, new)
        except BaseException:
            self.copies.close(new)
            raise
        # The new copy is the true one. Should this fail, the old one is debris, which whoever
        # looks at the job next settles.
        self.discard(self.layout.path(source, job.metadata.id))
        self._secure_absence(source)
        return new

    def _secure_absence(self, status: JobStatus) -> None:
        """Keep a power cut from bringing back a copy that was just unlinked from a finished
        folder: it would be debris there for good, since nobody looks for work in it."""
        if self.fsync and status in FINISHED:
            with suppress(OSError):  # debris does no harm, and what was moved stands
                self.disk.fsync_folder(self.layout.folders[status])

    def _publish_beside(self, temporary: str, job: AnyJob, new: Descriptor) -> None:
        target = self.layout.path(job.status, job.metadata.id)
        try:
            if job.status == "pending":
                self._link_into_pending(temporary, target, job)
            else:
                self.disk.rename(temporary, target)
        except BaseException:
            self.discard(temporary)
            raise
        if job.status == "pending":
            self.discard(temporary)
        if not self.fsync:
            return
        try:
            self.disk.fsync(new.fd)
            self.disk.fsync_folder(self.layout.folders[job.status])
        except BaseException:
            # Not acknowledged, so it must not be seen. Should this fail too: as long as we
            # hold the old copy nobody can act on the new one (they settle), and the next try
            # replaces it.
            self.discard(target)
            raise

    def _link_into_pending(self, temporary: str, target: str, job: AnyJob) -> None:
        """Rule 4: by link, so that nothing in ``pending`` is ever replaced (C5)."""
        pause = threading.Event()
        for _ in range(LINK_TRIES):
            try:
                self.disk.link(temporary, target)
            except FileExistsError:
                self._clear_pending(target, job)
                pause.wait(LINK_PAUSE)
            else:
                return
        raise StoreError(
            errno.EBUSY, "another copy stands in pending", target, job_id=job.metadata.id
        )

    def _clear_pending(self, target: str, job: AnyJob) -> None:
        """Remove a lower copy that stands where a held job is to be published (C14)."""
        held = self.copies.hold(target)
        if held is None or held == BUSY:
            return
        try:
            copy = self.copies.read_held(held, "pending", job.metadata.id)
            is_debris = (
                self.copies.is_settled_bad(target, copy)
                if isinstance(copy, Bad)
                else copy.job.metadata.revision <= job.metadata.revision
            )
            if is_debris:
                self.disk.unlink(target)
        finally:
            self.copies.close(held)

    # -- settling ------------------------------------------------------------------------

    def settle(self, job_id: str, status: JobStatus, held: Descriptor, mine: Copy | Bad) -> Settled:
        """Resolve all copies of a job, of which the one in `status` is held.

        Done by everyone who moves or removes a job, before anything is published (C1, C6, C7,
        C8). "gone": what was held was not the true copy and stands no more; "busy": somebody
        else works on another copy, so leave this job alone for now (C4).
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
            # Two names of one file, from a rename of which a power cut kept both ends, or from
            # a backup tool: the name goes whose folder is not the status in the file.
            wrong = other_path if isinstance(mine, Copy) else path
            if isinstance(mine, Copy) or isinstance(other, Copy):
                self.disk.unlink(wrong)
            return "stays" if isinstance(mine, Copy) else "gone"
        if isinstance(mine, Bad):
            return self._yield_to(other, mine, status, other_status, job_id)
        if isinstance(other, Bad):
            return self._clear_bad(held, status, other_status, job_id, other)
        ours, theirs = mine.job.metadata.revision, other.job.metadata.revision
        if theirs > ours:
            # Mine is debris of a move whose mover died before unlinking it.
            self._secure_other(other_path, other_status)
            self.disk.unlink(path)
            self._secure_absence(status)
            return "gone"
        if theirs == ours and tie_loser(mine.job, other.job) == "one":
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
        """What is held cannot be read. Beside a copy that can, it is debris of a power cut."""
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
        try:
            other = self.copies.hold(path)
        except OSError:
            return self._clear_odd(path, bad)
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
        """Set aside a folder or a socket, in which there is nothing to lock."""
        try:
            self.set_aside(path, bad.reason)
        except OSError as error:
            if error.errno not in OF_THE_FILE:
                raise
            return "busy"  # it is another user's: this job waits, those behind it do not
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
        other = self.copies.hold(path)
        if other is None:
            return "stays"
        if other == BUSY:
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
                self._secure_absence(other_status)
        finally:
            self.copies.close(other)
        return "stays"

    def _secure_mine(self, held: Descriptor, status: JobStatus) -> None:
        """Before the other copy goes, the one that stays must be durable: its writer may have
        died before it made it so (C18)."""
        if self.fsync:
            self.disk.fsync(held.fd)
            self.disk.fsync_folder(self.layout.folders[status])

    def _secure_other(self, path: str, status: JobStatus) -> None:
        if self.fsync:
            fd = self.disk.open_to_read(path)
            try:
                self.disk.fsync(fd)
            finally:
                self.disk.close(fd)
            self.disk.fsync_folder(self.layout.folders[status])


_TIE: Final = "two copies of one revision, which only a foreign program makes: this one lost"
