"""Any strategy of tenacity can be a policy's, and is asked as a pure function."""

from __future__ import annotations

from datetime import timedelta

import pytest
import tenacity
from deciding import NOW, decide, delay

from semiont_jobs import PermanentError, RetryPolicy
from semiont_jobs.retry import GiveUp, Retry
from semiont_jobs.testing.suite import some


def test_a_chain_of_waits_counts_attempts_from_one() -> None:
    policy = RetryPolicy(wait=tenacity.wait_chain(*[tenacity.wait_fixed(n) for n in (3, 20, 100)]))

    assert [delay(policy, retry_count=n, max_retries=9) for n in range(5)] == [3, 20, 100, 100, 100]


def test_waits_can_be_added_and_counted_up() -> None:
    policy = RetryPolicy(
        wait=tenacity.wait_fixed(5) + tenacity.wait_incrementing(start=1, increment=10)
    )

    assert [delay(policy, retry_count=n) for n in range(3)] == [6, 16, 26]


def test_only_chosen_classes_of_errors_are_tried_again() -> None:
    policy = RetryPolicy(
        wait=tenacity.wait_none(), retry=tenacity.retry_if_exception_type((OSError, EOFError))
    )

    assert decide(policy, ConnectionError("x")) == Retry(NOW)
    assert decide(policy, ValueError("x")) == GiveUp("the policy does not retry this error")


def test_only_errors_with_a_chosen_message_are_tried_again() -> None:
    policy = RetryPolicy(
        wait=tenacity.wait_none(), retry=tenacity.retry_if_exception_message(match="rate limit")
    )

    assert decide(policy, ValueError("rate limit reached")) == Retry(NOW)
    assert decide(policy, ValueError("no such page")) == GiveUp(
        "the policy does not retry this error"
    )


def test_strategies_can_be_combined() -> None:
    policy = RetryPolicy(
        wait=tenacity.wait_none(),
        retry=tenacity.retry_if_not_exception_type(KeyError)
        & tenacity.retry_if_exception(lambda error: bool(error.args)),
    )

    assert decide(policy, ValueError("x")) == Retry(NOW)
    assert isinstance(decide(policy, KeyError("x")), GiveUp)
    assert isinstance(decide(policy, ValueError()), GiveUp)


class Recording(tenacity.wait.wait_base):
    def __init__(self) -> None:
        self.seen: list[tuple[int, BaseException | None, float | None]] = []

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        outcome = some(retry_state.outcome)
        self.seen.append(
            (retry_state.attempt_number, outcome.exception(), retry_state.seconds_since_start)
        )
        return 7


def test_a_strategy_sees_the_attempt_the_error_and_how_long_it_took() -> None:
    wait = Recording()
    error = ValueError("x")

    assert delay(RetryPolicy(wait=wait), error, retry_count=2, now=NOW + timedelta(seconds=90)) == 7

    [(number, seen, took)] = wait.seen
    assert (number, seen) == (3, error)
    assert took == pytest.approx(90)


def test_a_strategy_is_asked_once_and_waits_for_nothing() -> None:
    wait = Recording()

    decide(RetryPolicy(wait=wait), retry_count=1)

    assert len(wait.seen) == 1


def test_no_strategy_is_asked_about_what_is_given_up() -> None:
    wait = Recording()

    decide(RetryPolicy(wait=wait), retry_count=3)
    decide(RetryPolicy(wait=wait), PermanentError())

    assert wait.seen == []
