"""The lifecycle: the table once more by hand, and every field that a transition changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from semiont_jobs import (
    AnyJob,
    Attempt,
    CancelledJob,
    ClaimLost,
    ClaimStamp,
    CompleteJob,
    FailedJob,
    InvalidTransition,
    JobMetadata,
    JobQueue,
    JobStatus,
    JobTimeout,
    PendingJob,
    PermanentError,
    RunningJob,
    WorkerCrashed,
    evolve,
    lifecycle,
)
from semiont_jobs.claim import AnyClaim
from semiont_jobs.failure import Failure
from semiont_jobs.lifecycle import TRANSITIONS, allows, require
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import some

# The oracle, written by hand: the table in the package must say the same.
ARROWS = {
    ("create", None, "pending"),
    ("claim", "pending", "running"),
    ("report", "running", "running"),
    ("checkpoint", "running", "running"),
    ("complete", "running", "complete"),
    ("fail", "running", "pending"),
    ("fail", "running", "failed"),
    ("snooze", "running", "pending"),
    ("release", "running", "pending"),
    ("rescue", "running", "pending"),
    ("rescue", "running", "failed"),
    ("cancel", "pending", "cancelled"),
    ("cancel", "running", "cancelled"),
    ("retry", "failed", "pending"),
    ("retry", "cancelled", "pending"),
    ("remove", "complete", None),
    ("remove", "failed", None),
    ("remove", "cancelled", None),
}
ALLOWED = {
    "create": set(),
    "claim": {"pending"},
    "report": {"running"},
    "checkpoint": {"running"},
    "complete": {"running"},
    "fail": {"running"},
    "snooze": {"running"},
    "release": {"running"},
    "rescue": {"running"},
    "cancel": {"pending", "running"},
    "retry": {"failed", "cancelled"},
    "remove": {"complete", "failed", "cancelled"},
}
STATUSES: tuple[JobStatus, ...] = ("pending", "running", "complete", "failed", "cancelled")

T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
T1 = T0 + timedelta(minutes=1)
T2 = T0 + timedelta(minutes=2)

STAMP = ClaimStamp(token="70cen", worker="w-1", host="h", pid=7, extra={"zone": "a"})
EARLIER = Attempt(
    number=4,
    started_at=T0 - timedelta(hours=1),
    ended_at=T0 - timedelta(minutes=59),
    worker="w-0",
    outcome="failed",
    error_type="ValueError",
    message="no",
    traceback="Traceback ...",
)
# Every field differs from its default: whatever a transition drops is seen.
META = JobMetadata(
    id="j",  # type: ignore[arg-type]
    type="task",
    user_id="alice",  # type: ignore[arg-type]
    created=T0 - timedelta(hours=2),
    retry_count=2,
    max_retries=5,
    revision=10,
    queue="night",
    priority=3,
    run_after=T0 - timedelta(seconds=5),
    timeout=90.0,
    run="f00d",
    attempts=(EARLIER,),
    attempt_count=4,
    crash_count=1,
    completed_units=("p1", "p2"),
    unit_cursors={"p3": 40},
    extra={"colour": "red"},
)
PARAMS = {"page": 1}
EXTRA = {"note": {"by": "somebody"}}

PENDING: PendingJob[Any] = PendingJob(metadata=META, params=PARAMS, extra=EXTRA)
RUNNING: RunningJob[Any, Any] = RunningJob(
    metadata=evolve(META, revision=11, claim=STAMP),
    params=PARAMS,
    started_at=T0,
    progress={"done": 5},
    extra=EXTRA,
)
FAILED: FailedJob[Any] = FailedJob(
    metadata=META, params=PARAMS, started_at=T0, completed_at=T1, error="no", extra=EXTRA
)
CANCELLED: CancelledJob[Any] = CancelledJob(
    metadata=META, params=PARAMS, completed_at=T1, extra=EXTRA
)
BROKE = Failure(error_type="OSError", message="no disk", traceback="Traceback: ...")


def ended(outcome: Any, **fields: Any) -> JobMetadata:
    """The metadata after the attempt of `RUNNING` ended so at T1."""
    attempt = Attempt(number=5, started_at=T0, ended_at=T1, worker="w-1", outcome=outcome, **fields)
    return evolve(META, revision=12, attempts=(EARLIER, attempt), attempt_count=5)


# -- the table -----------------------------------------------------------------------------


def test_the_table_has_exactly_these_arrows() -> None:
    assert {(each.verb, each.source, each.target) for each in TRANSITIONS} == ARROWS
    assert len(TRANSITIONS) == len(ARROWS)


def test_two_arrows_of_one_verb_from_one_status_say_when_each_is_taken() -> None:
    for each in TRANSITIONS:
        twins = [
            other for other in TRANSITIONS if (other.verb, other.source) == (each.verb, each.source)
        ]
        assert len({twin.when for twin in twins}) == len(twins)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("verb", ALLOWED)
def test_a_verb_is_allowed_in_these_statuses_only(verb: str, status: JobStatus) -> None:
    assert allows(verb, status) == (status in ALLOWED[verb])


def test_a_verb_that_is_not_allowed_is_refused_with_the_job_and_its_status() -> None:
    with pytest.raises(InvalidTransition) as told:
        require("retry", RUNNING)

    assert told.value.job_id == "j"
    assert str(told.value) == ("job j: cannot retry a running job (only a cancelled or failed one)")


def test_a_verb_that_is_allowed_is_not_refused() -> None:
    for job in (FAILED, CANCELLED):
        require("retry", job)


# -- one test per transition: every field --------------------------------------------------


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


# -- attempts ------------------------------------------------------------------------------


def failing(times: int) -> RunningJob[Any, Any]:
    """A running job that failed so often before, each time with a traceback."""
    job: PendingJob[Any] = PendingJob(metadata=JobMetadata(type="task"), params={})
    for n in range(times):
        failure = Failure(error_type="E", message=f"{n + 1}", traceback=f"stack {n + 1}")
        tried = lifecycle.fail(lifecycle.claim(job, STAMP, T0), failure, T1, retry_at=T1)
        assert isinstance(tried, PendingJob)
        job = tried
    return lifecycle.claim(job, STAMP, T0)


def test_a_failure_says_in_which_module_its_class_is() -> None:
    class Handmade(Exception):
        __module__ = 7  # type: ignore[assignment]

    class Endless(Exception):
        __module__ = "\udc80" + "m" * 1000

    assert Failure.of(JobTimeout("late")).error_module == "semiont_jobs.errors"
    assert Failure.of(ValueError("bad")).error_module is None
    assert Failure.of(Handmade()).error_module is None
    assert Failure.of(Endless()).error_module == "\\udc80" + "m" * 249


def test_the_last_hundred_attempts_are_kept_and_all_are_counted() -> None:
    metadata = lifecycle.complete(failing(120), None, T1).metadata

    assert metadata.attempt_count == 121
    assert [each.number for each in metadata.attempts] == list(range(22, 122))
    assert [each.message for each in metadata.attempts[:2]] == ["22", "23"]


def test_the_last_ten_tracebacks_are_kept() -> None:
    metadata = lifecycle.fail(failing(14), BROKE, T1, retry_at=None).metadata

    assert [each.traceback for each in metadata.attempts] == [
        *[None] * 5,
        *[f"stack {n}" for n in range(6, 15)],
        "Traceback: ...",
    ]
    assert [each.message for each in metadata.attempts[:-1]] == [f"{n}" for n in range(1, 15)]


def test_few_attempts_are_kept_whole() -> None:
    metadata = failing(10).metadata

    assert [each.traceback for each in metadata.attempts] == [f"stack {n}" for n in range(1, 11)]


# -- failures ------------------------------------------------------------------------------


def caught(error: BaseException) -> BaseException:
    """The same error, raised from some depth."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise error

    try:
        deep(3)
    except BaseException as told:
        return told
    raise AssertionError


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken")


