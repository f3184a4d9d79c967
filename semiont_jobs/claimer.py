"""Claiming for a loop: one job after the other, several of which wait for the disk together.

It must not know what the loop does with them, nor how a store makes changes durable.
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
"""Seconds since its last claim, or since the first of what it has put off, after which a loop
commits: where jobs take longer there is little to save, and who waits for an outcome should not
wait for the next job."""


class Claimer:
    """Claims for one loop, in the thread that calls it. End it, or enter it."""

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
        """What may put off the outcomes of this loop; None: they need not be."""

    def __call__(self) -> AnyClaim | None:
        """Take the next due job and hold it, or return None: see `JobQueue.claim_next_job`.

        What its loop has put off is durable when it returns None, or soon after. Who gets a claim
        has the `QueueDesk.floor`, and leaves it for the work: between two short works of one thread
        no other one comes in.

        :raises StoreError: also where the disk refuses that: nothing was claimed.
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
        if deferred.since is not None:
            self._desk.commit_soon()
        return claim

    def commit_if_due(self) -> None:
        """Wait for the disk after a job, unless the next one may be done first, and tell hooks what
        became of those before. What the disk refuses is left for the next claim to meet."""
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
        """See `JobQueue.claims`. Whoever has one of these ends it as he likes, and may take his
        time: an outcome is durable when its verb returns."""
        while (claim := self()) is not None:
            claim.deferred = None
            self._desk.floor.leave()
            yield claim

    def end(self) -> None:
        """Wait for the disk, and tell hooks. From any thread."""
        self._desk.floor.leave()
        if self.deferred is not None:
            try_to_commit(self.deferred)
            self.deferred.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.end()
