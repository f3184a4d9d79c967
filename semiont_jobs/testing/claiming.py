"""Rows 2 and 3: which claim gets which job.

It must not know how attempts end.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from functools import partial
from typing import Any

from semiont_jobs import (
    DetectionParams,
    InvalidValue,
    PendingJob,
    RunningJob,
    entity_type,
    resource_id,
)
from semiont_jobs.testing.suite import (
    KIND,
    PATIENCE,
    Suite,
    at_once,
    ids_of,
    names_of,
    pytest,
    some,
)


class Claiming(Suite):
    """A claim gets the first due job that it asks for, and no other claim gets that job."""

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

    def test_an_item_of_a_run_is_offered_only_to_those_who_name_its_type(self) -> None:
        queue = self.queue()
        item, mapped = self.put(queue, "map:run-1"), self.put(queue, "map-of-a-town")

        with queue.claimer() as claimer:
            claims = [claimer(), claimer()]
        assert [claim and claim.job.metadata.id for claim in claims] == [mapped.metadata.id, None]
        assert queue.claim_next_job(accept=lambda _job: True) is None
        assert queue.claim_next_job(queue="default") is None
        assert queue.poll_next_pending_job() is None

        with queue.claimer(runs=["map:run-2"]) as claimer:
            assert claimer() is None
        with queue.claimer(runs=["map:run-1"]) as claimer:
            some(claimer()).release()
        assert self.claim(queue, types=["map:run-1"]).job.metadata.id == item.metadata.id

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

    def test_what_comes_due_between_a_look_and_a_wait_is_not_waited_for(self) -> None:
        queue = self.queue()
        queue.enqueue({}, type=KIND, run_after=timedelta(seconds=3))
        assert queue.claim_next_job() is None
        self.later(5)

        began = time.monotonic()
        queue.store.wait(threading.Event(), 2 * PATIENCE, self.clock())

        assert time.monotonic() - began < PATIENCE
        assert queue.claim_next_job() is not None

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

        done = at_once([partial(drain, each) for each in (queue, other) * 2])

        assert sorted(job_id for some_ids in done for job_id in some_ids) == ids_of(made)
        assert queue.get_stats().complete == 40
