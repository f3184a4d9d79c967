"""Whether, and when, a failed attempt is tried again: decided by pure functions."""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import tenacity
from attrs import frozen
from deciding import NOW, decide, delay
from hypothesis import given
from hypothesis import strategies as st

from semiont_jobs import (
    JobDecodeError,
    JobEncodeError,
    JobQueue,
    JobTimeout,
    JobType,
    PendingJob,
    PermanentError,
    RetryPolicy,
    StoreError,
)
from semiont_jobs.retry import (
    LONGEST_WAIT,
    GiveUp,
    Retry,
    error_pace,
    is_transient,
    poll,
    retry_transient,
)
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import some


def waits(seconds: float) -> RetryPolicy:
    return RetryPolicy(wait=tenacity.wait_fixed(seconds))


# -- equality ------------------------------------------------------------------------------


def is_odd(error: BaseException) -> bool:
    return len(str(error)) % 2 == 1


ALIKE: list[Callable[[], RetryPolicy]] = [
    RetryPolicy,
    lambda: waits(1),
    lambda: RetryPolicy(wait=tenacity.wait_fixed(1) + tenacity.wait_random(0, 2)),
    lambda: RetryPolicy(wait=tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(5))),
    lambda: RetryPolicy(retry=tenacity.retry_if_exception_type((OSError, ValueError))),
    lambda: RetryPolicy(retry=tenacity.retry_if_exception(is_odd)),
    lambda: RetryPolicy(permanent=(KeyError,)),
]


@pytest.mark.parametrize("make", ALIKE)
def test_policies_made_alike_are_equal_and_those_made_otherwise_are_not(
    make: Callable[[], RetryPolicy],
) -> None:
    policy = make()

    assert make() == policy
    assert hash(make()) == hash(policy)
    assert 1 == sum(policy == other() for other in ALIKE)


def test_a_strategy_that_keeps_something_without_a_hash_equals_itself_only() -> None:
    class Table(tenacity.wait.wait_base):
        def __init__(self) -> None:
            self.seconds = {1: 5.0}

        def __call__(self, retry_state: tenacity.RetryCallState) -> float:
            return self.seconds[retry_state.attempt_number]

    table = Table()

    assert RetryPolicy(wait=table) == RetryPolicy(wait=table)
    assert RetryPolicy(wait=table) != RetryPolicy(wait=Table())
    assert hash(RetryPolicy(wait=table)) == hash(RetryPolicy(wait=table))


# -- how often -----------------------------------------------------------------------------


@pytest.mark.parametrize("max_retries", range(5))
def test_so_many_retries_are_one_attempt_more(max_retries: int) -> None:
    attempts = 1
    while isinstance(decide(waits(1), retry_count=attempts - 1, max_retries=max_retries), Retry):
        attempts += 1

    assert attempts == max_retries + 1


def test_a_job_with_its_retries_used_up_is_given_up_for_that_reason() -> None:
    assert decide(waits(1), retry_count=3) == GiveUp("3 retries are used up")
    assert decide(waits(1), retry_count=9, max_retries=3) == GiveUp("3 retries are used up")


class Hopeless(PermanentError):
    pass


@pytest.mark.parametrize(
    "error",
    [
        PermanentError("no"),
        Hopeless("no"),
        JobDecodeError("params do not fit"),
        JobEncodeError("JSON has none", path="result", value=object()),
    ],
)
def test_a_permanent_error_is_given_up_whatever_the_budget(error: BaseException) -> None:
    assert decide(waits(1), error) == GiveUp("the error is permanent")


def test_a_policy_has_permanent_errors_of_its_own() -> None:
    policy = RetryPolicy(wait=tenacity.wait_none(), permanent=(LookupError, KeyboardInterrupt))

    assert decide(policy, KeyError("x")) == GiveUp("the error is permanent")
    assert decide(policy, KeyboardInterrupt()) == GiveUp("the error is permanent")
    assert decide(policy, ValueError("x")) == Retry(NOW)


