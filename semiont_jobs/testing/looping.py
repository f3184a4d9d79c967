"""Row 2, for a loop: one claim after the other.

It must not know whether a store makes them durable one by one.
"""

from __future__ import annotations

from datetime import timedelta

from semiont_jobs import InvalidValue, PermanentError
from semiont_jobs.testing.suite import Suite, at_once, eventually, ids_of, names_of, pytest


class Looping(Suite):
    """A loop gets each job once, in order, and leaves no job without a holder."""

    def test_a_loop_works_off_what_is_due_in_order(self) -> None:
        queue = self.queue()
        jobs = [self.put(queue, priority=priority) for priority in (1, 9, 5)]
        self.put(queue, run_after=self.clock() + timedelta(seconds=60))

        done = [claim.complete().metadata.id for claim in queue.claims()]

        assert done == [jobs[n].metadata.id for n in (1, 2, 0)]
        assert (queue.get_stats().complete, queue.get_stats().pending) == (3, 1)

    def test_a_loop_over_nothing_ends_at_once(self) -> None:
        assert list(self.queue().claims()) == []

    def test_a_loop_refuses_a_wrong_filter_before_it_begins(self) -> None:
        with pytest.raises(InvalidValue, match="types"):
            self.queue().claims("task")

    def test_a_loop_takes_only_what_it_asks_for(self) -> None:
        queue = self.queue()
        wanted = [self.put(queue, "wanted") for _ in range(2)]
        self.put(queue, "other")
        self.put(queue, "wanted", queue="elsewhere")

        done = [claim.complete() for claim in queue.claims(types=["wanted"], queue="default")]

        assert ids_of(done) == ids_of(wanted)

    def test_a_loop_asks_whom_it_is_given(self) -> None:
        queue = self.queue()
        refused = self.put(queue)
        taken = [self.put(queue) for _ in range(2)]

        claims = queue.claims(accept=lambda job: job.metadata.id != refused.metadata.id)

        assert ids_of([claim.complete() for claim in claims]) == ids_of(taken)

    def test_a_loop_that_is_left_leaves_nothing_running(self) -> None:
        queue = self.queue()
        for _ in range(3):
            self.put(queue)

        for claim in queue.claims():
            claim.complete()
            break

        eventually(lambda: queue.get_stats().running == 0)
        stats = queue.get_stats()
        assert (stats.complete, stats.pending) == (1, 2)
        again = self.claim(self.another())
        assert again.job.metadata.attempts == ()
        assert again.job.metadata.crash_count == 0

    def test_a_loop_may_end_jobs_in_every_way(self) -> None:
        queue = self.queue()
        jobs = [self.put(queue) for _ in range(5)]
        claims = queue.claims()

        next(claims).complete()
        next(claims).fail("not now")
        next(claims).fail(PermanentError("never"))
        next(claims).snooze(60)
        next(claims).cancel()

        assert list(claims) == []
        found = [queue.get_job(job.metadata.id) for job in jobs]
        assert [job.status for job in found if job] == [
            "complete",
            "pending",
            "failed",
            "pending",
            "cancelled",
        ]

    def test_each_claim_of_a_loop_is_told_of_after_the_outcome_before(self) -> None:
        queue = self.queue()
        events = self.heard(queue)
        jobs = [self.put(queue) for _ in range(3)]

        for claim in queue.claims():
            assert (names_of(events)[-1], events[-1].job_id) == ("claimed", claim.job.metadata.id)
            claim.complete()
            assert names_of(events)[-1] == "completed"

        told = [event for event in events if event.name != "created"]
        assert names_of(told) == ["claimed", "completed"] * 3
        assert [event.job_id for event in told[::2]] == [job.metadata.id for job in jobs]

    def test_a_loops_job_in_hand_is_given_back_when_its_queue_closes(self) -> None:
        queue = self.queue()
        for _ in range(2):
            self.put(queue)
        claims = queue.claims()
        next(claims).complete()
        in_hand = next(claims)

        queue.close()

        assert not in_hand.is_open

        other = self.another()
        assert other.rescue_orphans() == 0
        assert (other.get_stats().running, other.get_stats().pending) == (0, 1)
        claims.close()  # type: ignore[attr-defined]

    def test_loops_in_several_threads_get_each_job_once(self) -> None:
        queue = self.queue()
        jobs = [self.put(queue) for _ in range(24)]
        done: list[str] = []

        def work_off() -> None:
            for claim in queue.claims():
                done.append(claim.complete().metadata.id)

        at_once([work_off] * 4)

        assert sorted(done) == sorted(ids_of(jobs))
        assert queue.get_stats().complete == len(jobs)
