"""The end of a loop that has a job claimed ahead: it is in nobody's hands then; and workers, whose loop
is one of these."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from files.loops import changes, filled, first_of
from files.places import PATIENCE, Actors, Place, Unattended, claimed, job, meanwhile

from semiont_jobs import Event, FileStore, JobQueue, JobWorker, QueueClosed, RunningJob
from semiont_jobs import claim as claims
from semiont_jobs.claimer import Claimer
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


def left_long_ago(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the keeper does with jobs that were left for half a second."""
    monkeypatch.setattr(claims, "AHEAD_TIME", 0.0)
    for claim in queue._claims.all():
        claim.look_after()


def test_what_the_disk_does_not_take_back_is_given_back_later(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = filled(actor(fsync=True))
    claimer, claim = first_of(queue)
    claim.complete()
    queue.disk.refuse(errno.ENOSPC, "create", ".tmp/*")

    claimer.end()
    assert place.names("running") == ["b.json"]
    left_long_ago(queue, monkeypatch)

    assert place.names("running") == []


def test_a_claim_in_the_moment_in_which_its_loop_is_ended_is_given_back(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = filled(actor(fsync=True))
    claimer, claim = first_of(queue)
    queue.disk.before("rename", "running/b.json", claimer.end)
    claim.complete()

    left_long_ago(queue, monkeypatch)

    assert place.names("running") == []
    assert place.names("pending") == ["b.json", "c.json"]


def test_a_job_that_its_loop_does_not_come_to_is_given_back(
    queue: Unattended, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimer, claim = first_of(queue)
    claim.complete()

    left_long_ago(queue, monkeypatch)

    assert place.names("pending") == ["b.json", "c.json"]
    taken = claimer()
    assert taken is not None
    assert taken.job.metadata.attempts == ()
    left_long_ago(queue, monkeypatch)
    assert taken.is_open


def test_a_hook_that_hangs_keeps_no_job_that_its_loop_has_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "BUSY_SHARE", 10**9)
    goes_on = threading.Event()
    with JobQueue(tmp_path) as queue:
        queue.subscribe(lambda event: event.name != "completed" or goes_on.wait(PATIENCE))
        for job_id in "ab":
            queue.create_job(job(job_id))
        queue.poll_next_pending_job()
        with Plain(queue) as worker:
            eventually(lambda: queue.get_stats().running == 1)
            eventually(lambda: queue.get_stats().pending == 1)
            goes_on.set()
            eventually(lambda: queue.get_stats().complete == 2)
        assert worker.is_stopping


def test_a_loop_that_is_forgotten_takes_no_lock(
    queue: Unattended, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = queue.claims()
    next(loop).complete()
    queue.disk.calls.clear()

    del loop  # as the collector does, perhaps in the midst of a verb

    assert changes(queue) == []
    left_long_ago(queue, monkeypatch)
    assert place.names("running") == []


def test_a_loop_that_is_forgotten_late_keeps_nothing(
    queue: Unattended, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = queue.claims()
    next(loop).complete()
    left_long_ago(queue, monkeypatch)

    del loop

    assert not queue._claims._kept


def test_outcomes_in_other_threads_lose_no_job_of_the_loop(queue: Unattended) -> None:
    done = []
    with ThreadPoolExecutor(2) as threads:
        done = [threads.submit(claim.complete) for claim in queue.claims()]

    assert [each.result().metadata.id for each in done] == ["a", "b", "c"]


def test_a_claim_that_a_loop_drops_is_given_back_alone(queue: Unattended, place: Place) -> None:
    loop = queue.claims()
    next(loop)
    held = next(loop)

    with meanwhile(queue._claims.give_back_dropped):
        pass

    assert place.names("running") == [f"{held.job.metadata.id}.json"]


def test_a_forked_child_does_not_go_on_with_its_parents_job(
    queue: Unattended, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimer, claim = first_of(queue)
    claim.complete()
    monkeypatch.setattr(os, "getpid", lambda: -1)

    taken = claimer()

    assert taken is not None
    assert taken.job.metadata.id == "c"


def test_an_interrupt_in_a_hook_gives_the_job_back_that_was_ahead(
    queue: Unattended, place: Place
) -> None:
    claimer, claim = first_of(queue)
    claim.complete()

    def interrupt(event: Event) -> None:
        if event.name == "claimed":
            raise KeyboardInterrupt

    queue.subscribe(interrupt)
    with pytest.raises(KeyboardInterrupt):
        claimer()

    assert place.names("pending") == ["b.json", "c.json"]


def test_the_time_of_a_job_that_is_ahead_does_not_run(actor: Actors) -> None:
    queue = actor(fsync=True)
    queue.create_job(job("a"))
    queue.create_job(job("b", timeout=60.0))
    queue.poll_next_pending_job()
    claimer, claim = first_of(queue)
    claim.complete()
    began = queue.monotonic()
    queue.monotonic = lambda: began + 1000
    for each in queue._claims.all():
        each.watch()  # as the keeper does

    taken = claimer()

    assert taken is not None
    queue.monotonic = lambda: began + 1059
    taken.raise_if_cancelled()


def test_a_queue_that_is_closed_in_the_midst_of_an_outcome_leaves_no_orphan(
    queue: Unattended, actor: Actors, place: Place
) -> None:
    opening = queue.open_for_work(threading.Event())
    reached, go_on = threading.Event(), threading.Event()
    loops: list[Claimer] = []

    def wait() -> None:
        reached.set()
        assert go_on.wait(PATIENCE)

    def work() -> None:
        claimer, claim = first_of(queue, opening=opening)
        loops.append(claimer)
        claim.complete()

    queue.disk.before("unlink", "pending/b.json", wait)
    with meanwhile(work):
        assert reached.wait(PATIENCE)
        with meanwhile(queue.close):
            eventually(lambda: opening.is_over)
            go_on.set()

    with pytest.raises(QueueClosed):
        loops[0]()
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
