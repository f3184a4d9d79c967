"""The registry of job types: what may be one, and that each is known by name and by class."""

from __future__ import annotations

import dataclasses
from typing import Any

import attrs
import pytest

from semiont_jobs import (
    BUILTIN_JOB_TYPES,
    InvalidJob,
    JobQueue,
    JobType,
    JobTypeExists,
    JobTypes,
    PendingJob,
)


@attrs.frozen
class Thumbnail:
    path: str


@dataclasses.dataclass(frozen=True)
class Resize:
    width: int


@attrs.frozen
class Wider(Thumbnail):
    width: int = 0


def test_a_type_is_found_by_its_name_and_by_its_params() -> None:
    thumbnail, resize = JobType("thumbnail", Thumbnail), JobType("resize", Resize)
    types = JobTypes([thumbnail, resize])

    assert types.get("thumbnail") is thumbnail
    assert types.of_params(Resize(5)) is resize
    assert list(types) == [thumbnail, resize]
    assert len(types) == 2


def test_a_type_nobody_registered_is_none() -> None:
    types = JobTypes([JobType("thumbnail", Thumbnail)])

    assert types.get("resize") is None
    assert types.of_params(Resize(5)) is None
    assert types.of_params({"path": "x"}) is None


def test_params_of_a_subclass_are_not_of_its_parents_type() -> None:
    types = JobTypes([JobType("thumbnail", Thumbnail)])

    assert types.of_params(Wider("x")) is None


def test_a_name_is_registered_once() -> None:
    types = JobTypes([JobType("thumbnail", Thumbnail)])

    with pytest.raises(JobTypeExists, match="this name is registered already") as told:
        types.register(JobType("thumbnail", Resize))

    assert told.value.name == "thumbnail"
    assert types.of_params(Resize(5)) is None


def test_a_params_class_is_registered_once() -> None:
    types = JobTypes([JobType("thumbnail", Thumbnail)])

    with pytest.raises(JobTypeExists, match="Thumbnail is registered already, as 'thumbnail'"):
        types.register(JobType("small", Thumbnail))

    assert types.get("small") is None


@pytest.mark.parametrize("taken", [each.name for each in BUILTIN_JOB_TYPES])
def test_the_name_of_a_builtin_type_is_taken(taken: str) -> None:
    with pytest.raises(JobTypeExists):
        JobQueue("memory:", job_types=[JobType(taken, Thumbnail)])


@pytest.mark.parametrize("bad", ["", None, 5])
def test_the_name_of_a_type_is_a_text(bad: Any) -> None:
    with pytest.raises(InvalidJob) as told:
        JobType(bad, Thumbnail)

    assert (told.value.field, told.value.value) == ("JobType.name", bad)


@pytest.mark.parametrize("bad", [dict, int, Thumbnail("x"), "Thumbnail"])
@pytest.mark.parametrize("part", ["params", "progress", "result"])
def test_the_classes_of_a_type_are_attrs_classes_or_dataclasses(part: str, bad: Any) -> None:
    with pytest.raises(InvalidJob) as told:
        JobType(**{"name": "x", "params": Thumbnail, part: bad})

    assert (told.value.field, told.value.value) == (f"JobType.{part}", bad)


def test_a_type_must_have_params_but_neither_progress_nor_result() -> None:
    plain: JobType[Any, Any, Any] = JobType("thumbnail", Thumbnail)

    assert (plain.progress, plain.result) == (None, None)
    with pytest.raises(InvalidJob):
        JobType("thumbnail", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "bad"),
    [("max_retries", -1), ("max_retries", 1.5), ("timeout", 0), ("timeout", "5")],
)
def test_the_defaults_of_a_type_are_checked(option: str, bad: Any) -> None:
    with pytest.raises(InvalidJob) as told:
        JobType("thumbnail", Thumbnail, **{option: bad})

    assert (told.value.field, told.value.value) == (f"JobType.{option}", bad)


def test_a_job_gets_the_defaults_of_its_type_unless_told_otherwise() -> None:
    kind: JobType[Thumbnail, Any, Any] = JobType("thumbnail", Thumbnail, max_retries=7, timeout=30)
    with JobQueue("memory:", job_types=[kind, JobType("resize", Resize)]) as queue:
        defaults = queue.enqueue(Thumbnail("x")).metadata
        told = queue.enqueue(Thumbnail("x"), max_retries=0, timeout=5).metadata
        named = queue.enqueue(Thumbnail("x"), type="thumbnail").metadata
        plain = queue.enqueue(Resize(5)).metadata

    assert (defaults.type, defaults.max_retries, defaults.timeout) == ("thumbnail", 7, 30)
    assert (told.max_retries, told.timeout) == (0, 5)
    assert (named.max_retries, named.timeout) == (7, 30)
    assert (plain.type, plain.max_retries, plain.timeout) == ("resize", 3, None)


def test_a_type_of_ones_own_comes_back_typed() -> None:
    with JobQueue("memory:", job_types=[JobType("resize", Resize)]) as queue:
        made = queue.enqueue(Resize(640))
        found = queue.get_job(made.metadata.id)

    assert isinstance(found, PendingJob)
    assert found.params == Resize(640)
