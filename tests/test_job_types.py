"""The registry of job types: what may be one, and that each is known by name and by class."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from semiont_jobs import (
    BUILTIN_JOB_TYPES,
    GenerationParams,
    InvalidJob,
    JobEncodeError,
    JobMetadata,
    JobQueue,
    JobType,
    JobTypeExists,
    JobTypes,
    PendingJob,
    annotation_id,
    evolve,
    resource_id,
)
from semiont_jobs.testing.suite import some


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
    assert len(list(types)) == 2


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


# -- objects of these classes that do not fit ----------------------------------------------


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Poster:
    """Every kind of field whose text is not what stands in the object."""

    title: str
    sizes: tuple[int, ...] = ()
    colour: Colour = Colour.RED
    thumbnail: Thumbnail | None = None
    printed: datetime | None = None
    scale: float = 1
    anything: Any = None


POSTERS = JobType("poster", Poster, Thumbnail, Resize)
GENERATION = GenerationParams(
    reference_id=annotation_id("a"), source_resource_id=resource_id("r"), title="t"
)


@pytest.mark.parametrize(
    ("params", "path", "value"),
    [
        (Poster(title=5), "params.title", 5),  # type: ignore[arg-type]
        (Poster("x", sizes=(1, "2")), "params.sizes[1]", "2"),  # type: ignore[arg-type]
        (Poster("x", thumbnail=Thumbnail(5)), "params.thumbnail.path", 5),  # type: ignore[arg-type]
        (Resize("wide"), "params.width", "wide"),  # type: ignore[arg-type]
        (evolve(GENERATION, title=5), "params.title", 5),
    ],
)
def test_params_that_could_not_be_read_as_their_class_again_are_refused(
    make_queue: Callable[..., JobQueue], params: Any, path: str, value: Any
) -> None:
    queue = make_queue(job_types=[POSTERS, JobType("resize", Resize)])

    with pytest.raises(InvalidJob) as told:
        queue.enqueue(params, id="j")

    assert ("j", path, value) == (told.value.job_id, told.value.field, told.value.value)
    assert 0 == queue.get_stats().total


def test_extra_keys_cannot_take_the_place_of_a_param_left_out(memory: JobQueue) -> None:
    metadata = JobMetadata(type="generation")
    job = PendingJob(metadata=metadata, params=GENERATION, extra={"params": {"prompt": 5}})

    with pytest.raises(InvalidJob, match=r"params\.prompt = 5"):
        memory.create_job(job)


@pytest.mark.parametrize(
    "params",
    [
        Poster("x"),
        Poster("x", sizes=[1, 2]),  # type: ignore[arg-type]
        Poster("x", colour=Colour.RED, thumbnail=Thumbnail("y"), scale=2.5),
        Poster("x", printed=datetime(2026, 1, 1, tzinfo=UTC), anything=(1, {"a": (2,)})),
    ],
)
def test_params_that_fit_are_none_the_worse_for_how_they_are_written(
    make_queue: Callable[..., JobQueue], params: Poster
) -> None:
    queue = make_queue(job_types=[POSTERS])

    made = queue.enqueue(params)

    assert isinstance(some(queue.get_job(made.metadata.id)).params, Poster)


@pytest.mark.parametrize("value", [float("nan"), {1: 2}, b"x", {1, 2}, object()])
def test_params_that_json_cannot_hold_are_told_as_such(value: Any) -> None:
    with JobQueue("memory:", job_types=[POSTERS]) as queue:
        with pytest.raises((JobEncodeError, InvalidJob), match=r"params\.(title|anything)"):
            queue.enqueue(Poster(title=value, anything=value))

        assert 0 == queue.get_stats().total


def test_an_update_cannot_bring_params_that_do_not_fit(memory: JobQueue) -> None:
    job = memory.enqueue(GENERATION)

    with pytest.raises(InvalidJob, match=r"params\.title = 5"):
        memory.update_job(evolve(job, params=evolve(GENERATION, title=5)))

    assert memory.get_job(job.metadata.id) == job


def test_a_progress_or_result_of_another_class_is_refused_and_the_claim_goes_on(
    make_queue: Callable[..., JobQueue],
) -> None:
    queue = make_queue(job_types=[POSTERS])
    queue.enqueue(Poster("x"), id="j")
    claim = some(queue.claim_next_job())

    with pytest.raises(InvalidJob, match="the progress of a 'poster' job is Thumbnail") as told:
        claim.report(Resize(5))
    assert ("j", "progress", Resize(5)) == (told.value.job_id, told.value.field, told.value.value)
    with pytest.raises(InvalidJob, match="the result of a 'poster' job is Resize"):
        claim.complete(Thumbnail("x"))

    assert claim.is_open
    assert claim.job == queue.get_job("j")
    claim.report(Thumbnail("y"))
    assert claim.complete(Resize(5)) == queue.get_job("j")


def test_a_progress_or_result_may_be_plain_data_all_the_same(memory: JobQueue) -> None:
    memory.enqueue(GENERATION, id="j")
    claim = some(memory.claim_next_job())
    claim.report({"stage": "fetching", "percentage": 5})

    assert claim.complete({"any": "thing"}).result == {"any": "thing"}
