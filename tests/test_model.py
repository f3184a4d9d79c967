"""The five states, their metadata, and what may not be put into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from semiont_jobs import (
    AnyJob,
    Attempt,
    CancelledJob,
    CompleteJob,
    FailedJob,
    InvalidJob,
    JobMetadata,
    JobStats,
    PendingJob,
    RunningJob,
    evolve,
    is_cancelled_job,
    is_complete_job,
    is_failed_job,
    is_pending_job,
    is_running_job,
    now,
)
from semiont_jobs.model import FINISHED, JOB_CLASSES, STATUSES

T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
T1 = T0 + timedelta(seconds=1)
NAIVE = datetime(2026, 1, 1, 12, 0)


def metadata(**fields: Any) -> JobMetadata:
    return JobMetadata(**{"id": "j", "type": "task", "created": T0, **fields})


META = metadata()
JOBS: dict[str, AnyJob] = {
    "pending": PendingJob(metadata=META, params={}),
    "running": RunningJob(metadata=META, params={}, started_at=T0),
    "complete": CompleteJob(metadata=META, params={}, started_at=T0, completed_at=T1),
    "failed": FailedJob(metadata=META, params={}, completed_at=T1, error="it broke"),
    "cancelled": CancelledJob(metadata=META, params={}, completed_at=T1),
}
FIELDS = {
    "pending": set(),
    "running": {"started_at", "progress"},
    "complete": {"started_at", "completed_at", "result"},
    "failed": {"started_at", "completed_at", "error"},
    "cancelled": {"started_at", "completed_at"},
}
STATUS_NAMES = ("pending", "running", "complete", "failed", "cancelled")


def attempt(**fields: Any) -> Attempt:
    given = {"number": 1, "started_at": T0, "ended_at": T1, "worker": "w", "outcome": "failed"}
    return Attempt(**{**given, **fields})


# -- instants ------------------------------------------------------------------------------

EXACT = datetime(2026, 1, 1, 12, 0, 0, 123_999, tzinfo=UTC)
CUT = datetime(2026, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)
INSTANTS = {
    "created": lambda at: metadata(created=at).created,
    "run_after": lambda at: metadata(run_after=at).run_after,
    "running.started_at": lambda at: evolve(JOBS["running"], started_at=at).started_at,
    "complete.started_at": lambda at: evolve(JOBS["complete"], started_at=at).started_at,
    "complete.completed_at": lambda at: evolve(JOBS["complete"], completed_at=at).completed_at,
    "failed.started_at": lambda at: evolve(JOBS["failed"], started_at=at).started_at,
    "failed.completed_at": lambda at: evolve(JOBS["failed"], completed_at=at).completed_at,
    "cancelled.started_at": lambda at: evolve(JOBS["cancelled"], started_at=at).started_at,
    "cancelled.completed_at": lambda at: evolve(JOBS["cancelled"], completed_at=at).completed_at,
    "attempt.started_at": lambda at: attempt(started_at=at).started_at,
    "attempt.ended_at": lambda at: attempt(ended_at=at).ended_at,
}


@pytest.mark.parametrize("name", INSTANTS)
def test_an_instant_is_cut_to_milliseconds_never_rounded(name: str) -> None:
    assert INSTANTS[name](EXACT) == CUT


@pytest.mark.parametrize("name", INSTANTS)
def test_an_instant_of_another_zone_is_kept_in_utc(name: str) -> None:
    elsewhere = EXACT.astimezone(timezone(timedelta(hours=5, minutes=45)))

    kept = INSTANTS[name](elsewhere)

    assert kept == CUT
    assert kept.utcoffset() == timedelta(0)


def test_the_librarys_own_clock_is_aware_and_cut() -> None:
    instant = now()

    assert instant.utcoffset() == timedelta(0)
    assert instant.microsecond % 1000 == 0


@pytest.mark.parametrize("bad", [NAIVE, "2026-01-01T12:00:00Z", 1_767_268_800, False])
@pytest.mark.parametrize("name", INSTANTS)
def test_what_is_no_aware_datetime_is_refused_by_name(name: str, bad: Any) -> None:
    with pytest.raises(InvalidJob, match="aware datetime") as told:
        INSTANTS[name](bad)

    assert told.value.field.rpartition(".")[2] == name.rpartition(".")[2]
    assert told.value.value == bad
    assert repr(bad) in str(told.value)


@pytest.mark.parametrize("name", [name for name in INSTANTS if not name.startswith("attempt")])
def test_the_refusal_of_an_instant_names_the_job(name: str) -> None:
    with pytest.raises(InvalidJob) as told:
        INSTANTS[name](NAIVE)

    assert told.value.job_id == "j"
    assert "job j: " in str(told.value)


@pytest.mark.parametrize("name", ["created", "running.started_at", "complete.completed_at"])
def test_an_instant_that_must_be_there_cannot_be_none(name: str) -> None:
    with pytest.raises(InvalidJob):
        INSTANTS[name](None)


# -- metadata ------------------------------------------------------------------------------


def test_only_the_type_must_be_given() -> None:
    before = now()
    made = JobMetadata(type="task")

    assert made.id.startswith("job-")
    assert before <= made.created <= now()
    assert evolve(made, id="j", created=T0) == JobMetadata(
        id="j",  # type: ignore[arg-type]
        type="task",
        user_id="local",  # type: ignore[arg-type]
        created=T0,
        retry_count=0,
        max_retries=3,
        revision=0,
        queue="default",
        priority=0,
        run_after=None,
        timeout=None,
        claim=None,
        run=None,
        attempts=(),
        attempt_count=0,
        crash_count=0,
        completed_units=(),
        unit_cursors={},
        extra={},
    )


def test_each_job_has_an_id_of_its_own() -> None:
    assert JobMetadata(type="task").id < JobMetadata(type="task").id


COUNTS = ("retry_count", "max_retries", "revision", "attempt_count", "crash_count")
REFUSED = [
    *((name, bad) for name in COUNTS for bad in (-1, 1.0, "1", True, None)),
    *(("priority", bad) for bad in (-101, 101, 0.5, "1", True, None)),
    *(("timeout", bad) for bad in (0, -1, float("nan"), float("inf"), "5", True)),
    *((name, bad) for name in ("type", "queue", "user_id") for bad in ("", None, 5)),
]


@pytest.mark.parametrize(("name", "bad"), REFUSED)
def test_a_value_out_of_range_is_refused_with_job_field_and_value(name: str, bad: Any) -> None:
    with pytest.raises(InvalidJob) as told:
        metadata(**{name: bad})

    assert (told.value.job_id, told.value.field) == ("j", f"metadata.{name}")
    assert told.value.value is bad
    assert str(told.value).startswith(f"job j: metadata.{name} = {bad!r}: ")


@pytest.mark.parametrize(
    ("name", "good"),
    [("priority", -100), ("priority", 100), ("timeout", 0.001), ("timeout", 3), ("timeout", None)],
)
def test_the_ends_of_a_range_belong_to_it(name: str, good: Any) -> None:
    assert getattr(metadata(**{name: good}), name) == good


def test_a_job_is_due_at_run_after_and_stands_there_in_its_queue() -> None:
    waiting = metadata(created=T0, run_after=T1)

    assert waiting.due == T1
    assert not waiting.is_due(T1 - timedelta(milliseconds=1))
    assert waiting.is_due(T1)


def test_a_creation_in_the_future_delays_nothing() -> None:
    early = metadata(created=T1)

    assert early.due == T1
    assert early.is_due(T0)


def test_a_life_is_named_by_its_run_else_by_its_creation() -> None:
    assert metadata(created=T0 + timedelta(milliseconds=7)).life == "1767268800007"
    assert metadata(run="f00d").life == "f00d"


# -- the five states -----------------------------------------------------------------------


def test_there_are_five_statuses_in_lifecycle_order() -> None:
    assert STATUSES == STATUS_NAMES
    assert FINISHED == ("complete", "failed", "cancelled")
    assert {status: kind.status for status, kind in JOB_CLASSES.items()} == {
        status: status for status in STATUS_NAMES
    }


@pytest.mark.parametrize("status", STATUS_NAMES)
def test_a_state_has_its_own_fields_and_no_others(status: str) -> None:
    job: Any = JOBS[status]
    every = set().union(*FIELDS.values())

    assert {name for name in every if hasattr(job, name)} == FIELDS[status]
    for name in every - FIELDS[status]:
        with pytest.raises(AttributeError):
            getattr(job, name)


@pytest.mark.parametrize("status", STATUS_NAMES)
def test_a_field_of_another_state_cannot_be_set_either(status: str) -> None:
    job: Any = JOBS[status]

    for name in {"progress", "result", "error"} - FIELDS[status]:
        with pytest.raises(TypeError):
            evolve(job, **{name: "x"})
        with pytest.raises(AttributeError):
            setattr(job, name, "x")


@pytest.mark.parametrize("thing", [*JOBS.values(), META, attempt()], ids=lambda x: type(x).__name__)
def test_nothing_of_a_job_can_be_changed_in_place(thing: Any) -> None:
    for each in attrs.fields(type(thing)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(thing, each.name, None)


@pytest.mark.parametrize("status", STATUS_NAMES)
def test_the_status_of_a_job_cannot_be_changed_in_place(status: str) -> None:
    job: Any = JOBS[status]

    with pytest.raises(AttributeError):
        job.status = "complete"
    assert job.status == status


def test_a_changed_copy_leaves_the_original_alone() -> None:
    changed = evolve(META, priority=7)

    assert (changed.priority, META.priority) == (7, 0)
    assert evolve(changed, priority=0) == META


@pytest.mark.parametrize("status", STATUS_NAMES)
def test_a_type_guard_knows_its_own_status_only(status: str) -> None:
    guards = {
        "pending": is_pending_job,
        "running": is_running_job,
        "complete": is_complete_job,
        "failed": is_failed_job,
        "cancelled": is_cancelled_job,
    }

    said = {name: guard(JOBS[status]) for name, guard in guards.items()}

    assert said == {name: name == status for name in STATUS_NAMES}


def test_the_total_of_the_stats_is_their_sum() -> None:
    stats = JobStats(pending=1, running=20, complete=300, failed=4000, cancelled=50000)

    assert stats.total == 54321
    assert JobStats().total == 0
