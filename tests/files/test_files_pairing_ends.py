"""The end of a loop that has a job claimed ahead: it is in nobody's hands then; and workers, whose loop
is one of these."""

from __future__ import annotations

import errno
import threading
from typing import Any

import pytest
from files.loops import filled, first_of
from files.places import PATIENCE, Actors, Place, Unattended, claimed, meanwhile

from semiont_jobs import Event, FileStore, JobQueue, JobWorker, QueueClosed, RunningJob
from semiont_jobs.stores.files import pending
from semiont_jobs.testing.waiting import eventually


@pytest.fixture(autouse=True)
def listings_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is something to offer: it is a matter of a hundredth of the time."""
    monkeypatch.setattr(pending, "BUSY_SHARE", 10**9)


@pytest.fixture(params=["fsync", "journal"])
def queue(request: pytest.FixtureRequest, actor: Actors) -> Unattended:
    """One that waits for its disk, with three jobs."""
    return filled(actor(durability=request.param))


def test_a_loop_that_is_ended_gives_back_what_it_has_ahead(
    queue: Unattended, actor: Actors, place: Place
) -> None:
    told: list[Event] = []
    queue.subscribe(told.append)
    claimer, claim = first_of(queue)
    claim.complete()

    claimer.end()

    assert place.names("pending") == ["b.json", "c.json"]
    assert [(each.name, each.job_id) for each in told[-2:]] == [("claimed", "b"), ("released", "b")]
    assert claimed(actor()).job.metadata.attempts == ()


def test_what_the_disk_does_not_take_back_is_given_back_later(actor: Actors, place: Place) -> None:
    queue = filled(actor(fsync=True))
    claimer, claim = first_of(queue)
    claim.complete()
    queue.disk.refuse(errno.ENOSPC, "create", ".tmp/*")

    claimer.end()
    assert place.names("running") == ["b.json"]
    queue._claims.give_back_dropped()

    assert place.names("running") == []


def test_a_claim_in_the_moment_in_which_its_loop_is_ended_is_given_back(
    actor: Actors, place: Place
) -> None:
    queue = filled(actor(fsync=True))
    claimer, claim = first_of(queue)
    queue.disk.before("rename", "running/b.json", claimer.end)

    claim.complete()

    assert place.names("running") == []
    assert place.names("pending") == ["b.json", "c.json"]


def test_a_queue_that_is_closed_in_the_midst_of_an_outcome_leaves_no_orphan(
    queue: Unattended, actor: Actors, place: Place
) -> None:
    claimer, claim = first_of(queue, opening=queue.open_for_work(threading.Event()))
    reached, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert go_on.wait(PATIENCE)

    queue.disk.before("unlink", "pending/b.json", wait)
    with meanwhile(claim.complete):
        assert reached.wait(PATIENCE)
        with meanwhile(queue.close):
            go_on.set()

    with pytest.raises(QueueClosed):
        claimer()
    claimer.end()
    assert place.everything() == {"complete": ["a.json"], "pending": ["b.json", "c.json"]}
    assert claimed(actor()).job.metadata.crash_count == 0


# -- workers -------------------------------------------------------------------------------


class Early(JobWorker):
    """Stores its outcome by itself, and goes on."""

    poll_interval = 0.02

    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue)
        self.is_stored, self.may_end = threading.Event(), threading.Event()

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Complete it, and wait."""
        self.claim.complete()
        self.is_stored.set()
        assert self.may_end.wait(PATIENCE)


def test_a_work_that_goes_on_after_its_outcome_keeps_no_other_job(
    queue: Unattended, place: Place
) -> None:
    worker = Early(queue)
    with worker:
        assert worker.is_stored.wait(PATIENCE)
        assert place.names("running") == []
        worker.may_end.set()


class Plain(JobWorker):
    """Does nothing."""

    poll_interval = 0.02

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Nothing."""


def test_a_worker_claims_in_the_midst_of_its_outcomes(queue: Unattended, place: Place) -> None:
    found: list[list[str]] = []
    for job_id in "bc":
        queue.disk.before(
            "unlink", f"pending/{job_id}.json", lambda: found.append(place.names("running"))
        )

    with Plain(queue):
        eventually(lambda: len(place.names("complete")) == 3)

    assert found == [["a.json", "b.json"], ["b.json", "c.json"]]
    assert isinstance(queue.store, FileStore)
