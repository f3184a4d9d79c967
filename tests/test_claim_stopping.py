"""A claim is told when its work is to stop, and can do nothing once it is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from claims import LATE, LATER, held, stored

from semiont_jobs import ClaimLost, JobCancelled, JobQueue, JobTimeout, MemoryStore, PendingJob
from semiont_jobs.claim import AnyClaim
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import at_once, some


def test_a_claim_that_nobody_cancelled_goes_on(queue: JobQueue) -> None:
    claim = held(queue, timeout=60)

    claim.raise_if_cancelled()

    assert not claim.cancelled.is_set()
    assert claim.is_open


def test_work_that_was_asked_to_stop_is_told_by_report_and_by_event(queue: JobQueue) -> None:
    claim = held(queue)

    assert queue.cancel_job(claim.job.metadata.id)

    assert claim.cancelled.is_set()
    with pytest.raises(JobCancelled, match=claim.job.metadata.id):
        claim.report({"page": 1})
    assert claim.settle(JobCancelled()).status == "cancelled"


def test_work_that_finishes_although_asked_to_stop_is_complete(queue: JobQueue) -> None:
    claim = held(queue)
    queue.cancel_job(claim.job.metadata.id)

    assert claim.complete().status == "complete"


def test_time_that_is_up_is_a_time_out(queue: JobQueue, clock: FakeClock) -> None:
    claim = held(queue, timeout=60, max_retries=0)
    assert claim.deadline == clock() + timedelta(seconds=60)
    clock.advance(59.999)
    claim.raise_if_cancelled()
    clock.advance(0.001)

    with pytest.raises(JobTimeout, match="it took more than its 60 seconds"), claim:
        claim.raise_if_cancelled()

    after = stored(queue, claim)
    assert (after.status, after.metadata.attempts[-1].outcome) == ("failed", "timeout")


def test_a_clock_that_is_set_forward_ends_no_attempt() -> None:
    with JobQueue("memory:") as by_the_system, held(by_the_system, timeout=3600) as claim:
        by_the_system.clock = lambda: LATER

        claim.raise_if_cancelled()


def test_a_clock_that_is_set_back_gives_an_attempt_no_more_time() -> None:
    with JobQueue("memory:") as by_the_system, held(by_the_system, timeout=0.05) as claim:
        by_the_system.clock = lambda: datetime(2001, 1, 1, tzinfo=UTC)

        assert claim.cancelled.wait(60)  # the keeper looks twice a second
        with pytest.raises(JobTimeout):
            claim.raise_if_cancelled()


def test_a_job_without_a_time_limit_has_no_deadline(queue: JobQueue, clock: FakeClock) -> None:
    claim = held(queue)
    clock.advance(10**9)

    assert claim.deadline is None
    claim.raise_if_cancelled()


@pytest.fixture
def superseded(clock: FakeClock) -> tuple[JobQueue, AnyClaim, AnyClaim]:
    """A queue, a claim whose holder was taken for dead, and the one that came after it."""
    store = MemoryStore()
    queue = JobQueue(store, clock=clock)
    first = held(queue)
    store.kill_holder(first.job.metadata.id)
    queue.rescue_orphans()
    return queue, first, some(queue.claim_next_job())


Superseded = tuple[JobQueue, AnyClaim, AnyClaim]


@pytest.mark.parametrize("verb", [verb for verb in LATE if verb != "raise_if_cancelled"])
def test_a_superseded_claim_can_change_nothing(superseded: Superseded, verb: str) -> None:
    queue, first, second = superseded
    before = queue.get_job(first.job.metadata.id)

    with pytest.raises(ClaimLost):
        LATE[verb](first)

    assert queue.get_job(first.job.metadata.id) == before
    assert not first.is_open
    assert second.complete().status == "complete"


def test_a_superseded_claim_is_told_to_stop(superseded: Superseded) -> None:
    _queue, first, _second = superseded

    first.watch()

    assert first.cancelled.is_set()
    assert not first.is_open
    with pytest.raises(ClaimLost, match="somebody else moved or removed the job"):
        first.raise_if_cancelled()
    first.watch()
    first.flush_if_due()


def test_a_claim_after_a_rescue_has_a_token_of_its_own(superseded: Superseded) -> None:
    _queue, first, second = superseded

    tokens = [some(claim.job.metadata.claim).token for claim in (first, second)]

    assert tokens[0] != tokens[1]


def test_a_claim_names_its_worker_host_and_process(queue: JobQueue) -> None:
    queue.enqueue({}, type="task")

    stamp = some(some(queue.claim_next_job(worker="w-1")).job.metadata.claim)

    assert stamp.worker == "w-1"
    assert stamp.pid > 0
    assert stamp.host


def test_reports_from_many_threads_end_with_one_of_the_last(queue: JobQueue) -> None:
    claim = held(queue)

    def report(n: int) -> None:
        for page in range(50):
            claim.report({"thread": n, "page": page})

    at_once([lambda n=n: report(n) for n in range(4)])  # type: ignore[misc]

    assert claim.job.progress is not None
    assert claim.job.progress["page"] == 49
    assert isinstance(claim.release(), PendingJob)


@pytest.mark.parametrize("place", ["memory:", "files"])
def test_what_the_work_does_to_the_params_in_its_hands_is_not_stored(
    tmp_path: Path, place: str
) -> None:
    with JobQueue(tmp_path if place == "files" else place, fsync=False) as queue:
        queue.enqueue({"url": "x"}, type="task", id="j")
        claim = queue.claim_next_job()
        assert claim is not None
        claim.job.params.pop("url")
        claim.job.params["odd"] = {1}

        claim.checkpoint(["a"])
        claim.fail("broke")

        stored = queue.get_job("j")
        assert stored is not None
        assert {"url": "x"} == stored.params
