"""Claiming for a loop: one job after the other, the next in the midst of the last one's outcome.

It must not know what the loop does with them, nor how a store makes two changes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Self

from semiont_jobs.claim import AnyClaim
from semiont_jobs.desk import QueueDesk
from semiont_jobs.errors import ClaimLost, SemiontJobsError
from semiont_jobs.events import logger
from semiont_jobs.model import WorkerName
from semiont_jobs.opening import Opening
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.store import Pairing, Wanted


class Claimer:
    """Claims for one loop; called by its thread alone. End it, or enter it, so that no job stays in
    its hands."""

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
        self._next: AnyClaim | None = None
        store = desk.store
        # `accept` is the user's: it must not be called in the midst of storing something.
        is_of_use = isinstance(store, Pairing) and store.is_pairing and wanted.accept is None
        self._store: Pairing | None = store if is_of_use and isinstance(store, Pairing) else None

    def __call__(self) -> AnyClaim | None:
        """Take the next due job and hold it, or return None: see `JobQueue.claim_next_job`."""
        self._opened = opening = self._desk.within(self._opening)
        claim, self._next = self._next, None
        if claim is not None and claim.is_open:
            try:
                claim.take_up()
            except BaseException:  # an interrupt, in a hook: nobody gets this claim
                claim.release()
                raise
            return claim
        return self._desk.claim_one(self._wanted, self._worker, self._policy, opening)

    def claims(self) -> Iterator[AnyClaim]:
        """See `JobQueue.claims`."""
        with self:
            while (claim := self()) is not None:
                self.follow(claim)
                claim.outcome_follows()
                yield claim

    def follow(self, claim: AnyClaim) -> None:
        """Claim the next job in the midst of that one's outcome, where a store does both for little
        more than the price of one."""
        if self._store is not None:
            claim.follow_with(self._store, self._claim)

    def _claim(self, outcome: Callable[[], None]) -> None:
        assert self._store is not None
        if self._is_over or self._next is not None or not self._goes_on():
            return
        desk = self._desk
        try:
            hold = self._store.claim_at_hand(
                self._wanted, desk.stamp(self._worker), desk.clock(), outcome
            )
        except Exception:  # noqa: BLE001 - whatever it was, the next call meets it
            return
        if hold is not None:
            self._next = desk.look_after(hold, self._policy)
            # Ended by another thread in this moment, or closed by one that did not see this claim.
            if self._is_over or (self._opened is not None and self._opened.is_over):
                self.give_back()

    def give_back(self) -> None:
        """Give back the job that was claimed ahead, if there is one; no attempt is used."""
        claim, self._next = self._next, None
        if claim is not None:
            try:
                claim.release()
            except ClaimLost:
                return
            except SemiontJobsError as error:
                logger.warning("not given back yet: %s", error)
                self._desk.dropped(claim)

    def end(self) -> None:
        """Claim no more."""
        self._is_over = True
        self.give_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()
