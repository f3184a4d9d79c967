"""What is no job, and what JSON cannot hold, is refused with the place to blame."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from types import MappingProxyType
from typing import Any

import pytest
from documents import (
    BARE,
    CODEC,
    META,
    STAMP,
    T0,
    Everything,
    decoded,
    document,
    objects_in,
    text_of,
    typed,
    with_metadata,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_json, jobs

from semiont_jobs import AnyJob, JobDecodeError, JobEncodeError, JobTooLarge, evolve, lifecycle
from semiont_jobs.codec import MAX_JOB_BYTES
from semiont_jobs.codec.documents import MAX_NEW_JOB_BYTES
from semiont_jobs.failure import NAME_LIMIT, TEXT_LIMIT, Failure
from semiont_jobs.lifecycle import KEPT_ATTEMPTS

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
