"""What the state machine builds on: queues, claims, and the laws that hold after every step.

It must not know the steps (`machine`), nor any store.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import Any

import tenacity
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
)

from semiont_jobs.claim import AnyClaim
from semiont_jobs.model import STATUSES, AnyJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.testing.clock import FakeClock
from semiont_jobs.testing.laws import BACK_OFF, MAX_CRASHES, Laws, PlainJob


class Ground(RuleBasedStateMachine):
    """A queue beside the plain model of it; after every step they must agree."""

    @abstractmethod
    def make_queue(self, **settings: Any) -> JobQueue:
        """Return a queue with these settings of `JobQueue` on a new, empty place."""

    @abstractmethod
    def reopen(self) -> JobQueue:
        """Return another queue object on that place, with the settings of `make_queue`."""

    @abstractmethod
    def kill_holder(self, claim: AnyClaim) -> None:
        """Make the holder of that claim vanish as if its process had died."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: FakeClock = FakeClock()
        self.laws: Laws = Laws()
        self.claims: list[AnyClaim] = []
        self.claimed_by: dict[AnyClaim, JobQueue] = {}
        self.superseded: list[AnyClaim] = []
        self.read_before: list[AnyJob] = []
        self.queue: JobQueue = self.make_queue(
            clock=self.clock,
            retry_policy=RetryPolicy(wait=tenacity.wait_fixed(BACK_OFF)),
            max_crashes=MAX_CRASHES,
        )
        self.queues: list[JobQueue] = [self.queue]

    def teardown(self) -> None:
        """Close every queue object of the history."""
        for queue in self.queues:
            queue.close()

    # -- the laws ------------------------------------------------------------------------

    @invariant()
    def the_queue_is_as_the_laws_say(self) -> None:
        """Compare every job, the counts and the lists."""
        for plain in list(self.laws.jobs.values()):
            job = self.queue.get_job(plain.id)
            assert job is not None, f"{plain.id} is lost"
            self._note_obedience(plain, job)
            assert not plain.contradiction(job), f"{plain.id}: {plain.contradiction(job)}"
            assert job.metadata.retry_count <= job.metadata.max_retries
        plains = list(self.laws.jobs.values())
        stats = self.queue.get_stats()
        for status in STATUSES:
            assert sum(p.status == status for p in plains) == getattr(stats, status)
        assert self.laws.created - self.laws.removed == stats.total
        newest = sorted(sorted(plains, key=lambda p: p.id), key=lambda p: p.created, reverse=True)
        assert [p.id for p in newest] == [
            job.metadata.id for job in self.queue.query_jobs(limit=None)
        ]

    def _note_obedience(self, plain: PlainJob, job: AnyJob) -> None:
        """A pending job that was asked to stop while it ran ends when the next claimer finds it:
        the laws do not say when."""
        if plain.status == "pending" and plain.is_asked_to_stop and job.status == "cancelled":
            self.laws.cancel(plain, job.completed_at)

    # -- private -------------------------------------------------------------------------

    def _plain(
        self,
        type_: str,
        queue: str,
        priority: int,
        delay: int | None,
        max_retries: int,
        more: int = 0,
    ) -> PlainJob:
        now = self.clock()
        return PlainJob(
            id=f"job-{self.laws.created + more:04d}",
            type=type_,
            queue=queue,
            priority=priority,
            created=now,
            max_retries=max_retries,
            run_after=None if delay is None else now + timedelta(seconds=delay),
        )

    def _job(self, which: int) -> PlainJob:
        return list(self.laws.jobs.values())[which % len(self.laws.jobs)]

    def _claim(self, which: int, *, ends: bool = False) -> tuple[AnyClaim, PlainJob]:
        claim = self.claims[which % len(self.claims)]
        if ends:
            self.claims.remove(claim)
        return claim, self.laws.jobs[claim.job.metadata.id]
