"""When to try again: the policy for failed attempts, and every other wait (by tenacity).

It must not know jobs' statuses or stores: only counts, errors and instants.
"""

from __future__ import annotations

import errno
import inspect
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import tenacity
from attrs import Attribute, field, frozen
from tenacity.retry import retry_base
from tenacity.wait import wait_base

from semiont_jobs.errors import (
    InvalidValue,
    JobDecodeError,
    JobEncodeError,
    JobTimeout,
    PermanentError,
)
from semiont_jobs.threads import pause

T = TypeVar("T")
A = ParamSpec("A")

LONGEST_WAIT: Final = 30 * 24 * 3600.0
"""Seconds; a longer wait of a strategy is cut to this. Thirty days is longer than any outage, and
short enough that an overflowing exponential does not bury a job."""


def _refuse(attribute: Attribute[Any], value: Any, rule: str) -> None:
    raise InvalidValue(rule, field=f"RetryPolicy.{attribute.name}", value=value)


def _check_strategy(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    # A class can be called, too: with the state of a call it would make an object, not answer.
    if not callable(value) or isinstance(value, type):
        _refuse(attribute, value, "one of tenacity's strategies, or a function, is needed")


def _check_errors(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple) or not all(
        isinstance(kind, type) and issubclass(kind, BaseException) for kind in value
    ):
        _refuse(attribute, value, "a tuple of exception classes is needed, also of one")


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _by_value(strategy: Any) -> Any:
    """What a strategy is compared and hashed by: its class and the values it was made of.

    tenacity's strategies have no equality of their own. If that does not help (a function, a class
    that keeps a value without a hash), a strategy equals only itself.
    """
    try:
        key = _value_of(strategy, strategy)
        hash(key)
    except (TypeError, RecursionError):
        return strategy
    return key


def _value_of(value: Any, owner: Any) -> Any:
    if isinstance(value, wait_base | retry_base):
        return (type(value), *((key, _value_of(of, value)) for key, of in vars(value).items()))
    if isinstance(value, tuple | list):
        return tuple(_value_of(item, owner) for item in value)
    if inspect.ismethod(value) and value.__self__ is owner:
        return value.__func__  # of any strategy that is otherwise the same
    return value


@frozen(kw_only=True)
class RetryPolicy:
    """Whether and when a failed attempt is retried.

    `wait` and `retry` are any of tenacity's strategies. Both are called as pure functions of a
    `tenacity.RetryCallState`: its ``attempt_number`` counts the attempts of this life of the job,
    except crashed ones, from 1, and its ``outcome`` has the exception. No worker sleeps through a
    wait: its end becomes the job's ``run_after``. Two policies are equal if their strategies are of
    the same classes and made of the same values.

    :param wait: seconds until the next attempt; default: about 1, 2, 4, ... plus up to one second
        at random, so that jobs that failed together do not return together; at most 300.
    :param retry: which errors are worth another attempt; default: every one.
    :param permanent: a tuple of errors that are never retried, in addition to `PermanentError`,
        params that do not fit their class (`JobDecodeError`) and a result that JSON cannot hold
        (`JobEncodeError`).
    :raises InvalidValue: one of them is invalid.
    """

    wait: wait_base = field(
        factory=lambda: tenacity.wait_exponential_jitter(multiplier=1, max=300, jitter=1),
        validator=_check_strategy,
        eq=_by_value,
    )
    retry: retry_base = field(
        factory=lambda: tenacity.retry_if_exception_type(BaseException),
        validator=_check_strategy,
        eq=_by_value,
    )
    permanent: tuple[type[BaseException], ...] = field(
        default=(), converter=_tuple, validator=_check_errors
    )


@frozen
class Retry:
    """Try again, not before that instant."""

    at: datetime


@frozen
class GiveUp:
    """Do not try again, for that reason."""

    reason: str


def next_attempt(
    policy: RetryPolicy,
    error: BaseException,
    *,
    retry_count: int,
    max_retries: int,
    started_at: datetime,
    now: datetime,
) -> Retry | GiveUp:
    """Decide once, after a failed attempt: retry it at an instant, or give up.

    Retries go on while ``retry_count < max_retries``: three retries are four attempts.
    """
    # A job with an invalid result has run: if it ran again, the result would be the same.
    if isinstance(error, (PermanentError, JobDecodeError, JobEncodeError, *policy.permanent)):
        return GiveUp("the error is permanent")
    if retry_count >= max_retries:
        return GiveUp(f"{max_retries} retries are used up")
    state = _call_state(error, retry_count + 1, (now - started_at).total_seconds())
    if not policy.retry(state):
        return GiveUp("the policy does not retry this error")
    seconds = min(max(float(policy.wait(state)), 0.0), LONGEST_WAIT)
    # Never earlier than asked: instants are cut to milliseconds, so round up.
    return Retry(now + timedelta(milliseconds=-(-seconds * 1000 // 1)))


def _call_state(
    error: BaseException, attempt_number: int, elapsed: float
) -> tenacity.RetryCallState:
    state = tenacity.RetryCallState(_NOBODY, None, (), {})
    state.attempt_number = attempt_number
    state.set_exception((type(error), error, error.__traceback__))
    assert state.outcome_timestamp is not None
    state.start_time = state.outcome_timestamp - elapsed
    return state


# Strategies receive the state of a call; ours is a job's attempt, which is not a call.
_NOBODY: Final = tenacity.Retrying()


# -- waits of the queue itself -----------------------------------------------------------

TRANSIENT: Final = frozenset({errno.EINTR, errno.EAGAIN, errno.ESTALE})
"""Errors of a file system that the same call may not meet again."""


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed if it is simply made again."""
    return isinstance(error, OSError) and error.errno in TRANSIENT


def insist(action: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
    """Call `action`, and repeat it after a transient error: see `retry_transient`."""
    try:
        return action(*args, **kwargs)
    except OSError as error:
        if not is_transient(error):
            raise
        return retry_transient(partial(action, *args, **kwargs))


def retry_transient(call: Callable[[], T]) -> T:
    """Repeat `call` after it met a transient error of the store.

    It is made up to five times within about a seventh of a second; the last error is raised
    unchanged.
    """
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_transient),
        wait=tenacity.wait_exponential(multiplier=0.01),
        stop=tenacity.stop_after_attempt(5),
        sleep=pause,
        reraise=True,
    )(call)


def poll(
    look: Callable[[], T | None],
    *,
    timeout: float,
    wait: Callable[[float], object] | None = None,
) -> T:
    """Call `look` until it returns something but None, and `wait` (default: `pause`) between.

    The pauses grow from 5 to 250 milliseconds: short jobs are seen at once, long ones cost little.

    :raises JobTimeout: after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout

    def wait_on(seconds: float) -> None:
        (wait or pause)(max(0.0, min(seconds, deadline - time.monotonic())))

    def expired(_state: tenacity.RetryCallState) -> bool:
        return time.monotonic() >= deadline

    def give_up(_state: tenacity.RetryCallState) -> T:
        raise JobTimeout(f"not within {timeout} seconds")

    found = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda seen: seen is None),
        wait=tenacity.wait_exponential(multiplier=0.005, max=0.25),
        stop=expired,
        sleep=wait_on,
        retry_error_callback=give_up,
    )(look)
    assert found is not None
    return found


class Pace(Protocol):
    """How long to pause after the n-th error in a row."""

    def __call__(self, errors: int) -> float: ...


def error_pace(backoff: float, *, first: float | None = None) -> Pace:
    """Pauses of a loop that meets errors: from `first` seconds (default: an eighth of `backoff`),
    doubling up to `backoff`. So one hiccup costs little, and a full disk is not a hot loop."""
    strategy = tenacity.wait_exponential(multiplier=first or backoff / 8, max=backoff)

    def pause(errors: int) -> float:
        return float(strategy(_call_state(RuntimeError(), errors, 0.0)))

    return pause
