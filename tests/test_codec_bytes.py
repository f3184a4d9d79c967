"""The bytes of a job are those that the documentation shows and the other language writes."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from documents import BARE, CODEC, META, T0, decoded, document, text_of, typed, with_metadata

from semiont_jobs import (
    Attempt,
    ClaimStamp,
    DetectionParams,
    DetectionProgress,
    GenerationContext,
    GenerationParams,
    JobMetadata,
    PendingJob,
    RunningJob,
    SourceContext,
    evolve,
)

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


def test_a_date_alone_is_midnight_of_utc_as_in_javascript(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-03:00")
    time.tzset()
    try:
        job = decoded(document("running", startedAt="2026-01-01"))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert job.started_at == T0 - timedelta(hours=12)


def test_an_instant_is_written_with_three_decimals_and_a_z() -> None:
    job = evolve(BARE["running"], started_at=T0 + timedelta(microseconds=7999))  # type: ignore[call-arg]

    assert json.loads(CODEC.encode(job))["startedAt"] == "2026-01-01T12:00:00.007Z"
