"""The file store's `Hold`: an open descriptor with the lock of the file at a job's path.

It must not know how the hold was come by.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

from semiont_jobs.codec import Written
from semiont_jobs.errors import ClaimLost, SemiontJobsError
from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.copies import Copy
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.markers import Markers
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.pairing import Force, outcome_forced
from semiont_jobs.stores.files.told import store_error


class Holders(Protocol):
    """Who keeps count of the holds of this process."""

    def holding(self, hold: FileHold) -> None:
        """A hold began."""
        ...

    def stored(self, hold: FileHold) -> None:
        """A hold stored its job."""
        ...

    def ended(self, hold: FileHold) -> None:
        """A hold is over."""
        ...


class FileHold:
    """Ownership of the copy of a job that stands in the folder of its status."""

    def __init__(
        self,
        moves: Moves,
        markers: Markers,
        descriptor: Descriptor,
        job: AnyJob,
        holders: Holders,
    ) -> None:
        self._moves = moves
        self._markers = markers
        self._holders = holders
        self.descriptor: Descriptor = descriptor
        self.job = job
        self._params: Written | None = None
        self._is_doubtful = False
        self._is_at_work = False
        self._is_over = False
        self.beside: Callable[[Force], object] | None = None
        """Claims another job while the next outcome of this one is published and not forced."""
        holders.holding(self)

    def move(self, job: AnyJob, forced_by: Callable[[Force], None] | None = None) -> None:
        """See `Hold.move`."""
        was = self._is_at_work
        try:
            self._is_at_work = True
            self._check_held()
            self._move(job, forced_by)
        finally:
            self._is_at_work = was

    def _check_held(self) -> None:
        if self._is_over:
            self.let_go()
            raise ClaimLost(self.job.metadata.id, "it was let go of meanwhile")

    def _move(self, job: AnyJob, forced_by: Callable[[Force], None] | None) -> None:
        job_id = job.metadata.id
        was = self.job.status
        codec = self._moves.copies.codec
        try:
            # From the claim on, the params are those that were claimed, whatever the work does
            # to the object in its hands.
            if self._params is None or was != "running":
                self._params = codec.written_params(job)
            data = codec.encode(job, params=self._params)
            # Nobody who keeps the rules moves a file whose lock was just taken under its path;
            # for one held while work went on, foreign hands are looked for.
            if self.descriptor.found is None:
                self._moves.check_standing(was, job_id, self.descriptor)
            if job.status == was:
                self._rewrite(job, data)
            else:
                if self.beside is not None:
                    forced_by, self.beside = partial(outcome_forced, self.beside), None
                self._adopt(self._moves.move(was, job, data, forced_by), job)
                if self._is_doubtful:
                    self._clear_refused(job)
            self._holders.stored(self)
        except ClaimLost:
            self.let_go()
            raise
        except OSError as error:
            self._is_doubtful = True
            if isinstance(error, SemiontJobsError):
                raise
            raise store_error(error, job_id) from error
        if job.status != "running":
            self.let_go()

    def _rewrite(self, job: AnyJob, data: bytes) -> None:
        new = self._moves.rewrite(job, data)
        # The new file stands now, whatever comes: were it not held, the job would look like
        # an orphan.
        self._adopt(new, job)
        self._moves.forcing.replaced(job, data)

    def _clear_refused(self, job: AnyJob) -> None:
        """What was refused before this may stand all the same, in another folder, where the disk
        refused its removal too. It is lower: debris, which goes now or when somebody settles."""
        with suppress(OSError):
            found = self._moves.disk.stat_of(self.descriptor.fd)
            mine = Copy(job, found)
            self._moves.settle(job.metadata.id, job.status, self.descriptor, mine)

    def _adopt(self, new: Descriptor, job: AnyJob) -> None:
        old, self.descriptor, self.job = self.descriptor, new, job
        self._moves.copies.close(old)

    def remove(self) -> None:
        """Remove the job; the hold ends."""
        was = self._is_at_work
        try:
            self._is_at_work = True
            self._check_held()
            self._moves.check_standing(self.job.status, self.job.metadata.id, self.descriptor)
            self._moves.disk.unlink(self._moves.layout.path(self.job.status, self.job.metadata.id))
            self.let_go()
        finally:
            self._is_at_work = was

    def let_go(self) -> None:
        """See `Hold.let_go`."""
        self._is_over = True
        self._holders.ended(self)
        self._moves.copies.close(self.descriptor)

    def let_go_if_idle(self) -> None:
        """Let go of it, unless a thread is just storing or removing the job: unlocked in the midst
        of that, somebody else's copies would be replaced and removed. It has the hold then."""
        # This before that, and whoever stores the other way round: one of the two sees the other.
        # No lock, for a signal's handler may come here in the midst of it.
        self._is_over = True
        if self._is_at_work:
            self._is_over = False
        else:
            self.let_go()

    def is_standing(self) -> bool:
        """See `Hold.is_standing`."""
        path = self._moves.layout.path(self.job.status, self.job.metadata.id)
        try:
            return self._moves.copies.stands(self.descriptor, path)
        except OSError as error:
            raise store_error(error, self.job.metadata.id) from error

    def cancel_requested(self) -> bool:
        """See `Hold.cancel_requested`."""
        try:
            return self._markers.stands_for(self.job)
        except OSError as error:
            raise store_error(error, self.job.metadata.id) from error
