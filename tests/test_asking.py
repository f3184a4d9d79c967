"""A claim's work is asked to stop: by its worker, its time limit, or from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import frozen

from semiont_jobs import (
    ClaimLost,
    JobCancelled,
    JobMetadata,
    JobQueue,
    JobType,
    PendingJob,
    WorkerStopping,
)
from semiont_jobs.claim import AnyClaim
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import some


@frozen
class Limited:
    """Params of a type that has a time limit."""


def held(queue: JobQueue, **options: Any) -> AnyClaim:
    """A claim on a new job."""
    queue.enqueue({"page": 1}, type="task", **options)
    return some(queue.claim_next_job())


@pytest.mark.parametrize("raised", [WorkerStopping("deploy"), JobCancelled()])
def test_work_that_leaves_because_its_worker_stops_gives_the_job_back(
    queue: JobQueue, raised: Exception
) -> None:
    claim = held(queue)

    claim.ask_to_stop(WorkerStopping("deploy"))
    assert claim.cancelled.is_set()
    with pytest.raises(WorkerStopping, match="deploy"):
        claim.raise_if_cancelled()
    left = claim.settle(raised)

    assert ("pending", 0, 0) == (
        left.status,
        left.metadata.attempt_count,
        left.metadata.revision - 2,
    )


def test_a_request_to_cancel_goes_before_the_stop_of_the_worker(queue: JobQueue) -> None:
    claim = held(queue)

    claim.ask_to_stop(WorkerStopping("deploy"))
    queue.cancel_job(claim.job.metadata.id)
    with pytest.raises(JobCancelled):
        claim.raise_if_cancelled()

    assert "cancelled" == claim.settle(JobCancelled()).status


def test_work_that_waits_is_woken_when_its_time_is_up(queue: JobQueue, clock: FakeClock) -> None:
    claim = held(queue, timeout=60)
    event = claim.cancelled

    claim.watch()
    assert not event.is_set()
    clock.advance(60)
    claim.watch()

    assert event.is_set()
    tried = claim.settle(JobCancelled())
    assert "timeout" == tried.metadata.attempts[-1].outcome


def test_work_whose_claim_is_ended_from_outside_is_woken_and_may_change_nothing(
    queue: JobQueue,
) -> None:
    claim = held(queue)
    event = claim.cancelled

    claim.release()

    assert event.is_set()
    with pytest.raises(ClaimLost, match="ended already"):
        claim.raise_if_cancelled()
    with pytest.raises(ClaimLost, match="ended already"):
        claim.complete("late")


def test_a_job_s_limit_goes_before_its_type_s_and_that_before_the_worker_s(
    make_queue: Callable[..., JobQueue],
) -> None:
    queue = make_queue(job_types=[JobType("limited", Limited, timeout=20)])
    queue.enqueue(Limited(), timeout=10)
    own = some(queue.claim_next_job())
    queue.create_job(PendingJob(metadata=JobMetadata(type="limited"), params=Limited()))
    of_type = some(queue.claim_next_job())
    queue.enqueue({}, type="other")
    of_worker = some(queue.claim_next_job())

    for claim in (own, of_type, of_worker):
        claim.terms.set(timeout=30)

    assert [10, 20, 30] == [claim.timeout for claim in (own, of_type, of_worker)]