class Nested:
    class Error(Exception):
        pass


def test_a_failure_tells_class_message_and_stack() -> None:
    failure = Failure.of(caught(ValueError("bad page")))

    assert (failure.error_type, failure.message) == ("ValueError", "bad page")
    assert failure.outcome == "failed"
    assert failure.traceback is not None
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert failure.traceback.rstrip().endswith("ValueError: bad page")
    assert str(failure) == "ValueError: bad page"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (JobTimeout("x"), "timeout"),
        (WorkerCrashed("x"), "crashed"),
        (TimeoutError("x"), "failed"),
        (PermanentError("x"), "failed"),
        (SystemExit(3), "failed"),
        (KeyboardInterrupt(), "failed"),
    ],
)
def test_the_outcome_of_a_failure_follows_from_its_error(
    error: BaseException, outcome: str
) -> None:
    assert Failure.of(error).outcome == outcome


def test_an_error_that_was_never_raised_has_no_stack() -> None:
    assert Failure.of(ValueError("x")).traceback is None


def test_a_failure_without_a_message_is_told_by_its_class() -> None:
    assert str(Failure.of(KeyboardInterrupt())) == "KeyboardInterrupt"
    assert Failure.of(Nested.Error("x")).error_type == "Nested.Error"


def test_an_error_that_cannot_tell_its_message_is_a_failure_all_the_same() -> None:
    failure = Failure.of(caught(NoText()))

    assert (failure.error_type, failure.message) == ("NoText", "")


