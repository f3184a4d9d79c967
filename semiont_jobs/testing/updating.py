"""Row 16: `update_job` as the TypeScript package's examples use it, and polling.

It must not know claims, except that a job may be held elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from semiont_jobs import (
    AnyJob,
    CancelledJob,
    CompleteJob,
    FailedJob,
    InvalidJob,
    InvalidTransition,
    InvalidValue,
    JobHeld,
    JobNotFound,
    JobStatus,
    PendingJob,
    RunningJob,
    StaleJob,
    evolve,
)
from semiont_jobs.testing.suite import BACK_OFF, Suite, pytest, some


class Updating(Suite):
    """The general method is as safe as the special ones."""

    # -- finishing by hand ---------------------------------------------------------------

    def test_pending_to_running_claims(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        self.later(1)

        running = queue.update_job(self.as_running(job), "pending")

        assert isinstance(running, RunningJob)
        assert running.started_at == self.clock()
        assert queue.get_job(job.metadata.id) == running
        assert queue.claim_next_job() is None
        assert self.another().rescue_orphans() == 0

    def test_running_to_complete_finishes(self) -> None:
        queue = self.queue()
        running = queue.update_job(self.as_running(self.put(queue)), "pending")
        self.later(3)

        done = queue.update_job(self.as_complete(running, {"pages": 4}), "running")

        assert isinstance(done, CompleteJob)
        assert queue.get_job(done.metadata.id) == done
        assert (done.result, done.completed_at) == ({"pages": 4}, self.clock())
        assert done.started_at == self.ago(3)

    def test_a_second_update_from_the_same_base_object_works_for_the_holder(self) -> None:
        queue = self.queue()
        base = queue.update_job(self.as_running(self.put(queue)), "pending")
        assert isinstance(base, RunningJob)

        queue.update_job(evolve(base, progress={"page": 1}))
        queue.update_job(evolve(base, progress={"page": 2}))
        progress = self.stored(queue, base, RunningJob).progress
        done = queue.update_job(self.as_complete(base, {"pages": 2}), "running")

        assert progress == {"page": 2}
        assert queue.get_job(base.metadata.id) == done

    def test_a_claimed_job_is_updated_through_its_claim(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        base = claim.job
        claim.checkpoint(["unit"])

        queue.update_job(evolve(base, progress={"page": 1}))
        done = queue.update_job(self.as_complete(base, {"pages": 2}), "running")

        assert done.metadata.completed_units == ("unit",)
        assert queue.get_job(base.metadata.id) == done
        assert not claim.is_open

    def test_running_to_failed_fails_with_the_callers_words(self) -> None:
        queue = self.queue()
        running = queue.update_job(self.as_running(self.put(queue)), "pending")

        queue.update_job(
            FailedJob(
                metadata=running.metadata,
                params=running.params,
                completed_at=self.clock(),
                error="in the caller's words",
            ),
            "running",
        )

        assert self.stored(queue, running, FailedJob).error == "in the caller's words"

    def test_running_to_cancelled_cancels(self) -> None:
        queue = self.queue()
        running = queue.update_job(self.as_running(self.put(queue)), "pending")

        queue.update_job(self.as_cancelled(running), "running")

        assert isinstance(running, RunningJob)
        assert self.stored(queue, running, CancelledJob).started_at == running.started_at

    def test_running_to_pending_gives_the_job_back(self) -> None:
        queue = self.queue()
        running = queue.update_job(self.as_running(self.put(queue)), "pending")

        queue.update_job(self.as_pending(running), "running")

        job = self.stored(queue, running, PendingJob)
        assert (job.metadata.retry_count, job.metadata.attempts) == (0, ())
        assert self.claim(queue).job.metadata.id == job.metadata.id

    def test_running_to_pending_with_a_retry_counted_is_a_failed_attempt(self) -> None:
        queue = self.queue()
        running = queue.update_job(self.as_running(self.put(queue)), "pending")

        queue.update_job(self.as_pending(running, retry_count=1), "running")

        job = self.stored(queue, running, PendingJob)
        assert job.metadata.retry_count == 1
        assert [attempt.outcome for attempt in job.metadata.attempts] == ["failed"]

    # -- by hand, without a holder -------------------------------------------------------

    def test_pending_to_pending_edits(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        changed = self.as_pending(job, priority=7, run_after=self.ago(-5), max_retries=1)

        returned = queue.update_job(evolve(changed, params={"page": 2}), "pending")

        stored = self.stored(queue, job, PendingJob)
        assert stored == returned
        assert (stored.params, stored.metadata.priority) == ({"page": 2}, 7)
        assert (stored.metadata.run_after, stored.metadata.max_retries) == (self.ago(-5), 1)
        assert self.another().claim_next_job() is None

    def test_an_edited_job_is_claimed_as_it_is_now(self) -> None:
        queue = self.queue()
        first, second = self.put(queue), self.put(queue)
        assert some(queue.poll_next_pending_job()).metadata.id == first.metadata.id

        queue.update_job(self.as_pending(second, priority=1), "pending")

        assert self.claim(queue).job.metadata.id == second.metadata.id

    def test_pending_to_cancelled_cancels(self) -> None:
        queue = self.queue()
        job = self.put(queue)

        queue.update_job(self.as_cancelled(job), "pending")

        assert self.stored(queue, job, CancelledJob).started_at is None

    def test_failed_to_pending_retries_with_the_callers_count(self) -> None:
        queue = self.queue()
        claim = self.held(queue, max_retries=3)
        claim.fail("once")
        self.later(BACK_OFF)
        failed = self.stored(queue, self.fail_for_good(self.claim(queue)), FailedJob)

        queue.update_job(self.as_pending(failed, retry_count=2), "failed")

        job = self.stored(queue, failed, PendingJob)
        assert job.metadata.retry_count == 2
        assert len(job.metadata.attempts) == 2
        assert self.claim(queue).job.metadata.id == job.metadata.id

    def test_more_retries_than_the_budget_has_are_refused(self) -> None:
        queue = self.queue()
        failed = self.bring(queue, "failed", max_retries=1)

        with pytest.raises(InvalidJob):
            queue.update_job(self.as_pending(failed, retry_count=2), "failed")

        assert queue.get_job(failed.metadata.id) == failed

    @pytest.mark.parametrize("field", ["type", "user_id", "created"])
    def test_what_a_job_keeps_for_life_cannot_be_updated(self, field: str) -> None:
        queue = self.queue()
        job = self.put(queue)
        value = self.ago(5) if field == "created" else "other"

        with pytest.raises(InvalidJob):
            queue.update_job(self.as_pending(job, **{field: value}))

        assert queue.get_job(job.metadata.id) == job

    # -- refusals, each with its own error -----------------------------------------------

    def test_a_stale_object_is_refused(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        current = queue.update_job(self.as_pending(job, priority=1))

        with pytest.raises(StaleJob):
            queue.update_job(self.as_pending(job, priority=2))

        assert queue.get_job(job.metadata.id) == current

    def test_an_object_from_before_a_retry_is_refused(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        self.claim(queue).fail("again")
        waiting = queue.get_job(job.metadata.id)

        with pytest.raises(StaleJob):
            queue.update_job(self.as_running(job), "pending")

        assert queue.get_job(job.metadata.id) == waiting

    @pytest.mark.parametrize("wrong", ["running", "complete", "failed", "cancelled"])
    def test_a_wrong_old_status_is_refused(self, wrong: JobStatus) -> None:
        queue = self.queue()
        job = self.put(queue)

        with pytest.raises(InvalidTransition):
            queue.update_job(self.as_pending(job, priority=1), wrong)

        assert queue.get_job(job.metadata.id) == job

    def test_a_wrong_old_status_is_refused_to_the_holder_too(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(InvalidTransition):
            queue.update_job(self.as_complete(claim.job, {}), "pending")

        assert queue.get_job(claim.job.metadata.id) == claim.job
        assert claim.is_open

    def test_an_old_status_that_there_is_not_is_refused(self) -> None:
        queue = self.queue()
        job = self.put(queue)

        with pytest.raises(InvalidValue):
            queue.update_job(job, "done")  # type: ignore[arg-type]

    @pytest.mark.parametrize("status", ["pending", "running", "complete", "cancelled"])
    def test_a_job_held_elsewhere_is_refused(self, status: JobStatus) -> None:
        queue, other = self.queue(), self.another()
        claim = self.held(queue)
        ways: dict[str, Callable[[Any], AnyJob]] = {
            "pending": self.as_pending,
            "running": self.as_running,
            "complete": lambda job: self.as_complete(job, {}),
            "cancelled": self.as_cancelled,
        }
        given = ways[status](claim.job)

        with pytest.raises(JobHeld) as told:
            other.update_job(given, "running")

        assert "gone" not in told.value.reason  # as is said of a worker that died
        assert other.get_job(claim.job.metadata.id) == claim.job
        assert claim.complete().status == "complete"

    def test_a_job_that_there_is_not_is_refused(self) -> None:
        queue = self.queue()

        with pytest.raises(JobNotFound):
            queue.update_job(self.job())

        assert queue.get_stats().total == 0

    @pytest.mark.parametrize("source", ["complete", "failed", "cancelled"])
    @pytest.mark.parametrize("target", ["running", "complete", "cancelled"])
    def test_nothing_leaves_a_finished_status_but_by_a_retry(
        self, source: JobStatus, target: str
    ) -> None:
        queue = self.queue()
        job = self.bring(queue, source)
        given: dict[str, AnyJob] = {
            "running": self.as_running(job),
            "complete": self.as_complete(job, {"other": True}),
            "cancelled": self.as_cancelled(job),
        }

        with pytest.raises(InvalidTransition):
            queue.update_job(given[target], source)

        assert queue.get_job(job.metadata.id) == job

    def test_a_complete_job_cannot_be_retried_by_an_update(self) -> None:
        queue = self.queue()
        done = self.bring(queue, "complete")

        with pytest.raises(InvalidTransition):
            queue.update_job(self.as_pending(done), "complete")

        assert queue.get_job(done.metadata.id) == done

    # -- looking ahead -------------------------------------------------------------------

    def test_polling_shows_what_a_claim_would_take_and_changes_nothing(self) -> None:
        queue = self.queue()
        self.put(queue)
        self.put(queue, priority=5)
        self.put(queue, priority=9, run_after=self.ago(-10))
        before = queue.query_jobs()

        seen = [queue.poll_next_pending_job() for _ in range(3)]

        assert queue.query_jobs() == before
        assert [job and job.metadata.priority for job in seen] == [5, 5, 5]
        assert self.claim(queue).job.metadata.id == some(seen[0]).metadata.id

    def test_polling_takes_the_filters_of_a_claim(self) -> None:
        queue = self.queue()
        self.put(queue, "a", queue="q")
        wanted = self.put(queue, "b", queue="q")

        assert queue.poll_next_pending_job(types=["b"], queue="q") == wanted
        assert queue.poll_next_pending_job(types=["b"], queue="p") is None
        assert queue.poll_next_pending_job(accept=lambda job: job.metadata.type == "b") == wanted

    def test_polling_an_empty_queue_shows_nothing(self) -> None:
        queue = self.queue()
        self.held(queue)
        self.put(queue, run_after=timedelta(seconds=10) + self.clock())

        assert queue.poll_next_pending_job() is None

    def test_polling_does_not_show_a_job_that_a_claim_would_cancel(self) -> None:
        queue = self.queue()
        claim = self.held(queue, priority=9)
        queue.cancel_job(claim.job.metadata.id)
        claim.release()
        behind = self.put(queue)

        shown = some(self.another().poll_next_pending_job())

        assert shown.metadata.id == behind.metadata.id
        assert self.claim(self.another()).job.metadata.id == behind.metadata.id

    # -- forms of a job ------------------------------------------------------------------

    def as_pending(self, job: AnyJob, **metadata: Any) -> PendingJob[Any]:
        return PendingJob(metadata=evolve(job.metadata, **metadata), params=job.params)

    def as_running(self, job: AnyJob) -> RunningJob[Any, Any]:
        return RunningJob(metadata=job.metadata, params=job.params, started_at=self.clock())

    def as_complete(self, job: AnyJob, result: Any) -> CompleteJob[Any, Any]:
        return CompleteJob(
            metadata=job.metadata,
            params=job.params,
            started_at=self.clock(),
            completed_at=self.clock(),
            result=result,
        )

    def as_cancelled(self, job: AnyJob) -> CancelledJob[Any]:
        return CancelledJob(metadata=job.metadata, params=job.params, completed_at=self.clock())

    def fail_for_good(self, claim: Any) -> AnyJob:
        """Fail a claimed job as the TypeScript examples do, whatever its budget."""
        failed = FailedJob(
            metadata=claim.job.metadata,
            params=claim.job.params,
            completed_at=self.clock(),
            error="broken",
        )
        return self._queues[0].update_job(failed, "running")
