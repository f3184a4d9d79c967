"""Bad input is refused with an error that names job, field and value, and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import tenacity
from striking import struck_at

from semiont_jobs import (
    DetectionParams,
    HighlightDetectionParams,
    InvalidJob,
    InvalidJobId,
    InvalidValue,
    JobEncodeError,
    JobMetadata,
    JobQueue,
    JobTooLarge,
    JobType,
    MemoryStore,
    PendingJob,
    RetryPolicy,
    StoreError,
    resource_id,
)
from semiont_jobs.codec import Codec
from semiont_jobs.job_types import JobTypes

FAR = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))
"""An instant for which UTC has no year."""


class WithoutHash:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self, _job: object) -> bool:
        return True


@pytest.fixture(params=["memory", "files"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> JobQueue:
    place = "memory:" if request.param == "memory" else tmp_path
    return JobQueue(place, fsync=False).initialize()


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


BAD_IDS = ["../../etc/passwd", "a/b", "..", ".x", "", "a\0", "x" * 129, "é", "a\n", None, 5]


@pytest.mark.parametrize("id_", BAD_IDS)
def test_an_id_that_no_job_may_have(queue: JobQueue, id_: Any) -> None:
    verbs: list[Callable[[], object]] = [
        lambda: queue.get_job(id_),
        lambda: queue.cancel_job(id_),
        lambda: queue.retry_job(id_),
        lambda: JobMetadata(type="t", id=id_),
    ]

    for verb in verbs:
        with pytest.raises(InvalidJobId) as told:
            verb()
        assert ("metadata.id", id_) == (told.value.field, told.value.value)
        assert isinstance(told.value, ValueError)


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"a": float("nan")}, "params.a"),
        ({"a": [1, float("inf")]}, "params.a[1]"),
        ({"a": "\ud800"}, "params.a"),
        ({"a": {"b": {1, 2}}}, "params.a.b"),
        ({"a": b"bytes"}, "params.a"),
        ({"a": datetime(2026, 1, 1)}, "params.a"),
        ({1: "one"}, "params"),
        ({"a": 10**5000}, "params.a"),
    ],
)
def test_a_value_that_json_cannot_hold(queue: JobQueue, params: Any, path: str) -> None:
    with pytest.raises(JobEncodeError) as told:
        queue.enqueue(params, type="t", id="a")

    assert ("a", path) == (told.value.job_id, told.value.path)
    assert isinstance(told.value, TypeError)
    assert 0 == queue.get_stats().total


def test_a_value_within_itself(queue: JobQueue) -> None:
    with pytest.raises(JobEncodeError, match="within itself"):
        queue.enqueue({"a": endless()}, type="t")

    assert 0 == queue.get_stats().total


def test_a_job_beyond_sixteen_megabytes(queue: JobQueue) -> None:
    with pytest.raises(JobTooLarge) as told:
        queue.enqueue({"a": "x" * 2**24}, type="t", id="a")

    assert "a" == told.value.job_id
    assert 0 == queue.get_stats().total


@pytest.mark.parametrize("params", [[1], "text", 5, None])
def test_params_of_an_unknown_type_that_are_no_object(queue: JobQueue, params: Any) -> None:
    with pytest.raises(InvalidJob) as told:
        queue.create_job(PendingJob(metadata=JobMetadata(type="t"), params=params))

    assert ("params", params) == (told.value.field, told.value.value)


def test_params_of_another_class_than_the_types(queue: JobQueue) -> None:
    with pytest.raises(InvalidJob, match="DetectionParams"):
        queue.enqueue({"resourceId": "r"}, type="detection")
    with pytest.raises(InvalidJob, match="of no registered job type"):
        queue.enqueue({"resourceId": "r"})

    assert 0 == queue.get_stats().total


@pytest.mark.parametrize("density", [0, 16, -1, "5", True])
def test_a_param_out_of_its_range(density: Any) -> None:
    with pytest.raises(InvalidJob) as told:
        HighlightDetectionParams(resource_id=resource_id("r"), density=density)

    assert ("HighlightDetectionParams.density", density) == (told.value.field, told.value.value)


def test_a_text_where_texts_belong() -> None:
    with pytest.raises(InvalidJob, match="list or tuple of texts"):
        DetectionParams(resource_id=resource_id("r"), entity_types="Person")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", 101),
        ("priority", 1.5),
        ("max_retries", -1),
        ("max_retries", True),
        ("timeout", 0),
        ("timeout", float("nan")),
        ("queue", ""),
        ("user_id", None),
        ("created", datetime(2026, 1, 1)),
        ("run_after", datetime(2026, 1, 1)),
        ("run_after", FAR),
    ],
)
def test_metadata_that_no_job_may_have(field: str, value: Any) -> None:
    with pytest.raises(InvalidJob) as told:
        JobMetadata(**{"type": "t", "id": "a", field: value})

    assert ("a", f"metadata.{field}") == (told.value.job_id, told.value.field)
    assert value is told.value.value


def test_a_new_job_that_was_one_before(queue: JobQueue) -> None:
    with pytest.raises(InvalidJob) as told:
        queue.create_job(PendingJob(metadata=JobMetadata(type="t", id="a", revision=3), params={}))  # type: ignore[arg-type]

    assert ("a", "metadata.revision", 3) == (told.value.job_id, told.value.field, told.value.value)
    assert 0 == queue.get_stats().total


@pytest.mark.parametrize(
    "ask",
    [
        lambda queue: queue.query_jobs(limit=-1),
        lambda queue: queue.query_jobs(offset=-1),
        lambda queue: queue.query_jobs(limit=1.5),
        lambda queue: queue.query_jobs(status="lost"),
        lambda queue: queue.claim_next_job(types="detection"),
        lambda queue: queue.cleanup_completed_jobs(datetime(2026, 1, 1)),
        lambda queue: queue.cleanup_completed_jobs(5),
        lambda queue: queue.cleanup_completed_jobs(timedelta.min),
        lambda queue: queue.enqueue({}, type="t", run_after=datetime(2026, 1, 1)),
        lambda queue: queue.enqueue({}, type="t", run_after=FAR),
        lambda queue: queue.enqueue({}, type="t", run_after=timedelta.max),
        lambda queue: queue.enqueue({}, type=["t"]),
        lambda queue: queue.create_jobs(5),
        lambda queue: queue.query_jobs(type=5),
        lambda queue: queue.query_jobs(user_id=5),
        lambda queue: queue.cancel_jobs(queue=5),
        lambda queue: queue.claim_next_job(types=5),
        lambda queue: queue.claim_next_job(types=[5]),
        lambda queue: queue.claim_next_job(types=[["t"]]),
        lambda queue: queue.claim_next_job(queue=5),
        lambda queue: queue.claim_next_job(accept=5),
        lambda queue: queue.claim_next_job(accept=WithoutHash()),
        lambda queue: queue.claim_next_job(retry_policy=5),
        lambda queue: queue.poll_next_pending_job(types=[5]),
        lambda queue: queue.update_job(None),
        lambda queue: queue.update_job({"status": "pending"}),
        lambda queue: queue.wait_for("a", timeout="x"),
        lambda queue: queue.wait_for("a", timeout=float("nan")),
        lambda queue: queue.subscribe(5),
    ],
)
def test_an_argument_outside_its_range(queue: JobQueue, ask: Callable[[JobQueue], object]) -> None:
    with pytest.raises(InvalidValue) as told:
        ask(queue)

    assert told.value.field in str(told.value)
    assert 0 == queue.get_stats().total


def test_a_batch_with_one_bad_job_creates_none(queue: JobQueue) -> None:
    good = PendingJob(metadata=JobMetadata(type="t"), params={})
    bad = PendingJob(metadata=JobMetadata(type="t"), params={"a": float("nan")})

    with pytest.raises(JobEncodeError):
        queue.create_jobs([good, bad])

    assert 0 == queue.get_stats().total


def test_a_batch_with_a_job_that_was_one_before_creates_none(queue: JobQueue) -> None:
    good = PendingJob(metadata=JobMetadata(type="t"), params={})
    used = PendingJob(metadata=JobMetadata(type="t", revision=3), params={})

    with pytest.raises(InvalidJob) as told:
        queue.create_jobs([good, used])

    assert (used.metadata.id, "metadata.revision") == (told.value.job_id, told.value.field)
    assert 0 == queue.get_stats().total


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError) as told:
        JobQueue(tmp_path / "file" / "data").initialize()

    assert str(tmp_path / "file") in str(told.value)
    assert isinstance(told.value, OSError)


@pytest.mark.parametrize("place", ["", "redis://localhost"])
def test_a_place_that_is_no_directory(place: str) -> None:
    with pytest.raises(InvalidValue):
        JobQueue(place)


@pytest.mark.parametrize(
    "place",
    [None, 5, b"data", MemoryStore, object()],
    ids=["none", "five", "bytes", "class", "any"],
)
def test_a_place_that_is_neither_a_path_nor_a_store(place: Any) -> None:
    with pytest.raises(InvalidValue) as told:
        JobQueue(place)

    assert ("data_dir", place) == (told.value.field, told.value.value)


def test_a_path_of_bytes() -> None:
    class Bytes:
        def __fspath__(self) -> bytes:
            return b"data"

    with pytest.raises(InvalidValue, match="data_dir"):
        JobQueue(Bytes())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "bad", "field"),
    [
        ("retry_policy", 5, "retry_policy"),
        ("foreign_stale_after", 5, "foreign_stale_after"),
        ("job_types", 5, "job_types"),
        ("job_types", ["thumbnail"], "job_types"),
        ("hooks", 5, "hooks"),
        ("hooks", [5], "hook"),
        ("clock", 5, "clock"),
        ("max_crashes", -1, "max_crashes"),
    ],
)
def test_an_option_that_is_not_of_its_kind(option: str, bad: Any, field: str) -> None:
    with pytest.raises(InvalidValue) as told:
        JobQueue("memory:", **{option: bad})

    assert field == told.value.field


@pytest.mark.parametrize(
    ("option", "bad"),
    [
        ("wait", 5),
        ("wait", timedelta(seconds=5)),
        ("wait", tenacity.wait_fixed),
        ("retry", OSError),
        ("retry", None),
        ("permanent", ValueError),
        ("permanent", ("ValueError",)),
        ("permanent", (ValueError(),)),
        ("permanent", (int,)),
    ],
)
def test_a_retry_policy_of_something_else(option: str, bad: Any) -> None:
    with pytest.raises(InvalidValue) as told:
        RetryPolicy(**{option: bad})

    assert (f"RetryPolicy.{option}", bad) == (told.value.field, told.value.value)


def test_a_job_type_with_something_else_for_a_retry_policy() -> None:
    with pytest.raises(InvalidJob, match="RetryPolicy"):
        JobType("detection", DetectionParams, retry_policy=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["memory:", "data"])
def test_waking_a_queue_that_is_not_open_does_nothing(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    JobQueue(place).wake()

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("age", [timedelta.max, timedelta(days=10**6)])
def test_nothing_is_older_than_time_itself(queue: JobQueue, age: timedelta) -> None:
    job = queue.enqueue({}, type="t")
    assert queue.cancel_job(job.metadata.id)

    assert 0 == queue.cleanup_completed_jobs(age, cancelled=True)
    assert 1 == queue.cleanup_completed_jobs(datetime.max.replace(tzinfo=UTC), cancelled=True)


@pytest.mark.parametrize("place", ["data", "memory:"])
@pytest.mark.parametrize("fsync", ["no", "false", 0, None])
def test_a_text_from_the_environment_is_not_taken_for_true(place: str, fsync: Any) -> None:
    with pytest.raises(InvalidValue) as told:
        JobQueue(place, fsync=fsync)

    assert ("fsync", fsync) == (told.value.field, told.value.value)


@pytest.mark.parametrize("field", ["dir_mode", "file_mode"])
@pytest.mark.parametrize("mode", ["0700", 0o10000, -1, True, 7.0])
def test_permissions_that_are_no_bits(field: str, mode: Any) -> None:
    with pytest.raises(InvalidValue) as told:
        JobQueue("data", **{field: mode})

    assert (field, mode) == (told.value.field, told.value.value)


def test_limits_apply_again_wherever_an_interrupt_strikes_the_reading_of_a_job() -> None:
    codec, is_over, step = Codec(JobTypes()), False, 0
    # It was tried before, and is no job that the quick way reads.
    text = codec.encode(
        PendingJob(metadata=JobMetadata(type="t", id="a", crash_count=1), params={})
    )
    modules = ("semiont_jobs.fields", "semiont_jobs.codec.documents")

    def interrupt() -> None:
        raise KeyboardInterrupt

    while not is_over:
        with suppress(KeyboardInterrupt), struck_at(step, interrupt, modules=modules) as left:
            codec.decode(text, job_id="a")
        is_over = left() >= 0
        step += 1
        with pytest.raises(InvalidJob):
            JobMetadata(type="t", id="a", priority=101)
    assert step > 100
