"""What `update_job` makes of a job that this process runs."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from updating import T0, T1, created, failed, now_of, running

from semiont_jobs import Event, FailedJob, InvalidJob, JobEncodeError, JobQueue, PendingJob, evolve
from semiont_jobs.model import CancelledJob
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import names_of, some


def test_running_to_failed_fails_for_good_in_the_callers_words(
    queue: JobQueue, clock: FakeClock
) -> None:
    job = created(queue, max_retries=3)
    base = queue.update_job(running(job))

    after = queue.update_job(
        FailedJob(metadata=base.metadata, params={}, completed_at=T1, error="no such page")
    )

    assert after == now_of(queue, job)
    assert isinstance(after, FailedJob)
    assert (after.error, after.completed_at) == ("no such page", clock())
    [attempt] = after.metadata.attempts
    assert (attempt.outcome, attempt.message) == ("failed", "no such page")


def test_running_to_cancelled_cancels(queue: JobQueue) -> None:
    job = created(queue)
    base = queue.update_job(running(job))

    after = queue.update_job(CancelledJob(metadata=base.metadata, params={}, completed_at=T1))

    assert after == now_of(queue, job)
    assert after.status == "cancelled"
    assert after.metadata.attempts[-1].outcome == "cancelled"


def test_running_to_pending_gives_the_job_back_without_an_attempt(queue: JobQueue) -> None:
    events: list[Event] = []
    queue.subscribe(events.append)
    job = created(queue)
    base = queue.update_job(running(job))

    after = queue.update_job(PendingJob(metadata=base.metadata, params={}), "running")

    assert after == now_of(queue, job)
    assert (after.status, after.metadata.attempt_count, after.metadata.retry_count) == (
        "pending",
        0,
        0,
    )
    assert names_of(events)[-1] == "released"


@pytest.mark.parametrize("run_after", [None, T0 + timedelta(hours=1)])
def test_running_to_pending_with_a_retry_counted_is_a_failed_attempt(
    queue: JobQueue, clock: FakeClock, run_after: datetime | None
) -> None:
    events: list[Event] = []
    queue.subscribe(events.append)
    job = created(queue)
    base = queue.update_job(running(job))

    metadata = evolve(base.metadata, retry_count=2, run_after=run_after)
    after = queue.update_job(PendingJob(metadata=metadata, params={}))

    assert after == now_of(queue, job)
    assert (after.status, after.metadata.retry_count) == ("pending", 2)
    assert after.metadata.run_after == (run_after or clock())
    assert [each.outcome for each in after.metadata.attempts] == ["failed"]
    assert names_of(events)[-1] == "retrying"


def test_more_retries_than_the_budget_are_refused_and_the_claim_goes_on(queue: JobQueue) -> None:
    job = created(queue, max_retries=1)
    base = queue.update_job(running(job))

    with pytest.raises(InvalidJob) as told:
        queue.update_job(
            PendingJob(metadata=evolve(base.metadata, retry_count=2), params=base.params)
        )

    assert (told.value.job_id, told.value.field, told.value.value) == (
        job.metadata.id,
        "metadata.retry_count",
        2,
    )
    assert now_of(queue, job) == base


def test_more_retries_than_the_budget_are_refused_by_hand_too(queue: JobQueue) -> None:
    job = failed(queue)

    with pytest.raises(InvalidJob) as told:
        queue.update_job(PendingJob(metadata=evolve(job.metadata, retry_count=1), params={}))

    assert told.value.field == "metadata.retry_count"
    assert now_of(queue, job) == job


def test_an_update_keeps_what_is_not_the_callers_to_set(queue: JobQueue) -> None:
    job = created(queue)
    base = queue.update_job(running(job))
    claim = some(base.metadata.claim)

    forged = evolve(
        base.metadata,
        revision=900,
        claim=evolve(claim, token="forged"),
        attempt_count=7,
        crash_count=7,
        run="forged",
        completed_units=("forged",),
        unit_cursors={"forged": 1},
    )
    after = queue.update_job(evolve(base, metadata=forged))  # type: ignore[call-arg]

    assert after.metadata == evolve(base.metadata, revision=base.metadata.revision + 1)


def test_an_update_sets_what_is_the_callers_to_set(queue: JobQueue) -> None:
    job = created(queue)

    edited = evolve(
        job.metadata,
        queue="night",
        priority=9,
        run_after=T0 - timedelta(hours=1),
        max_retries=8,
        timeout=30.0,
        extra={"userName": "Ada"},
    )
    after = queue.update_job(evolve(job, metadata=edited, params={"page": 2}))

    assert after == now_of(queue, job)
    assert after == PendingJob(metadata=evolve(edited, revision=1), params={"page": 2})


def test_progress_that_json_cannot_hold_is_refused_and_the_claim_goes_on(queue: JobQueue) -> None:
    job = created(queue)
    base = queue.update_job(running(job))

    with pytest.raises(JobEncodeError) as told:
        queue.update_job(evolve(base, progress={1}))  # type: ignore[call-arg]

    assert told.value.path == "progress"
    assert now_of(queue, job) == base
