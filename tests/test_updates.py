"""`update_job`: the seed's generic verb, decided as a transition of the lifecycle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from updating import T0, T1, created, failed, now_of, running

from semiont_jobs import (
    AnyJob,
    CompleteJob,
    Event,
    FailedJob,
    InvalidJob,
    InvalidTransition,
    InvalidValue,
    JobEncodeError,
    JobHeld,
    JobMetadata,
    JobNotFound,
    JobQueue,
    MemoryStore,
    PendingJob,
    RunningJob,
    StaleJob,
    evolve,
    updates,
)
from semiont_jobs.model import CancelledJob
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import names_of, some

# -- the seed's own loop -------------------------------------------------------------------


def test_the_seeds_manual_loop_polls_claims_reports_and_completes(
    queue: JobQueue, clock: FakeClock
) -> None:
    created(queue, id="j")
    events: list[Event] = []
    queue.subscribe(events.append)

    job = some(queue.poll_next_pending_job())
    base = queue.update_job(running(job), "pending")
    assert isinstance(base, RunningJob)
    first = queue.update_job(evolve(base, progress={"stage": "generating", "percentage": 0}))
    second = queue.update_job(evolve(base, progress={"stage": "creating", "percentage": 75}))
    done = queue.update_job(
        CompleteJob(
            metadata=base.metadata,
            params=base.params,
            started_at=base.started_at,
            completed_at=clock(),
            result={"resourceId": "doc-new"},
        ),
        "running",
    )

    assert now_of(queue, job) == done
    assert isinstance(done, CompleteJob)
    assert done.result == {"resourceId": "doc-new"}
    assert isinstance(first, RunningJob)
    assert isinstance(second, RunningJob)
    assert second.progress == {"stage": "creating", "percentage": 75}
    assert [each.metadata.revision for each in (base, first, second, done)] == [1, 2, 3, 4]
    assert names_of(events) == ["claimed", "reported", "reported", "completed"]


def test_the_seeds_manual_retry_keeps_the_count_that_its_caller_set(queue: JobQueue) -> None:
    job = failed(queue, max_retries=0)
    raised = evolve(job.metadata, max_retries=3, retry_count=job.metadata.retry_count + 1)

    again = queue.update_job(PendingJob(metadata=raised, params=job.params), "failed")

    assert again == now_of(queue, job)
    assert (again.status, again.metadata.retry_count, again.metadata.max_retries) == (
        "pending",
        1,
        3,
    )
    assert again.metadata.run
    assert again.metadata.attempts == job.metadata.attempts


def test_a_job_claimed_by_update_is_held_by_the_queue(make_queue: Callable[..., JobQueue]) -> None:
    queue = make_queue()
    job = created(queue)

    queue.update_job(running(job))

    assert queue.rescue_orphans() == 0
    assert queue.claim_next_job() is None
    assert now_of(queue, job).metadata.claim is not None
    queue.close()
    assert now_of(queue, job).status == "pending"


def test_a_second_update_from_the_same_base_is_not_stale_for_the_holder(queue: JobQueue) -> None:
    job = created(queue)

    queue.update_job(running(job), "pending")
    after = queue.update_job(running(job, progress={"page": 2}))

    assert isinstance(after, RunningJob)
    assert after.progress == {"page": 2}


# -- jobs that nobody holds ----------------------------------------------------------------


def test_pending_to_cancelled_cancels(queue: JobQueue, clock: FakeClock) -> None:
    job = created(queue)

    after = queue.update_job(CancelledJob(metadata=job.metadata, params={}, completed_at=T1))

    assert after == now_of(queue, job)
    assert isinstance(after, CancelledJob)
    assert after.completed_at == clock()


def test_a_stale_object_is_refused(queue: JobQueue) -> None:
    job = created(queue)
    newer = queue.update_job(evolve(job, params={"page": 2}))

    with pytest.raises(StaleJob) as told:
        queue.update_job(evolve(job, params={"page": 3}))

    assert told.value.job_id == job.metadata.id
    assert "of revision 0, the job is at 1" in str(told.value)
    assert now_of(queue, job) == newer


def test_a_wrong_old_status_is_refused(queue: JobQueue) -> None:
    job = created(queue)

    with pytest.raises(InvalidTransition, match="expected to be failed, it is pending"):
        queue.update_job(running(job), "failed")

    assert now_of(queue, job) == job


def test_a_wrong_old_status_is_refused_to_the_holder_too(queue: JobQueue) -> None:
    job = created(queue)
    base = queue.update_job(running(job))

    with pytest.raises(InvalidTransition, match="expected to be pending, it is running"):
        queue.update_job(evolve(base, progress=1), "pending")  # type: ignore[call-arg]

    assert now_of(queue, job) == base


def test_an_old_status_that_there_is_not_is_refused(queue: JobQueue) -> None:
    job = created(queue)

    with pytest.raises(InvalidValue) as told:
        queue.update_job(job, "done")  # type: ignore[arg-type]

    assert (told.value.field, told.value.value) == ("status", "done")


def test_a_job_held_elsewhere_is_refused(clock: FakeClock) -> None:
    store = MemoryStore()
    here, there = JobQueue(store, clock=clock), JobQueue(store, clock=clock)
    job = created(here)
    claim = some(there.claim_next_job())

    with pytest.raises(JobHeld) as told:
        here.update_job(evolve(claim.job, progress=1))

    assert told.value.job_id == job.metadata.id
    assert now_of(here, job) == claim.job


def test_a_job_whose_worker_died_is_refused_until_it_is_rescued(clock: FakeClock) -> None:
    store = MemoryStore()
    here, there = JobQueue(store, clock=clock), JobQueue(store, clock=clock)
    job = created(here)
    claim = some(there.claim_next_job())
    store.kill_holder(job.metadata.id)

    with pytest.raises(JobHeld, match=r"its worker is gone; rescue_orphans\(\) gives it back"):
        here.update_job(evolve(claim.job, progress=1))

    assert here.rescue_orphans() == 1


def test_a_job_that_there_is_not_is_refused(queue: JobQueue) -> None:
    with pytest.raises(JobNotFound) as told:
        queue.update_job(PendingJob(metadata=JobMetadata(type="task", id="j"), params={}))  # type: ignore[arg-type]

    assert told.value.job_id == "j"


def test_a_job_refused_is_free_for_others(queue: JobQueue) -> None:
    job = created(queue)

    with pytest.raises(StaleJob):
        queue.update_job(running(evolve(job, metadata=evolve(job.metadata, revision=5))))

    assert queue.claim_next_job() is not None


@pytest.mark.parametrize(
    ("field", "value"), [("type", "other"), ("user_id", "mallory"), ("created", T1)]
)
def test_what_a_job_keeps_for_life_cannot_be_updated(
    queue: JobQueue, field: str, value: Any
) -> None:
    job = created(queue)

    with pytest.raises(InvalidJob) as told:
        queue.update_job(evolve(job, metadata=evolve(job.metadata, **{field: value})))

    assert (told.value.job_id, told.value.field, told.value.value) == (
        job.metadata.id,
        f"metadata.{field}",
        value,
    )
    assert now_of(queue, job) == job


BAD_PARAMS: list[tuple[Any, type[Exception]]] = [
    ({"a": "\ud800"}, JobEncodeError),
    ({"a": float("nan")}, JobEncodeError),
    ({"a": {1}}, JobEncodeError),
    ([1], InvalidJob),
]


@pytest.mark.parametrize(("params", "error"), BAD_PARAMS)
def test_params_that_no_new_job_may_have_no_update_may_bring(
    queue: JobQueue, params: Any, error: type[Exception]
) -> None:
    job = created(queue)

    with pytest.raises(error):
        queue.update_job(evolve(job, params=params))

    assert now_of(queue, job) == job


def test_an_error_with_a_lone_surrogate_is_refused_and_the_claim_goes_on(queue: JobQueue) -> None:
    job = created(queue)
    base = queue.update_job(running(job))

    with pytest.raises(JobEncodeError) as told:
        queue.update_job(
            FailedJob(metadata=base.metadata, params={}, completed_at=T1, error="no \ud800")
        )

    assert (told.value.job_id, told.value.path) == (job.metadata.id, "error")
    assert now_of(queue, job) == base


@pytest.mark.parametrize("key", ["id", "retryCount", "created", "revision"])
def test_an_unknown_key_cannot_take_the_place_of_a_known_one(queue: JobQueue, key: str) -> None:
    job = created(queue)

    with pytest.raises(InvalidJob) as told:
        queue.update_job(evolve(job, metadata=evolve(job.metadata, extra={key: "x"})))

    assert told.value.job_id == job.metadata.id
    assert now_of(queue, job) == job


# -- the decision itself -------------------------------------------------------------------


META = JobMetadata(id="j", type="task", created=T0)  # type: ignore[arg-type]
JOBS: dict[str, AnyJob] = {
    "pending": PendingJob(metadata=META, params={}),
    "running": RunningJob(metadata=META, params={}, started_at=T0),
    "complete": CompleteJob(metadata=META, params={}, started_at=T0, completed_at=T1),
    "failed": FailedJob(metadata=META, params={}, completed_at=T1, error="no"),
    "cancelled": CancelledJob(metadata=META, params={}, completed_at=T1),
}
LEGAL = {
    ("pending", "pending"): None,
    ("pending", "cancelled"): "cancelled",
    ("running", "running"): "reported",
    ("running", "pending"): "released",
    ("running", "complete"): "completed",
    ("running", "failed"): "failed",
    ("running", "cancelled"): "cancelled",
    ("failed", "pending"): "retried",
    ("cancelled", "pending"): "retried",
}


@pytest.mark.parametrize(("source", "target"), LEGAL)
def test_these_updates_are_transitions_and_told_as_such(source: str, target: str) -> None:
    update = updates.decide(JOBS[source], JOBS[target], T1, run="2")

    assert update.job.status == target
    assert update.event == LEGAL[source, target]
    assert update.job.metadata.revision == 1


@pytest.mark.parametrize(
    ("source", "target"),
    [(one, other) for one in JOBS for other in JOBS if (one, other) not in LEGAL],
)
def test_every_other_update_is_refused(source: str, target: str) -> None:
    with pytest.raises(InvalidTransition, match=f"a {source} job cannot become {target}") as told:
        updates.decide(JOBS[source], JOBS[target], T1, run="2")

    assert told.value.job_id == "j"
