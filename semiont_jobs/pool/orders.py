"""A pool's options: how many, how long, until when. Checked when created.

It must not know threads or processes. It pickles, so that every process gets the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from attrs import Attribute, field, frozen

from semiont_jobs.errors import InvalidValue
from semiont_jobs.fields import ENDLESS, is_limit, is_number
from semiont_jobs.worker import POLL_INTERVAL

GRACE: Final = 30.0
"""Seconds for running jobs after the signal to stop: what Kubernetes and others allow between
SIGTERM and SIGKILL by default. Their limit must be longer by 15 s, for the pool's own steps."""
STUCK_AFTER: Final = 30.0
"""Seconds beyond its time limit after which code counts as stuck: longer than code that checks now
and then takes to notice that its time is up."""


def _refuse(attribute: Attribute[Any], value: Any, rule: str) -> None:
    raise InvalidValue(rule, field=attribute.name, value=value)


def _check_seconds(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if not is_number(value) or not 0 <= value < ENDLESS:
        _refuse(attribute, value, "a number of seconds from 0 is needed")


def _check_time(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is None and attribute.default is None:
        return
    if not is_limit(value):
        _refuse(attribute, value, "a positive number of seconds is needed")


def _check_count(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is None and attribute.default is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        _refuse(attribute, value, "a whole number from 1 is needed")


def _check_names(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, frozenset) or not value:
        _refuse(attribute, value, "a list of at least one name is needed")
    if not all(isinstance(name, str) and name for name in value):
        _refuse(attribute, value, "names are texts")


def _names(value: Any) -> Any:
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    return frozenset(value) if is_list else value


def _check_flag(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        _refuse(attribute, value, "True or False is needed")


@frozen(kw_only=True)
class Orders:
    """The options of a `WorkerPool`, except its workers.

    :raises InvalidValue: an option is invalid.
    """

    threads: int = field(validator=_check_count)
    processes: int = field(default=1, validator=_check_count)
    grace: float = field(default=GRACE, validator=_check_seconds)
    timeout: float | None = field(default=None, validator=_check_time)
    stuck_after: float = field(default=STUCK_AFTER, validator=_check_seconds)
    max_jobs: int | None = field(default=None, validator=_check_count)
    max_rss: int | None = field(default=None, validator=_check_count)
    burst: bool = field(default=False, validator=_check_flag)
    poll_interval: float = field(default=POLL_INTERVAL, validator=_check_time)
    types: frozenset[str] | None = field(default=None, converter=_names, validator=_check_names)
    queues: frozenset[str] | None = field(default=None, converter=_names, validator=_check_names)

    @property
    def needs_processes(self) -> bool:
        """Whether the jobs run in child processes: several of them, or one that is replaced."""
        return self.processes > 1 or self.max_jobs is not None or self.max_rss is not None
