"""Rows 9 and 10: a dead holder's job comes back by itself, a finished one by hand.

It must not know how a holder dies: the store's `kill_holder` does.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from semiont_jobs import (
    AnyJob,
    FailedJob,
    InvalidTransition,
    JobNotFound,
    JobStatus,
    PendingJob,
    PermanentError,
    RunningJob,
    evolve,
)
from semiont_jobs.testing.ending import VERBS, refused
from semiont_jobs.testing.suite import (
    BACK_OFF,
    PATIENCE,
    Suite,
    at_once,
    eventually,
    names_of,
    pytest,
    some,
)


class ComingBack(Suite):
    """The death of its worker only interrupts a job, and no end except success is final."""

    # -- row 9: rescue -------------------------------------------------------------------

    def test_a_dead_holders_job_is_pending_again_with_its_crash_counted(self) -> None:
        queue = self.queue()
        claim = self.held(queue, max_retries=0)
        self.later(4)

        self.die(queue, claim)

        job = self.stored(queue, claim.job, PendingJob)
        attempt = job.metadata.attempts[0]
        assert (job.metadata.crash_count, job.metadata.retry_count) == (1, 0)
        assert (attempt.outcome, attempt.error_type) == ("crashed", "WorkerCrashed")
        assert (attempt.started_at, attempt.ended_at) == (self.ago(4), self.clock())
        assert job.metadata.claim is None

    def test_a_dead_holders_job_is_found_by_whoever_looks_for_work(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        self.kill_holder(claim)

        again = self.claim(self.another())
        assert again.job.metadata.id == claim.job.metadata.id
        assert again.job.metadata.crash_count == 1

    def test_a_dead_holders_job_is_found_although_nobody_asks_for_work(self) -> None:
        queue, other = self.queue(), self.another()
        claim = self.held(queue)
        other.start_keeper()

        self.kill_holder(claim)

        eventually(lambda: some(queue.get_job(claim.job.metadata.id)).status == "pending")

    @pytest.mark.parametrize("max_crashes", [0, 1, 3])
    def test_a_job_that_keeps_killing_its_workers_fails(self, max_crashes: int) -> None:
        queue = self.queue(max_crashes=max_crashes)
        job = self.put(queue)
        events = self.heard(queue)
        statuses = []

        for _ in range(max_crashes + 1):
            self.die(queue, self.claim(queue))
            statuses.append(some(queue.get_job(job.metadata.id)).status)

        left = self.stored(queue, job, FailedJob)
        assert statuses == ["pending"] * max_crashes + ["failed"]
        assert "died" in left.error
        assert left.metadata.crash_count == max_crashes + 1
        assert left.metadata.retry_count == 0
        told = eventually(lambda: ends if "failed" in (ends := names_of(events)) else None)
        assert told == ["claimed", "rescued"] * max_crashes + ["claimed", "failed"]
        assert events[-1].job == left

    def test_three_crashes_are_survived_by_default(self) -> None:
        queue = self.queue()
        job = self.put(queue)

        for _ in range(3):
            self.die(queue, self.claim(queue))

        assert self.stored(queue, job, PendingJob).metadata.crash_count == 3
        self.die(queue, self.claim(queue))
        assert self.stored(queue, job, FailedJob).metadata.crash_count == 4

    def test_crashes_and_failures_are_counted_apart(self) -> None:
        queue = self.queue()
        self.held(queue, max_retries=1).fail("once")
        self.later(BACK_OFF)
        self.die(queue, self.claim(queue))

        tried = self.claim(queue).fail("twice")

        assert tried.status == "failed"
        assert (tried.metadata.retry_count, tried.metadata.crash_count) == (1, 1)
        outcomes = [attempt.outcome for attempt in tried.metadata.attempts]
        assert outcomes == ["failed", "crashed", "failed"]

    def test_a_live_holder_never_loses_its_job_however_slow_it_is(self) -> None:
        queue, other = self.queue(), self.another()
        claim = self.held(queue)
        self.later(365 * 24 * 3600)

        rescued = [each.rescue_orphans() for each in (queue, other) * 3]

        assert rescued == [0] * 6
        assert other.claim_next_job() is None
        assert self.stored(other, claim.job, RunningJob) == claim.job
        assert claim.complete({"pages": 1}).metadata.crash_count == 0

    def test_a_live_holders_job_is_left_alone_when_another_is_rescued(self) -> None:
        queue = self.queue()
        dead, alive = self.held(queue), self.held(queue)

        self.die(queue, dead)

        assert self.stored(queue, dead.job, PendingJob)
        assert alive.complete().status == "complete"

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_superseded_claim_can_change_nothing(self, verb: str) -> None:
        queue = self.queue()
        superseded = self.held(queue)
        self.die(queue, superseded)
        holder = self.claim(self.another())

        assert refused(superseded, verb)

        assert queue.get_job(holder.job.metadata.id) == holder.job
        assert holder.complete({"pages": 1}).metadata.attempt_count == 2

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_superseded_claim_can_change_nothing_while_nobody_has_the_job(
        self, verb: str
    ) -> None:
        queue = self.queue()
        superseded = self.held(queue)
        self.die(queue, superseded)
        waiting = queue.get_job(superseded.job.metadata.id)

        assert refused(superseded, verb)

        assert queue.get_job(superseded.job.metadata.id) == waiting

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_superseded_claim_does_not_disturb_its_successor_in_the_same_queue(
        self, verb: str
    ) -> None:
        queue = self.queue()
        superseded = self.held(queue)
        self.die(queue, superseded)
        holder = self.claim(queue)

        assert refused(superseded, verb)

        updated = queue.update_job(evolve(holder.job, progress={"page": 2}))
        assert isinstance(updated, RunningJob)
        assert updated.progress == {"page": 2}
        self.another().cancel_job(holder.job.metadata.id)
        assert holder.cancelled.wait(PATIENCE)

    def test_rescuing_again_changes_nothing(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        self.die(queue, claim)
        rescued = queue.get_job(claim.job.metadata.id)

        assert queue.rescue_orphans() == 0
        assert queue.get_job(claim.job.metadata.id) == rescued

    def test_of_many_rescuers_one_rescues_and_tells(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        queues = [queue, *(self.another() for _ in range(4))]
        told = [self.heard(each) for each in queues]

        self.kill_holder(claim)
        at_once([each.rescue_orphans for each in queues])

        eventually(lambda: some(queue.get_job(claim.job.metadata.id)).status == "pending")
        job = self.stored(queue, claim.job, PendingJob)
        assert job.metadata.crash_count == 1
        events = eventually(lambda: [event for events in told for event in events])
        assert names_of(events) == ["rescued"]
        assert events[0].job == job

    # -- row 10: retry by hand -----------------------------------------------------------

    def test_a_failed_job_is_pending_again_with_a_fresh_budget(self) -> None:
        queue = self.queue()
        self.held(queue, max_retries=1).fail("once")
        self.later(BACK_OFF)
        failed = self.claim(queue).fail("twice")
        self.later(5)

        returned = queue.retry_job(failed.metadata.id)

        job = self.stored(queue, failed, PendingJob)
        metadata = job.metadata
        assert job == returned
        assert (metadata.retry_count, metadata.crash_count, metadata.run_after) == (0, 0, None)
        assert [attempt.number for attempt in metadata.attempts] == [1, 2]
        assert self.claim(queue).job.metadata.id == metadata.id

    def test_a_retry_by_hand_gives_every_retry_back(self) -> None:
        queue = self.queue()
        failed = self.bring(queue, "failed", max_retries=0)
        queue.retry_job(failed.metadata.id)
        assert self.claim(queue).fail("still").status == "failed"

        twice = self.held(queue, max_retries=1)
        twice.fail(PermanentError("broken"))
        queue.retry_job(twice.job.metadata.id)

        assert self.claim(queue).fail("once").status == "pending"
        self.later(BACK_OFF)
        assert self.claim(queue).fail("twice").status == "failed"

    def test_a_retry_by_hand_forgives_crashes(self) -> None:
        queue = self.queue(max_crashes=0)
        job = self.put(queue)
        self.die(queue, self.claim(queue))
        queue.retry_job(job.metadata.id)

        left = self.stored(queue, job, PendingJob)

        assert (left.metadata.crash_count, left.metadata.attempt_count) == (0, 1)

    def test_a_cancelled_job_is_pending_again(self) -> None:
        queue = self.queue()
        cancelled = self.bring(queue, "cancelled")

        queue.retry_job(cancelled.metadata.id)

        assert self.claim(queue).complete().status == "complete"

    @pytest.mark.parametrize("status", ["pending", "running", "complete"])
    def test_no_other_job_can_be_retried_by_hand(self, status: JobStatus) -> None:
        queue = self.queue()
        job = self.bring(queue, status)

        with pytest.raises(InvalidTransition):
            queue.retry_job(job.metadata.id)

        assert queue.get_job(job.metadata.id) == job

    def test_an_unknown_job_cannot_be_retried(self) -> None:
        queue = self.queue()

        with pytest.raises(JobNotFound):
            queue.retry_job("job-nobody-made")

    def test_of_many_retries_by_hand_one_counts(self) -> None:
        queue, other = self.queue(), self.another()
        failed = self.bring(queue, "failed")

        def retry(by: Any) -> AnyJob | None:
            try:
                return by.retry_job(failed.metadata.id)  # type: ignore[no-any-return]
            except InvalidTransition:
                return None

        answers = at_once([partial(retry, each) for each in (queue, other) * 2])

        assert [job for job in answers if job] == [queue.get_job(failed.metadata.id)]
