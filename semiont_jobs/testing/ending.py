"""Rows 4 and 5: how attempts end: complete, to be tried again, or failed.

It must not know progress, cancelling or crashes.
"""

from __future__ import annotations

from typing import Any, Final

import tenacity

from semiont_jobs import (
    ClaimLost,
    CompleteJob,
    DetectionParams,
    DetectionResult,
    FailedJob,
    InvalidTransition,
    JobEncodeError,
    JobQueue,
    PendingJob,
    PermanentError,
    RetryPolicy,
    RunningJob,
    Snooze,
    entity_type,
    resource_id,
)
from semiont_jobs.testing.suite import BACK_OFF, AnyClaim, Suite, names_of, pytest, some

VERBS: Final[dict[str, Any]] = {
    "complete": lambda claim: claim.complete({"late": True}),
    "fail": lambda claim: claim.fail("late"),
    "fail for good": lambda claim: claim.fail(PermanentError("late")),
    "report": lambda claim: claim.report({"late": True}),
    "checkpoint": lambda claim: claim.checkpoint(["late"], {"late": 1}),
    "snooze": lambda claim: claim.snooze(5),
    "release": lambda claim: claim.release(),
    "cancel": lambda claim: claim.cancel(),
    "raise_if_cancelled": lambda claim: claim.raise_if_cancelled(),
    "settle": lambda claim: claim.settle(Snooze(5)),
}
"""Every operation of a claim."""
ENDINGS: Final[dict[str, Any]] = {
    "complete": lambda claim: claim.complete({"pages": 1}),
    "failed": lambda claim: claim.fail(PermanentError("broken")),
    "cancelled": lambda claim: claim.cancel(),
}


def refused(claim: AnyClaim, verb: str) -> bool:
    """Whether an operation is refused by a claim that is over, as it must be."""
    try:
        VERBS[verb](claim)
    except ClaimLost as lost:
        return lost.job_id == claim.job.metadata.id
    return False


class Odd(BaseException):
    """Not even an Exception: no policy knows it."""


class BadInput(PermanentError):
    """An error that user code may define."""


