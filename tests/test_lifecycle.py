"""The lifecycle, by hand: every field that a transition changes, and those that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest
from lives import BROKE, CANCELLED, EARLIER, EXTRA, FAILED, META, PARAMS, RUNNING, STAMP, T0, T1

from semiont_jobs import (
    AnyJob,
    Attempt,
    CancelledJob,
    CompleteJob,
    FailedJob,
    JobMetadata,
    JobTimeout,
    PendingJob,
    RunningJob,
    evolve,
    lifecycle,
)
from semiont_jobs.failure import Failure

T2 = T0 + timedelta(minutes=2)
PENDING: PendingJob[Any] = PendingJob(metadata=META, params=PARAMS, extra=EXTRA)


def ended(outcome: Any, **fields: Any) -> JobMetadata:
    """The metadata after the attempt of `RUNNING` ended so at T1."""
    attempt = Attempt(number=5, started_at=T0, ended_at=T1, worker="w-1", outcome=outcome, **fields)
    return evolve(META, revision=12, attempts=(EARLIER, attempt), attempt_count=5)


def test_a_claim_stamps_the_job_and_starts_it_now() -> None:
    running = lifecycle.claim(PENDING, STAMP, T1)

    assert running == RunningJob(
        metadata=evolve(META, revision=11, claim=STAMP),
        params=PARAMS,
        started_at=T1,
        progress={},
        extra=EXTRA,
    )


def test_a_typed_job_starts_with_no_progress() -> None:
    running = lifecycle.claim(evolve(PENDING, params=object()), STAMP, T1)

    assert running.progress is None


def test_a_report_changes_the_progress_and_nothing_else() -> None:
    reported = lifecycle.report(RUNNING, {"done": 6})

    assert reported == evolve(
        RUNNING, metadata=evolve(RUNNING.metadata, revision=12), progress={"done": 6}
    )


def test_a_checkpoint_adds_units_and_cursors_and_changes_nothing_else() -> None:
    stored = lifecycle.checkpoint(RUNNING, ["p2", "p3", "p3"], {"p4": [1, 2]})

    assert stored == evolve(
        RUNNING,
        metadata=evolve(
            RUNNING.metadata,
            revision=12,
            completed_units=("p1", "p2", "p3"),
            unit_cursors={"p3": 40, "p4": [1, 2]},
        ),
    )


def test_a_checkpoint_takes_progress_along() -> None:
    stored = lifecycle.checkpoint(RUNNING, ["p3"], progress={"done": 6})

    assert stored.progress == {"done": 6}
    assert stored.metadata.revision == 12


CURSORS = [
    pytest.param(40, 41, 41, id="a higher number"),
    pytest.param(40, 39, 40, id="a lower number"),
    pytest.param(40, 40, 40, id="the same number"),
    pytest.param(40, 40.5, 40.5, id="a fraction more"),
    pytest.param("m", "n", "n", id="a later text"),
    pytest.param("m", "a", "m", id="an earlier text"),
    pytest.param([2, 5], [2, 6], [2, 6], id="a later list"),
    pytest.param([2, 5], [1, 9], [2, 5], id="an earlier list"),
    pytest.param({"a": 2, "b": 5}, {"a": 3, "b": 0}, {"a": 3, "b": 0}, id="a later object"),
    pytest.param({"a": 2, "b": 5}, {"a": 2, "b": 4}, {"a": 2, "b": 5}, id="an earlier object"),
    pytest.param(40, "page 3", "page 3", id="another shape"),
    pytest.param({"a": None}, {"a": 1}, {"a": 1}, id="no order between them"),
]


@pytest.mark.parametrize(("stored", "given", "kept"), CURSORS)
def test_a_cursor_moves_only_forward(stored: Any, given: Any, kept: Any) -> None:
    job = evolve(RUNNING, metadata=evolve(RUNNING.metadata, unit_cursors={"p": stored, "q": 1}))

    after = lifecycle.checkpoint(job, (), {"p": given})

    assert after.metadata.unit_cursors == {"p": kept, "q": 1}


def test_complete_records_the_attempt_and_the_result() -> None:
    done = lifecycle.complete(RUNNING, {"pages": 9}, T1)

    assert done == CompleteJob(
        metadata=ended("completed"),
        params=PARAMS,
        started_at=T0,
        completed_at=T1,
        result={"pages": 9},
        extra=EXTRA,
    )


@pytest.mark.parametrize("result", [0, "", [], False])
def test_a_result_that_is_false_is_a_result(result: Any) -> None:
    assert lifecycle.complete(RUNNING, result, T1).result is result


def test_no_result_of_an_untyped_job_is_an_empty_object() -> None:
    assert lifecycle.complete(RUNNING, None, T1).result == {}
    assert lifecycle.complete(evolve(RUNNING, params=object()), None, T1).result is None


def test_fail_with_retries_left_is_pending_again_with_one_retry_used() -> None:
    tried = lifecycle.fail(RUNNING, BROKE, T1, retry_at=T2)

    attempt = ended("failed", error_type="OSError", message="no disk", traceback="Traceback: ...")
    assert tried == PendingJob(
        metadata=evolve(attempt, retry_count=3, run_after=T2), params=PARAMS, extra=EXTRA
    )


def test_fail_without_retries_left_is_failed_and_says_why() -> None:
    tried = lifecycle.fail(RUNNING, BROKE, T1, retry_at=None)

    assert tried == FailedJob(
        metadata=ended(
            "failed", error_type="OSError", message="no disk", traceback="Traceback: ..."
        ),
        params=PARAMS,
        started_at=T0,
        completed_at=T1,
        error="OSError: no disk",
        extra=EXTRA,
    )


def test_a_time_out_is_a_failed_attempt_of_its_own_kind() -> None:
    tried = lifecycle.fail(RUNNING, Failure.of(JobTimeout("too long")), T1, retry_at=T2)

    assert tried.metadata.attempts[-1].outcome == "timeout"
    assert tried.metadata.retry_count == 3


def test_snooze_uses_no_attempt_and_waits_until_then() -> None:
    assert lifecycle.snooze(RUNNING, T2) == PendingJob(
        metadata=evolve(META, revision=12, run_after=T2), params=PARAMS, extra=EXTRA
    )


def test_release_uses_no_attempt_and_does_not_wait() -> None:
    assert lifecycle.release(RUNNING) == PendingJob(
        metadata=evolve(META, revision=12), params=PARAMS, extra=EXTRA
    )


CRASHED = {"error_type": "WorkerCrashed", "error_module": "semiont_jobs.errors"}


def test_rescue_counts_the_crash_and_no_retry() -> None:
    tried = lifecycle.rescue(RUNNING, T1, max_crashes=2)

    message = "the worker w-1 died while it held the job (2 of its workers did)"
    assert tried == PendingJob(
        metadata=evolve(ended("crashed", **CRASHED, message=message), crash_count=2),
        params=PARAMS,
        extra=EXTRA,
    )


def test_a_job_that_kills_its_workers_too_often_is_failed_by_rescue() -> None:
    tried = lifecycle.rescue(RUNNING, T1, max_crashes=1)

    message = "the worker w-1 died while it held the job (2 of its workers did)"
    assert tried == FailedJob(
        metadata=evolve(ended("crashed", **CRASHED, message=message), crash_count=2),
        params=PARAMS,
        started_at=T0,
        completed_at=T1,
        error=f"WorkerCrashed: {message}",
        extra=EXTRA,
    )


def test_a_job_without_a_claim_is_rescued_from_an_unknown_worker() -> None:
    foreign = evolve(RUNNING, metadata=evolve(RUNNING.metadata, claim=None))

    tried = lifecycle.rescue(foreign, T1, max_crashes=3)

    assert tried.metadata.attempts[-1].worker == "unknown"


def test_cancel_of_a_pending_job_ends_it_without_a_start() -> None:
    assert lifecycle.cancel(PENDING, T1) == CancelledJob(
        metadata=evolve(META, revision=11),
        params=PARAMS,
        started_at=None,
        completed_at=T1,
        extra=EXTRA,
    )


def test_cancel_of_a_running_job_keeps_its_start_and_records_the_attempt() -> None:
    assert lifecycle.cancel(RUNNING, T1) == CancelledJob(
        metadata=ended("cancelled"),
        params=PARAMS,
        started_at=T0,
        completed_at=T1,
        extra=EXTRA,
    )


@pytest.mark.parametrize("job", [FAILED, CANCELLED], ids=["failed", "cancelled"])
def test_retry_by_hand_is_a_new_life_with_a_fresh_budget(
    job: FailedJob[Any] | CancelledJob[Any],
) -> None:
    assert lifecycle.retry(job, run="cafe") == PendingJob(
        metadata=evolve(
            META, revision=11, retry_count=0, crash_count=0, run_after=None, run="cafe"
        ),
        params=PARAMS,
        extra=EXTRA,
    )


MOVES: dict[str, Callable[[AnyJob], AnyJob]] = {
    "claim": lambda job: lifecycle.claim(evolve(PENDING, extra=job.extra), STAMP, T1),
    "report": lambda job: lifecycle.report(evolve(RUNNING, extra=job.extra), {}),
    "checkpoint": lambda job: lifecycle.checkpoint(
        evolve(RUNNING, extra=job.extra), progress={"done": 1}
    ),
    "complete": lambda job: lifecycle.complete(evolve(RUNNING, extra=job.extra), {}, T1),
    "fail": lambda job: lifecycle.fail(evolve(RUNNING, extra=job.extra), BROKE, T1, retry_at=None),
    "fail again": lambda job: lifecycle.fail(
        evolve(RUNNING, extra=job.extra), BROKE, T1, retry_at=T2
    ),
    "snooze": lambda job: lifecycle.snooze(evolve(RUNNING, extra=job.extra), T2),
    "release": lambda job: lifecycle.release(evolve(RUNNING, extra=job.extra)),
    "rescue": lambda job: lifecycle.rescue(evolve(RUNNING, extra=job.extra), T1, max_crashes=3),
    "cancel": lambda job: lifecycle.cancel(evolve(RUNNING, extra=job.extra), T1),
    "retry": lambda job: lifecycle.retry(evolve(FAILED, extra=job.extra), run="cafe"),
}


@pytest.mark.parametrize("verb", MOVES)
def test_unknown_keys_are_carried_but_those_of_parts_that_end(verb: str) -> None:
    parts = {key: {"x": 1} for key in ("startedAt", "completedAt", "progress", "result", "error")}
    job = evolve(PENDING, extra={"note": 1, "params": {"new": 2}, **parts})

    moved = MOVES[verb](job)

    assert moved.extra == {"note": 1, "params": {"new": 2}}
    assert moved.metadata.extra == {"colour": "red"}
    assert moved.params == PARAMS


@pytest.mark.parametrize("verb", MOVES)
def test_every_transition_is_one_revision_more(verb: str) -> None:
    before = RUNNING if verb not in ("claim", "retry") else PENDING

    assert MOVES[verb](PENDING).metadata.revision == before.metadata.revision + 1


def test_evolved_metadata_has_every_other_field_unchanged() -> None:
    changed = lifecycle.evolve_metadata(META, priority=-7)

    assert changed == evolve(META, priority=-7)
    assert attrs.asdict(changed, recurse=False) == {
        **attrs.asdict(META, recurse=False),
        "priority": -7,
    }