@pytest.mark.parametrize("error", [ValueError(), SystemExit(1), KeyboardInterrupt(), JobTimeout()])
def test_every_other_error_is_worth_another_attempt(error: BaseException) -> None:
    assert isinstance(decide(RetryPolicy(), error), Retry)


# -- when ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_count", "least"), [(0, 1), (1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (5000, 300)]
)
def test_the_default_doubles_up_to_five_minutes_with_up_to_a_second_added(
    retry_count: int, least: int
) -> None:
    seconds = delay(RetryPolicy(), retry_count=retry_count, max_retries=10_000)

    assert least <= seconds <= least + 1.001


def test_jitter_tells_jobs_apart_that_failed_together() -> None:
    assert len({delay(RetryPolicy(), retry_count=1) for _ in range(50)}) > 1


@given(
    seconds=st.floats(0, LONGEST_WAIT),
    now=st.integers(0, 10**12).map(lambda ms: NOW + timedelta(milliseconds=ms)),
)
def test_the_next_attempt_is_never_earlier_than_asked_nor_two_milliseconds_late(
    seconds: float, now: datetime
) -> None:
    decision = decide(waits(seconds), now=now)

    assert isinstance(decision, Retry)
    assert decision.at.microsecond % 1000 == 0
    late = (decision.at - now) / timedelta(milliseconds=1) - seconds * 1000
    assert -1e-3 <= late < 2


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (LONGEST_WAIT, 30 * 24 * 3600),
        (LONGEST_WAIT + 1, 30 * 24 * 3600),
        (1e300, 30 * 24 * 3600),
        (math.inf, 30 * 24 * 3600),
        (-5, 0),
        (-math.inf, 0),
        (0, 0),
        (0.0001, 0.001),
    ],
)
def test_a_wait_is_cut_to_thirty_days_and_to_no_time(asked: float, kept: float) -> None:
    assert delay(waits(asked)) == kept


def test_an_exponential_that_overflows_is_its_longest() -> None:
    policy = RetryPolicy(wait=tenacity.wait_exponential(max=60))

    assert delay(policy, retry_count=100_000, max_retries=200_000) == 60


# -- whose policy decides ------------------------------------------------------------------


@frozen
class Params:
    page: int


def claim_and_fail(queue: JobQueue, clock: FakeClock, own: RetryPolicy | None) -> float:
    """Seconds until the next attempt after a failed one."""
    queue.enqueue(Params(1))
    claim = some(queue.claim_next_job(retry_policy=own))
    waiting = claim.fail("it broke")
    assert isinstance(waiting, PendingJob)
    return (some(waiting.metadata.run_after) - clock()).total_seconds()


@pytest.mark.parametrize(
    ("own", "of_type", "of_queue", "seconds"),
    [
        (1, 20, 300, 1),
        (1, None, 300, 1),
        (1, 20, None, 1),
        (None, 20, 300, 20),
        (None, 20, None, 20),
        (None, None, 300, 300),
    ],
)
def test_the_workers_policy_goes_before_the_types_and_that_before_the_queues(
    clock: FakeClock, own: int | None, of_type: int | None, of_queue: int | None, seconds: int
) -> None:
    queue = JobQueue(
        "memory:",
        clock=clock,
        retry_policy=of_queue and waits(of_queue),  # type: ignore[arg-type]
        job_types=[
            JobType("page", Params, retry_policy=of_type and waits(of_type))  # type: ignore[arg-type]
        ],
    )

    with queue:
        assert claim_and_fail(queue, clock, own and waits(own)) == seconds  # type: ignore[arg-type]


def test_without_any_policy_the_default_one_decides(clock: FakeClock) -> None:
    with JobQueue("memory:", clock=clock, job_types=[JobType("page", Params)]) as queue:
        assert 1 <= claim_and_fail(queue, clock, None) <= 2.001


