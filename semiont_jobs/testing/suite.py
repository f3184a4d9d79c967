"""What every test of the conformance suite builds on: the store's hooks, and a few helpers.

It must not know any store, nor what is asserted of them.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final, TypeVar, overload

import tenacity

from semiont_jobs import (
    AnyJob,
    Event,
    JobMetadata,
    JobQueue,
    JobStats,
    JobStatus,
    PendingJob,
    PermanentError,
    RetryPolicy,
)
from semiont_jobs.claim import AnyClaim
from semiont_jobs.testing.clock import FakeClock
from semiont_jobs.testing.waiting import PATIENCE, eventually

try:
    import pytest
except ImportError as _error:
    raise ImportError(
        "the conformance suite runs under pytest, which is not installed: "
        "pip install 'semiont_jobs[testing]'"
    ) from _error

__all__ = [
    "BACK_OFF",
    "KIND",
    "PATIENCE",
    "STEADY",
    "AnyClaim",
    "StoreHooks",
    "Suite",
    "at_once",
    "eventually",
    "ids_of",
    "kept",
    "names_of",
    "numbers",
    "pytest",
    "some",
]

T = TypeVar("T")

BACK_OFF: Final = 10
"""Seconds between two attempts in these tests, always: no jitter, so that the due time is known."""
STEADY: Final = RetryPolicy(wait=tenacity.wait_fixed(BACK_OFF))
KIND: Final = "task"
"""The type of jobs whose type does not matter; it is not registered."""


class StoreHooks(ABC):
    """What a store's test class provides. Each test has an object, and so a place, of its own."""

    @abstractmethod
    def make_queue(self, **settings: Any) -> JobQueue:
        """Return a queue with these settings of `JobQueue` on this test's own, empty place."""

    @abstractmethod
    def reopen(self) -> JobQueue:
        """Return another queue object on that place, with the settings of `make_queue`."""

    @abstractmethod
    def kill_holder(self, claim: AnyClaim) -> None:
        """Make the holder of that claim vanish as if its process had died."""

    @abstractmethod
    def plant_bad_entry(self, data: bytes) -> str:
        """Put `data` among the pending jobs as an entry that is not a valid job; return its
        name."""


class Suite(StoreHooks):
    """The helpers that tests are written with."""

    clock: FakeClock
    _queues: list[JobQueue]

    @pytest.fixture(autouse=True)
    def _tidy(self) -> Iterator[None]:
        self.clock = FakeClock()
        self._queues = []
        yield
        for queue in self._queues:
            queue.close()

    # -- queues --------------------------------------------------------------------------

    def queue(self, **settings: Any) -> JobQueue:
        """This test's queue, on a clock that the test moves, with a known back-off."""
        queue = kept(self.make_queue(**{"clock": self.clock, "retry_policy": STEADY, **settings}))
        self._queues.append(queue)
        return queue

    def another(self) -> JobQueue:
        """A second queue object on the same place. It knows nothing yet, so its first claim
        considers everything that is there."""
        queue = kept(self.reopen())
        self._queues.append(queue)
        return queue

    def heard(self, queue: JobQueue) -> list[Event]:
        """The list to which the queue's events are added from now on."""
        events: list[Event] = []
        queue.subscribe(events.append)
        return events

    # -- jobs ----------------------------------------------------------------------------

    def job(
        self,
        type: str = KIND,  # noqa: A002 - the name it has in the job's file
        params: Any = None,
        **metadata: Any,
    ) -> PendingJob[Any]:
        """A new job, created now by this test's clock."""
        return PendingJob(
            metadata=JobMetadata(**{"type": type, "created": self.clock(), **metadata}),
            params={"page": 1} if params is None else params,
        )

    def put(
        self,
        queue: JobQueue,
        /,
        type: str = KIND,  # noqa: A002
        params: Any = None,
        **metadata: Any,
    ) -> PendingJob[Any]:
        """Create a new job."""
        return queue.create_job(self.job(type, params, **metadata))

    def stored(self, queue: JobQueue, job: AnyJob | str, kind: type[T]) -> T:
        """The job as any reader gets it, which must be of that class."""
        found = queue.get_job(job if isinstance(job, str) else job.metadata.id)
        assert isinstance(found, kind)
        return found

    def claim(self, queue: JobQueue, /, **filters: Any) -> AnyClaim:
        """Claim a job that must exist; a store may need a moment to find it."""
        return eventually(lambda: queue.claim_next_job(**filters))

    def held(self, queue: JobQueue, /, **metadata: Any) -> AnyClaim:
        """A claim on a new job."""
        job = self.put(queue, **metadata)
        return self.claim(queue, accept=lambda offered: offered.metadata.id == job.metadata.id)

    def bring(self, queue: JobQueue, status: JobStatus, **metadata: Any) -> AnyJob:
        """A new job, brought to that status."""
        if status == "pending":
            return self.put(queue, **metadata)
        if status == "cancelled":
            job = self.put(queue, **metadata)
            queue.cancel_job(job.metadata.id)
            return some(queue.get_job(job.metadata.id))
        if status == "failed":
            return self.held(queue, **metadata).fail(PermanentError("it broke"))
        claim = self.held(queue, **metadata)
        return claim.complete({"pages": 1}) if status == "complete" else claim.job

    def die(self, queue: JobQueue, claim: AnyClaim) -> None:
        """Let the holder die, and rescue the jobs of dead holders."""
        self.kill_holder(claim)
        queue.rescue_orphans()
        eventually(lambda: some(queue.get_job(claim.job.metadata.id)).status != "running")

    def later(self, seconds: float) -> None:
        """Let so much time pass."""
        self.clock.advance(seconds)

    def ago(self, seconds: float) -> Any:
        """The instant so many seconds before now."""
        return self.clock() - timedelta(seconds=seconds)


def kept(queue: JobQueue) -> JobQueue:
    """Return that queue, which now keeps its claims: many tests need a claim only to hold the job,
    and a dropped claim releases it."""
    claim_next_job = queue.claim_next_job
    claims: list[AnyClaim | None] = []

    def keep(*args: Any, **options: Any) -> AnyClaim | None:
        claim = claim_next_job(*args, **options)
        claims.append(claim)
        return claim

    queue.claim_next_job = keep  # type: ignore[method-assign]
    return queue


def names_of(events: list[Event]) -> list[str]:
    """The names of the events, in order."""
    return [event.name for event in events]


def ids_of(jobs: Sequence[AnyJob]) -> list[str]:
    """The ids of the jobs, in order."""
    return [job.metadata.id for job in jobs]


def numbers(stats: JobStats) -> tuple[int, int, int, int, int]:
    """The counts: pending, running, complete, failed, cancelled."""
    return (stats.pending, stats.running, stats.complete, stats.failed, stats.cancelled)


# mypy would join the five states to `object`.
@overload
def some(value: AnyJob | None) -> AnyJob: ...
@overload
def some(value: T | None) -> T: ...
def some(value: Any) -> Any:
    """The value, which must not be None."""
    assert value is not None
    return value


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls at the same time, each in a thread of its own; return their results."""
    start = threading.Barrier(len(calls))

    def make(call: Callable[[], T]) -> T:
        start.wait(PATIENCE)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        futures = [threads.submit(make, call) for call in calls]
        return [future.result(PATIENCE) for future in futures]
