"""How fields of frozen classes are checked and normalised: instants, ranges, choices.

It must not know which classes have such fields.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, Final, ParamSpec, TypeGuard, TypeVar

from attrs import Attribute

from semiont_jobs.errors import InvalidJob, InvalidValue

A = ParamSpec("A")
T = TypeVar("T")

ENDLESS: Final = 1e9
"""Seconds (thirty years) from which on a value is no limit: the system's waits accept at most some
ten times as many."""

_reading: ContextVar[bool] = ContextVar("semiont_jobs_reading", default=False)
# The name of a refused field's owner, as users write it.
_PLACES: Final = {"JobMetadata": "metadata"}


def read_by(make: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
    """Call `make`, which makes objects as a store has them: limits apply to writers, not readers.

    The TypeScript package checks no ranges, so a value that it wrote must be readable here.
    """
    # In a context of its own, which ends in C code: an interrupt cannot leave it behind.
    context = copy_context()
    context.run(_reading.set, True)
    return context.run(make, *args, **kwargs)


def is_reading() -> bool:
    """Whether the object being made is read from a store, so that its limits do not apply."""
    return _reading.get()


def now() -> datetime:
    """This instant, aware, in UTC, cut to milliseconds as everything stored is."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1000, UTC)


def stopwatch(clock: Callable[[], datetime]) -> Callable[[], float]:
    """Seconds that pass, from no instant in particular, unaffected if the system's clock is set.

    If the program gives a clock of its own, in a test for example, the seconds are counted by that.
    """
    return time.monotonic if clock is now else lambda: clock().timestamp()


