"""Claiming for a loop: one job after the other, several of which wait for the disk together.

It must not know what the loop does with the jobs, or how a store makes changes durable.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, Self

from semiont_jobs.claim import AnyClaim
from semiont_jobs.committing import try_to_commit
from semiont_jobs.desk import QueueDesk, Take
from semiont_jobs.model import WorkerName
from semiont_jobs.opening import Opening
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.store import Deferred, Wanted

SHORT: Final = 0.01
"""Seconds after which a loop commits, from its last claim or from the first thing that it put off.
If jobs take longer there is little to save, and whatever waits for an outcome should not wait for
the next job."""


class Claimer:
    """Claims for one loop, in the thread that calls it.

    Call `end`, or use ``with``.
    """

    def __init__(
        self,
        desk: QueueDesk,
        wanted: Wanted,
        *,
        worker: WorkerName | None,
        policy: RetryPolicy | None,
        opening: Opening | None,
    ) -> None:
        self._desk = desk
        self._wanted: Final = wanted
        self._worker = worker
        self._policy = policy
        self._opening = opening
        self._opened: Opening | None = None
        self._claimed_at = float("-inf")
        self.deferred: Deferred | None = None
        """Where this loop puts off outcomes; None: it need not put them off."""

    def __call__(self) -> AnyClaim | None:
        """Claim the next due job, or return None: see `JobQueue.claim_next_job`.

        When this returns None, what the loop has put off is durable, or soon will be. A thread that
        gets a claim holds `QueueDesk.floor`, and leaves it for the job's code: between two short
        jobs of one thread, no other thread comes in.

        :raises StoreError: the disk refused this, or what was put off; nothing was claimed.
        """
        claim = None
        try:
            self._desk.floor.take()
            claim = self._next()
        finally:
            if claim is None:
                self._desk.floor.leave()
        return claim

    def _next(self) -> AnyClaim | None:
        opening = self._desk.within(self._opening)
        if opening is not self._opened:
            self.deferred = self._desk.committer.new(self._desk.store)
            self._opened = opening
        deferred = self.deferred
        if deferred is None:
            return self._claim(opening, self._desk.store.claim)
        if deferred.is_refused or len(deferred) >= self._desk.committer.share:
            deferred.commit()
        claim = None
        try:
            claim = self._claim(opening, deferred.claim)
        finally:
            if claim is None:
                try_to_commit(deferred)
        if claim is not None:
            claim.deferred = deferred
        self._claimed_at = time.monotonic()
        if deferred.since is not None and not self._desk.commit_soon():
            try_to_commit(deferred)  # nobody else would, for as long as this job takes
        return claim

    def commit_if_due(self) -> None:
        """Commit after a job, unless the next job may be done first, and notify hooks of the
        outcomes.

        If the disk refuses something, the next claim deals with that.
        """
        deferred = self.deferred
        if deferred is not None and deferred.since is not None and self._is_due(deferred):
            try_to_commit(deferred)
            deferred.tell()

    def _is_due(self, deferred: Deferred) -> bool:
        began = min(deferred.since or 0.0, self._claimed_at)
        return (
            time.monotonic() - began >= SHORT
            or len(deferred) >= self._desk.committer.share
            or not deferred.may_claim(self._wanted)
        )

    def _claim(self, opening: Opening, take: Take) -> AnyClaim | None:
        return self._desk.claim_one(self._wanted, self._worker, self._policy, opening, take)

    def claims(self) -> Iterator[AnyClaim]:
        """See `JobQueue.claims`.

        The caller ends each claim as it likes, and may take its time: an outcome is durable when
        the method returns.
        """
        while (claim := self()) is not None:
            claim.deferred = None
            self._desk.floor.leave()
            yield claim

    def end(self) -> None:
        """Commit, and notify hooks.

        Any thread may call this.
        """
        self._desk.floor.leave()
        if self.deferred is not None:
            try_to_commit(self.deferred)
            self.deferred.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()