def test_texts_of_a_failure_are_cut_to_8_kib_a_stack_at_its_far_end() -> None:
    failure = Failure.of(caught(ValueError("x" * 10_000 + "END")))

    assert failure.message == "x" * 8192
    assert failure.traceback is not None
    assert len(failure.traceback) == 8192
    assert failure.traceback.endswith("END\n")


def test_an_errors_class_name_of_any_length_is_cut_to_255_characters() -> None:
    name = "E\ud800" * 1_000_000
    error = type("E", (Exception,), {"__qualname__": name})("no")

    failure = Failure.of(caught(error))

    assert failure.error_type == ("E\\ud800" * 100)[:255]


def test_texts_of_a_failure_are_no_longer_for_being_made_writable() -> None:
    failure = Failure.of(caught(ValueError("\ud800" * 10_000)))

    assert len(failure.message) == 8192
    assert failure.traceback is not None
    assert len(failure.traceback) == 8192


def test_a_lone_surrogate_in_a_message_is_made_writable() -> None:
    failure = Failure.of(caught(OSError("no file \udcff")))

    assert failure.message == "no file \\udcff"
    assert "\\udcff" in some(failure.traceback)


# -- terminal states absorb ----------------------------------------------------------------


def finish(queue: JobQueue, status: str) -> tuple[AnyClaim, AnyJob]:
    """A job brought to that end, and the claim that brought it there."""
    job = queue.enqueue({"page": 1}, type="task", max_retries=0)
    claim = some(queue.claim_next_job())
    if status == "complete":
        claim.complete({"pages": 1})
    elif status == "failed":
        claim.fail("it broke")
    else:
        claim.cancel()
    return claim, some(queue.get_job(job.metadata.id))


LATE: dict[str, Callable[[AnyClaim], object]] = {
    "complete": lambda claim: claim.complete({"late": True}),
    "fail": lambda claim: claim.fail("late"),
    "cancel": lambda claim: claim.cancel(),
    "report": lambda claim: claim.report({"late": True}),
    "checkpoint": lambda claim: claim.checkpoint(["late"]),
    "snooze": lambda claim: claim.snooze(5),
    "release": lambda claim: claim.release(),
}


@pytest.mark.parametrize("verb", LATE)
@pytest.mark.parametrize("status", ["complete", "failed", "cancelled"])
def test_a_finished_job_absorbs_whatever_its_claim_says_late(
    queue: JobQueue, status: str, verb: str
) -> None:
    claim, before = finish(queue, status)
    assert before.status == status

    with pytest.raises(ClaimLost) as told:
        LATE[verb](claim)

    assert told.value.job_id == before.metadata.id
    assert queue.get_job(before.metadata.id) == before


@pytest.mark.parametrize("status", ["complete", "failed", "cancelled"])
def test_a_finished_job_absorbs_time_rescue_and_cancel(
    queue: JobQueue, clock: FakeClock, status: str
) -> None:
    _claim, before = finish(queue, status)

    clock.advance(3600)
    assert queue.claim_next_job() is None
    assert queue.rescue_orphans() == 0
    assert queue.cancel_job(before.metadata.id) is False

    assert queue.get_job(before.metadata.id) == before


def given_as(target: str, job: AnyJob) -> AnyJob:
    """The job as a caller would have it in that status."""
    if target == "pending":
        return PendingJob(metadata=job.metadata, params=job.params)
    if target == "running":
        return RunningJob(metadata=job.metadata, params=job.params, started_at=T0)
    if target == "complete":
        return CompleteJob(metadata=job.metadata, params=job.params, started_at=T0, completed_at=T1)
    if target == "failed":
        return FailedJob(metadata=job.metadata, params=job.params, completed_at=T1, error="x")
    return CancelledJob(metadata=job.metadata, params=job.params, completed_at=T1)


@pytest.mark.parametrize(
    ("status", "target"),
    [
        (status, target)
        for status in ("complete", "failed", "cancelled")
        for target in STATUSES
        if (status, target) not in (("failed", "pending"), ("cancelled", "pending"))
    ],
)
def test_a_finished_job_absorbs_every_update_but_a_retry(
    queue: JobQueue, status: str, target: str
) -> None:
    _claim, before = finish(queue, status)

    with pytest.raises(InvalidTransition) as told:
        queue.update_job(given_as(target, before))

    assert told.value.job_id == before.metadata.id
    assert queue.get_job(before.metadata.id) == before


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_retry_by_update_leads_out_of_a_finished_status(queue: JobQueue, status: str) -> None:
    _claim, before = finish(queue, status)

    again = queue.update_job(given_as("pending", before), "failed" if status == "failed" else None)

    assert again.status == "pending"
    assert queue.get_job(before.metadata.id) == again
