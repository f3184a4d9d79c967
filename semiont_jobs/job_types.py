"""Job types: a name, and the classes of its params, progress and result; and their registry.

It must not know how these classes are written down, nor which types there are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Generic

import attrs
from attrs import Attribute, field, frozen

from semiont_jobs.errors import InvalidJob, InvalidValue, JobTypeExists
from semiont_jobs.fields import check_count, check_seconds, check_text
from semiont_jobs.model import PG, P, R
from semiont_jobs.retry import RetryPolicy


def _check_class(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is None and attribute.default is None:
        return
    if not isinstance(value, type) or not (attrs.has(value) or dataclasses.is_dataclass(value)):
        raise InvalidJob(
            "an attrs class or a dataclass is needed",
            field=f"JobType.{attribute.name}",
            value=value,
        )


def _check_optional_count(owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None:
        check_count(owner, attribute, value)


def _check_policy(_owner: Any, attribute: Attribute[Any], value: Any) -> None:
    if value is not None and not isinstance(value, RetryPolicy):
        raise InvalidJob("a RetryPolicy is needed", field=f"JobType.{attribute.name}", value=value)


@frozen
class JobType(Generic[P, PG, R]):
    """One kind of job: ``JobType("thumbnail", ThumbParams, ThumbProgress, ThumbResult)``.

    The classes are attrs classes or dataclasses; their fields are written in camelCase. Without a
    progress or result class, any JSON value is accepted there.

    :param retry_policy: overrides the queue's for jobs of this type.
    :param max_retries: the default for jobs created by `JobQueue.enqueue`.
    :param timeout: seconds an attempt may take, for jobs of this type without a limit of their own.
    """

    name: str = field(validator=check_text)
    params: type[P] = field(validator=_check_class)
    progress: type[PG] | None = field(default=None, validator=_check_class)
    result: type[R] | None = field(default=None, validator=_check_class)
    retry_policy: RetryPolicy | None = field(default=None, kw_only=True, validator=_check_policy)
    max_retries: int | None = field(default=None, kw_only=True, validator=_check_optional_count)
    timeout: float | None = field(default=None, kw_only=True, validator=check_seconds)


class JobTypes:
    """The job types a queue knows. Unregistered types are allowed: their data stay plain."""

    def __init__(self, types: Iterable[JobType[Any, Any, Any]] = ()) -> None:
        self._by_name: dict[str, JobType[Any, Any, Any]] = {}
        self._by_params: dict[type, JobType[Any, Any, Any]] = {}
        for job_type in types:
            self.register(job_type)

    def register(self, job_type: JobType[Any, Any, Any]) -> None:
        """Add a type. Raises `JobTypeExists` if its name or its params class is taken."""
        if not isinstance(job_type, JobType):
            raise InvalidValue("a JobType is needed", field="job_types", value=job_type)
        if job_type.name in self._by_name:
            raise JobTypeExists(job_type.name, reason="this name is registered already")
        other = self._by_params.get(job_type.params)
        if other is not None:
            raise JobTypeExists(
                job_type.name,
                reason=f"{job_type.params.__qualname__} is registered already, as {other.name!r}",
            )
        # Another thread may have registered one since: then this asks again.
        if self._by_name.setdefault(job_type.name, job_type) is not job_type:
            self.register(job_type)
        elif self._by_params.setdefault(job_type.params, job_type) is not job_type:
            del self._by_name[job_type.name]
            self.register(job_type)

    def get(self, name: str) -> JobType[Any, Any, Any] | None:
        """The type of that name, or None if it is not registered."""
        # A value that is not a string may have no hash.
        return self._by_name.get(name) if isinstance(name, str) else None

    def of_params(self, params: object) -> JobType[Any, Any, Any] | None:
        """The type whose params class is the class of `params`, or None."""
        return self._by_params.get(type(params))

    def __iter__(self) -> Iterator[JobType[Any, Any, Any]]:
        return iter(list(self._by_name.values()))  # one may be registered meanwhile
