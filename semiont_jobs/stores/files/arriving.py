"""Jobs on their way here from another store: whole and durable, and not visible yet.

It must not know what their source is. Each source has a folder of its own, because two may have
jobs of the same id. No claimer, reader or rescuer looks into it. The jobs stay there until they are
admitted.
"""

from __future__ import annotations

from contextlib import suppress

from semiont_jobs.codec import MAX_JOB_BYTES
from semiont_jobs.errors import JobExists, JobNotFound
from semiont_jobs.model import JobStatus, PendingJob
from semiont_jobs.stores.files.layout import SUFFIX
from semiont_jobs.stores.files.moves import Moves, jobs_below
from semiont_jobs.stores.files.pending import Pending


class Arriving:
    """The arrivals of one data directory."""

    def __init__(self, moves: Moves, pending: Pending, *, dir_mode: int) -> None:
        self._moves = moves
        self._disk = moves.disk
        self._layout = moves.layout
        self._pending = pending
        self._dir_mode = dir_mode

    def put(self, job_id: str, data: bytes, source: str) -> None:
        """See `Moving.arrive`."""
        folder = f"{self._layout.arriving}/{source}"
        self._moves.make_folders((self._layout.arriving, folder), self._dir_mode)
        temporary, descriptor = self._moves.write_temporary(data)
        try:
            if self._moves.forcing.is_durable:
                self._disk.fsync(descriptor.fd)
            self._disk.rename(temporary, self._path(job_id, source))
        except BaseException:
            self._moves.discard(temporary)
            raise
        finally:
            self._moves.copies.close(descriptor)
        self._secure(folder)

    def arrived(self) -> list[tuple[str, str]]:
        """See `Moving.arrived`."""
        return jobs_below(self._disk, self._layout.arriving)

    def text(self, job_id: str, source: str) -> bytes | None:
        """See `Moving.arrival`."""
        try:
            fd = self._disk.open_to_read(self._path(job_id, source))
        except FileNotFoundError:
            return None
        try:
            return self._disk.read(fd, self._disk.stat_of(fd).st_size, MAX_JOB_BYTES)
        finally:
            self._disk.close(fd)

    def admit(self, job_id: str, source: str) -> None:
        """See `Moving.admit`."""
        data = self.text(job_id, source)
        if data is None:
            raise JobNotFound(job_id)
        job = self._moves.copies.codec.decode(data, job_id=job_id)
        self._moves.check_absent(job_id)
        try:
            self._give_its_place(self._path(job_id, source), job.status, job_id)
        except FileExistsError:
            raise JobExists(job_id) from None
        except FileNotFoundError:
            raise JobNotFound(job_id) from None  # admitted by another process meanwhile
        self._secure(f"{self._layout.arriving}/{source}")
        if isinstance(job, PendingJob):
            self._pending.wake()

    def _give_its_place(self, path: str, status: JobStatus, job_id: str) -> None:
        target = self._layout.path(status, job_id)
        # In one step if the kernel can: if a process dies between two steps, the job is both here
        # and among the others. It could run to its end there, be removed, and be admitted once
        # more.
        is_one_step = self._disk.rename_new(path, target)
        if not is_one_step:
            self._disk.link(path, target)
        self._secure(self._layout.folders[status])
        if not is_one_step:
            self._disk.unlink(path)

    def dismiss(self, job_id: str, source: str) -> None:
        """See `Moving.dismiss`."""
        with suppress(FileNotFoundError):
            self._disk.unlink(self._path(job_id, source))
            self._secure(f"{self._layout.arriving}/{source}")

    def _path(self, job_id: str, source: str) -> str:
        return f"{self._layout.arriving}/{source}/{job_id}{SUFFIX}"

    def _secure(self, folder: str) -> None:
        if self._moves.forcing.is_durable:
            self._disk.fsync_folder(folder)
