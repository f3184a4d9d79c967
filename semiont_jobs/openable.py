"""Opening and closing a queue, again and again, from any thread.

It must not know the queue's methods: only that claims are made, and how they are released.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Final, Self

from semiont_jobs.codec import Codec
from semiont_jobs.committing import Committer
from semiont_jobs.errors import QueueClosed
from semiont_jobs.events import Event
from semiont_jobs.hooks import Hooks
from semiont_jobs.keeper import Keeper
from semiont_jobs.open_claims import OpenClaims
from semiont_jobs.opening import Opening
from semiont_jobs.store import JobStore, Telling
from semiont_jobs.weak import weakly

PATIENCE: Final = 5.0
"""Seconds that a close waits at most for each of these: another close, claims in the making, a
thread of the queue. A claim waits as long for a close. Only what hangs takes longer."""


class Openable(ABC):
    """The part of a `JobQueue` that opens and closes its store around what is claimed."""

    codec: Codec
    _store: JobStore
    _hooks: Hooks
    _keeper: Keeper
    _claims: OpenClaims
    committer: Committer

    def _begin_closed(self) -> None:
        self._lock = threading.RLock()
        self._is_open = False
        self._opening = Opening()

    @abstractmethod
    def _hear(self, event: Event) -> None: ...

    def initialize(self) -> Self:
        """Open the queue: make the directory (with its parents) ready, and check that its locks
        exclude.

        Idempotent; every method does it on first use.

        :raises UnsafeStore: jobs would not be safe there.
        :raises StoreError: the directory cannot be made or written.
        """
        if not self._is_open:
            with self._lock:
                if not self._is_open:
                    self._store.open(self.codec, weakly(self._hear))
                    if isinstance(self._store, Telling):
                        self._store.tell(self._keeper.poke)
                    self._is_open = True
            self._hooks.tell_noted()
        return self

    @property
    def is_open(self) -> bool:
        """Whether the queue was opened and not closed since.

        Any method opens it.
        """
        return self._is_open

    def close(self) -> None:
        """Stop this queue's workers, release its open claims, and end its threads.

        What was put off is made durable, and the released jobs lose no attempt. The workers end
        without another claim, as after `JobWorker.stop`, but this does not wait for their running
        jobs: it releases them, and `ClaimLost` is raised at the next stopping points of their code.
        Stop the workers first to let these jobs finish.

        The queue can be used again afterwards: `initialize`, ``with``, any method and the start of
        a new worker open it. Workers stopped in this way stay stopped. If an ``accept`` or a
        signal's handler calls this while its own thread makes a claim, the queue is closed when
        that is over.

        :raises StoreError: the disk refused a release, or what was put off. The queue is still
            open, and such a job still held: call again.
        :raises JobHeld: a job's code is stuck in a method of its claim, for seconds. The same
            holds.
        """
        over = self._opening
        # Before the claims are released: else a worker would claim the jobs again.
        over.end()
        if self._claims.is_expected_here():
            over.is_owed = True
            return
        while not self._close(over):
            over = self._opening
            over.end()

    def _close(self, over: Opening) -> bool:
        """Close the opening `over`; False: another thread tried that, and was refused."""
        # First: an interrupt must not leave a queue that has only an opening that is over.
        following = Opening()
        with over.closing(PATIENCE):
            if over is not self._opening:
                return over.is_closed
            try:
                # Nothing is claimed from here on: after this release, no claim is open.
                self._claims.wait_for_expected(PATIENCE)
                self._keeper.stop(PATIENCE)
                self._claims.give_back_all()
                self.committer.stop(PATIENCE)
                self.committer.commit_all()
                self.committer.tell_all()
                with self._lock:
                    if over is self._opening:  # else a hook closed it inside this call
                        if self._is_open:
                            self._store.close()
                        self._is_open = False
                        self._opening = following
                over.is_closed = True
            finally:
                if over is self._opening:
                    self._opening = following
                if self._is_open:  # the disk refused: open claims need the keeper
                    self._keeper.start()
                over.done.set()
        self._hooks.finish()
        return True

    def within(self, opening: Opening | None) -> Opening:
        """The opening to claim in.

        Only a user (None) opens a closed queue; a worker's loop does not.

        :raises QueueClosed: the given opening is over, or another thread does not finish closing
            it.
        """
        if self._opening.is_owed:
            self.close()
        while opening is None:
            # In this order: if the opening is not over afterwards, its store is open.
            current = self._opening
            self.initialize()
            if current is self._opening and not current.is_over:
                return current
            if current.is_over and not current.wait_closed(PATIENCE):
                raise QueueClosed("the queue is being closed")
        opening.check()
        return opening

    def __enter__(self) -> Self:
        return self.initialize()

    def __exit__(self, *_exc: object) -> None:
        self.close()
