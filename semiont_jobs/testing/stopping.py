"""Row 8: a running job is asked to stop, and it ends once.

It must not know what becomes of a job whose code ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from semiont_jobs import (
    CancelledJob,
    CompleteJob,
    JobCancelled,
    JobStatus,
    PermanentError,
    RunningJob,
    Snooze,
)
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
    """A person stops a job: at once while it is pending, by a request while it runs."""

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

            both: list[Callable[[], Any]] = [cancel, other.claim_next_job]
            asked, claim = at_once(both)

            assert asked is True
            if claim is None:
                eventually(lambda: some(queue.get_job(job_id)).status == "cancelled")  # noqa: B023 - called within this round
            else:
                with claim:
                    claim.raise_if_cancelled()
            assert some(queue.get_job(job_id)).status == "cancelled"