def test_a_retry_policy_that_raises_leaves_the_decision_to_the_default(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_state: tenacity.RetryCallState) -> float:
        raise ZeroDivisionError

    policy = RetryPolicy(wait=broken)  # type: ignore[arg-type]
    with JobQueue("memory:", clock=clock, job_types=[JobType("page", Params)]) as queue:
        seconds = claim_and_fail(queue, clock, policy)

    assert 1 <= seconds <= 2.001
    assert [record.message for record in caplog.records if record.exc_info] == [
        "the retry policy failed; the default one decides"
    ]


def test_a_wait_that_is_no_number_leaves_the_decision_to_the_default(clock: FakeClock) -> None:
    with JobQueue("memory:", clock=clock, job_types=[JobType("page", Params)]) as queue:
        assert 1 <= claim_and_fail(queue, clock, waits(math.nan)) <= 2.001


# -- the queue's own waits -----------------------------------------------------------------


PASSING = (errno.EINTR, errno.EAGAIN, errno.ESTALE)


@pytest.mark.parametrize("code", PASSING)
def test_a_passing_error_is_met_by_the_same_call_again(code: int) -> None:
    answers: list[BaseException | str] = [OSError(code, "x"), StoreError(code, "x"), "done"]

    assert retry_transient(told_one_by_one(answers)) == "done"
    assert answers == []


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "x"), OSError(errno.EIO, "x"), OSError("x"), ValueError("x")],
)
def test_any_other_error_is_raised_at_once(error: Exception) -> None:
    answers: list[BaseException | str] = [error, "done"]

    with pytest.raises(type(error)) as told:
        retry_transient(told_one_by_one(answers))

    assert told.value is error
    assert answers == ["done"]


def test_the_fifth_passing_error_is_raised_as_it_is() -> None:
    errors = [OSError(errno.EAGAIN, f"{n}") for n in range(6)]
    answers: list[BaseException | str] = [*errors]

    with pytest.raises(OSError, match="4") as told:
        retry_transient(told_one_by_one(answers))

    assert told.value is errors[4]
    assert answers == [errors[5]]


def told_one_by_one(answers: list[BaseException | str]) -> Callable[[], str]:
    def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return call


def test_an_error_without_a_number_passes_for_nothing() -> None:
    assert not is_transient(OSError("x"))
    assert not is_transient(BlockingIOError())
    assert is_transient(BlockingIOError(errno.EAGAIN, "x"))


def test_a_poll_answers_with_the_first_thing_it_sees() -> None:
    seen: list[str | None] = [None, None, "", "later"]
    pauses: list[float] = []

    found = poll(lambda: seen.pop(0), timeout=60, wait=pauses.append)

    assert found == ""
    assert seen == ["later"]
    assert len(pauses) == 2


def test_the_pauses_of_a_poll_grow_from_5_to_250_milliseconds() -> None:
    seen: list[int | None] = [*[None] * 9, 1]
    pauses: list[float] = []

    poll(lambda: seen.pop(0), timeout=60, wait=pauses.append)

    assert pauses[:3] == [0.005, 0.01, 0.02]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.25


def test_a_poll_looks_at_least_once_and_then_gives_up_in_time() -> None:
    looks: list[None] = []

    with pytest.raises(JobTimeout, match=r"not within 0\.02 seconds") as told:
        poll(lambda: looks.append(None), timeout=0.02, wait=threading.Event().wait)

    assert isinstance(told.value, TimeoutError)
    assert looks


def test_a_poll_never_waits_beyond_its_time() -> None:
    pauses: list[float] = []

    def wait(seconds: float) -> None:
        pauses.append(seconds)
        threading.Event().wait(seconds)

    with pytest.raises(JobTimeout):
        poll(lambda: None, timeout=0.05, wait=wait)

    assert all(0 <= pause <= 0.05 for pause in pauses)


def test_an_error_in_a_poll_is_raised_as_it_is() -> None:
    def look() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        poll(look, timeout=1, wait=threading.Event().wait)


def test_pauses_after_errors_double_from_an_eighth() -> None:
    pause = error_pace(8.0)

    assert [pause(errors) for errors in (1, 2, 3, 4, 5, 1000)] == [1, 2, 4, 8, 8, 8]
