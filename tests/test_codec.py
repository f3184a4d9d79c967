"""JSON bytes <-> jobs: nothing is lost, nothing is changed silently, what is no job is told."""

from __future__ import annotations

import dataclasses
import enum
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import PARTS, any_json, instants, jobs, texts, typed_jobs, untyped_jobs

from semiont_jobs import (
    BUILTIN_JOB_TYPES,
    AnyJob,
    Attempt,
    CancelledJob,
    ClaimStamp,
    CompleteJob,
    DetectionParams,
    DetectionProgress,
    DetectionResult,
    FailedJob,
    GenerationContext,
    GenerationParams,
    HighlightDetectionParams,
    InvalidJob,
    JobDecodeError,
    JobEncodeError,
    JobMetadata,
    JobTooLarge,
    JobType,
    JobTypes,
    PendingJob,
    RunningJob,
    SourceContext,
    evolve,
    lifecycle,
)
from semiont_jobs.codec import MAX_JOB_BYTES, Codec, Turn, read_turn
from semiont_jobs.codec.documents import MAX_NEW_JOB_BYTES
from semiont_jobs.codec.jsontext import part
from semiont_jobs.codec.quick import metadata_text
from semiont_jobs.codec.turns import read_fresh
from semiont_jobs.failure import NAME_LIMIT, TEXT_LIMIT, Failure
from semiont_jobs.lifecycle import KEPT_ATTEMPTS

CODEC = Codec(JobTypes(BUILTIN_JOB_TYPES))
T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
META = JobMetadata(id="j", type="task", created=T0)  # type: ignore[arg-type]
STAMP = ClaimStamp(token="t", worker="w", host="h", pid=7)


def document(status: str = "pending", **parts: Any) -> dict[str, Any]:
    """A job's document as the TypeScript package writes it."""
    found: dict[str, Any] = {
        "status": status,
        "metadata": {
            "id": "j",
            "type": "task",
            "userId": "u",
            "created": "2026-01-01T12:00:00.000Z",
            "retryCount": 0,
            "maxRetries": 3,
        },
        "params": {},
    }
    if status in ("running", "complete"):
        found["startedAt"] = "2026-01-01T12:00:01.000Z"
    if status == "running":
        found["progress"] = {}
    elif status != "pending":
        found["completedAt"] = "2026-01-01T12:00:02.000Z"
    if status in ("complete", "failed"):
        found["result" if status == "complete" else "error"] = {} if status == "complete" else "no"
    return found | parts


def with_metadata(**fields: Any) -> dict[str, Any]:
    whole = document()
    whole["metadata"] |= fields
    return whole


