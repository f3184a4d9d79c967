"""The file store's `Hold`: an open descriptor with the lock of the file at a job's path.

It must not know how the hold was obtained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Protocol

from semiont_jobs.codec import Written
from semiont_jobs.errors import ClaimLost
from semiont_jobs.interrupts import forget_frames
from semiont_jobs.model import AnyJob, JobStatus
from semiont_jobs.stores.files.copies import Copy
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.forcing import Copied
from semiont_jobs.stores.files.markers import Markers
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.told import is_disks, store_error


class Holders(Protocol):
    """Keeps count of the holds of this process."""

    def holding(self, hold: FileHold) -> None:
        """Note that a hold began."""
        ...

    def stored(self, hold: FileHold) -> None:
        """Note that a hold stored its job."""
        ...

    def ended(self, hold: FileHold) -> None:
        """Note that a hold is over."""
        ...


class Committing(Protocol):
    """Makes the copies of several holds durable at once, some time after they were published."""

    @property
    def lock(self) -> AbstractContextManager[object]:
        """The lock of each thread that stores through one of its holds."""
        ...

    def alone(self, act: Callable[[], None]) -> None:
        """Call `act` under that lock, and never inside another such call.

        :raises StoreError: a signal handler interrupted such a call.
        """
        ...

    def no_longer(self, hold: FileHold) -> None:
        """Note that a hold has nothing left to make durable. The caller has the lock."""
        ...


class FileHold:
    """Ownership of the copy of a job in the folder of its status."""

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
        self._text = b""
        """The content of the present copy, while older ones exist."""
        self._params: Written | None = None
        self._older: tuple[tuple[JobStatus, Descriptor], ...] = ()
        """Held copies that stay until the present one is durable; the first of them is durable."""
        self._committing: Committing | None = None
        self._is_unsure = False
        """The present copy could not be made durable: what the disk says of it no longer counts."""
        self._is_doubtful = False
        self._is_at_work = False
        self._is_closing = False
        self._is_over = False
        holders.holding(self)

    # -- storing -------------------------------------------------------------------------

    def move(self, job: AnyJob) -> None:
        """See `Hold.move`."""
        data = self.text_of(job)
        committing = self._committing  # read once: another thread may just have committed this
        if committing is None:
            self._store(self._move, job, data)
        else:
            committing.alone(partial(self._store, self._move, job, data))

    def text_of(self, job: AnyJob) -> bytes:
        """The content to write for a job. Takes no lock: user code may be stuck in it."""
        codec = self._moves.copies.codec
        was = self.job.status
        # From the claim on, the params are those that were claimed, whatever the job's code does to
        # its object.
        if self._params is None or was != "running":
            self._params = codec.written_params(job)
        return codec.encode(job, params=self._params, is_update=job.status == was == "running")

    def publish(self, job: AnyJob, data: bytes, committing: Committing) -> None:
        """As `move`, but without making it durable: `secure` or `forced` must follow.

        Nothing is acknowledged before that, and the older copies stay. Not into ``pending``.
        """
        self._committing = committing
        self._store(self._publish, job, data)

    def _store(self, step: Callable[[AnyJob, bytes], None], job: AnyJob, data: bytes) -> None:
        was = self._is_at_work
        job_id = job.metadata.id
        try:
            self._is_at_work = True
            self._check_held()
            # No program that keeps the rules moves a file whose lock was just taken under its path.
            # If it was held while the job's code ran, look for changes by foreign programs.
            if self.descriptor.found is None:
                self._moves.check_standing(self.job.status, job_id, self.descriptor)
            step(job, data)
            self._holders.stored(self)
            self.let_go_if_ended()
        except ClaimLost:
            self.let_go()
            raise
        except OSError as error:
            self._is_doubtful = True
            if not is_disks(error):
                raise
            raise store_error(error, self._moves.layout, job_id) from error
        except BaseException as error:
            self._is_doubtful = True  # an interrupt may come after the copy was published
            forget_frames(error)
            raise
        finally:
            self._is_at_work = was

    def _check_held(self) -> None:
        if self._is_over or self._is_closing:
            self.let_go()
            raise ClaimLost(self.job.metadata.id, "it was let go of meanwhile")

    def _move(self, job: AnyJob, data: bytes) -> None:
        if self._older and job.status == "pending":
            self.secure()  # in pending nothing is replaced, not even what we hold there
        if job.status == self.job.status:
            self._rewrite(job, data)
        else:
            self._adopt(self._moves.move(job, data), job, data)
        self.forced()

    def _publish(self, job: AnyJob, data: bytes) -> None:
        self._adopt(self._moves.publish_beside(job, data), job, data)

    def _adopt(self, new: Descriptor, job: AnyJob, data: bytes) -> None:
        present: tuple[JobStatus, Descriptor] = (self.job.status, self.descriptor)
        older = (*self._older, present)
        # In one assignment: an interrupt in between would make the only copy an older one.
        self.descriptor, self.job, self._text, self._older = new, job, data, older

    def _rewrite(self, job: AnyJob, data: bytes) -> None:
        new = self._moves.rewrite(job, data)
        # The new file is in place now, whatever comes. If it were not held, the job would look like
        # an orphan.
        old, self.descriptor, self.job, self._text = self.descriptor, new, job, data
        self._moves.copies.close(old)
        try:
            self._moves.forcing.replaced(job, data)
        except BaseException:
            self.doubt()
            raise

    # -- what was published and is not durable -------------------------------------------

    @property
    def is_forced(self) -> bool:
        """Whether no older copies wait for the present one to become durable."""
        return not self._older

    @property
    def has_ended(self) -> bool:
        """Whether the job is no longer running, so that nothing more is stored through this."""
        return self.job.status != "running"

    @property
    def is_owing(self) -> bool:
        """Whether some do, and the job is still held."""
        return not self.is_forced and not self._is_over

    @property
    def unforced(self) -> Copied | None:
        """The present copy, if it can be made durable with others."""
        if self._is_unsure:
            return None
        return Copied(self.job, self._text, self.descriptor.fd)

    def doubt(self) -> None:
        """Note that the present copy could not be made durable.

        It is written again the next time, because the kernel reports a lost write only once.
        """
        self._is_unsure = True

    def secure(self) -> None:
        """Make the present copy durable, and remove the older ones."""
        self.force()
        self.forced()

    def force(self) -> None:
        """Make the present copy durable."""
        try:
            if self._is_unsure:
                self._rewrite(self.job, self._text)
            else:
                self._moves.forcing.published(self.job, self._text, self.descriptor.fd)
        except BaseException:
            self.doubt()
            raise

    def forced(self) -> None:
        """Remove the older copies, because the present one is durable."""
        self._is_unsure = False
        while self._older:
            status, held = self._older[0]
            # Programs that ignore the rules may have changed the name since it was published.
            is_late = self._committing is not None
            self._moves.remove_older(status, self.job.metadata.id, held, is_late=is_late)
            # Only now: if an interrupt strikes before this, the removal is done again.
            self._older = self._older[1:]
        if self._is_doubtful and self.has_ended:
            self._clear_refused(self.job)
        self._text = b""
        # Last: from here on another thread may store through this hold.
        self._leave_committing()

    def _leave_committing(self) -> None:
        if self._committing is not None:
            self._committing.no_longer(self)
            self._committing = None

    def _clear_refused(self, job: AnyJob) -> None:
        """Remove a copy that was refused before this, if it exists all the same.

        It may be in another folder, if the disk refused its removal too. It is lower: debris, which
        goes now or when another actor settles.
        """
        with suppress(OSError):
            found = self._moves.disk.stat_of(self.descriptor.fd)
            mine = Copy(job, found)
            self._moves.settle(job.metadata.id, job.status, self.descriptor, mine)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Use the descriptor: whoever closes the store leaves it open meanwhile.

        :raises ClaimLost: the store was closed before.
        """
        was = self._is_at_work
        try:
            self._is_at_work = True
            self._check_held()
            yield
        finally:
            self._is_at_work = was

    def remove(self, target: str | None = None) -> None:
        """Remove the job, or give its file the name `target` instead; the hold ends."""
        with self.at_work():
            self._moves.check_standing(self.job.status, self.job.metadata.id, self.descriptor)
            path = self._moves.layout.path(self.job.status, self.job.metadata.id)
            if target is None:
                self._moves.disk.unlink(path)
            else:
                self._moves.disk.rename(path, target)
            self.let_go()

    def let_go(self) -> None:
        """See `Hold.let_go`."""
        committing = self._committing
        if committing is None:
            self._let_go()
            return
        # Not while a thread fsyncs it: the number may be another file's at once.
        with committing.lock:
            self._let_go()
            self._leave_committing()

    def _let_go(self) -> None:
        self._is_over = True
        self._moves.copies.close(self.descriptor)
        for _status, held in self._older:
            self._moves.copies.close(held)
        self._holders.ended(self)

    def let_go_if_ended(self) -> None:
        """Let go of a job that is no longer running, once that is durable."""
        if self.has_ended and not self._older:
            self.let_go()

    def let_go_if_idle(self) -> None:
        """Let go of the job, unless a thread is just storing or removing it.

        If it were unlocked in the middle of that, another actor's copies would be replaced and
        removed. The thread keeps the hold.
        """
        # `_is_closing` is set before `_is_at_work` is read; a thread that stores does the reverse,
        # so one of the two sees the other. Both may: then that thread lets go of it, and nothing
        # here says that it did not. No lock: a signal handler may come here in the middle of a
        # store.
        self._is_closing = True
        if self._is_at_work:
            self._is_closing = False
        else:
            self.let_go()

    def is_standing(self) -> bool:
        """See `Hold.is_standing`."""
        committing = self._committing
        try:
            stands = self._stands()
            if stands or committing is None:
                return stands
            with committing.lock:  # it may just have been written again
                return self._stands()
        except OSError as error:
            raise store_error(error, self._moves.layout, self.job.metadata.id) from error

    def _stands(self) -> bool:
        path = self._moves.layout.path(self.job.status, self.job.metadata.id)
        return self._moves.copies.stands(self.descriptor, path)

    def cancel_requested(self) -> bool:
        """See `Hold.cancel_requested`."""
        try:
            return self._markers.stands_for(self.job)
        except OSError as error:
            raise store_error(error, self._moves.layout, self.job.metadata.id) from error
