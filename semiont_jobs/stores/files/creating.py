"""Creating jobs one by one from several threads at once: of the waiting threads, one serves all.

It must not know the steps on disk (`moves`).

If each thread served itself, they would pass the interpreter to one another at every system call,
and hardly two would share a sync of the journal. One thread that publishes what all have brought
keeps the interpreter, and syncs once. The method is known as flat combining (Hendler, Incze, Shavit
and Tzafrir, 2010). In a free-threaded Python it is done for a journal's sake alone.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from semiont_jobs.errors import SemiontJobsError
from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.descriptors import CLOSED, Descriptor
from semiont_jobs.stores.files.forcing import Copied
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.threads import LOOK_EVERY


class _New:
    """A job that waits to be created."""

    __slots__ = ("bell", "error", "found", "is_unseen", "is_withdrawn", "job", "text")

    def __init__(self, job: AnyJob, text: bytes, *, is_unseen: bool) -> None:
        self.job = job
        self.text = text
        self.is_unseen = is_unseen
        self.bell: threading.Lock = threading.Lock()
        """The lock on which its thread waits."""
        self.bell.acquire()
        self.found: os.stat_result | None = None
        """The stat result of its file, once it is created."""
        self.error: Exception | None = None
        """Why it was not created."""
        self.is_withdrawn = False
        """Its thread was interrupted, or has its error."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done for it."""
        return self.found is not None or self.error is not None or self.is_withdrawn

    def ring(self) -> None:
        """Wake its thread."""
        with suppress(RuntimeError):  # it was rung already
            self.bell.release()


class Creating:
    """Creates jobs in one data directory, for the threads of one process."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        # Reentrant, because of signal handlers.
        self._lock = threading.RLock()
        self._server: int | None = None
        """The thread that creates jobs at the moment. Only that thread resets this, and does so
        before anything else when it is done: an interrupt may strike at every call."""
        self._waiting: deque[_New] = deque()

    def create(self, job: AnyJob, text: bytes, *, is_unseen: bool = False) -> os.stat_result:
        """Publish a new job, durably; return the stat result of its file.

        A caller that is interrupted does not know whether the job was created.

        :param is_unseen: see `Moves.publish`.
        :raises JobExists: a job of this id exists in some folder.
        :raises OSError: the disk refused; the job is not visible, unless its removal failed too.
        """
        thread = threading.get_ident()
        # A signal handler that creates a job must not wait for the thread that it interrupted.
        if self._server == thread or not self._moves.forcing.forces_together(job, text):
            return self._moves.create(job, text, is_unseen=is_unseen)
        try:
            with self._lock:
                # No overtaking of those that wait: they would never have their turn.
                if self._server is None and not self._waiting:
                    self._server = thread
            if self._server == thread:
                return self._moves.create(job, text, is_unseen=is_unseen)
        finally:
            if self._server == thread:
                self._server = None
                self._ring()
        return self._created_by_any(_New(job, text, is_unseen=is_unseen), thread)

    def _ring(self, party: Sequence[_New] = ()) -> None:
        """Wake the threads that were served, and one that will serve those that are left."""
        for new in party:
            new.ring()
        if self._waiting:
            with suppress(IndexError):  # the last one just left
                self._waiting[0].ring()

    def _created_by_any(self, new: _New, thread: int) -> os.stat_result:
        try:
            self._waiting.append(new)
            while not new.is_over:
                if not self._try_to_serve(new, thread):
                    new.bell.acquire(timeout=LOOK_EVERY)
            if new.error is not None:
                raise new.error
        finally:
            new.error = None  # else its traceback would keep it alive
            if new.found is None:
                new.is_withdrawn = True
                with suppress(ValueError):
                    self._waiting.remove(new)
        assert new.found is not None
        return new.found

    def _try_to_serve(self, own: _New, thread: int) -> bool:
        """Create the jobs brought so far, unless another thread serves; whether this one did."""
        party: list[_New] = []
        try:
            with self._lock:
                if self._server is None:
                    self._server = thread
            if self._server != thread:
                return False
            if not own.is_over:
                self._serve(own, party)
            return True
        except BaseException:
            # Before any other thread can serve: that one would create a job whose caller is
            # interrupted.
            own.is_withdrawn = own.found is None
            raise
        finally:
            if self._server == thread:
                self._server = None
                # After an interrupt, those that are not over go ahead of those that come now.
                self._waiting.extendleft(new for new in reversed(party) if not new.is_over)
                self._ring(party)

    def _serve(self, own: _New, party: list[_New]) -> None:
        with suppress(IndexError):
            while True:
                new = self._waiting.popleft()
                if not new.is_over:
                    party.append(new)
        if own not in party:  # the thread that served it was interrupted
            party.append(own)
        if len(party) == 1:
            own.found = self._moves.create(own.job, own.text, is_unseen=own.is_unseen)
        else:
            self._create_all(party)

    def _create_all(self, party: Sequence[_New]) -> None:
        """Create the jobs of several threads together.

        An error of one is its own. If the disk does not make them durable, none is created. After
        an interrupt, those that were not may be served again.
        """
        moves = self._moves
        held: list[tuple[_New, Descriptor]] = []
        refusal: Exception | None = None
        try:
            for new in party:
                try:
                    descriptor = moves.publish(new.job, new.text, is_unseen=new.is_unseen)
                    held.append((new, descriptor))
                except (OSError, SemiontJobsError) as error:
                    new.error = _checked(error)
            try:
                moves.forcing.all_published(
                    [Copied(new.job, new.text, descriptor.fd) for new, descriptor in held]
                )
                for new, descriptor in held:
                    new.found = moves.disk.stat_of(descriptor.fd)
            except (OSError, SemiontJobsError) as error:
                refusal = _checked(error)
        finally:
            self._let_go(list(held))
        for new, _ in held:
            # Not earlier: a waiting thread may look at any moment, and only now its job is gone.
            new.error = refusal if new.found is None else None

    def _let_go(self, held: list[tuple[_New, Descriptor]], *, is_second: bool = False) -> None:
        try:
            while held:
                new, descriptor = held[-1]
                if new.found is None and descriptor.fd != CLOSED:
                    self._moves.retract(new.job.metadata.id)
                self._moves.copies.close(descriptor)
                held.pop()
        finally:
            if held and not is_second:
                # Interrupted: otherwise the others would be held for as long as this process lives.
                self._let_go(held, is_second=True)


def _checked(error: Exception) -> Exception:
    """Return an error of the disk or of the job.

    Any other, such as a `TimeoutError` raised by a signal handler, is for this thread alone.
    """
    if isinstance(error, OSError) and error.errno is None:
        raise error
    return error