def text_of(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")


def decoded(value: Any) -> Any:
    return CODEC.decode(text_of(value))


# -- round trips ---------------------------------------------------------------------------


@given(job=untyped_jobs)
def test_an_untyped_job_comes_back_whole_in_every_status(job: AnyJob) -> None:
    data = CODEC.encode(job, is_new=True)

    assert CODEC.decode(data, job_id=job.metadata.id, status=job.status) == job
    assert CODEC.encode(CODEC.decode(data)) == data


@pytest.mark.parametrize("name", PARTS)
@settings(max_examples=40)  # of each of the six types
@given(data=st.data())
def test_a_typed_job_comes_back_whole_and_typed_in_every_status(
    name: str, data: st.DataObject
) -> None:
    job = data.draw(typed_jobs(name))

    text = CODEC.encode(job, is_new=True)
    back = CODEC.decode(text)

    assert back == job
    assert type(back.params) is type(job.params)
    assert CODEC.encode(back) == text


@given(job=jobs)
def test_what_python_writes_is_plain_json_of_the_known_shape(job: AnyJob) -> None:
    found = json.loads(CODEC.encode(job))

    assert list(found)[:3] == ["status", "metadata", "params"]
    assert list(found["metadata"])[:6] == [
        "id",
        "type",
        "userId",
        "created",
        "retryCount",
        "maxRetries",
    ]
    assert (found["status"], found["metadata"]["id"]) == (job.status, job.metadata.id)


@given(job=jobs, now=instants)
def test_a_job_that_is_claimed_and_given_back_loses_nothing(job: AnyJob, now: datetime) -> None:
    pending = PendingJob(metadata=job.metadata, params=job.params, extra={"note": 1})
    read = CODEC.decode(CODEC.encode(pending))
    assert isinstance(read, PendingJob)

    back = lifecycle.release(lifecycle.claim(read, STAMP, now))

    metadata = evolve(job.metadata, claim=None, revision=job.metadata.revision + 2)
    assert CODEC.decode(CODEC.encode(back)) == evolve(pending, metadata=metadata)


# -- the quick ways ------------------------------------------------------------------------

ODD_PLACES = (
    *((False, key) for key in ("status", "metadata", "params", "startedAt", "other")),
    *((True, key) for key in ("id", "type", "userId", "created", "retryCount", "maxRetries")),
    *((True, key) for key in ("revision", "queue", "priority", "runAfter", "run", "other")),
)
NOT_PLAIN = {'"', "\\", *map(chr, range(32))}
ODD_VALUES = (
    st.sampled_from(
        ["", "x", "pending", "running", None, True, 0, -1, 7, 1.0, [], {}, [1], {"a": 1}]
    )
    | any_json
)


@given(data=st.data())
def test_where_a_fresh_job_is_read_quickly_the_general_way_reads_the_same(
    data: st.DataObject,
) -> None:
    found = document()
    metadata = found["metadata"]
    metadata["type"] = data.draw(texts)
    for place, key in data.draw(st.lists(st.sampled_from(ODD_PLACES), max_size=2)):
        inner = metadata if place else found
        if data.draw(st.booleans()):
            inner[key] = data.draw(ODD_VALUES | instants.map(lambda at: at.isoformat()))
        else:
            inner.pop(key, None)
    text = json.dumps(found, indent=2, ensure_ascii=data.draw(st.booleans()))

    quick = read_fresh(text)

    if quick is not None:
        # The same document, laid out as nobody does.
        general = CODEC.decode(text.replace("{\n", "{", 1).encode())
        assert ("pending", general.metadata) == (general.status, quick[0])
        assert vars(quick[0]).keys() == {each.name for each in attrs.fields(JobMetadata)}
        assert general == CODEC.decode(text.encode())


@given(job=jobs)
def test_every_job_that_has_not_run_is_read_quickly(job: AnyJob) -> None:
    made = job.metadata
    assume(not set(made.type + made.queue + made.user_id) & NOT_PLAIN)
    fresh = JobMetadata(
        id=made.id,
        type=made.type,
        user_id=made.user_id,
        created=made.created,
        queue=made.queue,
        priority=made.priority,
        run_after=made.run_after,
    )
    params = {"pages": [1, 2], "title": "\u2028"}
    text = CODEC.encode(PendingJob(metadata=fresh, params=params))

    assert (fresh, params) == read_fresh(text.decode())
    assert Turn.of(fresh) == read_turn(text, job_id=made.id)
    assert read_turn(text, job_id=f"{made.id[:-1]}~") is None


@pytest.mark.parametrize(
    "change",
    [
        ("2026-01-01T12", "2026-02-30T12"),
        ('"detection"', '"\\u0064etection"'),
        ('"retryCount": 0', '"retryCount": -1'),
        ('"retryCount": 0', '"retryCount": 0.5'),
        ('"retryCount": 0', '"retryCount": \u0660'),
        ('"retryCount": 0', '"retryCount": 01'),
        ('"params": {}', '"params": []'),
        ('"params": {}', '"params": {"a": NaN}'),
        ('"params": {}', '"params": {}, "params": {"a": 1}'),
        ('"params": {}', '"params": {}, "other": 1'),
        ("}\n}", "}\n}x"),
    ],
    ids=lambda change: change[1][:20],
)
def test_what_is_not_plain_is_left_to_the_general_way(change: tuple[str, str]) -> None:
    found = document()
    found["metadata"]["type"] = "detection"
    plain = json.dumps(found, indent=2)
    assert read_fresh(plain) is not None

    text = plain.replace(*change)

    assert text != plain
    assert read_fresh(text) is None
    assert read_turn(text.encode(), job_id="j") is None


@given(job=jobs)
def test_metadata_written_quickly_have_the_text_of_the_general_way(job: AnyJob) -> None:
    metadata = job.metadata
    text = metadata_text(metadata)

    if text is None:
        seldom = (metadata.extra, metadata.unit_cursors, metadata.completed_units, metadata.timeout)
        carrying = (metadata.claim, *metadata.attempts)
        assert any(seldom) or any(each.extra for each in carrying if each)
    else:
        general = CODEC._converter.unstructure(metadata)
        assert part(general) == text


# -- the bytes -----------------------------------------------------------------------------

EVERYTHING = JobMetadata(
    id="j",  # type: ignore[arg-type]
    type="detection",
    user_id="alice",  # type: ignore[arg-type]
    created=T0,
    retry_count=1,
    max_retries=2,
    revision=3,
    queue="night",
    priority=-4,
    run_after=T0 + timedelta(milliseconds=5),
    timeout=6.5,
    claim=ClaimStamp(token="t", worker="w", host="h", pid=7, extra={"zone": "a"}),
    run="f00d",
    attempts=(
        Attempt(
            number=1,
            started_at=T0,
            ended_at=T0,
            worker="w",
            outcome="failed",
            error_type="DatabaseError",
            error_module="sqlite3",
            message="no",
            traceback="...",
            extra={"host": "h"},
        ),
        Attempt(number=2, started_at=T0, ended_at=T0, worker="w", outcome="completed"),
    ),
    attempt_count=8,
    crash_count=9,
    completed_units=("p1",),
    unit_cursors={"p2": {"page": 3}},
    extra={"userName": "Ada"},
)
EVERYTHING_TEXT = """{
  "status": "running",
  "metadata": {
    "id": "j",
    "type": "detection",
    "userId": "alice",
    "created": "2026-01-01T12:00:00.000Z",
    "retryCount": 1,
    "maxRetries": 2,
    "revision": 3,
    "queue": "night",
    "priority": -4,
    "runAfter": "2026-01-01T12:00:00.005Z",
    "timeout": 6.5,
    "claim": {
      "token": "t",
      "worker": "w",
      "host": "h",
      "pid": 7,
      "zone": "a"
    },
    "run": "f00d",
    "attempts": [
      {
        "number": 1,
        "startedAt": "2026-01-01T12:00:00.000Z",
        "endedAt": "2026-01-01T12:00:00.000Z",
        "worker": "w",
        "outcome": "failed",
        "errorType": "DatabaseError",
        "errorModule": "sqlite3",
        "message": "no",
        "traceback": "...",
        "host": "h"
      },
      {
        "number": 2,
        "startedAt": "2026-01-01T12:00:00.000Z",
        "endedAt": "2026-01-01T12:00:00.000Z",
        "worker": "w",
        "outcome": "completed"
      }
    ],
    "attemptCount": 8,
    "crashCount": 9,
    "completedUnits": [
      "p1"
    ],
    "unitCursors": {
      "p2": {
        "page": 3
      }
    },
    "userName": "Ada"
  },
  "params": {
    "resourceId": "r",
    "entityTypes": [
      "Person"
    ]
  },
  "startedAt": "2026-01-01T12:00:00.000Z",
  "progress": {
    "totalEntityTypes": 1,
    "processedEntityTypes": 0,
    "currentEntityType": "Person",
    "entitiesFound": 0,
    "entitiesEmitted": 0
  },
  "note": true
}"""


def test_the_keys_stand_in_the_documented_order_and_unknown_ones_last() -> None:
    job: RunningJob[Any, Any] = RunningJob(
        metadata=EVERYTHING,
        params=DetectionParams(resource_id="r", entity_types=("Person",)),  # type: ignore[arg-type]
        started_at=T0,
        progress=DetectionProgress(
            total_entity_types=1,
            processed_entity_types=0,
            current_entity_type="Person",
            entities_found=0,
            entities_emitted=0,
        ),
        extra={"note": True},
    )

    assert CODEC.encode(job) == EVERYTHING_TEXT.encode()
    assert CODEC.decode(EVERYTHING_TEXT.encode()) == job


KEYS = {
    "pending": "status metadata params",
    "running": "status metadata params startedAt progress",
    "complete": "status metadata params startedAt completedAt result",
    "failed": "status metadata params startedAt completedAt error",
    "cancelled": "status metadata params startedAt completedAt",
}
BARE: dict[str, AnyJob] = {
    "pending": PendingJob(metadata=META, params={}),
    "running": RunningJob(metadata=META, params={}, started_at=T0),
    "complete": CompleteJob(metadata=META, params={}, started_at=T0, completed_at=T0),
    "failed": FailedJob(metadata=META, params={}, started_at=T0, completed_at=T0, error="no"),
    "cancelled": CancelledJob(metadata=META, params={}, started_at=T0, completed_at=T0),
}


@pytest.mark.parametrize("status", KEYS)
def test_each_status_has_these_keys(status: str) -> None:
    assert " ".join(json.loads(CODEC.encode(BARE[status]))) == KEYS[status]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_that_never_started_has_no_start(status: str) -> None:
    job: Any = evolve(BARE[status], started_at=None)  # type: ignore[call-arg]

    assert "startedAt" not in json.loads(CODEC.encode(job))
    assert CODEC.decode(CODEC.encode(job)) == job


def test_a_new_jobs_metadata_has_the_six_keys_of_the_other_side_and_no_more() -> None:
    assert list(json.loads(CODEC.encode(BARE["pending"]))["metadata"]) == [
        "id",
        "type",
        "userId",
        "created",
        "retryCount",
        "maxRetries",
    ]


@pytest.mark.parametrize("part", ["progress", "result"])
def test_nothing_is_written_as_an_empty_object(part: str) -> None:
    job = BARE["running" if part == "progress" else "complete"]

    assert json.loads(CODEC.encode(job))[part] == {}


def typed(status: str, **parts: Any) -> AnyJob:
    params = DetectionParams(resource_id="r", entity_types=())  # type: ignore[arg-type]
    metadata = evolve(META, type="detection")
    return evolve(BARE[status], metadata=metadata, params=params, **parts)


@pytest.mark.parametrize(("status", "part"), [("running", "progress"), ("complete", "result")])
def test_an_empty_object_is_nothing_to_a_typed_job_and_itself_to_an_untyped_one(
    status: str, part: str
) -> None:
    assert getattr(CODEC.decode(CODEC.encode(typed(status))), part) is None
    assert getattr(CODEC.decode(CODEC.encode(BARE[status])), part) == {}


def test_an_optional_field_that_is_none_is_absent_at_any_depth() -> None:
    params = GenerationParams(
        reference_id="a",  # type: ignore[arg-type]
        source_resource_id="r",  # type: ignore[arg-type]
        context=GenerationContext(source_context=SourceContext(selected="here")),
    )
    job = PendingJob(metadata=evolve(META, type="generation"), params=params)

    assert json.loads(CODEC.encode(job))["params"] == {
        "referenceId": "a",
        "sourceResourceId": "r",
        "context": {"sourceContext": {"selected": "here"}},
    }


def test_a_null_in_plain_data_stays_a_null() -> None:
    job = evolve(BARE["pending"], params={"a": None, "b": [None]})

    assert json.loads(CODEC.encode(job))["params"] == {"a": None, "b": [None]}


@pytest.mark.parametrize("status", ["running", "complete"])
@pytest.mark.parametrize("value", [0, False, "", [], "x", [1], [None]])
def test_a_progress_or_result_of_any_json_value_comes_back_as_it_was_read(
    status: str, value: Any
) -> None:
    part = "progress" if status == "running" else "result"
    text = text_of(document(status, **{part: value}))

    assert CODEC.encode(CODEC.decode(text)) == text


def test_decoded_data_are_the_readers_own() -> None:
    text = text_of(document(params={"a": [1]}))
    one, other = CODEC.decode(text), CODEC.decode(text)

    one.params["a"].append(2)

    assert other.params == {"a": [1]}


def test_encoding_leaves_the_callers_data_alone() -> None:
    params = {"a": {"b": 1}}
    job = evolve(BARE["pending"], params=params, extra={"params": {"a": {"c": 2}, "d": 3}})

    found = json.loads(CODEC.encode(job))["params"]

    assert found == {"a": {"b": 1, "c": 2}, "d": 3}
    assert params == {"a": {"b": 1}}


# -- instants ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-01T12:00:00.000Z", T0),
        ("2026-01-01T12:00:00Z", T0),
        ("2026-01-01T12:00:00.123Z", T0 + timedelta(milliseconds=123)),
        ("2026-01-01T12:00:00.123999Z", T0 + timedelta(milliseconds=123)),
        ("2026-01-01T13:00:00+01:00", T0),
        ("2026-01-01T06:30:00.5-05:30", T0 + timedelta(milliseconds=500)),
    ],
)
def test_an_instant_is_read_with_any_decimals_and_any_offset(text: str, instant: datetime) -> None:
    job = decoded(document("complete", completedAt=text))

    assert job.completed_at == instant
    assert decoded(with_metadata(created=text)).metadata.created == instant


