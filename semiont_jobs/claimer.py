"""Claiming for a loop: one job after the other, the next in the midst of the last one's outcome.

It must not know what the loop does with them, nor how a store makes two changes at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Final, Self

from semiont_jobs.claim import AnyClaim
from semiont_jobs.desk import QueueDesk
from semiont_jobs.errors import SemiontJobsError
from semiont_jobs.events import logger
from semiont_jobs.model import WorkerName
from semiont_jobs.opening import Opening
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.store import Hold, Pairing, Wanted


class Claimer:
    """Claims for one loop, in the thread that calls it. End it, or enter it, so that no job stays
    in its hands."""

    def __init__(
        self,
        desk: QueueDesk,
        wanted: Wanted,
        *,
        worker: WorkerName | None,
        policy: RetryPolicy | None,
        opening: Opening | None,
        goes_on: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._wanted: Final = wanted
        self._worker = worker
        self._policy = policy
        self._opening = self._opened = opening
        self._goes_on = goes_on
        self._is_over = False
        self.is_claiming_ahead: bool = False
        """Whether a job may be held ahead in a moment."""
        self._thread = 0
        self._pid = os.getpid()
        self._next: AnyClaim | None = None
        self._store: Pairing | None = None
        store = desk.store
        # `accept` is the user's: it must not be called in the midst of storing something.
        if wanted.accept is None and isinstance(store, Pairing) and store.is_pairing:
            self._store = store

    def __call__(self) -> AnyClaim | None:
        """Take the next due job and hold it, or return None: see `JobQueue.claim_next_job`."""
        self._opened = opening = self._desk.within(self._opening)
        self._thread = threading.get_ident()
        claim, self._next = self._next, None
        # A forked child has its parent's, too.
        if claim is not None and os.getpid() == self._pid:
            try:
                if claim.take_up():
                    return claim
            except BaseException:  # an interrupt, in a hook: nobody gets this claim
                claim.release()
                raise
        return self._desk.claim_one(self._wanted, self._worker, self._policy, opening)

    def claims(self) -> Iterator[AnyClaim]:
        """See `JobQueue.claims`."""
        try:
            while (claim := self()) is not None:
                self.follow(claim)
                claim.outcome_follows()
                yield claim
        finally:
            # The collector may have closed it, in whatever thread, within a lock of ours: here none
            # may be taken. The keeper gives back what is left.
            self._is_over = True
            if self._next is not None and self._next.is_open:
                self._desk.keep(self._next)

    def follow(self, claim: AnyClaim) -> None:
        """Claim the next job in the midst of that one's outcome, where a store does both for little
        more than the price of one. It is held for half a second, unless it is asked for."""
        if self._store is not None:
            claim.follow_with(self._store, self._claim)

    def _claim(self, outcome: Callable[[], None]) -> None:
        assert self._store is not None
        # What another thread ends, the loop does not wait for.
        if threading.get_ident() != self._thread or self._is_over or self._next is not None:
            return
        opened = self._opened
        if opened is None or opened.is_over:
            return
        desk, store = self._desk, self._store
        try:
            # Before it is asked whether the loop goes on: who says no looks at this afterwards.
            self.is_claiming_ahead = True
            if not self._goes_on():
                return
            stamp, now = desk.stamp(self._worker), desk.clock()

            def take() -> Hold | None:
                opened.check()
                return store.claim_at_hand(self._wanted, stamp, now, outcome)

            self._next = desk.claim_ahead(take, self._policy)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next call meets it
            logger.debug("nothing was claimed ahead: %s", error)
        finally:
            self.is_claiming_ahead = False

    @property
    def type_ahead(self) -> str | None:
        """The type of the job that is held ahead, if there is one."""
        claim = self._next
        return claim.job.metadata.type if claim is not None and claim.is_open else None

    def give_back(self) -> None:
        """Give back the job that is held ahead, if there is one; no attempt is used. From any
        thread."""
        claim = self._next
        if claim is not None:
            try:
                claim.give_back_if_left()
            except SemiontJobsError as error:
                logger.warning("not given back yet: %s", error)
                self._desk.keep(claim)

    def end(self) -> None:
        """Claim no more."""
        self._is_over = True
        self.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()
