"""Rows 6 and 7: what a running job stores: progress, which may be lost, and checkpoints, which may
not.

It must not know how attempts end, only whether what was stored outlives them.
"""

from __future__ import annotations

import time
from typing import Any, Final

from semiont_jobs import (
    AnyJob,
    ClaimLost,
    DetectionParams,
    DetectionProgress,
    FailedJob,
    InvalidValue,
    JobEncodeError,
    JobHeld,
    PendingJob,
    PermanentError,
    RunningJob,
    Snooze,
    entity_type,
    evolve,
    resource_id,
)
from semiont_jobs.testing.suite import (
    BACK_OFF,
    AnyClaim,
    Suite,
    eventually,
    names_of,
    pytest,
    some,
)

INTERVAL: Final = 0.5
"""Seconds between two written reports, as documented."""
OUTCOMES: Final[dict[str, Any]] = {
    "complete": lambda claim: claim.complete({"pages": 1}),
    "fail": lambda claim: claim.fail("again"),
    "fail for good": lambda claim: claim.fail(PermanentError("broken")),
    "cancel": lambda claim: claim.cancel(),
    "snooze": lambda claim: claim.settle(Snooze(5)),
    "release": lambda claim: claim.release(),
}


class Reporting(Suite):
    """Progress is for watchers, a checkpoint is for the next attempt."""

    # -- row 6: progress -----------------------------------------------------------------

    def test_the_first_report_is_stored_at_once(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        claim.report({"page": 1})

        assert self.stored(self.another(), claim.job, RunningJob).progress == {"page": 1}

    def test_a_report_replaces_the_last_one_whole(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        claim.report({"stage": "reading", "page": 1})
        claim.report({"percentage": 50})

        assert claim.job.progress == {"percentage": 50}
        eventually(lambda: self.progress(claim.job) != {"stage": "reading", "page": 1})
        assert self.progress(claim.job) == {"percentage": 50}

    def test_a_report_of_a_registered_class_reads_back_as_that_class(self) -> None:
        queue = self.queue()
        queue.enqueue(
            DetectionParams(resource_id=resource_id("d"), entity_types=(entity_type("Person"),))
        )
        claim = self.claim(queue)
        progress = DetectionProgress(
            total_entity_types=2, processed_entity_types=1, entities_found=7, entities_emitted=7
        )

        claim.report(progress)

        assert self.progress(claim.job) == progress

    def test_reports_are_written_at_most_every_half_second(self) -> None:
        queue = self.queue()
        events = self.heard(queue)
        claim = self.held(queue)
        begun = time.monotonic()

        for page in range(300):
            claim.report({"page": page})

        took = time.monotonic() - begun
        assert names_of(events).count("reported") <= 2 + took / INTERVAL
        assert claim.job.progress == {"page": 299}

    def test_the_last_report_is_stored_when_the_window_ends(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        for page in range(5):
            claim.report({"page": page})

        eventually(lambda: self.progress(claim.job) == {"page": 4})

    @pytest.mark.parametrize("outcome", OUTCOMES)
    def test_the_last_report_is_told_before_the_outcome(self, outcome: str) -> None:
        queue = self.queue()
        events = self.heard(queue)
        claim = self.held(queue)
        for page in range(5):
            claim.report({"page": page})

        OUTCOMES[outcome](claim)

        told = [event.job for event in events if event.name == "reported"]
        assert isinstance(told[-1], RunningJob)
        assert told[-1].progress == {"page": 4}
        assert names_of(events)[-1] != "reported"

    def test_a_report_held_back_never_brings_a_finished_job_back(self) -> None:
        queue = self.queue()
        claim, watched = self.held(queue), self.held(queue)
        for page in range(5):
            claim.report({"page": page})
        done = claim.complete({"pages": 5})

        # When the other job's report was flushed, the time for the first one's has passed too.
        for page in range(5):
            watched.report({"page": page})
        eventually(lambda: self.progress(watched.job) == {"page": 4})

        assert queue.get_job(claim.job.metadata.id) == done
        assert queue.get_stats().running == 1

    def test_a_late_report_never_brings_a_cancelled_job_back(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        cancelled = claim.cancel()

        with pytest.raises(ClaimLost):
            claim.report({"page": 1})

        assert queue.get_job(claim.job.metadata.id) == cancelled
        assert queue.get_stats().running == 0

    def test_progress_of_a_job_held_elsewhere_is_refused(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(JobHeld):
            self.another().update_job(evolve(claim.job, progress={"mine": True}))

        assert self.progress(claim.job) == {}

    def test_progress_of_a_job_that_nobody_runs_is_refused(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        claim.fail("again")

        with pytest.raises(ClaimLost):
            claim.report({"page": 1})

        assert self.stored(queue, claim.job, PendingJob)

    @pytest.mark.parametrize("bad", [{"page": {1, 2}}, float("inf"), object()])
    def test_progress_that_json_cannot_hold_is_refused_and_the_claim_goes_on(
        self, bad: Any
    ) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(JobEncodeError) as refusal:
            claim.report(bad)

        assert refusal.value.path.startswith("progress")
        assert self.progress(claim.job) == {}
        assert claim.complete().status == "complete"

    # -- row 7: checkpoint ---------------------------------------------------------------

    def test_every_checkpoint_is_stored_at_once(self) -> None:
        queue, other = self.queue(), self.another()
        claim = self.held(queue)
        stored = []

        for unit in "abcdefgh":
            claim.checkpoint([unit], {"page": ord(unit)})
            metadata = self.stored(other, claim.job, RunningJob).metadata
            stored.append((metadata.completed_units[-1], metadata.unit_cursors))

        assert stored == [(unit, {"page": ord(unit)}) for unit in "abcdefgh"]

    def test_units_unite_with_earlier_ones_each_once(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        claim.checkpoint(["b", "a"])
        claim.checkpoint(["a", "c", "c"])
        claim.checkpoint([])

        assert self.units(claim.job) == ("b", "a", "c")
        assert claim.job.metadata.completed_units == ("b", "a", "c")

    def test_a_cursor_is_replaced_whole_and_leaves_the_others(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        claim.checkpoint(cursors={"doc-1": {"next": 10, "found": 2}, "doc-2": {"next": 1}})
        claim.checkpoint(cursors={"doc-1": {"next": 20}})

        assert self.cursors(claim.job) == {"doc-1": {"next": 20}, "doc-2": {"next": 1}}

    @pytest.mark.parametrize(
        ("far", "near"), [(5, 3), ({"next": 20, "found": 2}, {"next": 10, "found": 9})]
    )
    def test_a_cursor_moves_only_forward(self, far: Any, near: Any) -> None:
        queue = self.queue()
        claim = self.held(queue)
        claim.checkpoint(cursors={"doc": far})

        claim.checkpoint(["unit"], cursors={"doc": near})

        assert self.cursors(claim.job) == {"doc": far}
        assert self.units(claim.job) == ("unit",)

    def test_a_checkpoint_survives_a_failed_attempt(self) -> None:
        queue = self.queue()
        claim = self.checkpointed(self.held(queue))

        claim.fail("again")

        self.later(BACK_OFF)
        self.assert_kept(self.stored(queue, claim.job, PendingJob))
        self.assert_kept(self.claim(queue).job)

    def test_a_checkpoint_survives_the_death_of_its_holder(self) -> None:
        queue = self.queue()
        claim = self.checkpointed(self.held(queue))

        self.die(queue, claim)

        self.assert_kept(self.stored(queue, claim.job, PendingJob))
        self.assert_kept(self.claim(queue).job)

    def test_a_checkpoint_survives_snooze_and_release(self) -> None:
        queue = self.queue()
        claim = self.checkpointed(self.held(queue))

        claim.release()
        self.claim(queue).snooze(5)

        self.assert_kept(self.stored(queue, claim.job, PendingJob))

    def test_a_checkpoint_survives_a_retry_by_hand(self) -> None:
        queue = self.queue()
        claim = self.checkpointed(self.held(queue))
        claim.fail(PermanentError("broken"))

        queue.retry_job(claim.job.metadata.id)

        self.assert_kept(self.stored(queue, claim.job, PendingJob))

    @pytest.mark.parametrize("outcome", ["complete", "fail for good", "cancel"])
    def test_a_checkpoint_stands_in_the_final_record(self, outcome: str) -> None:
        queue = self.queue()
        claim = self.checkpointed(self.held(queue))

        OUTCOMES[outcome](claim)

        self.assert_kept(some(queue.get_job(claim.job.metadata.id)))

    def test_a_job_without_a_checkpoint_has_none_on_record(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        claim.report({"page": 1})
        done = claim.complete()

        text = queue.codec.encode(done)

        assert (self.units(done), self.cursors(done)) == ((), {})
        assert b"completedUnits" not in text
        assert b"unitCursors" not in text

    def test_a_checkpoint_loses_no_report_held_back(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        claim.report({"page": 1})
        claim.report({"page": 2})

        claim.checkpoint(["unit"])

        eventually(lambda: self.progress(claim.job) == {"page": 2})
        assert self.units(claim.job) == ("unit",)

    def test_a_report_loses_no_checkpoint(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        claim.report({"page": 1})
        claim.report({"page": 2})
        claim.checkpoint(["unit"])
        claim.report({"page": 3})

        eventually(lambda: self.progress(claim.job) == {"page": 3})

        assert self.units(claim.job) == ("unit",)

    @pytest.mark.parametrize("bad", ["unit", [1], [None]])
    def test_units_that_are_no_texts_are_refused(self, bad: Any) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(InvalidValue):
            claim.checkpoint(bad)

        assert self.units(claim.job) == ()

    def test_a_cursor_that_json_cannot_hold_is_refused(self) -> None:
        queue = self.queue()
        claim = self.held(queue)

        with pytest.raises(JobEncodeError):
            claim.checkpoint(["unit"], {"doc": {1, 2}})

        assert (self.units(claim.job), self.cursors(claim.job)) == ((), {})

    def test_a_job_that_failed_for_good_keeps_its_error_beside_its_checkpoint(self) -> None:
        queue = self.queue()
        claim = self.checkpointed(self.held(queue))

        claim.fail(PermanentError("broken"))

        job = self.stored(queue, claim.job, FailedJob)
        assert "broken" in job.error
        assert job.metadata.completed_units == ("a", "b")

    # -- what they read ------------------------------------------------------------------

    def progress(self, job: AnyJob) -> Any:
        return self.stored(self._queues[0], job, RunningJob).progress

    def units(self, job: AnyJob) -> tuple[str, ...]:
        return some(self._queues[0].get_job(job.metadata.id)).metadata.completed_units

    def cursors(self, job: AnyJob) -> Any:
        return some(self._queues[0].get_job(job.metadata.id)).metadata.unit_cursors

    def checkpointed(self, claim: AnyClaim) -> AnyClaim:
        claim.checkpoint(["a", "b"], {"c": {"next": 7}})
        return claim

    def assert_kept(self, job: AnyJob) -> None:
        assert job.metadata.completed_units == ("a", "b")
        assert job.metadata.unit_cursors == {"c": {"next": 7}}
