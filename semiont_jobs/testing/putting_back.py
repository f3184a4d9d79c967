"""Row 17: a job is snoozed or released, or runs out of time.

It must not know in which order jobs are claimed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from semiont_jobs import (
    InvalidValue,
    JobTimeout,
    PendingJob,
    Snooze,
)
from semiont_jobs.testing.suite import Suite, pytest


class PuttingBack(Suite):
    """A job that is snoozed or released has used no attempt; one out of time has."""

    # -- row 17: snooze, release, time-out -----------------------------------------------

    def test_a_snoozed_job_waits_without_using_an_attempt(self) -> None:
        queue = self.queue()
        claim = self.held(queue, max_retries=0)

        claim.snooze(30)

        job = self.stored(queue, claim.job, PendingJob)
        assert job.metadata.run_after == self.ago(-30)
        assert (job.metadata.retry_count, job.metadata.crash_count) == (0, 0)
        assert (job.metadata.attempts, job.metadata.attempt_count) == ((), 0)
        assert job.metadata.claim is None

    def test_a_snoozed_job_is_not_claimed_before_its_time(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        claim.snooze(30)
        self.later(29.999)

        assert self.another().claim_next_job() is None
        assert queue.claim_next_job() is None

    def test_a_snoozed_job_is_claimed_at_its_time(self) -> None:
        queue = self.queue()
        snoozed = self.held(queue).snooze(30)
        self.later(30)

        assert self.claim(queue).job.metadata.id == snoozed.metadata.id

    def test_a_job_may_snooze_any_number_of_times(self) -> None:
        queue = self.queue()
        self.put(queue, max_retries=0)

        for _ in range(20):
            self.claim(queue).snooze(1)
            self.later(1)

        claim = self.claim(queue)
        assert claim.complete({"done": True}).metadata.attempt_count == 1

    @pytest.mark.parametrize("form", ["seconds", "timedelta", "instant"])
    def test_a_snooze_is_told_in_seconds_a_timedelta_or_an_instant(self, form: str) -> None:
        queue = self.queue()
        until = {
            "seconds": 2.5,
            "timedelta": timedelta(seconds=2.5),
            "instant": self.ago(-2.5),
        }[form]

        snoozed = self.held(queue).snooze(until)

        assert snoozed.metadata.run_after == self.ago(-2.5)

    @pytest.mark.parametrize("bad", ["soon", None, float("nan")])
    def test_a_snooze_that_is_no_time_is_refused_and_the_claim_goes_on(self, bad: Any) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(InvalidValue):
            claim.snooze(bad)

        assert claim.complete().status == "complete"

    def test_work_snoozes_by_raising(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with claim:
            raise Snooze(30)

        job = self.stored(queue, claim.job, PendingJob)
        assert (job.metadata.run_after, job.metadata.attempts) == (self.ago(-30), ())

    def test_a_released_job_can_be_claimed_at_once_and_used_no_attempt(self) -> None:
        queue = self.queue()
        claim = self.held(queue, max_retries=0)

        claim.release()

        job = self.stored(queue, claim.job, PendingJob)
        assert (job.metadata.retry_count, job.metadata.attempts) == (0, ())
        assert self.claim(queue).job.metadata.id == job.metadata.id

    def test_leaving_the_block_without_an_outcome_gives_the_job_back(self) -> None:
        queue = self.queue()

        with self.held(queue) as claim:
            pass

        job = self.stored(queue, claim.job, PendingJob)
        assert (job.metadata.retry_count, job.metadata.attempts) == (0, ())

    def test_an_outcome_within_the_block_stands(self) -> None:
        queue = self.queue()

        with self.held(queue) as claim:
            done = claim.complete({"pages": 2})

        assert queue.get_job(claim.job.metadata.id) == done

    @pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
    def test_an_interrupt_gives_the_job_back_and_goes_on(self, signal: Any) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(signal), claim:
            raise signal

        job = self.stored(queue, claim.job, PendingJob)
        assert (job.metadata.retry_count, job.metadata.attempts) == (0, ())

    def test_the_work_is_told_when_its_time_is_up(self) -> None:
        queue = self.queue()
        claim = self.held(queue, timeout=5)
        self.later(4.999)
        claim.raise_if_cancelled()
        self.later(0.001)

        with pytest.raises(JobTimeout):
            claim.raise_if_cancelled()

        assert claim.deadline == self.clock()

    def test_a_job_without_a_limit_has_no_deadline(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        self.later(10**9)

        claim.raise_if_cancelled()

        assert claim.deadline is None

    def test_a_time_out_is_a_failed_attempt_of_its_own_kind(self) -> None:
        queue = self.queue()
        claim = self.held(queue, timeout=5)
        self.later(5)

        with pytest.raises(JobTimeout), claim:
            claim.raise_if_cancelled()

        job = self.stored(queue, claim.job, PendingJob)
        attempt = job.metadata.attempts[0]
        assert job.metadata.retry_count == 1
        assert (attempt.outcome, attempt.error_type) == ("timeout", "JobTimeout")
        assert (attempt.started_at, attempt.ended_at) == (self.ago(5), self.clock())

    def test_the_limit_counts_anew_in_every_attempt(self) -> None:
        queue = self.queue()
        self.held(queue, timeout=5).fail("again")
        self.later(10)

        claim = self.claim(queue)

        assert claim.deadline == self.ago(-5)
