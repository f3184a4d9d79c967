"""How a job's file moves from folder to folder so that no step can lose it.

It must not know which jobs are wanted, or what a job becomes. The steps and the rules (Cn) are
those of the protocol page of the documentation, which were checked by exhaustive exploration:
change nothing here without it.

At every instant at least one whole copy of a job exists: the new one is written, locked and
published before the old one goes. After a crash there may be two: see `settling`.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from semiont_jobs.errors import ClaimLost, JobExists, StoreError
from semiont_jobs.events import logger
from semiont_jobs.model import STATUSES, AnyJob, JobStatus
from semiont_jobs.stores.files.copies import BUSY, Bad, Copies
from semiont_jobs.stores.files.descriptors import HELD, Descriptor
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.forcing import Forcing
from semiont_jobs.stores.files.layout import SUFFIX, id_of
from semiont_jobs.stores.files.settling import SetAside, Settling

LINK_TRIES: Final = 50
LINK_PAUSE: Final = 0.01
"""A creator's short-lived duplicate may be where a retry is to be published (C14); it goes within
microseconds unless its process is stopped. After half a second the caller decides."""


def exists_already(job_id: str, status: JobStatus) -> JobExists:
    """The error for a new job whose id exists already."""
    return JobExists(job_id, f"a job of this id exists already: it is {status}")


class Moves(Settling):
    """Publishes, moves and settles the copies of jobs in one data directory."""

    def __init__(
        self, copies: Copies, set_aside: SetAside, forcing: Forcing, *, file_mode: int
    ) -> None:
        super().__init__(copies, set_aside, forcing)
        self.file_mode = file_mode
        # Two processes must never write the same temporary name. A forked child draws new ones,
        # because it opens its store again.
        self._temporary = f"{self.layout.tmp}/{os.getpid()}-{os.urandom(6).hex()}-"
        self._serial = itertools.count()

    # -- publishing ----------------------------------------------------------------------

    def temporary_name(self) -> str:
        """A name in ``.tmp`` that is used nowhere else."""
        return f"{self._temporary}{next(self._serial)}"

    def write_temporary(self, data: bytes) -> tuple[str, Descriptor]:
        """Write a new file in ``.tmp``: whole, and locked, as files are before publication."""
        path = self.temporary_name()
        descriptor = HELD.open(self.disk.create, path, self.file_mode)
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
        """Remove a name that is no longer needed.

        If the disk refuses, a later sweep removes it, or the next actor that settles the job.
        """
        try:
            self.disk.unlink(path)
        except OSError:
            return

    def create(self, job: AnyJob, data: bytes, *, is_unseen: bool = False) -> os.stat_result:
        """Publish a new job, durably; return the stat result of its file. See `publish`."""
        descriptor = self.publish(job, data, is_unseen=is_unseen)
        try:
            self.forcing.published(job, data, descriptor.fd)
            return self.disk.stat_of(descriptor.fd)
        except BaseException:
            self.retract(job.metadata.id)
            raise
        finally:
            # Last: once it is closed, another actor may hold the job.
            self.copies.close(descriptor)

    def publish(self, job: AnyJob, data: bytes, *, is_unseen: bool = False) -> Descriptor:
        """Do the first half of `create`: nothing is durable yet, and the file is held.

        It looks in all folders, publishes its locked file in ``pending``, and looks in the other
        folders while it holds the lock. So of two creators of one id one wins, and a worker cannot
        take a job that is about to be refused (C10).

        :param is_unseen: its id was drawn for this call, so there is no other creator and neither
            look is made. The nine looks are a quarter of the work.
        """
        job_id = job.metadata.id
        if not is_unseen:
            self.look_first((job_id,))
        temporary, descriptor = self.write_temporary(data)
        self.publish_new(job_id, temporary, descriptor, is_unseen=is_unseen)
        return descriptor

    def look_first(self, job_ids: Collection[str]) -> None:
        """Raise `JobExists` if a job of one of these ids seems to exist.

        Nothing of them is visible yet. `publish_new` looks again, and reliably.
        """
        for status, folder in self.layout.folders.items():
            for job_id in job_ids:
                if self.disk.seems_there(f"{folder}/{job_id}{SUFFIX}"):
                    raise exists_already(job_id, status)

    def check_absent(self, job_id: str, statuses: Sequence[JobStatus] = STATUSES) -> None:
        """Raise `JobExists` if a job of this id is in any folder, or in one of these."""
        for status in statuses:
            if self.disk.exists(self.layout.path(status, job_id)):
                raise exists_already(job_id, status)

    def publish_new(
        self, job_id: str, temporary: str, descriptor: Descriptor, *, is_unseen: bool = False
    ) -> None:
        """Give a locked temporary file its name in ``pending``.

        If this raises, the file is closed and gone.
        """
        path = self.layout.path("pending", job_id)
        published = False
        try:
            try:
                self.disk.link(temporary, path)
            except FileExistsError:
                raise JobExists(job_id) from None
            published = True
            self.discard(temporary)
            if not is_unseen:
                self._check_alone(job_id, descriptor)
        except BaseException:
            # Still ours: no other actor could lock it. A signal handler may have raised between the
            # link and the next step.
            self.discard(temporary)
            with suppress(OSError):
                published = published or self.copies.stands(descriptor, path)
            if published:
                self.retract(job_id)
            self.copies.close(descriptor)
            raise

    def _check_alone(self, job_id: str, descriptor: Descriptor) -> None:
        try:
            self.check_absent(job_id, STATUSES[1:])
        except JobExists:
            if self.copies.stands(descriptor, self.layout.path("pending", job_id)):
                raise
            # A worker of the TypeScript package, which ignores locks, was faster than the look:
            # what is in another folder came of this job.

    def retract(self, job_id: str) -> None:
        """Remove a new job that cannot be acknowledged. It is still held."""
        try:
            self.disk.unlink(self.layout.path("pending", job_id))
        except FileNotFoundError:
            return
        except OSError as error:
            logger.error("job %s was refused, and exists all the same: %s", job_id, error)

    # -- to other stores and from them ---------------------------------------------------

    def make_folders(self, folders: Sequence[str], mode: int) -> None:
        """Make folders within each other, durably, if they are missing."""
        for folder in folders:
            with suppress(FileExistsError):
                self.disk.make_folder(folder, mode)
            if self.forcing.is_durable:
                # Also for one that existed: the process that made it may have died before this.
                self.disk.fsync_folder(os.path.dirname(folder))

    # -- moving --------------------------------------------------------------------------

    def check_standing(self, status: JobStatus, job_id: str, held: Descriptor) -> None:
        """Raise `ClaimLost` unless the path still names the held file."""
        if not self.copies.stands(held, self.layout.path(status, job_id)):
            raise ClaimLost(job_id, "somebody else moved or removed the job")

    def rewrite(self, job: AnyJob, data: bytes) -> Descriptor:
        """Replace a held copy under its own name; return the new file's descriptor, locked.

        No old copy stays beside it to fall back on: the new one must be durable before it replaces
        the durable one (C18). The caller then owns the new file, closes the old one, and has
        `forcing` make the name durable before it acknowledges.
        """
        temporary, new = self.write_temporary(data)
        try:
            self.forcing.written(job, data, new.fd)
            self.disk.rename(temporary, self.layout.path(job.status, job.metadata.id))
        except BaseException:
            self.discard(temporary)
            self.copies.close(new)
            raise
        return new

    def move(self, job: AnyJob, data: bytes) -> Descriptor:
        """Publish `job` in another folder than the held copy's, durably.

        Returns the new file's descriptor, locked. The caller has the old copy removed now. If this
        raises, nothing new is visible and the old copy is held as before.
        """
        new = self.publish_beside(job, data)
        try:
            self.forcing.published(job, data, new.fd)
        except BaseException:
            # Not acknowledged, so it must not be visible. If this fails too: as long as we hold the
            # old copy no other actor can act on the new one (they settle), and the next try
            # replaces it.
            self.discard(self.layout.path(job.status, job.metadata.id))
            self.copies.close(new)
            raise
        return new

    def publish_beside(self, job: AnyJob, data: bytes) -> Descriptor:
        """Do the first half of `move`: nothing is durable yet, and the new file is held."""
        target = self.layout.path(job.status, job.metadata.id)
        temporary, new = self.write_temporary(data)
        try:
            if job.status == "pending":
                self._link_into_pending(temporary, target, job)
            else:
                self.disk.rename(temporary, target)
        except BaseException:
            self.discard(temporary)
            self.copies.close(new)
            raise
        if job.status == "pending":
            self.discard(temporary)
        return new

    def remove_older(
        self, status: JobStatus, job_id: str, held: Descriptor, *, is_late: bool = False
    ) -> None:
        """Remove a held copy of which a newer one exists, durably.

        It is closed only when its name is gone. Otherwise another actor could lock it, and would
        then hold a name that we unlink (C2). If the disk refuses, it is debris, which the next
        actor that looks at the job settles.

        :param is_late: the name may be another file's by now.
        """
        path = self.layout.path(status, job_id)
        if not is_late or self._is_still(held, path):
            self.discard(path)
            self.secure_absence(status)
        self.copies.close(held)

    def _is_still(self, held: Descriptor, path: str) -> bool:
        try:
            return self.copies.stands(held, path)
        except OSError:  # left as debris
            return False

    def _link_into_pending(self, temporary: str, target: str, job: AnyJob) -> None:
        """Publish by link, so that nothing in ``pending`` is ever replaced (C5)."""
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
        """Remove a copy that is not higher from where a held job is to be published (C14)."""
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


def jobs_below(disk: Disk, folder: str) -> list[tuple[str, str]]:
    """The inner folder and the id of each job in a folder and in the folders within it.

    For a job in the folder itself the inner folder is empty.
    """
    found: list[tuple[str, str]] = []
    with suppress(FileNotFoundError):
        for name in sorted(disk.names(folder)):
            try:
                found += [(name, each) for each in disk.names(f"{folder}/{name}")]
            except NotADirectoryError:
                found.append(("", name))
    return [(within, job_id) for within, name in found if (job_id := id_of(name)) is not None]
