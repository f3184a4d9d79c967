"""Rows 1, 14 and 15: jobs are kept complete, for every reader, including unknown data in them.

It must not know how jobs are claimed or what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final

from semiont_jobs import (
    AnyJob,
    CompleteJob,
    DetectionParams,
    InvalidJob,
    InvalidJobId,
    JobEncodeError,
    JobExists,
    JobMetadata,
    JobQueue,
    JobStatus,
    JobTooLarge,
    PendingJob,
    RunningJob,
    entity_type,
    evolve,
    resource_id,
)
from semiont_jobs.testing.suite import Suite, at_once, eventually, ids_of, numbers, pytest, some

STATUSES: Final[tuple[JobStatus, ...]] = ("pending", "running", "complete", "failed", "cancelled")
DETECTION: Final = DetectionParams(
    resource_id=resource_id("doc-1"),
    entity_types=(entity_type("Person"), entity_type("Ort")),
)
BROAD: Final[dict[str, Any]] = {
    "text": 'Zürich "東京" \\ / \n\t \u2028 🎈',
    "numbers": [0, -1, 2**53, 0.1, 1e-7, -2.5e300],
    "nothing": None,
    "yes": True,
    "deep": {"list": [[], [{}], {"k": [1, [2]]}], "": "an empty key"},
}
"""Whatever JSON can represent, and what is commonly got wrong."""
UNKNOWN: Final[dict[str, Any]] = {"tenant": {"id": 7, "tags": ["a", "é", None]}, "zone": ""}


def same(job: AnyJob) -> tuple[object, ...]:
    """The parts of a job that never change."""
    metadata = job.metadata
    return (metadata.id, metadata.type, metadata.user_id, metadata.created, job.params)


class Keeping(Suite):
    """What is created exists, complete, until it is removed."""

    # -- row 1: create, get --------------------------------------------------------------

    def test_a_created_job_reads_back_equal(self) -> None:
        queue = self.queue()
        job = self.job(params=BROAD)

        queue.create_job(job)

        assert queue.get_job(job.metadata.id) == job

    def test_a_job_of_a_registered_type_reads_back_equal(self) -> None:
        queue = self.queue()
        job = self.job("detection", DETECTION)

        queue.create_job(job)

        assert queue.get_job(job.metadata.id) == job

    def test_every_field_that_a_caller_may_set_reads_back(self) -> None:
        queue = self.queue()
        job = self.job(
            id="my-Job_1",
            user_id="someone@example.org",
            max_retries=9,
            queue="nightly",
            priority=-100,
            run_after=self.clock() + timedelta(milliseconds=1500),
            timeout=2.5,
        )

        queue.create_job(job)

        assert queue.get_job("my-Job_1") == job

    def test_create_returns_the_job_as_stored(self) -> None:
        queue = self.queue()

        returned = queue.create_job(self.job(params=BROAD))

        assert returned == queue.get_job(returned.metadata.id)

    def test_enqueue_creates_the_job_of_its_params_class(self) -> None:
        queue = self.queue()

        created = queue.enqueue(DETECTION, run_after=5, priority=3)

        job = self.stored(queue, created, PendingJob)
        assert (job.metadata.type, job.params) == ("detection", DETECTION)
        assert (job.metadata.priority, job.metadata.run_after) == (3, self.ago(-5))

    @pytest.mark.parametrize("status", STATUSES)
    def test_a_job_keeps_what_it_was_given_in_every_status(self, status: JobStatus) -> None:
        queue = self.queue()
        given = self.bring(queue, status, params=BROAD, user_id="someone")

        found = some(queue.get_job(given.metadata.id))

        assert found.status == status
        assert found == given
        assert found.params == BROAD
        assert found.metadata.user_id == "someone"

    def test_an_unknown_id_gives_none(self) -> None:
        queue = self.queue()
        self.put(queue)

        assert queue.get_job("job-nobody-made") is None

    @pytest.mark.parametrize(
        "bad", ["../../etc/passwd", "a/b", "..", ".x", "", "a\0", "x" * 129, "é", "job\n", None, 5]
    )
    def test_what_cannot_be_an_id_is_refused_at_every_door(self, bad: Any) -> None:
        queue = self.queue()
        doors: list[Callable[[Any], object]] = [
            queue.get_job,
            queue.cancel_job,
            queue.retry_job,
            queue.wait_for,
            lambda bad: JobMetadata(id=bad, type="task"),
        ]

        for door in doors:
            with pytest.raises(InvalidJobId):
                door(bad)

    @pytest.mark.parametrize("status", STATUSES)
    def test_an_id_that_exists_in_any_status_is_refused(self, status: JobStatus) -> None:
        queue = self.queue()
        before = self.bring(queue, status)

        with pytest.raises(JobExists):
            self.put(queue, id=before.metadata.id, params={"other": True})

        assert queue.get_job(before.metadata.id) == before
        assert queue.get_stats().total == 1

    def test_a_batch_is_created_in_order(self) -> None:
        queue = self.queue()
        batch = [self.job(params={"n": n}) for n in range(8)]

        queue.create_jobs(batch)

        claimed = [self.claim(queue).job.metadata.id for _ in batch]
        assert claimed == ids_of(batch)

    def test_a_batch_with_an_id_that_exists_creates_nothing(self) -> None:
        queue = self.queue()
        before = self.bring(queue, "complete")
        batch = [self.job(), self.job(id=before.metadata.id), self.job()]

        with pytest.raises(JobExists):
            queue.create_jobs(batch)

        assert queue.query_jobs() == [before]

    def test_a_batch_that_has_an_id_twice_creates_nothing(self) -> None:
        queue = self.queue()
        twice = self.job()

        with pytest.raises(JobExists):
            queue.create_jobs([self.job(), twice, twice])

        assert queue.query_jobs() == []

    def test_an_empty_batch_is_legal(self) -> None:
        queue = self.queue()

        assert queue.create_jobs([]) == []

    @pytest.mark.parametrize(
        "bad", [float("nan"), float("inf"), {1, 2}, b"bytes", "\ud800", object()]
    )
    def test_params_that_json_cannot_hold_are_refused_and_nothing_is_stored(self, bad: Any) -> None:
        queue = self.queue()
        job = self.job(params={"pages": [1, bad]})

        with pytest.raises(JobEncodeError) as refused:
            queue.create_jobs([self.job(), job])

        assert refused.value.path == "params.pages[1]"
        assert refused.value.job_id == job.metadata.id
        assert queue.get_stats().total == 0

    def test_params_of_another_class_than_the_type_has_are_refused(self) -> None:
        queue = self.queue()

        with pytest.raises(InvalidJob):
            self.put(queue, "detection", {"resourceId": "doc-1"})

        assert queue.get_stats().total == 0

    def test_what_a_caller_does_to_its_own_copy_changes_nothing_stored(self) -> None:
        queue = self.queue()
        given = self.put(queue, params={"pages": [1, 2]})
        given.params["pages"].append("mine")
        some(queue.get_job(given.metadata.id)).params["pages"].append("read")
        some(queue.poll_next_pending_job()).params["pages"].append("seen")

        claim = self.claim(queue)

        assert claim.job.params == {"pages": [1, 2]}

    def test_of_many_creators_of_one_id_one_wins(self) -> None:
        queue, other = self.queue(), self.another()
        jobs = [self.job(id="wanted", params={"n": n}) for n in range(8)]

        def create(queue: JobQueue, job: PendingJob[Any]) -> PendingJob[Any] | None:
            try:
                return queue.create_job(job)
            except JobExists:
                return None

        answers = at_once(
            [partial(create, (queue, other)[n % 2], job) for n, job in enumerate(jobs)]
        )

        winners = [job for job in answers if job is not None]
        assert [queue.get_job("wanted")] == winners

    # -- row 14: restart -----------------------------------------------------------------

    def test_a_second_queue_object_sees_everything(self) -> None:
        queue = self.queue()
        jobs = [self.bring(queue, status, params=BROAD) for status in STATUSES]

        other = self.another()

        assert [other.get_job(job.metadata.id) for job in jobs] == jobs
        assert numbers(other.get_stats()) == (1, 1, 1, 1, 1)

    def test_a_second_queue_object_sees_what_the_first_did_since(self) -> None:
        queue, other = self.queue(), self.another()
        assert other.claim_next_job() is None

        job = self.put(queue)

        assert other.get_job(job.metadata.id) == job
        assert self.claim(other).job.metadata.id == job.metadata.id
        assert self.stored(queue, job, RunningJob).metadata.claim is not None

    def test_a_closed_queue_leaves_everything_behind_and_gives_its_claims_back(self) -> None:
        queue = self.queue()
        done = self.bring(queue, "complete")
        claim = self.held(queue)
        claim.checkpoint(["first"])

        queue.close()

        other = self.another()
        again = self.stored(other, claim.job, PendingJob)
        assert other.get_job(done.metadata.id) == done
        assert again.metadata.completed_units == ("first",)
        assert (again.metadata.retry_count, again.metadata.crash_count) == (0, 0)

    def test_a_checkpoint_leaves_room_for_the_end_of_its_job(self) -> None:
        queue = self.queue()
        claim = self.held(queue, max_retries=0)

        with pytest.raises(JobTooLarge):
            claim.checkpoint(cursors={"page": "x" * (15 << 20)})
        claim.checkpoint(cursors={"page": "x" * (13 << 20)})

        assert claim.fail("no").status == "failed"

    def test_closing_one_queue_object_leaves_the_claims_of_another_alone(self) -> None:
        queue, other = self.queue(), self.another()
        claim = self.held(queue)
        other.initialize()

        other.close()

        assert self.another().rescue_orphans() == 0
        assert claim.complete({"pages": 1}).status == "complete"

    def test_a_closed_queue_can_be_used_again(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        queue.close()

        claim = self.claim(queue)

        assert claim.job.metadata.id == job.metadata.id

    # -- row 15: unknown data ------------------------------------------------------------

    def test_types_and_keys_nobody_knows_survive_any_number_of_transitions(self) -> None:
        queue = self.queue()
        job = evolve(
            self.job("from-the-future", BROAD, extra=UNKNOWN), extra={"note": {"kept": [1]}}
        )
        queue.create_job(job)

        seen = self.walk(queue, job)

        assert [same(each) for each in seen] == [same(job)] * len(seen)
        assert [each.metadata.extra for each in seen] == [UNKNOWN] * len(seen)
        assert [each.extra for each in seen] == [{"note": {"kept": [1]}}] * len(seen)

    def test_keys_that_a_params_class_does_not_know_survive_any_number_of_transitions(
        self,
    ) -> None:
        queue = self.queue()
        extra = {"params": {"futureOption": {"deep": [1, None]}}}
        job = evolve(self.job("detection", DETECTION, extra=UNKNOWN), extra=extra)
        queue.create_job(job)

        seen = self.walk(queue, job)

        assert [same(each) for each in seen] == [same(job)] * len(seen)
        assert [each.metadata.extra for each in seen] == [UNKNOWN] * len(seen)
        assert [each.extra for each in seen] == [extra] * len(seen)

    def walk(self, queue: JobQueue, job: PendingJob[Any]) -> list[AnyJob]:
        """Take the job through every transition; return it as stored after each."""
        job_id = job.metadata.id
        seen: list[AnyJob] = []

        def look() -> None:
            seen.append(some(queue.get_job(job_id)))

        look()
        claim = self.claim(queue)
        look()
        claim.report(None)
        look()
        claim.checkpoint(["unit"])
        look()
        claim.fail("again")
        look()
        self.later(10)
        self.claim(queue).snooze(10)
        look()
        self.later(10)
        self.claim(queue).release()
        look()
        self.die(queue, self.claim(queue))
        look()
        queue.cancel_job(job_id)
        look()
        queue.retry_job(job_id)
        look()
        claim = self.claim(queue)
        queue.update_job(claim.job)
        claim.complete()
        look()
        eventually(lambda: isinstance(queue.get_job(job_id), CompleteJob))
        return seen