def test_an_instant_without_an_offset_is_local_time_as_in_javascript(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "XXX-03:00")
    time.tzset()
    try:
        job = decoded(document("running", startedAt="2026-01-01T15:00:00.000"))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert job.started_at == T0


def test_an_instant_is_written_with_three_decimals_and_a_z() -> None:
    job = evolve(BARE["running"], started_at=T0 + timedelta(microseconds=7999))  # type: ignore[call-arg]

    assert json.loads(CODEC.encode(job))["startedAt"] == "2026-01-01T12:00:00.007Z"


# -- unknown keys --------------------------------------------------------------------------


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Every object of a document, itself first."""
    found = [value] if isinstance(value, dict) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*found, *(each for item in inner for each in objects_in(item))]


@pytest.mark.parametrize("name", PARTS)
@settings(max_examples=40)  # of each of the six types
@given(data=st.data())
def test_unknown_keys_at_any_depth_come_back(name: str, data: st.DataObject) -> None:
    found = json.loads(CODEC.encode(data.draw(typed_jobs(name))))
    for place in objects_in(found):
        if data.draw(st.booleans()):
            place[f"x-{data.draw(texts)}"] = data.draw(any_json)

    job = CODEC.decode(json.dumps(found).encode())

    assert json.loads(CODEC.encode(job)) == found


@given(data=st.data())
def test_unknown_keys_of_metadata_and_params_survive_all_transitions(data: st.DataObject) -> None:
    params, _progress, _result = PARTS["generation"]
    job = PendingJob(metadata=evolve(META, type="generation"), params=data.draw(params))
    found = json.loads(CODEC.encode(job))
    places = objects_in(found["params"])
    for place in (found["metadata"], *places):
        place["x-new"] = data.draw(any_json)

    read = CODEC.decode(json.dumps(found).encode())
    assert isinstance(read, PendingJob)
    running = lifecycle.checkpoint(lifecycle.claim(read, STAMP, T0), ["p1"])
    failed = lifecycle.fail(running, Failure(error_type="E", message="m"), T0, retry_at=None)
    assert isinstance(failed, FailedJob)
    done = lifecycle.complete(
        lifecycle.claim(lifecycle.retry(failed, run="2"), STAMP, T0), None, T0
    )

    after = json.loads(CODEC.encode(CODEC.decode(CODEC.encode(done))))
    assert after["params"] == found["params"]
    assert after["metadata"]["x-new"] == found["metadata"]["x-new"]


def test_unknown_keys_stand_behind_the_known_ones_in_the_order_read() -> None:
    found = document(params={"zoom": 1, "resourceId": "r", "alpha": 2, "entityTypes": []})
    found["metadata"] = {"userName": "Ada", **found["metadata"], "type": "detection", "aaa": 0}
    found = {"aaa": 1, **found, "zzz": 2}

    back = json.loads(CODEC.encode(decoded(found)))

    assert list(back) == ["status", "metadata", "params", "aaa", "zzz"]
    assert list(back["params"]) == ["resourceId", "entityTypes", "zoom", "alpha"]
    assert list(back["metadata"])[-2:] == ["userName", "aaa"]


@attrs.frozen
class Page:
    number: int


@attrs.frozen
class Pages:
    pages: tuple[Page, ...]


def test_an_unknown_key_of_an_item_in_a_list_comes_back_at_its_item() -> None:
    codec = Codec(JobTypes([JobType("pages", Pages)]))
    found = with_metadata(type="pages")
    found["params"] = {"pages": [{"number": 1}, {"number": 2, "rotated": True}]}

    job = codec.decode(text_of(found))

    assert job.params == Pages((Page(1), Page(2)))
    assert json.loads(codec.encode(job))["params"] == found["params"]


def test_what_is_carried_for_a_place_that_is_gone_is_let_go() -> None:
    found = with_metadata(type="detection")
    found["params"] = {"resourceId": "r", "entityTypes": [], "x": {"y": 1}}
    job = decoded(found)

    changed = evolve(job, extra={"params": {"entityTypes": {5: {"z": 1}}, "resourceId": {"q": 1}}})

    assert json.loads(CODEC.encode(changed))["params"] == {"resourceId": "r", "entityTypes": []}


# -- strictness ----------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    label: str | None = None


@attrs.frozen(kw_only=True)
class Everything:
    """One field of every kind that people use."""

    text: str = "t"
    whole: int = 1
    number: float = 1.5
    flag: bool = False
    choice: Literal["a", "b"] = "a"
    maybe: str | None = None
    either: int | str = 0
    anything: Any = 0
    items: tuple[str, ...] = ()
    listed: list[int] = attrs.field(factory=list)
    pair: tuple[int, str] = (1, "a")
    table: Mapping[str, int] = attrs.field(factory=dict)
    colour: Colour = Colour.RED
    when: datetime = T0
    day: date = date(2026, 1, 1)
    point: Point = Point(0.5)
    points: tuple[Point, ...] = ()
    many_words_here: str = ""


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


# -- what JSON cannot hold -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "path"),
    [
        (evolve(BARE["pending"], params={"a": [float("nan")]}), "params.a[0]"),
        (evolve(BARE["pending"], params={"a": object()}), "params.a"),
        (evolve(BARE["running"], progress={"a": {1}}), "progress.a"),  # type: ignore[call-arg]
        (evolve(BARE["complete"], result=float("inf")), "result"),  # type: ignore[call-arg]
        (evolve(BARE["pending"], metadata=evolve(META, extra={"a": b""})), "metadata.a"),
        (evolve(BARE["pending"], metadata=evolve(META, queue="\ud800")), "metadata.queue"),
        (evolve(BARE["pending"], params={"a": "\ud800"}), "params.a"),
        (evolve(typed("pending"), extra={"x": {2}}), "x"),
    ],
)
def test_what_json_cannot_hold_is_told_with_job_and_path(job: AnyJob, path: str) -> None:
    with pytest.raises(JobEncodeError) as told:
        CODEC.encode(job, is_new=True)

    assert (told.value.job_id, told.value.path) == ("j", path)


@pytest.mark.parametrize("status", ["running", "complete"])
def test_a_lone_surrogate_in_a_new_progress_or_result_is_refused_beside_one_that_was_read(
    status: str,
) -> None:
    part = "progress" if status == "running" else "result"
    job = decoded(document(status, params={"a": "\ud800"}))
    assert rb'"a": "\ud800"' in CODEC.encode(job)

    with pytest.raises(JobEncodeError) as told:
        CODEC.encode(evolve(job, **{part: {"b": "\udfff"}}))

    assert told.value.path == f"{part}.b"


def test_a_check_names_the_job_and_the_path() -> None:
    CODEC.check(Everything(), "result", job_id="j")
    with pytest.raises(JobEncodeError) as told:
        CODEC.check(Everything(anything={"a": {1}}), "result", job_id="j")

    assert (told.value.job_id, told.value.path) == ("j", "result.anything.a")


def test_a_mapping_of_any_kind_is_an_object() -> None:
    job = evolve(BARE["pending"], params=MappingProxyType({"a": 1}))

    assert json.loads(CODEC.encode(job))["params"] == {"a": 1}


def test_a_job_of_more_than_16_mib_is_refused_when_written() -> None:
    job = evolve(BARE["pending"], params={"a": "x" * MAX_JOB_BYTES})

    with pytest.raises(JobTooLarge) as told:
        CODEC.encode(job)

    assert MAX_JOB_BYTES == 16 * 1024 * 1024
    with pytest.raises(JobTooLarge, match="at most 14680064 bytes"):
        CODEC.encode(evolve(job, params={"a": "x" * (14 << 20)}), is_new=True)
    assert (told.value.job_id, told.value.field) == ("j", "job")


def test_a_new_job_leaves_room_for_all_attempts_that_are_kept_however_they_are_escaped() -> None:
    job, worst = (
        BARE["pending"],
        Failure(
            error_type="\1" * NAME_LIMIT, message="\1" * TEXT_LIMIT, traceback="\1" * TEXT_LIMIT
        ),
    )
    for _ in range(KEPT_ATTEMPTS + 10):
        job = lifecycle.fail(lifecycle.claim(job, STAMP, T0), worst, T0, retry_at=T0)
    given_up = lifecycle.fail(lifecycle.claim(job, STAMP, T0), worst, T0, retry_at=None)

    room = len(CODEC.encode(given_up)) - len(CODEC.encode(BARE["pending"]))

    assert MAX_JOB_BYTES - MAX_NEW_JOB_BYTES > room


def test_the_largest_job_that_is_written_is_read() -> None:
    spare = MAX_JOB_BYTES - len(CODEC.encode(evolve(BARE["pending"], params={"a": ""})))
    data = CODEC.encode(evolve(BARE["pending"], params={"a": "x" * spare}))

    assert len(data) == MAX_JOB_BYTES
    assert CODEC.decode(data).metadata.id == "j"


# -- what is no job ------------------------------------------------------------------------

BAD: list[tuple[str, Any, str, str]] = [
    ("a list", [], "", "a job is an object, not list"),
    ("a number", 5, "", "a job is an object, not int"),
    ("null", None, "", "a job is an object, not NoneType"),
    ("an empty object", {}, "status", "unknown status None"),
    ("unknown status", document() | {"status": "done"}, "status", "unknown status 'done'"),
    ("a list for a status", document() | {"status": []}, "status", "unknown status []"),
    ("no metadata", {"status": "pending", "params": {}}, "metadata", "metadata is an object"),
    ("metadata null", document(metadata=None), "metadata", "metadata is an object"),
    ("params a list", document(params=[]), "params", "params are an object"),
    ("params a text", document(params="x"), "params", "params are an object"),
    (
        "no params",
        {key: value for key, value in document().items() if key != "params"},
        "params",
        "params are an object",
    ),
    ("no start", document("running") | {"startedAt": None}, "startedAt", "an ISO 8601 time"),
    ("start null", document("cancelled", startedAt=None), "startedAt", "an ISO 8601 time"),
    ("no time", document("complete", completedAt="soon"), "completedAt", "'soon' is not an ISO"),
    ("a number for a time", document("complete", completedAt=5), "completedAt", "an ISO 8601"),
    ("error null", document("failed", error=None), "error", "a text is needed, not null"),
    ("error a number", document("failed", error=5), "error", "a text is needed, not a number"),
    *(
        (
            f"no {key}",
            document()
            | {"metadata": {k: v for k, v in document()["metadata"].items() if k != key}},
            f"metadata.{key}",
            "missing",
        )
        for key in document()["metadata"]
    ),
    *(
        (f"metadata {key} {value!r}"[:50], with_metadata(**{key: value}), f"metadata.{key}", reason)
        for key, value, reason in [
            ("id", 5, "a text is needed, not a number"),
            ("id", "../x", "an id is 1 to 128"),
            ("type", None, "a text is needed, not null"),
            ("type", "", "type is a text of at least one character"),
            ("userId", 5, "a text is needed, not a number"),
            ("created", "yesterday", "'yesterday' is not an ISO 8601 time"),
            ("created", 1767268800000, "an ISO 8601 time is needed, not a number"),
            ("retryCount", "0", "a whole number is needed, not a text"),
            ("retryCount", -1, "retry_count is a whole number from 0"),
            ("retryCount", True, "a whole number is needed, not a boolean"),
            ("maxRetries", None, "a whole number is needed, not null"),
            ("maxRetries", 1.5, "a whole number is needed, not a number"),
            ("revision", "1", "a whole number is needed, not a text"),
            ("queue", "", "queue is a text of at least one character"),
            ("priority", "high", "a whole number is needed, not a text"),
            ("runAfter", "later", "'later' is not an ISO 8601 time"),
            ("timeout", "5", "a number is needed, not a text"),
            ("timeout", 0, "timeout is a positive number of seconds"),
            ("claim", "me", ""),
            ("attempts", {}, "an array is needed, not an object"),
            ("attempts", "abc", "an array is needed, not a text"),
            ("completedUnits", "abc", "an array is needed, not a text"),
            ("unitCursors", [], "an object is needed, not an array"),
        ]
    ),
]


@pytest.mark.parametrize(
    ("value", "path", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_what_is_no_job_is_refused_with_the_field_to_blame(
    value: Any, path: str, reason: str
) -> None:
    with pytest.raises(JobDecodeError) as told:
        CODEC.decode(text_of(value), job_id="j")

    assert told.value.path == path
    assert told.value.reason.startswith(reason)
    assert told.value.job_id == "j"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"claim": {"token": 5, "worker": "w", "host": "h", "pid": 1}}, "metadata.claim.token"),
        ({"claim": {"token": "t"}}, "metadata.claim.worker"),
        ({"attempts": [5]}, "metadata.attempts[0]"),
        ({"attempts": [{"number": 1}]}, "metadata.attempts[0].startedAt"),
        ({"completedUnits": ["a", 1]}, "metadata.completedUnits[1]"),
    ],
)
def test_a_fault_within_metadata_is_told_with_its_path(fields: Any, path: str) -> None:
    with pytest.raises(JobDecodeError) as told:
        decoded(with_metadata(**fields))

    assert told.value.path == path


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("key", ["startedAt", "completedAt"])
def test_an_instant_that_no_clock_shows_is_refused_like_any_other(key: str, text: str) -> None:
    with pytest.raises(JobDecodeError) as told:
        decoded(document("complete", **{key: text}))

    assert told.value.path == key


def test_a_job_that_is_not_the_one_its_name_says_is_refused() -> None:
    with pytest.raises(JobDecodeError) as told:
        CODEC.decode(text_of(document()), job_id="other")

    assert (told.value.path, told.value.job_id) == ("metadata.id", "other")
    assert told.value.reason == "the name says 'other', the content 'j'"


def test_a_job_in_the_wrong_place_is_refused() -> None:
    with pytest.raises(JobDecodeError) as told:
        CODEC.decode(text_of(document()), job_id="j", status="failed")

    assert told.value.path == "status"
    assert told.value.reason == "it stands among the failed, its content says 'pending'"


TEXTS: list[tuple[str, bytes]] = [
    ("empty", b""),
    ("truncated", text_of(document())[:-20]),
    ("NULs", b"\0" * 400),
    ("not UTF-8", text_of(document()).replace(b'"u"', b'"\xff"')),
    ("200 000 levels", b'{"a":' * 200_000 + b"1" + b"}" * 200_000),
    ("17 MiB", b'{"status": "pending", "a": "' + b"x" * (17 * 1024 * 1024) + b'"}'),
    ("17 MiB of brackets", b"[" * (17 * 1024 * 1024)),
    ("5 000 digits", text_of(document()).replace(b"{}", b'{"a": ' + b"9" * 5000 + b"}")),
    ("NaN", text_of(document(params={"a": float("nan")}))),
]


@pytest.mark.parametrize("text", [each for _, each in TEXTS], ids=[name for name, _ in TEXTS])
def test_what_is_no_json_is_no_job(text: bytes) -> None:
    with pytest.raises(JobDecodeError) as told:
        CODEC.decode(text, job_id="j")

    assert told.value.job_id == "j"
    assert len(str(told.value)) < 300


def test_what_is_strange_but_json_is_a_job() -> None:
    strange = rb"""{"status": "failed", "status": "pending", "__proto__": {"a": 1},
        "metadata": {"id": "j", "type": "task", "userId": "u", "created": "2026-01-01T12:00:00.000Z",
                     "retryCount": 0, "maxRetries": 3, "__proto__": 5},
        "params": {"a": "\ud800", "a": "x\udfff", "__proto__": null}}"""

    job = CODEC.decode(b"\xef\xbb\xbf" + strange)

    assert (job.status, job.params) == ("pending", {"a": "x\udfff", "__proto__": None})
    assert json.loads(CODEC.encode(job)) == json.loads(strange)
    assert rb'"a": "x\udfff"' in CODEC.encode(job)


@given(data=st.binary(max_size=200) | any_json.map(text_of))
def test_whatever_stands_there_is_a_job_or_a_decode_error(data: bytes) -> None:
    with pytest.raises(JobDecodeError):
        CODEC.decode(data)


@given(data=st.data())
def test_a_job_with_one_value_exchanged_is_a_job_or_a_decode_error(data: st.DataObject) -> None:
    found = json.loads(CODEC.encode(data.draw(jobs)))
    place = data.draw(st.sampled_from([each for each in objects_in(found) if each]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(any_json)
    text = json.dumps(found).encode()

    try:
        job = CODEC.decode(text)
    except JobDecodeError:
        return
    assert CODEC.decode(CODEC.encode(job)) == job


# -- what reading costs --------------------------------------------------------------------


def run_apart(code: str, *, timeout: float) -> str:
    """What a fresh interpreter prints: its time and its memory are its own."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=True,
    )
    return run.stdout.strip()


def test_a_text_that_never_ends_is_refused_in_time_that_grows_with_its_length() -> None:
    # Anything worse than linear would take hours here, not a moment.
    said = run_apart(
        """
        from semiont_jobs import JobDecodeError
        from semiont_jobs.codec import jsontext

        try:
            jsontext.read(b"[" * 300 + b'"' + b'\\\\"' * 1_000_000)
        except JobDecodeError as error:
            print(error)
        """,
        timeout=20,
    )

    assert "not JSON" in said or "nested deeper" in said


def test_reading_a_large_text_with_brackets_in_it_takes_memory_of_its_own_size() -> None:
    megabytes = run_apart(
        """
        import resource
        from semiont_jobs.codec import jsontext

        text = b'{"a": "' + b"see [1] and {x}, " * 500_000 + b'"}'
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        jsontext.read(text)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """,
        timeout=60,
    )

    # The text has 8.5 MB. Bytes, the decoded text and its value are three copies of it.
    assert int(megabytes) < 100
