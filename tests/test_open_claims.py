"""A claim that nobody has any more, or whose process ends in order, is given back."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import ClaimLost, JobQueue, PendingJob, RunningJob, StoreError, evolve
from semiont_jobs.claim import AnyClaim
from semiont_jobs.open_claims import OpenClaims
from semiont_jobs.testing.suite import eventually, names_of, some

TIMEOUT = 60.0


@pytest.fixture(params=["memory", "files"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with JobQueue("memory:" if request.param == "memory" else tmp_path, fsync=False) as queue:
        yield queue


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch, queue: JobQueue) -> JobQueue:
    """That queue, looked after only when the test says so."""
    monkeypatch.setattr("semiont_jobs.keeper.PERIOD", 3600.0)
    return queue


def claimed(queue: JobQueue) -> AnyClaim:
    queue.enqueue({"page": 1}, type="task", id="j")
    return some(queue.claim_next_job())


def status(queue: JobQueue) -> str:
    return some(queue.get_job("j")).status


def assert_given_back(queue: JobQueue) -> None:
    left = some(queue.get_job("j"))
    assert isinstance(left, PendingJob)
    assert (0, 0, None) == (
        left.metadata.attempt_count,
        left.metadata.crash_count,
        left.metadata.claim,
    )


# -- dropped -------------------------------------------------------------------------------


def test_a_dropped_claim_is_given_back_with_a_warning(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "semiont_jobs")
    events: list[Any] = []
    queue.subscribe(events.append)
    claimed(queue)

    eventually(lambda: status(queue) == "pending" and "job j " in caplog.text)

    assert_given_back(queue)
    assert ["created", "claimed", "released"] == names_of(events)
    # Another test's claim, in garbage of that test's, may be given back meanwhile.
    [record] = [each for each in caplog.records if each.job_id == "j"]  # type: ignore[attr-defined]
    assert record.levelname == "WARNING"
    assert "dropped without an outcome" in record.getMessage()


def test_a_claim_dropped_in_a_circle_is_given_back(by_hand: JobQueue) -> None:
    circle: list[Any] = [claimed(by_hand)]
    circle.append(circle)
    del circle
    gc.collect()

    by_hand.keep_house()

    assert_given_back(by_hand)


def test_a_claim_dropped_together_with_its_queue_is_given_back(tmp_path: Path) -> None:
    claimed(JobQueue(tmp_path, fsync=False))
    gc.collect()

    with JobQueue(tmp_path, fsync=False) as other:
        eventually(lambda: status(other) == "pending")
        assert_given_back(other)


@pytest.mark.parametrize("durability", ["process", "fsync", "journal"])
def test_a_claim_dropped_in_one_circle_with_its_queue_is_given_back(
    tmp_path: Path, durability: Any
) -> None:
    queue = JobQueue(tmp_path, durability=durability)
    circle: list[Any] = [queue, claimed(queue)]
    circle.append(circle)
    gone = weakref.ref(queue)
    del circle, queue
    gc.collect()

    with JobQueue(tmp_path, durability=durability) as other:
        eventually(lambda: status(other) == "pending")
        assert_given_back(other)
    # And then nothing keeps it any more.
    eventually(lambda: gc.collect() >= 0 and gone() is None)


def test_a_claim_that_somebody_has_is_left_alone(by_hand: JobQueue) -> None:
    claim = claimed(by_hand)
    gc.collect()

    by_hand.keep_house()

    assert claim.is_open
    assert "running" == status(by_hand)


def test_a_claim_dropped_after_its_outcome_is_nobodys_business(
    by_hand: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    claimed(by_hand).complete()

    by_hand.keep_house()

    assert "complete" == status(by_hand)
    assert [] == caplog.records


def test_closing_gives_a_dropped_claim_back(by_hand: JobQueue) -> None:
    circle: list[Any] = [claimed(by_hand)]
    circle.append(circle)
    del circle
    gc.collect()  # which ends weak references to what stood in circles

    by_hand.close()

    assert_given_back(by_hand)


def test_dropping_a_claim_waits_for_no_lock(by_hand: JobQueue) -> None:
    claim = [claimed(by_hand)]
    locked, done = threading.Event(), threading.Event()

    def hold_every_lock() -> None:
        with by_hand._lock, by_hand._rescuing, claim[0]._turn.lock:
            locked.set()
            done.wait(TIMEOUT)

    holder = threading.Thread(target=hold_every_lock)
    holder.start()
    assert locked.wait(TIMEOUT)
    dropping = threading.Thread(target=claim.clear, daemon=True)
    dropping.start()
    dropping.join(TIMEOUT)
    is_stuck = dropping.is_alive()
    done.set()
    holder.join(TIMEOUT)

    assert not is_stuck
    by_hand.keep_house()
    assert_given_back(by_hand)


def test_a_dropped_claim_that_the_disk_refuses_is_tried_again(by_hand: JobQueue) -> None:
    claim = claimed(by_hand)
    hold: Any = claim._hold
    move, refusals = hold.move, [StoreError(28, "No space left on device")]

    def refuse(job: Any) -> None:
        if refusals:
            raise refusals.pop()
        move(job)

    hold.move = refuse
    del claim
    by_hand.keep_house()
    assert "running" == status(by_hand)

    by_hand.keep_house()

    assert_given_back(by_hand)


def test_a_forked_child_gives_back_none_of_its_parents_claims(by_hand: JobQueue) -> None:
    claim = claimed(by_hand)
    childs = OpenClaims()
    childs._pid = os.getpid() + 1
    childs.drop(claim)

    childs.give_back_dropped()

    assert claim.is_open
    assert "running" == status(by_hand)


# -- the loop of update_job ----------------------------------------------------------------


def started(queue: JobQueue) -> RunningJob[Any, Any]:
    """A job claimed by update_job, which hands out no claim."""
    job = queue.enqueue({"page": 1}, type="task", id="j")
    running: RunningJob[Any, Any] = RunningJob(
        metadata=job.metadata, params=job.params, started_at=queue.clock()
    )
    return queue.update_job(running, "pending")  # type: ignore[return-value]


def test_a_job_claimed_by_update_job_is_held_until_it_is_moved_on(by_hand: JobQueue) -> None:
    running = started(by_hand)
    gc.collect()
    by_hand.keep_house()
    assert "running" == status(by_hand)

    by_hand.update_job(evolve(running, progress={"page": 1}))
    gc.collect()
    by_hand.keep_house()

    assert "running" == status(by_hand)
    assert {"page": 1} == some(by_hand.get_job("j")).progress  # type: ignore[union-attr]


def test_a_job_moved_on_by_update_job_is_kept_no_longer(by_hand: JobQueue) -> None:
    running = started(by_hand)

    by_hand.update_job(evolve(running, progress={"page": 1}))
    claim = some(by_hand._claims.get("j"))
    claim.complete()
    gone = weakref.ref(claim)
    del claim
    gc.collect()

    assert gone() is None


def test_a_dropped_claim_whose_job_update_job_goes_on_with_is_kept(by_hand: JobQueue) -> None:
    job = claimed(by_hand).job

    by_hand.update_job(evolve(job, progress={"page": 1}))
    by_hand.keep_house()

    assert "running" == status(by_hand)


# -- the exit of the process ---------------------------------------------------------------

PROGRAM = """
import sys
from semiont_jobs import JobQueue, RunningJob

queue = JobQueue(sys.argv[1], fsync=False)
job = queue.enqueue({}, type="task", id="j")
if sys.argv[2] == "claim":
    claim = queue.claim_next_job()
else:
    running = RunningJob(metadata=job.metadata, params=job.params, started_at=queue.clock())
    queue.update_job(running, "pending")
print(queue.get_job("j").status)
"""
EXITS = {"plain": "", "exit": "sys.exit(3)", "error": "raise ValueError"}


@pytest.mark.parametrize("how", ["claim", "update_job"])
@pytest.mark.parametrize("ending", EXITS)
def test_a_process_that_ends_with_an_open_claim_gives_it_back(
    tmp_path: Path, how: str, ending: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM + EXITS[ending], str(tmp_path), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert "running\n" == run.stdout
    with JobQueue(tmp_path, fsync=False) as other:
        assert_given_back(other)


def test_a_claim_given_back_at_the_exit_is_lost_to_a_thread_that_has_it(queue: JobQueue) -> None:
    claim = claimed(queue)

    queue._claims.give_back_all()

    with pytest.raises(ClaimLost):
        claim.complete()
    assert_given_back(queue)