def cut(instant: datetime) -> datetime:
    """An aware datetime in UTC, cut to milliseconds: what is read equals what was written."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    excess = instant.microsecond % 1000
    return instant - timedelta(microseconds=excess) if excess else instant


def to_instant(value: datetime) -> datetime:
    """An attrs converter: cut to milliseconds. A value that is not an aware datetime is left to
    `check_instant`, which knows whose field it is."""
    if type(value) is datetime and value.tzinfo is UTC and not value.microsecond % 1000:
        return value  # as nearly all are: made by `now`, or read
    try:
        return cut(value) if value.utcoffset() is not None else value
    except (AttributeError, OverflowError):  # not a datetime, or one out of UTC's years
        return value


def to_instant_or_none(value: datetime | None) -> datetime | None:
    """`to_instant` for a field that may be None."""
    return None if value is None else to_instant(value)


def checked_instant(value: datetime, field: str) -> datetime:
    """`to_instant`; raises `InvalidJob` if it is not an aware datetime (of a given clock, say)."""
    instant = to_instant(value)
    if type(instant) is not datetime or instant.tzinfo is not UTC:
        raise InvalidJob("an aware datetime (one with a time zone)", field=field, value=value)
    return instant


def check_instant(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    """An attrs validator: an aware datetime, or None if that is the default."""
    if isinstance(value, datetime) and value.tzinfo is UTC:
        return
    if value is None and attribute.default is None:
        return
    if not isinstance(value, datetime) or value.utcoffset() is None:
        _refuse(owner, attribute, value, "is an aware datetime (one with a time zone)")
    _refuse(owner, attribute, value, "is in the years 1 to 9999 of UTC")


def instant_after(
    until_or_delay: datetime | timedelta | float,
    now: datetime,
    *,
    field: str,
    job_id: str | None = None,
) -> datetime:
    """The instant meant by an instant, a time from now, or seconds from now.

    :param field: the value's name where it is given.
    """
    if isinstance(until_or_delay, datetime) and until_or_delay.utcoffset() is None:
        raise InvalidValue(
            "a time is an aware datetime (one with a time zone)",
            field=field,
            value=until_or_delay,
            job_id=job_id,
        )
    try:
        if isinstance(until_or_delay, datetime):
            return cut(until_or_delay)
        if isinstance(until_or_delay, timedelta):
            return now + until_or_delay
        return now + timedelta(seconds=until_or_delay)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidValue(
            "an aware datetime, a timedelta or seconds are needed, up to the year 9999",
            field=field,
            value=until_or_delay,
            job_id=job_id,
        ) from error


def checked_units(units: Iterable[str]) -> tuple[str, ...]:
    """The names of units, as strings. Raises `InvalidValue` for anything else."""
    if isinstance(units, Iterable) and not isinstance(units, str):
        checked = tuple(units)
        if all(isinstance(unit, str) for unit in checked):
            return checked
    raise InvalidValue("units are a list or tuple of texts", field="units", value=units)


def checked_cursors(cursors: Mapping[str, Any] | None) -> dict[str, Any]:
    """Cursors by unit; None: none. Raises `InvalidValue` if it is not a dict."""
    if cursors is None:
        return {}
    if not isinstance(cursors, Mapping):
        raise InvalidValue("cursors are a dict by unit", field="cursors", value=cursors)
    return dict(cursors)


def within(low: float, high: float) -> Any:
    """An attrs validator: a number from `low` to `high`, checked when made, never when read."""

    def check(owner: Any, attribute: Attribute[Any], value: Any) -> None:
        if value is None or is_reading():
            return
        if not is_number(value):
            _refuse(owner, attribute, value, "is a number")
        if not low <= value <= high:
            _refuse(owner, attribute, value, f"is from {low} to {high}")

    return check


def whole(low: int, high: int) -> Any:
    """An attrs validator: a whole number; from `low` to `high` when made, any when read."""

    def check(owner: Any, attribute: Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            _refuse(owner, attribute, value, "is a whole number")
        if not low <= value <= high and not is_reading():
            _refuse(owner, attribute, value, f"is from {low} to {high}")

    return check


def one_of(*choices: str) -> Any:
    """An attrs validator: one of `choices`, checked when made, never when read."""

    def check(owner: Any, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and value not in choices and not is_reading():
            _refuse(owner, attribute, value, f"is one of {', '.join(choices)}")

    return check


def check_text(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, str) or not value:
        _refuse(owner, attribute, value, "is a text of at least one character")


def check_any_text(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    """An attrs validator: a string, or None if that is the default."""
    if isinstance(value, str) or (value is None and attribute.default is None):
        return
    _refuse(owner, attribute, value, "is a text")


def check_integer(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    """An attrs validator: a whole number of any size."""
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(owner, attribute, value, "is a whole number")


def check_mapping(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    """An attrs validator: a dict or another mapping."""
    # A dict first: nearly all are, and a check for the abstract class is slow.
    if type(value) is not dict and not isinstance(value, Mapping):
        _refuse(owner, attribute, value, "is a dict")


def instance_of(kind: type[Any]) -> Any:
    """An attrs validator: an object of that class, which checks its own fields."""

    def check(owner: Any, attribute: Attribute[Any], value: Any) -> None:
        if not isinstance(value, kind):
            _refuse(owner, attribute, value, f"is a {kind.__name__}")

    return check


def tuple_of(kind: type[Any], name: str) -> Any:
    """An attrs validator: a tuple of objects of that class, called `name`."""

    def check(owner: Any, attribute: Attribute[Any], value: Any) -> None:
        if value == ():
            return
        if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in value):
            _refuse(owner, attribute, value, f"is a tuple of {name}")

    return check


def check_count(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        _refuse(owner, attribute, value, "is a whole number from 0")


def check_seconds(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is None:
        return
    if not is_limit(value):
        _refuse(owner, attribute, value, "is a positive number of seconds")


def is_number(value: object) -> TypeGuard[float]:
    """Whether that is a number, including NaN and the infinite ones, but not True or False."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_limit(seconds: object) -> bool:
    """Whether that can be a time limit: a positive number of seconds, fewer than `ENDLESS`."""
    return is_number(seconds) and 0 < seconds < ENDLESS


def checked_patience(field: str, seconds: float) -> float:
    """Seconds to wait at most; they may be infinite."""
    if not is_number(seconds) or not seconds >= 0:
        raise InvalidValue("seconds from 0 are needed", field=field, value=seconds)
    return seconds


def _refuse(owner: Any, attribute: Attribute[Any], value: Any, rule: str) -> None:
    name = _field_name(owner, attribute)
    raise InvalidJob(f"{attribute.name} {rule}", field=name, value=value, job_id=_id_of(owner))


def _field_name(owner: Any, attribute: Attribute[Any]) -> str:
    return f"{_PLACES.get(type(owner).__name__, type(owner).__name__)}.{attribute.name}"


def _id_of(owner: Any) -> str | None:
    return getattr(owner, "id", None) or getattr(getattr(owner, "metadata", None), "id", None)
