"""The figures of a queue are those of its jobs, whoever counts them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tallying import claimed, stored
from tenacity import wait_fixed

from semiont_jobs import FileStore, JobQueue, JobTimeout, MemoryStore, PermanentError, RetryPolicy
from semiont_jobs.claim import AnyClaim
from semiont_jobs.metrics import BOUNDS
from semiont_jobs.model import STATUSES
from semiont_jobs.tally import ReadingRoll, Tally
from semiont_jobs.testing import FakeClock

STEADY = RetryPolicy(wait=wait_fixed(10))


@pytest.fixture(params=["files", "memory"])
def queue(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> JobQueue:
    store: Any = FileStore(tmp_path, fsync=False) if request.param == "files" else MemoryStore()
    return JobQueue(store, clock=clock, retry_policy=STEADY)


def live_a_little(queue: JobQueue, clock: FakeClock, check: Callable[[], object]) -> AnyClaim:
    """Jobs in every status and of several kinds, by way of every transition; the claim on the one
    that is running."""
    held: list[AnyClaim] = []
    acts: list[Callable[[], object]] = [
        lambda: queue.enqueue({}, type="t", id="done"),
        lambda: clock.advance(3),
        lambda: claimed(queue).complete(),
        lambda: queue.enqueue({}, type="t", id="broken", queue="q"),
        lambda: claimed(queue).fail(PermanentError("no")),
        lambda: queue.enqueue({}, type="u", id="again"),
        lambda: claimed(queue).fail(JobTimeout("late")),
        lambda: clock.advance(20),
        lambda: claimed(queue).fail("again"),
        lambda: clock.advance(20),
        lambda: claimed(queue).snooze(50),
        lambda: queue.retry_job("broken"),
        lambda: claimed(queue).release(),
        lambda: queue.cancel_job("broken"),
        lambda: queue.enqueue({}, type="t", id="held"),
        lambda: held.append(claimed(queue)),
        lambda: held[0].report({"page": 1}),
        lambda: clock.advance(100),
        lambda: claimed(queue).complete(),
        lambda: queue.enqueue({}, type="u", id="later", run_after=timedelta(hours=1)),
        lambda: queue.cleanup_completed_jobs(timedelta(seconds=50)),
    ]
    for act in acts:
        act()
        check()
    return held[0]


def test_the_figures_are_those_of_the_jobs_after_every_transition(
    queue: JobQueue, clock: FakeClock
) -> None:
    def check() -> None:
        tally = Tally()
        tally.apply(ReadingRoll(queue.store).changes())

        assert tally.taken(clock()) == queue.metrics().stored

    claim = live_a_little(queue, clock, check)

    totals = {status: queue.metrics().jobs(status) for status in STATUSES}
    assert {"pending": 1, "running": 1, "complete": 1, "failed": 0, "cancelled": 1} == totals
    assert claim.is_open


def test_waits_and_runs_of_stored_jobs_are_measured(queue: JobQueue, clock: FakeClock) -> None:
    for wait, run in ((3, 0.2), (100, 40)):
        queue.enqueue({}, type="t")
        clock.advance(wait)
        claim = claimed(queue)
        clock.advance(run)
        claim.complete()

    found = stored(queue)

    assert (2, 103.0) == (found.wait.count, found.wait.sum)
    assert (2, 40.2) == (found.run.count, found.run.sum)
    assert [each >= 3 for each in BOUNDS] == [count > 0 for count in found.wait.counts]
    assert (1, 2) == (
        found.run.counts[BOUNDS.index(0.5)],
        found.run.counts[BOUNDS.index(60.0)],
    )


def test_what_lasted_as_long_as_a_bound_is_within_it(queue: JobQueue, clock: FakeClock) -> None:
    queue.enqueue({}, type="t")
    clock.advance(5)
    claimed(queue).complete()

    found = stored(queue).wait

    assert (0, 1) == (found.counts[BOUNDS.index(1.0)], found.counts[BOUNDS.index(5.0)])


def test_only_due_jobs_age(queue: JobQueue, clock: FakeClock) -> None:
    queue.enqueue({}, type="t", run_after=60)
    queue.enqueue({}, type="u", run_after=10)
    assert (0, 0.0) == (queue.metrics().due, queue.metrics().oldest_due_age)

    clock.advance(15)

    assert (1, 5.0, 5.0) == (
        queue.metrics().due,
        queue.metrics().oldest_due_age,
        stored(queue, "u").oldest_due_age,
    )
    assert (0, 0.0, 1) == (
        stored(queue).due,
        stored(queue).oldest_due_age,
        stored(queue).jobs["pending"],
    )
    clock.advance(100)
    assert (2, 105.0) == (queue.metrics().due, queue.metrics().oldest_due_age)


def test_attempts_are_told_apart(queue: JobQueue, clock: FakeClock) -> None:
    queue.enqueue({}, type="t", id="a", max_retries=2)
    for error in (ValueError("once"), JobTimeout("twice"), ValueError("for good")):
        claimed(queue).fail(error)
        clock.advance(20)
    queue.enqueue({}, type="t", id="b", max_retries=0)
    claim = claimed(queue)
    queue.store.kill_holder("b")  # type: ignore[attr-defined]
    queue.rescue_orphans()

    found = stored(queue)

    assert (2, 1, 1) == (found.retries, found.rescues, found.failures)
    assert claim.job.metadata.id == "b"


def test_what_is_removed_is_counted_no_more(queue: JobQueue, clock: FakeClock) -> None:
    queue.enqueue({}, type="t")
    claimed(queue).complete()
    assert 1 == stored(queue).wait.count
    clock.advance(10)

    queue.cleanup_completed_jobs(timedelta(seconds=5))

    assert () == queue.metrics().stored


def test_a_process_counts_what_it_does(queue: JobQueue, clock: FakeClock) -> None:
    queue.enqueue({}, type="t", id="a", max_retries=1)
    clock.advance(2)
    first = claimed(queue)
    assert 1 == queue.metrics().process[0].in_flight
    clock.advance(0.25)
    first.fail("again")
    clock.advance(11)
    claimed(queue).fail("for good")
    queue.retry_job("a")
    claimed(queue).complete()
    queue.enqueue({}, type="t", id="b", max_retries=0)
    queue.cancel_job("b")

    [found] = queue.metrics().process

    assert ("t", "default", 0) == (found.type, found.queue, found.in_flight)
    assert {
        "created": 2,
        "claimed": 3,
        "retrying": 1,
        "failed": 1,
        "retried": 1,
        "completed": 1,
        "cancelled": 1,
    } == found.events
    assert (1, 1, 0) == (found.retries, found.failures, found.rescues)
    assert (3, 0.25) == (found.run.count, found.run.sum)
    # Retried by hand it was due from its creation on.
    assert (3, 2 + 1 + 13.25) == (found.wait.count, found.wait.sum)


def test_a_job_cancelled_while_it_waits_has_not_run_again(
    queue: JobQueue, clock: FakeClock
) -> None:
    queue.enqueue({}, type="t", id="a")
    claimed(queue).fail("again")
    queue.cancel_job("a")

    [found] = queue.metrics().process

    assert (1, 1) == (found.events["cancelled"], found.run.count)


def test_a_job_that_killed_its_workers_too_often_is_a_failure(clock: FakeClock) -> None:
    store = MemoryStore()
    queue = JobQueue(store, clock=clock, max_crashes=0)
    queue.enqueue({}, type="t", id="a")
    queue.claim_next_job()
    store.kill_holder("a")

    queue.rescue_orphans()

    [found] = queue.metrics().process
    assert (0, 1, 0) == (found.rescues, found.failures, found.run.count)


def test_what_the_store_does_by_itself_is_counted(clock: FakeClock) -> None:
    store = MemoryStore()
    queue = JobQueue(store, clock=clock)
    job = queue.enqueue({}, type="t", id="a")
    store.request_cancel("a", job.metadata.life)

    assert queue.claim_next_job() is None

    [found] = queue.metrics().process
    assert (1, 0) == (found.events["cancelled"], found.run.count)
