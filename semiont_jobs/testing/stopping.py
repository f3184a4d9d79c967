"""Rows 8, 9 and 10: jobs that are stopped: by a person, by the death of their worker; and the
way back.

It must not know how a holder dies: the store's `kill_holder` does.
"""

from __future__ import annotations

from typing import Any, Final

from semiont_jobs import (
    AnyJob,
    CancelledJob,
    CompleteJob,
    FailedJob,
    InvalidTransition,
    JobCancelled,
    JobNotFound,
    JobStatus,
    PendingJob,
    PermanentError,
    RunningJob,
    Snooze,
    evolve,
)
from semiont_jobs.testing.ending import VERBS, refused
from semiont_jobs.testing.suite import (
    BACK_OFF,
    PATIENCE,
    Suite,
    at_once,
    eventually,
    ids_of,
    names_of,
    pytest,
    some,
)

FINISHED: Final[tuple[JobStatus, ...]] = ("complete", "failed", "cancelled")
GIVING_UP_FOR_NOW: Final[dict[str, Any]] = {
    "fail": lambda claim: claim.fail("again"),
    "snooze": lambda claim: claim.settle(Snooze(5)),
    "release": lambda claim: claim.release(),
}


class Stopping(Suite):
    """A person stops a job, the death of its worker only interrupts it."""

    # -- row 8: cancel -------------------------------------------------------------------

    def test_a_pending_job_is_cancelled_at_once(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        self.later(2)

        assert queue.cancel_job(job.metadata.id) is True

        left = self.stored(queue, job, CancelledJob)
        assert (left.started_at, left.completed_at) == (None, self.clock())
        assert queue.claim_next_job() is None

    def test_a_job_that_waits_for_its_next_attempt_is_cancelled_at_once(self) -> None:
        queue = self.queue()
        job = self.held(queue).fail("again")

        assert queue.cancel_job(job.metadata.id) is True

        self.later(BACK_OFF)
        assert self.stored(queue, job, CancelledJob).metadata.retry_count == 1
        assert self.another().claim_next_job() is None

    @pytest.mark.parametrize("asker", ["same", "other"])
    def test_a_running_job_is_asked_to_stop(self, asker: str) -> None:
        queue = self.queue()
        claim = self.held(queue)
        by = queue if asker == "same" else self.another()

        assert by.cancel_job(claim.job.metadata.id) is True

        assert self.stored(queue, claim.job, RunningJob)
        with pytest.raises(JobCancelled):
            claim.raise_if_cancelled()

    def test_the_work_is_told_without_asking(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        self.another().cancel_job(claim.job.metadata.id)

        assert claim.cancelled.wait(PATIENCE)

    def test_a_report_stops_work_that_was_asked_to(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        queue.cancel_job(claim.job.metadata.id)

        with pytest.raises(JobCancelled):
            claim.report({"page": 1})

        assert self.stored(queue, claim.job, RunningJob).progress == {}

    def test_work_that_stops_when_asked_ends_cancelled(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        queue.cancel_job(claim.job.metadata.id)
        self.later(3)

        with claim:
            claim.raise_if_cancelled()

        job = self.stored(queue, claim.job, CancelledJob)
        assert (job.started_at, job.completed_at) == (self.ago(3), self.clock())
        assert [attempt.outcome for attempt in job.metadata.attempts] == ["cancelled"]
        assert job.metadata.retry_count == 0

    def test_work_that_finishes_although_asked_is_complete(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        queue.cancel_job(claim.job.metadata.id)

        claim.complete({"pages": 1})

        assert self.stored(queue, claim.job, CompleteJob).result == {"pages": 1}

    def test_a_job_that_nobody_asked_to_stop_goes_on(self) -> None:
        queue = self.queue()
        claim, asked = self.held(queue), self.held(queue)
        queue.cancel_job(asked.job.metadata.id)

        claim.raise_if_cancelled()

        assert not claim.cancelled.is_set()

    @pytest.mark.parametrize("status", FINISHED)
    def test_a_finished_job_cannot_be_cancelled(self, status: JobStatus) -> None:
        queue = self.queue()
        job = self.bring(queue, status)

        assert queue.cancel_job(job.metadata.id) is False
        assert queue.get_job(job.metadata.id) == job

    def test_an_unknown_job_cannot_be_cancelled(self) -> None:
        queue = self.queue()

        assert queue.cancel_job("job-nobody-made") is False

    def test_asking_twice_is_asking(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        answers = [queue.cancel_job(claim.job.metadata.id) for _ in range(3)]

        assert answers == [True, True, True]

    def test_cancelling_by_type_says_how_many(self) -> None:
        queue = self.queue()
        finished = [self.bring(queue, status, type="a") for status in FINISHED]
        other = self.put(queue, "b")
        for _ in range(3):
            self.put(queue, "a")
        claim = self.held(queue, type="a")

        assert queue.cancel_jobs(type="a") == 4

        assert queue.get_stats().cancelled == 4
        assert [queue.get_job(job.metadata.id) for job in finished] == finished
        assert queue.get_job(other.metadata.id) == other
        with pytest.raises(JobCancelled):
            claim.raise_if_cancelled()

    def test_cancelling_by_status_user_and_queue(self) -> None:
        queue = self.queue()
        wanted = self.put(queue, user_id="ann", queue="q")
        self.put(queue, user_id="ann")
        self.put(queue, queue="q")
        running = self.held(queue, user_id="ann", queue="q")

        assert queue.cancel_jobs(status="pending", user_id="ann", queue="q") == 1

        assert ids_of(queue.query_jobs(status="cancelled")) == [wanted.metadata.id]
        running.raise_if_cancelled()

    def test_a_request_never_hits_a_later_life(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        queue.cancel_job(claim.job.metadata.id)
        claim.fail(PermanentError("broken"))

        queue.retry_job(claim.job.metadata.id)

        again = self.claim(self.another())
        again.raise_if_cancelled()
        assert again.complete().status == "complete"

    def test_a_request_obeyed_never_hits_a_later_life(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        queue.cancel_job(claim.job.metadata.id)
        claim.cancel()

        queue.retry_job(claim.job.metadata.id)

        again = self.claim(queue)
        again.raise_if_cancelled()
        assert again.complete().status == "complete"

    def test_a_request_survives_the_death_of_the_holder(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        queue.cancel_job(claim.job.metadata.id)

        self.die(queue, claim)

        job = self.stored(queue, claim.job, CancelledJob)
        assert job.started_at == claim.job.started_at
        assert self.another().claim_next_job() is None

    @pytest.mark.parametrize("outcome", GIVING_UP_FOR_NOW)
    def test_a_request_survives_the_attempt_and_the_work_does_not_run_again(
        self, outcome: str
    ) -> None:
        queue = self.queue()
        claim = self.held(queue)
        queue.cancel_job(claim.job.metadata.id)
        GIVING_UP_FOR_NOW[outcome](claim)
        self.later(BACK_OFF)

        assert self.another().claim_next_job() is None

        assert self.stored(queue, claim.job, CancelledJob)

    def test_a_cancelled_job_is_told_of_once(self) -> None:
        queue = self.queue()
        events = self.heard(queue)
        claim = self.held(queue)
        queue.cancel_job(claim.job.metadata.id)

        with claim:
            claim.raise_if_cancelled()

        assert names_of(events) == ["created", "claimed", "cancelled"]

    def test_of_cancelling_and_claiming_at_once_exactly_one_decides(self) -> None:
        queue, other = self.queue(), self.another()
        for _ in range(15):
            job_id = self.put(queue).metadata.id

            def cancel(job_id: str = job_id) -> Any:
                return queue.cancel_job(job_id)

            asked, claim = at_once([cancel, other.claim_next_job])

            assert asked is True
            if claim is None:
                eventually(lambda: some(queue.get_job(job_id)).status == "cancelled")  # noqa: B023 - called within this round
            else:
                with claim:
                    claim.raise_if_cancelled()
            assert some(queue.get_job(job_id)).status == "cancelled"

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
        statuses = []

        for _ in range(max_crashes + 1):
            self.die(queue, self.claim(queue))
            statuses.append(some(queue.get_job(job.metadata.id)).status)

        left = self.stored(queue, job, FailedJob)
        assert statuses == ["pending"] * max_crashes + ["failed"]
        assert "died" in left.error
        assert left.metadata.crash_count == max_crashes + 1
        assert left.metadata.retry_count == 0

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

        answers = at_once([lambda each=each: retry(each) for each in (queue, other) * 2])

        assert [job for job in answers if job] == [queue.get_job(failed.metadata.id)]
