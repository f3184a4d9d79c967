"""Jobs on their way here from another store: whole and durable, and seen by nobody yet.

It must not know where they come from. They stand in a folder of their own, which no claimer, reader
or rescuer looks into, until they are admitted.
"""

from __future__ import annotations

from contextlib import suppress

from semiont_jobs.codec import MAX_JOB_BYTES
from semiont_jobs.errors import JobExists, JobNotFound
from semiont_jobs.model import PendingJob
from semiont_jobs.stores.files.layout import SUFFIX, id_of
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.pending import Pending


class Arriving:
    """The arrivals of one data directory."""

    def __init__(self, moves: Moves, pending: Pending, *, dir_mode: int) -> None:
        self._moves = moves
        self._disk = moves.disk
        self._layout = moves.layout
        self._pending = pending
        self._dir_mode = dir_mode

    def put(self, job_id: str, data: bytes) -> None:
        """See `Moving.arrive`."""
        with suppress(FileExistsError):
            self._disk.make_folder(self._layout.arriving, self._dir_mode)
            self._secure(self._layout.root)
        temporary, descriptor = self._moves.write_temporary(data)
        try:
            if self._moves.forcing.is_durable:
                self._disk.fsync(descriptor.fd)
            self._disk.rename(temporary, self._path(job_id))
        except BaseException:
            self._moves.discard(temporary)
            raise
        finally:
            self._moves.copies.close(descriptor)
        self._secure(self._layout.arriving)

    def ids(self) -> list[str]:
        """See `Moving.arrived`."""
        try:
            names = self._disk.names(self._layout.arriving)
        except FileNotFoundError:
            return []
        return [found for name in names if (found := id_of(name)) is not None]

    def text(self, job_id: str) -> bytes | None:
        """See `Moving.arrival`."""
        try:
            fd = self._disk.open_to_read(self._path(job_id))
        except FileNotFoundError:
            return None
        try:
            return self._disk.read(fd, self._disk.stat_of(fd).st_size, MAX_JOB_BYTES)
        finally:
            self._disk.close(fd)

    def admit(self, job_id: str) -> None:
        """See `Moving.admit`."""
        data = self.text(job_id)
        if data is None:
            raise JobNotFound(job_id)
        job = self._moves.copies.codec.decode(data, job_id=job_id)
        self._moves.check_absent(job_id)
        target = self._layout.path(job.status, job_id)
        try:
            self._disk.link(self._path(job_id), target)
        except FileExistsError:
            raise JobExists(job_id) from None
        self._secure(self._layout.folders[job.status])
        self.dismiss(job_id)
        if isinstance(job, PendingJob):
            self._pending.wake()

    def dismiss(self, job_id: str) -> None:
        """See `Moving.dismiss`."""
        with suppress(FileNotFoundError):
            self._disk.unlink(self._path(job_id))
        self._secure(self._layout.arriving)

    def _path(self, job_id: str) -> str:
        return f"{self._layout.arriving}/{job_id}{SUFFIX}"

    def _secure(self, folder: str) -> None:
        if self._moves.forcing.is_durable:
            self._disk.fsync_folder(folder)