class Ending(Suite):
    """An attempt has one end, and the end of a job is final."""

    # -- row 4: complete -----------------------------------------------------------------

    def test_a_complete_job_keeps_its_start_and_has_its_end_and_result(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        self.later(7)

        returned = claim.complete({"pages": [1, 2]})

        job = self.stored(queue, claim.job, CompleteJob)
        assert job == returned
        assert (job.started_at, job.completed_at) == (self.ago(7), self.clock())
        assert job.result == {"pages": [1, 2]}
        assert job.metadata.claim is None

    @pytest.mark.parametrize(
        "result", [{"a": {"b": [1, None]}}, [], [{}], "", "text", 0, 1.5, False]
    )
    def test_a_result_is_stored_as_given(self, result: Any) -> None:
        queue = self.queue()
        claim = self.held(queue)

        claim.complete(result)

        stored = self.stored(queue, claim.job, CompleteJob).result
        assert (type(stored), stored) == (type(result), result)

    def test_no_result_is_stored_as_an_empty_object(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        claim.complete()

        assert self.stored(queue, claim.job, CompleteJob).result == {}

    def test_a_result_of_a_registered_class_reads_back_as_that_class(self) -> None:
        queue = self.queue()
        params = DetectionParams(
            resource_id=resource_id("doc"), entity_types=(entity_type("Person"),)
        )
        result = DetectionResult(total_found=3, total_emitted=2, errors=1)
        queue.enqueue(params)
        claim = self.claim(queue)

        claim.complete(result)

        assert self.stored(queue, claim.job, CompleteJob).result == result

    @pytest.mark.parametrize("bad", [{"a": {1, 2}}, float("nan"), object(), {1: "one"}])
    def test_a_result_that_json_cannot_hold_is_refused_and_the_claim_goes_on(
        self, bad: Any
    ) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(JobEncodeError) as refusal:
            claim.complete(bad)

        assert refusal.value.path.startswith("result")
        assert queue.get_job(claim.job.metadata.id) == claim.job
        assert claim.complete({"pages": 1}).status == "complete"

    def test_a_complete_job_tells_its_attempt(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        done = claim.complete()

        attempt = done.metadata.attempts[0]
        assert (attempt.number, attempt.outcome) == (1, "completed")
        assert (attempt.error_type, attempt.message) == (None, None)
        assert done.metadata.attempt_count == 1

    def test_a_complete_job_is_never_claimed_again(self) -> None:
        queue = self.queue()
        self.held(queue).complete()
        self.later(10**6)

        assert queue.rescue_orphans() == 0
        assert queue.claim_next_job() is None
        assert self.another().claim_next_job() is None

    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize("ending", ENDINGS)
    def test_a_finished_job_absorbs_every_late_verb(self, ending: str, verb: str) -> None:
        queue = self.queue()
        claim = self.held(queue)
        ENDINGS[ending](claim)
        before = queue.get_job(claim.job.metadata.id)

        assert refused(claim, verb)
        assert queue.get_job(claim.job.metadata.id) == before
        assert some(before).status == ending

    @pytest.mark.parametrize("verb", VERBS)
    def test_a_claim_that_gave_its_job_back_can_do_nothing_more(self, verb: str) -> None:
        queue = self.queue()
        claim = self.held(queue)
        waiting = claim.release()

        assert refused(claim, verb)
        assert queue.get_job(waiting.metadata.id) == waiting

    def test_a_pending_job_cannot_be_completed(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        done: CompleteJob[Any, Any] = CompleteJob(
            metadata=job.metadata,
            params=job.params,
            started_at=self.clock(),
            completed_at=self.clock(),
        )

        with pytest.raises(InvalidTransition):
            queue.update_job(done)

        assert queue.get_job(job.metadata.id) == job

    def test_a_life_is_told_in_order(self) -> None:
        queue = self.queue()
        events = self.heard(queue)

        self.held(queue, max_retries=1).fail("once")
        self.later(BACK_OFF)
        self.claim(queue).fail("twice")
        queue.retry_job(queue.query_jobs()[0].metadata.id)
        self.claim(queue).complete()
        self.later(1)
        queue.cleanup_completed_jobs(self.clock())

        assert names_of(events) == [
            "created",
            "claimed",
            "retrying",
            "claimed",
            "failed",
            "retried",
            "claimed",
            "completed",
            "removed",
        ]

    # -- row 5: fail ---------------------------------------------------------------------

    def test_a_failed_attempt_is_pending_again_with_one_retry_used(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        self.later(2)

        returned = claim.fail(ValueError("bad page"))

        job = self.stored(queue, claim.job, PendingJob)
        assert job == returned
        assert job.metadata.retry_count == 1
        assert job.metadata.run_after == self.ago(-BACK_OFF)
        assert job.metadata.claim is None
        assert not hasattr(job, "started_at")

    def test_a_failed_attempt_is_on_record(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        self.later(2)

        with pytest.raises(ValueError, match="bad page"), claim:
            raise ValueError("bad page")

        job = self.stored(queue, claim.job, PendingJob)
        attempt = job.metadata.attempts[0]
        assert (attempt.number, attempt.outcome) == (1, "failed")
        assert (attempt.error_type, attempt.message) == ("ValueError", "bad page")
        assert (attempt.started_at, attempt.ended_at) == (self.ago(2), self.clock())
        assert 'raise ValueError("bad page")' in (attempt.traceback or "")

    def test_a_job_is_not_tried_again_before_its_back_off(self) -> None:
        queue = self.queue()
        self.held(queue).fail("again")
        self.later(BACK_OFF - 0.001)

        assert queue.claim_next_job() is None
        assert self.another().claim_next_job() is None

    def test_a_job_is_tried_again_after_its_back_off(self) -> None:
        queue = self.queue()
        failed = self.held(queue).fail("again")
        self.later(BACK_OFF)

        assert self.claim(queue).job.metadata.id == failed.metadata.id

    def test_a_failing_job_does_not_hold_up_those_behind_it(self) -> None:
        queue = self.queue()
        self.held(queue, priority=100).fail("again")
        behind = self.put(queue)

        assert self.claim(queue).job.metadata.id == behind.metadata.id

    @pytest.mark.parametrize("max_retries", [0, 1, 3])
    def test_so_many_retries_are_one_attempt_more(self, max_retries: int) -> None:
        queue = self.queue()
        job = self.put(queue, max_retries=max_retries)

        statuses = self.fail_until_failed(queue)

        left = self.stored(queue, job, FailedJob)
        assert statuses == ["pending"] * max_retries + ["failed"]
        assert left.metadata.retry_count == max_retries
        assert [attempt.number for attempt in left.metadata.attempts] == list(
            range(1, max_retries + 2)
        )
        assert queue.claim_next_job() is None

    def test_three_retries_are_the_default(self) -> None:
        queue = self.queue()
        self.put(queue)

        assert len(self.fail_until_failed(queue)) == 4

    def test_a_failed_job_says_why_and_when(self) -> None:
        queue = self.queue()
        claim = self.held(queue, max_retries=0)
        self.later(3)

        claim.fail(ValueError("bad page"))

        job = self.stored(queue, claim.job, FailedJob)
        assert "bad page" in job.error
        assert (job.started_at, job.completed_at) == (self.ago(3), self.clock())
        assert job.metadata.claim is None

    @pytest.mark.parametrize("error", [PermanentError, BadInput])
    def test_a_permanent_error_fails_the_job_whatever_its_budget(self, error: Any) -> None:
        queue = self.queue()
        claim = self.held(queue, max_retries=1000)

        claim.fail(error("no such document"))

        job = self.stored(queue, claim.job, FailedJob)
        assert "no such document" in job.error
        assert job.metadata.retry_count == 0

    def test_a_policy_names_errors_of_its_own_permanent(self) -> None:
        queue = self.queue(retry_policy=RetryPolicy(permanent=(LookupError,)))

        assert self.held(queue).fail(KeyError("x")).status == "failed"
        assert self.held(queue).fail(ValueError("x")).status == "pending"

    def test_a_policy_says_which_errors_are_worth_another_attempt(self) -> None:
        policy = RetryPolicy(retry=tenacity.retry_if_exception_type(OSError))
        queue = self.queue(retry_policy=policy)

        assert self.held(queue).fail(ValueError("x")).status == "failed"
        assert self.held(queue).fail(TimeoutError("x")).status == "pending"

    @pytest.mark.parametrize("error", [Odd("x"), KeyboardInterrupt(), SystemExit(1), "in words"])
    def test_every_error_that_nobody_knows_is_tried_again(self, error: Any) -> None:
        queue = self.queue()

        assert self.held(queue).fail(error).status == "pending"

    def test_a_text_is_an_error_too(self) -> None:
        queue = self.queue()

        attempt = self.held(queue).fail("in words").metadata.attempts[0]

        assert (attempt.error_type, attempt.message) == ("JobFailed", "in words")

    def test_the_back_off_follows_the_policy_attempt_by_attempt(self) -> None:
        queue = self.queue(retry_policy=RetryPolicy(wait=tenacity.wait_exponential(multiplier=1)))
        self.put(queue, max_retries=4)
        waits = []

        for _ in range(4):
            waiting = self.claim(queue).fail("again")
            waits.append((some(waiting.metadata.run_after) - self.clock()).total_seconds())
            self.later(10)

        assert waits == [1.0, 2.0, 4.0, 8.0]

    def test_a_claims_own_policy_goes_before_the_queues(self) -> None:
        queue = self.queue()
        self.put(queue)
        impatient = RetryPolicy(wait=tenacity.wait_fixed(1))

        waiting = self.claim(queue, retry_policy=impatient).fail("again")

        assert waiting.metadata.run_after == self.ago(-1)

    def test_an_exception_in_the_block_fails_the_attempt_and_goes_on(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(ZeroDivisionError), claim:
            _ = 1 / 0

        assert self.stored(queue, claim.job, PendingJob).metadata.retry_count == 1

    def test_a_retried_job_starts_without_the_last_attempts_progress(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        claim.report({"page": 5})
        claim.fail("again")
        self.later(BACK_OFF)

        again = self.claim(queue)

        assert again.job.progress == {}
        assert again.job.started_at == self.clock()
        assert self.stored(queue, again.job, RunningJob).progress == {}

    def fail_until_failed(self, queue: JobQueue) -> list[str]:
        """Claim and fail the only job until there is nothing left to claim."""
        statuses: list[str] = []
        while "failed" not in statuses:
            statuses.append(self.claim(queue).fail(f"attempt {len(statuses) + 1}").status)
            self.later(BACK_OFF)
        return statuses
