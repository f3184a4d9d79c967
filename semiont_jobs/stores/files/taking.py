"""Taking hold of jobs: locked, settled, and counted as this process's own.

It must not know why a job is wanted.
"""

from __future__ import annotations

from contextlib import suppress

from semiont_jobs.errors import JobDecodeError, JobHeld
from semiont_jobs.model import AnyJob, JobStatus, PendingJob
from semiont_jobs.stores.files.copies import BUSY, Bad, Copies
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.holds import Holds
from semiont_jobs.stores.files.markers import Markers
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.pending import Pending


class Taking:
    """Takes hold of the jobs of one data directory, and knows what this process holds."""

    def __init__(self, moves: Moves, markers: Markers, pending: Pending, holds: Holds) -> None:
        self._copies: Copies = moves.copies
        self._moves = moves
        self._markers = markers
        self._pending = pending
        self.holds = holds

    def settled(self, status: JobStatus, job_id: str) -> FileHold | None:
        """Hold the copy in one folder, if it is the true one; None: it is not, or not there.

        :raises JobHeld: another actor holds it, or another copy of the job.
        :raises JobDecodeError: it is not a valid job.
        """
        held = self._copies.hold_at(status, job_id)
        if held is None:
            return None
        if held == BUSY:
            raise JobHeld(job_id)
        if isinstance(held, Bad):
            raise JobDecodeError(held.reason, job_id=job_id)
        hold = None
        try:
            copy = self._copies.read_held(held, status, job_id)
            settled = self._moves.settle(job_id, status, held, copy)
            if settled == "busy":
                raise JobHeld(job_id)
            if settled == "stays":
                if isinstance(copy, Bad):
                    if not self._copies.is_settled_bad(
                        self._copies.layout.path(status, job_id), copy
                    ):
                        raise JobHeld(job_id, "its file is being written by another program")
                    raise JobDecodeError(copy.reason, job_id=job_id)
                hold = self.held(held, copy.job)
        finally:
            if hold is None:
                self._copies.close(held)
        return hold

    def held(self, descriptor: Descriptor, job: AnyJob) -> FileHold:
        """The hold of a settled copy."""
        return FileHold(self._moves, self._markers, descriptor, job, self)

    def holding(self, hold: FileHold) -> None:
        """Note that a hold began (called by it)."""
        self.holds.add(hold)

    def stored(self, hold: FileHold) -> None:
        """Note that a hold stored its job (called by it)."""
        if isinstance(hold.job, PendingJob):
            with suppress(OSError):  # it is stored; the next listing finds it
                found = self._moves.disk.stat_of(hold.descriptor.fd)
                self._pending.put(hold.job, found)

    def ended(self, hold: FileHold) -> None:
        """Note that a hold is over (called by it)."""
        self.holds.end(hold)
