"""A queue's being opened and closed, again and again, by whatever thread.

It must not know the verbs: only that claims are made, and how they are given back.
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
"""Seconds that a close waits for claims that are being made, and they for it: longer than any takes
but by a disk, a server or an ``accept`` that stands still."""


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
        """Make the directory ready (with its parents) and check that its locks exclude.

        Idempotent; every verb does it on first use.

        :raises UnsafeStore: jobs would not be safe there.
        :raises StoreError: it cannot be made or written.
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
        """Whether it is in use: opened, and not closed since. Any verb opens it."""
        return self._is_open

    def close(self) -> None:
        """Stop this queue's workers, give open claims back without using an attempt, make durable
        what is put off, and end the queue's threads.

        Its workers claim no more and end, as if asked by `JobWorker.stop`, but nobody waits for
        the jobs in hand: they are given back, and their works' next stopping points raise
        `ClaimLost`. Stop the workers first to let those jobs finish.

        The queue can be used again afterwards: `initialize`, ``with``, any verb and the start of
        a new worker open it. Workers that were stopped so stay stopped. Called by an ``accept`` or
        a signal's handler in the midst of a claim of the same thread, it is closed when that is
        over.

        :raises StoreError: the disk refused to take one of them back. It is still held, the
            queue still open: call again.
        :raises JobHeld: so too where a work is stuck within a verb of its claim, for seconds.
        """
        over = self._opening
        # Before the claims are given back: else a worker would take them up again.
        over.end()
        if self._claims.is_expected_here():
            over.is_owed = True
            return
        while not self._close(over):
            over = self._opening
            over.end()

    def _close(self, over: Opening) -> bool:
        """Close what was opened; False: another thread was at it, and was refused."""
        # First: an interrupt must not leave a queue with nothing but what is over.
        following = Opening()
        with over.closing(PATIENCE):
            if over is not self._opening:
                return over.is_closed
            try:
                # Nothing is claimed from here on: what is given back now is all there is.
                self._claims.wait_for_expected(PATIENCE)
                self._keeper.stop(PATIENCE)
                self._claims.give_back_all()
                self.committer.stop(PATIENCE)
                self.committer.commit_all()
                self.committer.tell_all()
                with self._lock:
                    if over is self._opening:  # else a hook has closed it, in the midst of this
                        if self._is_open:
                            self._store.close()
                        self._is_open = False
                        self._opening = following
                over.is_closed = True
            finally:
                if over is self._opening:
                    self._opening = following
                if self._is_open:  # the disk refused: what is claimed still is looked after
                    self._keeper.start()
                over.done.set()
        self._hooks.finish()
        return True

    def within(self, opening: Opening | None) -> Opening:
        """The opening to claim in. Only a user opens a closed queue (None), no worker's loop.

        :raises QueueClosed: the given one is over; or another thread does not get done closing it.
        """
        if self._opening.is_owed:
            self.close()
        while opening is None:
            # This before that: one that is not over afterwards is of an open store.
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
