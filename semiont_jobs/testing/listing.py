"""Rows 11 to 13: jobs are listed, counted, and removed only on request.

It must not know how jobs are claimed or what becomes of them.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from semiont_jobs import (
    CancelledJob,
    InvalidTransition,
    InvalidValue,
    JobStats,
    JobStatus,
)
from semiont_jobs.testing.suite import Suite, at_once, ids_of, numbers, pytest

STATUSES: Final[tuple[JobStatus, ...]] = ("pending", "running", "complete", "failed", "cancelled")


class Listing(Suite):
    """What exists is reported, and nothing is removed without a request."""

    # -- row 11: list --------------------------------------------------------------------

    @pytest.mark.parametrize("status", STATUSES)
    def test_a_list_is_filtered_by_status(self, status: JobStatus) -> None:
        queue = self.queue()
        jobs = {each: self.bring(queue, each) for each in STATUSES}

        assert queue.query_jobs(status=status) == [jobs[status]]

    def test_a_list_is_filtered_by_type_user_and_queue_together(self) -> None:
        queue = self.queue()
        wanted = self.put(queue, "a", user_id="ann", queue="q")
        self.put(queue, "b", user_id="ann", queue="q")
        self.put(queue, "a", user_id="bob", queue="q")
        self.put(queue, "a", user_id="ann", queue="p")

        assert len(queue.query_jobs(type="a")) == 3
        assert len(queue.query_jobs(user_id="ann")) == 3
        assert len(queue.query_jobs(queue="q")) == 3
        assert queue.query_jobs(type="a", user_id="ann", queue="q") == [wanted]
        assert queue.query_jobs(status="complete", type="a") == []

    def test_a_list_is_newest_first_and_ties_by_id(self) -> None:
        queue = self.queue()
        for name, age in [("c", 5), ("b", 5), ("z", 9), ("a", 1), ("d", 5)]:
            self.put(queue, id=name, created=self.ago(age))
        queue.cancel_job("c")

        assert ids_of(queue.query_jobs()) == ["a", "b", "c", "d", "z"]

    def test_a_list_has_a_hundred_jobs_unless_told_otherwise(self) -> None:
        queue = self.queue()
        made = queue.create_jobs([self.job(id=f"job-{n:03}") for n in range(130)])

        assert ids_of(queue.query_jobs()) == ids_of(made[:100])
        assert ids_of(queue.query_jobs(limit=None)) == ids_of(made)
        assert ids_of(queue.query_jobs(limit=7, offset=120)) == ids_of(made[120:127])
        assert ids_of(queue.query_jobs(limit=None, offset=128)) == ids_of(made[128:])
        assert queue.query_jobs(limit=0) == []

    @pytest.mark.parametrize(
        "page", [{"limit": -1}, {"offset": -1}, {"limit": 2.0}, {"limit": True}, {"offset": None}]
    )
    def test_a_page_that_cannot_be_is_refused(self, page: dict[str, Any]) -> None:
        queue = self.queue()

        with pytest.raises(InvalidValue):
            queue.query_jobs(**page)

    def test_a_status_that_there_is_not_is_refused(self) -> None:
        queue = self.queue()

        with pytest.raises(InvalidValue):
            queue.query_jobs(status="completed")  # type: ignore[arg-type]

    def test_a_list_has_every_job_once_while_jobs_move(self) -> None:
        queue, mover = self.queue(), self.another()
        made = sorted(ids_of(queue.create_jobs([self.job(max_retries=10**6) for _ in range(12)])))
        stop = threading.Event()

        def move() -> None:
            while not stop.is_set():
                self.later(10)
                claim = mover.claim_next_job()
                if claim is None:
                    continue
                job_id = claim.job.metadata.id
                claim.fail("again")
                if mover.cancel_job(job_id):
                    mover.retry_job(job_id)

        def look() -> list[list[str]]:
            try:
                return [sorted(ids_of(queue.query_jobs(limit=None))) for _ in range(60)]
            finally:
                stop.set()

        seen = at_once([look, lambda: move() or []])[0]  # type: ignore[func-returns-value]

        assert seen == [made] * 60

    # -- row 12: stats -------------------------------------------------------------------

    def test_an_empty_queue_counts_nothing(self) -> None:
        assert self.queue().get_stats() == JobStats()

    def test_stats_count_each_status(self) -> None:
        queue = self.queue()
        for count, status in enumerate(STATUSES, start=1):
            for _ in range(count):
                self.bring(queue, status)

        stats = queue.get_stats()

        assert numbers(stats) == (1, 2, 3, 4, 5)
        assert stats.total == 15

    def test_stats_equal_what_a_list_shows(self) -> None:
        queue = self.queue()
        for status in (*STATUSES, "failed", "running"):
            self.bring(queue, status)

        listed = [len(queue.query_jobs(status=status, limit=None)) for status in STATUSES]

        assert list(numbers(queue.get_stats())) == listed

    # -- row 13: retention ---------------------------------------------------------------

    def test_finished_jobs_older_than_the_cutoff_are_removed(self) -> None:
        queue = self.queue()
        old = [self.bring(queue, status) for status in ("complete", "failed")]
        self.later(100)
        new = self.bring(queue, "complete")
        self.later(100)

        removed = queue.cleanup_completed_jobs(timedelta(seconds=150))

        assert removed == 2
        assert [queue.get_job(job.metadata.id) for job in old] == [None, None]
        assert queue.query_jobs() == [new]

    @pytest.mark.parametrize("status", ["pending", "running"])
    def test_an_unfinished_job_is_never_removed(self, status: JobStatus) -> None:
        queue = self.queue()
        job = self.bring(queue, status, created=datetime.fromisoformat("2001-01-01T00:00:00Z"))
        self.later(10**6)

        removed = queue.cleanup_completed_jobs(self.clock(), cancelled=True)

        assert removed == 0
        assert queue.get_job(job.metadata.id) == job

    def test_only_jobs_of_the_type_that_is_asked_for_are_removed(self) -> None:
        queue = self.queue()
        for type_name in ("task", "other"):
            self.put(queue, type_name, id=type_name)
            queue.cancel_job(type_name)
        self.later(1)

        removed = queue.cleanup_completed_jobs(self.clock(), cancelled=True, type="task")

        assert removed == 1
        assert ids_of(queue.query_jobs()) == ["other"]

    @pytest.mark.parametrize("status", ["complete", "failed", "cancelled"])
    def test_only_jobs_that_ended_as_is_asked_for_are_removed(self, status: JobStatus) -> None:
        queue = self.queue()
        jobs = [self.bring(queue, each) for each in ("complete", "failed", "cancelled")]
        self.later(1)

        assert queue.cleanup_completed_jobs(self.clock(), status=status) == 1
        left = [job.metadata.id for job in jobs if job.status != status]
        assert sorted(ids_of(queue.query_jobs())) == sorted(left)

    @pytest.mark.parametrize("status", ["pending", "running", "done"])
    def test_only_the_status_of_a_finished_job_is_one_to_remove(self, status: Any) -> None:
        queue = self.queue()
        self.bring(queue, "complete")
        self.later(1)

        with pytest.raises(InvalidValue, match="status"):
            queue.cleanup_completed_jobs(self.clock(), status=status)

        assert queue.get_stats().complete == 1

    @pytest.mark.parametrize("status", ["complete", "failed", "cancelled"])
    def test_a_finished_job_is_removed_by_hand_alone(self, status: JobStatus) -> None:
        queue = self.queue()
        job, other = self.bring(queue, status), self.bring(queue, status)

        assert queue.remove_job(job.metadata.id)
        assert not queue.remove_job(job.metadata.id)
        assert queue.query_jobs() == [other]

    @pytest.mark.parametrize("status", ["pending", "running"])
    def test_an_unfinished_job_is_not_removed_by_hand(self, status: JobStatus) -> None:
        queue = self.queue()
        job = self.bring(queue, status)

        with pytest.raises(InvalidTransition, match=f"cannot remove a {status} job"):
            queue.remove_job(job.metadata.id)

        assert queue.get_job(job.metadata.id) == job

    def test_what_was_removed_by_hand_may_come_anew(self) -> None:
        queue = self.queue()
        self.put(queue, id="again")
        queue.cancel_job("again")
        queue.remove_job("again")

        anew = self.put(queue, id="again")

        assert queue.get_job("again") == anew

    def test_a_job_waiting_for_its_next_attempt_is_not_removed(self) -> None:
        queue = self.queue()
        waiting = self.held(queue).fail("again")
        self.later(10**6)

        assert queue.cleanup_completed_jobs(timedelta()) == 0
        assert queue.get_job(waiting.metadata.id) == waiting

    def test_a_job_that_ended_at_the_cutoff_stays(self) -> None:
        queue = self.queue()
        job = self.bring(queue, "complete")

        assert queue.cleanup_completed_jobs(self.clock()) == 0
        assert queue.get_job(job.metadata.id) == job

    def test_a_job_old_by_its_creation_but_just_ended_stays(self) -> None:
        queue = self.queue()
        job = self.bring(queue, "complete", created=self.ago(10**6))

        assert queue.cleanup_completed_jobs(timedelta(seconds=5)) == 0
        assert queue.get_job(job.metadata.id) == job

    def test_cancelled_jobs_are_removed_only_when_asked_for(self) -> None:
        queue = self.queue()
        job = self.bring(queue, "cancelled")
        self.later(1)

        assert queue.cleanup_completed_jobs(self.clock()) == 0
        assert self.stored(queue, job, CancelledJob) == job
        assert queue.cleanup_completed_jobs(self.clock(), cancelled=True) == 1
        assert queue.get_job(job.metadata.id) is None

    @pytest.mark.parametrize("bad", [datetime(2026, 1, 1), 5, "yesterday", None])
    def test_a_cutoff_that_is_no_instant_is_refused(self, bad: Any) -> None:
        queue = self.queue()
        self.bring(queue, "complete")

        with pytest.raises(InvalidValue):
            queue.cleanup_completed_jobs(bad)

        assert queue.get_stats().complete == 1

    def test_two_cleaners_remove_each_job_once(self) -> None:
        queue, other = self.queue(), self.another()
        for _ in range(20):
            self.bring(queue, "complete")
        kept = self.bring(queue, "pending")
        self.later(1)
        cutoff = self.clock()

        removed = at_once(
            [partial(each.cleanup_completed_jobs, cutoff) for each in (queue, other) * 2]
        )

        assert sum(removed) == 20
        assert queue.query_jobs() == [kept]

    def test_the_id_of_a_removed_job_is_free(self) -> None:
        queue = self.queue()
        job = self.bring(queue, "complete")
        self.later(1)
        queue.cleanup_completed_jobs(self.clock())

        again = self.put(queue, id=job.metadata.id, params={"second": True})

        assert queue.query_jobs() == [again]
