"""Values are of the kind that a job type says, or the reader is told which are not."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from documents import (
    BARE,
    CODEC,
    META,
    Colour,
    Everything,
    Point,
    decoded,
    document,
    text_of,
    with_metadata,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_json, instants, texts

from semiont_jobs import (
    AnyJob,
    DetectionResult,
    GenerationParams,
    HighlightDetectionParams,
    InvalidJob,
    JobDecodeError,
    JobType,
    JobTypes,
    PendingJob,
    evolve,
)
from semiont_jobs.codec import Codec

# -- strictness ----------------------------------------------------------------------------


OWN = Codec(JobTypes([JobType("everything", Everything, Everything, Everything)]))
OWN_META = evolve(META, type="everything")

everythings = st.builds(
    Everything,
    text=texts,
    whole=st.integers(),
    number=st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    flag=st.booleans(),
    choice=st.sampled_from(["a", "b"]),
    maybe=st.none() | texts,
    either=st.integers() | texts,
    anything=any_json,
    items=st.lists(texts).map(tuple),
    listed=st.lists(st.integers()),
    pair=st.tuples(st.integers(), texts),
    table=st.dictionaries(texts, st.integers()),
    colour=st.sampled_from(Colour),
    when=instants,
    day=st.dates(),
    point=st.builds(Point, x=st.floats(-1e9, 1e9), label=st.none() | texts),
    points=st.lists(st.builds(Point, x=st.floats(-1e9, 1e9))).map(tuple),
    many_words_here=texts,
)


@given(params=everythings, progress=everythings, result=everythings)
def test_a_type_of_ones_own_comes_back_whole(
    params: Everything, progress: Everything, result: Everything
) -> None:
    running = evolve(BARE["running"], metadata=OWN_META, params=params, progress=progress)  # type: ignore[call-arg]
    done = evolve(BARE["complete"], metadata=OWN_META, params=params, result=result)  # type: ignore[call-arg]

    assert OWN.decode(OWN.encode(running)) == running
    assert OWN.decode(OWN.encode(done)) == done


@attrs.frozen
class About:
    """A job in a job."""

    job: AnyJob


def test_a_result_may_hold_a_job() -> None:
    codec = Codec(JobTypes([JobType("everything", Everything, result=About)]))
    other = PendingJob(metadata=META, params={"page": 1})

    done = evolve(BARE["complete"], metadata=OWN_META, params=Everything(), result=About(other))  # type: ignore[call-arg]

    assert codec.decode(codec.encode(done)) == done


WRONG: list[tuple[str, Any, str]] = [
    ("text", None, "a text is needed, not null"),
    ("text", 1, "a text is needed, not a number"),
    ("whole", True, "a whole number is needed, not a boolean"),
    ("whole", "1", "a whole number is needed, not a text"),
    ("whole", 1.5, "a whole number is needed, not a number"),
    ("whole", None, "a whole number is needed, not null"),
    ("number", "1.5", "a number is needed, not a text"),
    ("number", True, "a number is needed, not a boolean"),
    ("flag", 1, "true or false is needed, not a number"),
    ("flag", "true", "true or false is needed, not a text"),
    ("items", "abc", "an array is needed, not a text"),
    ("items", {"a": 1}, "an array is needed, not an object"),
    ("listed", "12", "an array is needed, not a text"),
    ("pair", "1a", "an array is needed, not a text"),
    ("table", [["a", 1]], "an object is needed, not an array"),
    ("table", None, "an object is needed, not null"),
    ("when", 5, "an ISO 8601 time is needed, not a number"),
    ("when", "yesterday", "'yesterday' is not an ISO 8601 time"),
]


@pytest.mark.parametrize(("field", "value", "reason"), WRONG)
def test_a_value_of_another_kind_is_told_with_its_field_and_never_changed(
    field: str, value: Any, reason: str
) -> None:
    with pytest.raises(JobDecodeError) as told:
        OWN.params("everything", {field: value})

    assert (told.value.path, told.value.reason) == (f"params.{field}", reason)


@pytest.mark.parametrize(("field", "value", "reason"), WRONG)
def test_params_that_do_not_fit_their_class_stay_plain_data_and_say_why(
    field: str, value: Any, reason: str
) -> None:
    text = text_of(with_metadata(type="everything") | {"params": {field: value}})

    job = OWN.decode(text)

    assert job.params == {field: value}
    assert OWN.encode(job) == text
    fault = OWN.params_fault(job)
    assert fault is not None
    assert str(fault) == f"job j: params.{field}: {reason}"
    assert (fault.job_id, fault.path) == ("j", f"params.{field}")


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        ({"point": {}}, "params.point.x", "missing"),
        ({"point": {"x": "1"}}, "params.point.x", "a number is needed, not a text"),
        ({"points": [{"x": 1}, {"x": None}]}, "params.points[1].x", "a number is needed, not null"),
        ({"items": ["a", 1]}, "params.items[1]", "a text is needed, not a number"),
        (
            {"table": {"a": 1, "b": "2"}},
            "params.table['b']",
            "a whole number is needed, not a text",
        ),
        ({"manyWordsHere": 1}, "params.manyWordsHere", "a text is needed, not a number"),
        ({"many_words_here": "x"}, "params.many_words_here", "everything jobs have no such params"),
        ({"point": {"x": 1, "z": 2}}, "params.point", "everything jobs have no such params"),
    ],
)
def test_a_fault_within_params_is_told_with_its_path(data: Any, path: str, reason: str) -> None:
    with pytest.raises(JobDecodeError) as told:
        OWN.params("everything", data)

    assert (told.value.path, told.value.reason) == (path, reason)


@pytest.mark.parametrize(
    ("field", "value"), [("choice", "c"), ("colour", "green"), ("day", "someday"), ("point", 5)]
)
def test_a_value_that_is_no_choice_or_class_is_told_with_its_field(field: str, value: Any) -> None:
    with pytest.raises(JobDecodeError) as told:
        OWN.params("everything", {field: value})

    assert told.value.path.startswith(f"params.{field}")


def test_a_whole_number_written_as_a_float_is_one_as_in_javascript() -> None:
    params = OWN.params("everything", {"whole": 3.0, "number": 5})

    assert (params.whole, type(params.whole)) == (3, int)
    assert (params.number, type(params.number)) == (5, int)


@pytest.mark.parametrize("data", [{}, {"density": 5}])
def test_a_field_that_must_be_there_is_told_when_it_is_missing(data: dict[str, Any]) -> None:
    with pytest.raises(JobDecodeError) as told:
        CODEC.params("highlight-detection", data)

    assert (told.value.path, told.value.reason) == ("params.resourceId", "missing")


def test_ranges_bind_params_that_come_from_a_writer() -> None:
    with pytest.raises(JobDecodeError, match=r"params\.density: density is from 1 to 15"):
        CODEC.params("highlight-detection", {"resourceId": "r", "density": 99})


def test_params_from_a_writer_are_an_object_of_the_types_class_or_a_dict() -> None:
    typed_params = CODEC.params("highlight-detection", {"resourceId": "r", "density": 5})

    assert typed_params == HighlightDetectionParams(resource_id="r", density=5)  # type: ignore[arg-type]
    assert CODEC.params("task", {"a": 1}) == {"a": 1}


def test_progress_and_result_that_do_not_fit_their_class_stay_plain_data() -> None:
    running = document("running", progress={"stage": 5})
    running["metadata"]["type"] = "generation"
    running["params"] = {"referenceId": "a", "sourceResourceId": "r"}

    job = decoded(running)

    assert isinstance(job.params, GenerationParams)
    assert job.progress == {"stage": 5}
    assert CODEC.params_fault(job) is None
    assert CODEC.encode(job) == text_of(running)


@pytest.mark.parametrize("value", ["half", "", ["half"], []])
def test_what_is_no_object_is_not_taken_for_one_that_needs_no_field(value: Any) -> None:
    codec = Codec(JobTypes([JobType("everything", Everything, Everything)]))
    running = document("running", progress=value)
    running["metadata"]["type"] = "everything"

    job = codec.decode(text_of(running))

    assert isinstance(job.params, Everything)
    assert job.progress == value
    assert json.loads(codec.encode(job))["progress"] == value


def test_parts_of_a_job_whose_params_do_not_fit_are_plain_data_too() -> None:
    done = document("complete", result={"totalFound": 1, "totalEmitted": 1, "errors": 0})
    done["metadata"]["type"] = "detection"

    assert decoded(done).result == {"totalFound": 1, "totalEmitted": 1, "errors": 0}
    done["params"] = {"resourceId": "r", "entityTypes": []}
    assert decoded(done).result == DetectionResult(total_found=1, total_emitted=1, errors=0)


def test_a_type_without_progress_or_result_class_takes_any_value_there() -> None:
    codec = Codec(JobTypes([JobType("everything", Everything)]))
    running = evolve(BARE["running"], metadata=OWN_META, params=Everything(), progress=[1, "a"])  # type: ignore[call-arg]

    assert codec.decode(codec.encode(running)) == running


# -- params of new jobs --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_name", "params", "wanted"),
    [
        ("task", Everything(), "a dict"),
        ("task", [1], "a dict"),
        ("task", None, "a dict"),
        ("task", "x", "a dict"),
        ("everything", {"text": "t"}, "Everything"),
        ("everything", Point(1.0), "Everything"),
    ],
)
def test_params_of_a_new_job_are_of_the_class_that_its_type_has(
    type_name: str, params: Any, wanted: str
) -> None:
    job = PendingJob(metadata=evolve(META, type=type_name), params=params)

    with pytest.raises(InvalidJob) as told:
        OWN.check_new(job)

    assert (told.value.job_id, told.value.field, told.value.value) == ("j", "params", params)
    assert told.value.reason == f"params of a {type_name!r} job are {wanted}"


def test_a_subclass_of_the_params_class_is_good_too() -> None:
    @attrs.frozen(kw_only=True)
    class More(Everything):
        extra_word: str = "x"

    job = PendingJob(metadata=OWN_META, params=More())
    OWN.check_new(job)

    back = OWN.decode(OWN.encode(job))

    assert back.params == Everything()
    assert json.loads(OWN.encode(back))["params"]["extraWord"] == "x"
