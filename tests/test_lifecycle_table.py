"""The table of transitions, once more by hand; nothing else leads anywhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lives import CANCELLED, FAILED, RUNNING, T0, T1

from semiont_jobs import (
    AnyJob,
    CancelledJob,
    ClaimLost,
    CompleteJob,
    FailedJob,
    InvalidTransition,
    JobQueue,
    JobStatus,
    PendingJob,
    RunningJob,
)
from semiont_jobs.claim import AnyClaim
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
