"""A claim: one job in somebody's hands, until it has an outcome."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import tenacity
from claims import LATE, LATER, OUTCOMES, held, stored

from semiont_jobs import (
    ClaimLost,
    InvalidValue,
    JobEncodeError,
    JobFailed,
    JobQueue,
    MemoryStore,
    RetryPolicy,
    Snooze,
)
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import at_once

NAIVE = datetime(2030, 1, 1)
TEN_SECONDS = RetryPolicy(wait=tenacity.wait_fixed(10))


# -- as a context manager ------------------------------------------------------------------


def test_a_block_left_without_an_outcome_gives_the_job_back(queue: JobQueue) -> None:
    with held(queue) as claim:
        assert stored(queue, claim).status == "running"

    after = stored(queue, claim)
    assert (after.status, after.metadata.attempt_count) == ("pending", 0)
    assert not claim.is_open


def test_a_block_that_completed_the_job_changes_nothing_more(queue: JobQueue) -> None:
    with held(queue) as claim:
        done = claim.complete({"pages": 1})

    assert stored(queue, claim) == done


def test_an_exception_fails_the_job_and_goes_on_to_the_caller(queue: JobQueue) -> None:
    claim = held(queue, max_retries=0)
    error = ValueError("bad page")

    with pytest.raises(ValueError, match="bad page") as told, claim:
        raise error

    assert told.value is error
    failed = stored(queue, claim)
    assert (failed.status, failed.error) == ("failed", "ValueError: bad page")
    assert "bad page" in failed.metadata.attempts[-1].traceback


def test_an_exception_after_the_outcome_changes_nothing(queue: JobQueue) -> None:
    claim = held(queue)

    with pytest.raises(ValueError, match="late"), claim:
        claim.complete()
        raise ValueError("late")

    assert stored(queue, claim).status == "complete"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_no_exception_releases_the_job_and_goes_on(
    queue: JobQueue, error: BaseException
) -> None:
    claim = held(queue)

    with pytest.raises(type(error)), claim:
        raise error

    after = stored(queue, claim)
    assert (after.status, after.metadata.attempt_count) == ("pending", 0)


def test_a_snooze_is_obeyed_and_goes_no_further(queue: JobQueue, clock: FakeClock) -> None:
    claim = held(queue)

    with claim:
        raise Snooze(60)

    after = stored(queue, claim)
    assert (after.status, after.metadata.attempt_count) == ("pending", 0)
    assert after.metadata.run_after == clock() + timedelta(seconds=60)


def test_work_that_stops_when_asked_ends_cancelled_and_nobody_else_is_told(
    queue: JobQueue,
) -> None:
    claim = held(queue)
    queue.cancel_job(claim.job.metadata.id)

    with claim:
        claim.raise_if_cancelled()

    assert stored(queue, claim).status == "cancelled"


def test_a_claim_lost_within_the_block_goes_on_to_the_caller(clock: FakeClock) -> None:
    store = MemoryStore()
    queue = JobQueue(store, clock=clock)
    claim = held(queue)
    store.kill_holder(claim.job.metadata.id)
    queue.rescue_orphans()

    with pytest.raises(ClaimLost), claim:
        claim.complete()

    assert stored(queue, claim).status == "pending"


def test_losing_another_claim_within_the_block_fails_this_job(queue: JobQueue) -> None:
    claim, other = held(queue, max_retries=0), held(queue)
    other.release()

    with pytest.raises(ClaimLost), claim:
        other.complete()

    assert not claim.is_open
    assert stored(queue, claim).status == "failed"


@pytest.mark.parametrize("until", [NAIVE, "soon", float("nan"), float("inf")])
def test_a_snooze_to_no_time_is_a_failed_attempt(queue: JobQueue, until: Any) -> None:
    claim = held(queue, max_retries=0)

    with pytest.raises((InvalidValue, Snooze)), claim:
        raise Snooze(until)

    assert not claim.is_open
    assert stored(queue, claim).status == "failed"


# -- outcomes ------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", OUTCOMES)
def test_an_outcome_is_returned_as_it_is_stored_and_ends_the_claim(
    queue: JobQueue, verb: str
) -> None:
    claim = held(queue)

    after = OUTCOMES[verb](claim)

    assert after == stored(queue, claim)
    assert not claim.is_open


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("verb", OUTCOMES)
def test_a_claim_has_one_outcome_and_says_which(queue: JobQueue, verb: str, late: str) -> None:
    claim = held(queue)
    after = OUTCOMES[verb](claim)

    with pytest.raises(ClaimLost, match=rf"this claim ended already \({verb}\)") as told:
        LATE[late](claim)

    assert told.value.job_id == claim.job.metadata.id
    assert stored(queue, claim) == after


def test_an_outcome_is_recorded_once_by_many_threads(queue: JobQueue) -> None:
    claim = held(queue)

    def end(n: int) -> int | None:
        try:
            claim.complete({"by": n})
        except ClaimLost:
            return None
        return n

    said = at_once([lambda n=n: end(n) for n in range(8)])  # type: ignore[misc]

    [winner] = [n for n in said if n is not None]
    assert stored(queue, claim).result == {"by": winner}


def test_a_text_stands_for_a_job_failed(queue: JobQueue) -> None:
    failed = held(queue, max_retries=0).fail("no such page")

    assert failed.status == "failed"
    assert failed.error == "JobFailed: no such page"
    assert failed.metadata.attempts[-1].error_type == JobFailed.__name__


def test_a_failed_attempt_waits_as_the_policy_says(
    make_queue: Callable[..., JobQueue], clock: FakeClock
) -> None:
    queue = make_queue(retry_policy=TEN_SECONDS)
    clock.advance(1)

    waiting = held(queue).fail(ValueError("x"))

    assert waiting.metadata.run_after == clock() + timedelta(seconds=10)
    assert waiting.metadata.retry_count == 1


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (LATER, lambda _now: LATER),
        (90, lambda now: now + timedelta(seconds=90)),
        (0.5, lambda now: now + timedelta(milliseconds=500)),
        (timedelta(days=2), lambda now: now + timedelta(days=2)),
    ],
)
def test_a_snooze_lasts_until_an_instant_or_for_a_time(
    queue: JobQueue, clock: FakeClock, until: Any, expected: Any
) -> None:
    waiting = held(queue).snooze(until)

    assert waiting.metadata.run_after == expected(clock())
    assert waiting.metadata.attempt_count == 0


def test_a_snooze_is_returned_as_it_is_stored_also_between_two_milliseconds(
    queue: JobQueue,
) -> None:
    claim = held(queue)

    waiting = claim.snooze(LATER + timedelta(microseconds=123_456))

    assert waiting == stored(queue, claim)


@pytest.mark.parametrize("bad", [NAIVE, "soon", None, float("nan"), float("inf"), 1e300])
def test_a_snooze_to_no_time_is_refused_and_the_claim_goes_on(queue: JobQueue, bad: Any) -> None:
    claim = held(queue)

    with pytest.raises(InvalidValue) as told:
        claim.snooze(bad)

    assert (told.value.field, told.value.job_id) == ("until", claim.job.metadata.id)
    assert told.value.value is bad
    assert claim.complete().status == "complete"


UNWRITABLE = [({"a": {1}}, "result.a"), (object(), "result"), ([float("nan")], "result[0]")]


@pytest.mark.parametrize(("result", "path"), UNWRITABLE)
def test_a_result_that_json_cannot_hold_is_refused_and_the_claim_goes_on(
    queue: JobQueue, result: Any, path: str
) -> None:
    claim = held(queue)

    with pytest.raises(JobEncodeError) as told:
        claim.complete(result)

    assert isinstance(told.value, TypeError)
    assert (told.value.path, told.value.job_id) == (path, claim.job.metadata.id)
    assert stored(queue, claim).status == "running"
    assert claim.complete("this one").status == "complete"
