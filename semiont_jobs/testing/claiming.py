"""Rows 2, 3 and 17: who gets which job, when, in what order; and jobs given back unfinished.

It must not know what becomes of finished jobs.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from semiont_jobs import (
    DetectionParams,
    InvalidValue,
    JobTimeout,
    PendingJob,
    RunningJob,
    Snooze,
    entity_type,
    resource_id,
)
from semiont_jobs.testing.suite import Suite, at_once, ids_of, names_of, pytest


class Claiming(Suite):
    """A claim gets the first due job it asks for, and nobody else gets that one."""

    # -- row 2: claim --------------------------------------------------------------------

    def test_a_claimed_job_runs_since_now_without_progress(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        self.later(3)

        claim = self.claim(queue)

        assert claim.job.metadata.id == job.metadata.id
        assert claim.job.status == "running"
        assert claim.job.started_at == self.clock()
        assert claim.job.progress == {}
        assert queue.get_job(job.metadata.id) == claim.job

    def test_a_claimed_job_of_a_registered_type_has_no_progress(self) -> None:
        queue = self.queue()
        params = DetectionParams(
            resource_id=resource_id("doc"), entity_types=(entity_type("Person"),)
        )
        self.put(queue, "detection", params)

        claim = self.claim(queue)

        assert claim.job.progress is None
        assert claim.job.params == params

    def test_the_holder_is_written_into_the_running_job(self) -> None:
        queue = self.queue()
        self.put(queue)

        claim = self.claim(queue, worker="the-annotator")

        stamp = self.stored(queue, claim.job, RunningJob).metadata.claim
        assert stamp is not None
        assert stamp.worker == "the-annotator"
        assert stamp.token
        assert stamp.pid > 0

    def test_an_empty_queue_gives_none(self) -> None:
        assert self.queue().claim_next_job() is None

    def test_only_the_asked_types_are_claimed(self) -> None:
        queue = self.queue()
        for kind in ("a", "b", "c"):
            self.put(queue, kind)

        claimed = [self.claim(queue, types=["b", "c"]).job.metadata.type for _ in range(2)]

        assert claimed == ["b", "c"]
        assert queue.claim_next_job(types=["b", "c"]) is None
        assert queue.get_stats().pending == 1

    def test_no_match_gives_none_and_touches_nothing(self) -> None:
        queue = self.queue()
        job = self.put(queue, "a", queue="q")

        assert queue.claim_next_job(types=["b"]) is None
        assert queue.claim_next_job(types=[]) is None
        assert queue.claim_next_job(queue="p") is None
        assert queue.claim_next_job(types=["a"], queue="default") is None
        assert queue.claim_next_job(accept=lambda _job: False) is None
        assert queue.query_jobs() == [job]

    def test_only_the_asked_queue_is_claimed(self) -> None:
        queue = self.queue()
        self.put(queue, priority=50)
        nightly = self.put(queue, queue="nightly")

        claim = self.claim(queue, queue="nightly")

        assert claim.job.metadata.id == nightly.metadata.id
        assert queue.claim_next_job(queue="nightly") is None

    def test_without_a_filter_any_type_of_any_queue_is_claimed(self) -> None:
        queue = self.queue()
        self.put(queue, "a", queue="q")
        self.put(queue, "b")

        claimed = [self.claim(queue).job.metadata.type for _ in range(2)]

        assert claimed == ["a", "b"]

    def test_a_bare_text_for_types_is_refused(self) -> None:
        queue = self.queue()
        self.put(queue, "a")

        with pytest.raises(InvalidValue):
            queue.claim_next_job(types="a")

    def test_a_claimed_job_is_not_claimed_again(self) -> None:
        queue = self.queue()
        self.held(queue)

        assert queue.claim_next_job() is None
        assert self.another().claim_next_job() is None

    def test_a_job_is_not_claimed_before_it_is_due(self) -> None:
        queue = self.queue()
        self.put(queue, run_after=self.ago(-10), priority=100)
        self.later(9.999)

        assert queue.claim_next_job() is None
        assert self.another().claim_next_job() is None

    def test_a_job_is_claimed_as_soon_as_it_is_due(self) -> None:
        queue = self.queue()
        job = self.put(queue, run_after=self.ago(-10))
        assert queue.claim_next_job() is None
        self.later(10)

        assert self.claim(queue).job.metadata.id == job.metadata.id

    def test_a_creation_in_the_future_delays_nothing(self) -> None:
        queue = self.queue()
        job = self.put(queue, created=self.ago(-(10**6)))

        assert self.claim(queue).job.metadata.id == job.metadata.id

    def test_jobs_come_by_priority_then_due_time_then_creation_then_id(self) -> None:
        queue = self.queue()
        now = self.clock()

        def put(name: str, priority: int, due: int | None, created: int) -> None:
            self.put(
                queue,
                id=name,
                priority=priority,
                run_after=None if due is None else now + timedelta(seconds=due),
                created=now + timedelta(seconds=created),
            )

        put("8-lowest", -100, -9, -9)
        put("7-id-b", 0, 6, 2)
        put("6-id-a", 0, 6, 2)
        put("5-created-first", 0, 6, 1)
        put("4-due-by-creation", 0, None, 5)
        put("3-due-first", 0, 4, 9)
        put("2-higher", 1, 30, 30)
        put("1-highest", 100, None, 40)
        self.later(60)

        other = self.another()
        claimed = [self.claim(other).job.metadata.id for _ in range(8)]

        assert claimed == sorted(claimed)
        assert len(claimed) == 8

    def test_jobs_created_in_one_instant_come_first_in_first_out(self) -> None:
        queue = self.queue()
        made = [self.put(queue) for _ in range(12)]

        claimed = [self.claim(queue).job for _ in made]

        assert ids_of(claimed) == ids_of(made)

    def test_a_higher_priority_put_in_later_goes_first(self) -> None:
        queue = self.queue()
        self.put(queue, priority=1)
        self.put(queue, priority=1)
        self.claim(queue)

        urgent = self.put(queue, priority=2)

        assert self.claim(queue).job.metadata.id == urgent.metadata.id

    def test_a_type_that_nobody_wants_blocks_nobody_behind_it(self) -> None:
        queue = self.queue()
        queue.create_jobs([self.job("unwanted", priority=100) for _ in range(30)])
        wanted = self.put(queue, "wanted")

        claim = self.claim(queue, types=["wanted"])

        assert claim.job.metadata.id == wanted.metadata.id
        assert queue.get_stats().pending == 30

    def test_a_refused_job_blocks_nobody_behind_it_and_stays_for_others(self) -> None:
        queue = self.queue()
        refused = self.put(queue, params={"size": 9}, priority=100)
        wanted = self.put(queue, params={"size": 1})

        def is_small(job: PendingJob[Any]) -> bool:
            return bool(job.params["size"] < 5)

        assert self.claim(queue, accept=is_small).job.metadata.id == wanted.metadata.id
        assert queue.claim_next_job(accept=is_small) is None
        assert queue.get_job(refused.metadata.id) == refused
        assert self.claim(queue).job.metadata.id == refused.metadata.id

    def test_a_refusal_holds_for_one_revision_of_the_job(self) -> None:
        queue = self.queue()
        job = self.put(queue, params={"size": 9})

        def is_small(job: PendingJob[Any]) -> bool:
            return bool(job.params["size"] < 5)

        assert queue.claim_next_job(accept=is_small) is None
        queue.update_job(PendingJob(metadata=job.metadata, params={"size": 1}), "pending")

        assert self.claim(queue, accept=is_small).job.metadata.id == job.metadata.id

    def test_only_due_jobs_of_the_asked_type_and_queue_are_offered_to_accept(self) -> None:
        queue = self.queue()
        self.put(queue, "other")
        self.put(queue, queue="other")
        self.put(queue, run_after=self.ago(-10))
        offered: list[PendingJob[Any]] = []
        wanted = self.put(queue)

        def note(job: PendingJob[Any]) -> bool:
            offered.append(job)
            return False

        assert queue.claim_next_job(types=["task"], queue="default", accept=note) is None
        assert offered == [wanted]

    def test_a_claim_is_told_of_once(self) -> None:
        queue = self.queue()
        events = self.heard(queue)
        claim = self.held(queue)

        assert names_of(events) == ["created", "claimed"]
        assert events[1].job == claim.job
        assert events[1].at == self.clock()

    # -- row 3: one winner ---------------------------------------------------------------

    def test_of_many_threads_claiming_one_job_one_wins(self) -> None:
        queue = self.queue()
        for _ in range(10):
            self.put(queue)

            answers = at_once([queue.claim_next_job] * 6)

            winners = [claim for claim in answers if claim is not None]
            assert len(winners) == 1
            winners[0].complete()

    def test_of_two_queue_objects_claiming_one_job_one_wins(self) -> None:
        queue, other = self.queue(), self.another()
        for _ in range(10):
            job = self.put(queue)

            answers = at_once([queue.claim_next_job, other.claim_next_job] * 3)

            winners = [claim for claim in answers if claim is not None]
            assert len(winners) <= 1
            # The others' looks may have kept even the winner's hands off for a moment.
            claim = winners[0] if winners else self.claim(queue)
            assert claim.job.metadata.id == job.metadata.id
            claim.complete()

    def test_as_many_threads_as_jobs_each_win_another(self) -> None:
        queue = self.queue()
        made = queue.create_jobs([self.job() for _ in range(8)])

        claims = at_once([lambda: self.claim(queue)] * 8)

        assert sorted(claim.job.metadata.id for claim in claims) == ids_of(made)

    def test_jobs_are_shared_out_among_queue_objects_each_once(self) -> None:
        queue, other = self.queue(), self.another()
        made = queue.create_jobs([self.job() for _ in range(40)])

        def drain(queue: Any) -> list[str]:
            done = []
            while queue.get_stats().pending:
                claim = queue.claim_next_job()
                if claim is not None:
                    done.append(claim.job.metadata.id)
                    claim.complete()
            return done

        done = at_once([lambda each=each: drain(each) for each in (queue, other) * 2])

        assert sorted(job_id for some_ids in done for job_id in some_ids) == ids_of(made)
        assert queue.get_stats().complete == 40

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

        snoozed = self.held(queue).snooze(until)  # type: ignore[arg-type]

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
