"""What a process knows of the pending jobs, its own and those of others."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from files.listings import quiet, settle
from files.places import Actors, Place, Unattended, claimed, job, seen

from semiont_jobs import StoreError, evolve
from semiont_jobs.claim import AnyClaim
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import eventually

LONGEST_TICK = 10_000_000
"""Nanoseconds: the coarsest clock of a kernel ticks a hundred times a second."""


# -- order -------------------------------------------------------------------------------


def test_jobs_of_several_processes_are_claimed_in_one_order(actor: Actors) -> None:
    clock = FakeClock()
    producers = [actor(clock=clock) for _ in range(3)]
    at = clock()
    expected = [
        ("e", 5, None, at),
        ("c", 1, None, at),
        ("d", 1, None, at + timedelta(seconds=1)),
        ("g", 0, at - timedelta(seconds=9), at),
        ("b", 0, None, at - timedelta(seconds=5)),
        ("a", 0, None, at),
        ("f", 0, None, at),
        ("h", -1, None, at - timedelta(days=1)),
    ]
    for number, (name, priority, run_after, created) in enumerate(sorted(expected)):
        producers[number % 3].create_job(
            job(name, priority=priority, run_after=run_after, created=created)
        )
    worker = actor(clock=clock)

    order = [claimed(worker).complete().metadata.id for _ in expected]

    assert order == [name for name, *_rest in expected]


def test_a_job_of_another_process_that_goes_first_is_claimed_first(
    actor: Actors, place: Place
) -> None:
    worker, other = actor(), actor()
    worker.create_jobs([job(f"j{n}") for n in range(3)])
    assert claimed(worker).complete().metadata.id == "j0"

    other.create_job(job("urgent", priority=9))

    assert eventually(lambda: seen(worker.poll_next_pending_job()).metadata.id == "urgent")
    assert claimed(worker).complete().metadata.id == "urgent"
    assert claimed(worker).complete().metadata.id == "j1"


# -- due later ---------------------------------------------------------------------------


def test_a_job_of_another_process_is_not_claimed_before_its_time_and_then_is(
    actor: Actors,
) -> None:
    clock = FakeClock()
    worker, other = actor(clock=clock), actor(clock=clock)
    other.create_job(job("later", run_after=clock() + timedelta(seconds=10)))
    assert worker.claim_next_job() is None
    clock.advance(9.9)
    assert worker.claim_next_job() is None

    clock.advance(0.1)

    assert claimed(worker).job.metadata.id == "later"


@pytest.mark.parametrize("years", [-3600.0, 10 * 365 * 86400.0])
def test_a_stepped_clock_rescues_nothing_and_removes_nothing_unfinished(
    actor: Actors, place: Place, years: float
) -> None:
    clock = FakeClock(datetime.now(UTC))
    queue, other = actor(clock=clock), actor(clock=clock)
    queue.create_job(job("running"))
    claim = claimed(queue)
    queue.create_job(job("waiting", run_after=clock() + timedelta(hours=1)))
    clock.advance(years)

    assert other.rescue_orphans() == 0
    assert other.cleanup_completed_jobs(timedelta(seconds=0), cancelled=True) == 0
    is_due = other.claim_next_job() is not None
    assert is_due == (years > 0)
    assert claim.complete().status == "complete"
    assert sorted(place.everything()) == (
        ["complete", "running"] if is_due else ["complete", "pending"]
    )


# -- jobs that leave and come back -------------------------------------------------------


def put_off(queue: Unattended, clock: FakeClock, seconds: float) -> None:
    """Claim the job j and give it back for later."""
    claimed(queue).snooze(clock() + timedelta(seconds=seconds))


def bring_forward(queue: Unattended) -> None:
    """Make the job j due now."""
    waiting = seen(queue.get_job("j"))
    queue.update_job(evolve(waiting, metadata=evolve(waiting.metadata, run_after=None)))


Setup = Callable[[Unattended, Unattended, FakeClock], None]


def known_as_later(worker: Unattended, other: Unattended, clock: FakeClock) -> None:
    """The worker read it when it was put off already."""
    put_off(other, clock, 3600)
    assert worker.claim_next_job() is None


def known_as_due(worker: Unattended, other: Unattended, clock: FakeClock) -> None:
    """The worker knew it as due, and found it put off when it tried it."""
    assert seen(worker.poll_next_pending_job()).metadata.id == "j"
    put_off(other, clock, 3600)
    assert worker.claim_next_job() is None


def known_and_gone(worker: Unattended, other: Unattended, clock: FakeClock) -> None:
    """The worker saw it, missed it while it ran elsewhere, and saw it again."""
    assert seen(worker.poll_next_pending_job()).metadata.id == "j"
    claim = claimed(other)
    assert worker.claim_next_job() is None
    claim.snooze(clock() + timedelta(seconds=3600))
    assert worker.claim_next_job() is None


def released_by_itself(worker: Unattended, other: Unattended, clock: FakeClock) -> None:
    """The worker put it off itself."""
    put_off(worker, clock, 3600)
    assert worker.claim_next_job() is None


@pytest.mark.parametrize(
    "setup", [known_as_later, known_as_due, known_and_gone, released_by_itself]
)
@pytest.mark.parametrize("how", ["left and came back", "edited"])
def test_a_job_that_became_due_earlier_elsewhere_is_seen(
    actor: Actors, place: Place, setup: Setup, how: str
) -> None:
    clock = FakeClock()
    worker, other = actor(clock=clock), actor(clock=clock)
    other.create_job(job())
    setup(worker, other, clock)
    quiet(worker)

    if how == "edited":
        bring_forward(other)
    else:
        other.cancel_job("j")
        other.retry_job("j")

    claim = eventually(worker.claim_next_job)
    assert claim.job.metadata.id == "j"


def test_a_job_that_was_put_off_further_elsewhere_is_not_claimed_too_soon(actor: Actors) -> None:
    clock = FakeClock()
    worker, other = actor(clock=clock), actor(clock=clock)
    other.create_job(job())
    put_off(other, clock, 10)
    assert worker.claim_next_job() is None
    clock.advance(10)
    put_off(other, clock, 3600)

    assert worker.claim_next_job() is None
    clock.advance(3600)
    assert claimed(worker).job.metadata.id == "j"


def test_a_job_that_changed_its_queue_elsewhere_is_offered_as_it_is(
    actor: Actors,
) -> None:
    worker, other = actor(), actor()
    other.create_job(job(queue="slow"))
    assert worker.claim_next_job(queue="fast") is None
    waiting = seen(other.get_job("j"))

    other.update_job(evolve(waiting, metadata=evolve(waiting.metadata, queue="fast")))

    # The index still has it as slow: who wants slow ones must not get it.
    assert worker.claim_next_job(queue="slow") is None
    assert claimed(worker, queue="fast").job.metadata.id == "j"


def test_a_job_with_an_instant_that_is_edited_twice_here_is_offered_as_it_is(actor: Actors) -> None:
    clock = FakeClock()
    queue = actor(clock=clock)
    queue.create_job(job("a", priority=1, run_after=clock()))
    queue.create_job(job("b"))
    assert seen(queue.poll_next_pending_job()).metadata.id == "a"

    # The second new file has the inode number of the first one's, on many file systems.
    for priority in (-1, -2):
        waiting = seen(queue.get_job("a"))
        queue.update_job(evolve(waiting, metadata=evolve(waiting.metadata, priority=priority)))

    assert seen(queue.poll_next_pending_job()).metadata.id == "b"
    assert claimed(queue).job.metadata.id == "b"
    assert claimed(queue).job.metadata.id == "a"


# -- changes that leave no trace ---------------------------------------------------------


def test_a_job_created_in_the_clock_tick_of_a_listing_is_seen(actor: Actors, place: Place) -> None:
    worker, other = actor(), actor()
    # The names are read already when the job is created. The worker itself changes nothing: a
    # claim of its own would make the next listing due.
    other.create_job(job("seen", "unwanted"))
    created: list[object] = []
    worker.disk.before(
        "open_to_read",
        "pending/seen.json",
        lambda: created.append(in_one_tick(place, lambda: other.create_job(job("missed")))),
    )
    os.utime(place.jobs / "pending")
    assert worker.claim_next_job(types=["task"]) is None
    assert len(created) == 1

    claim = eventually(lambda: worker.claim_next_job(types=["task"]))

    assert claim.job.metadata.id == "missed"


def in_one_tick(place: Place, act: Callable[[], object]) -> None:
    """Do something to ``pending`` as a coarse clock shows it: the folder changed a moment ago, and
    its mtime is the same before and after."""
    folder = place.jobs / "pending"
    before = folder.stat()
    act()
    # Only if it is a moment ago indeed: else the change is seen, on this machine.
    if time.time_ns() - before.st_mtime_ns < LONGEST_TICK:
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def release_in_one_tick(claim: AnyClaim, place: Place) -> None:
    in_one_tick(place, claim.release)


@pytest.mark.parametrize("verb", ["query_jobs", "get_stats"])
def test_a_job_that_goes_back_in_the_clock_tick_of_a_list_is_in_it(
    actor: Actors, place: Place, verb: str
) -> None:
    worker, reader = actor(), actor()
    worker.create_job(job())
    claim = claimed(worker)
    # The names of `pending` are read already when the job returns there.
    reader.disk.before("names", "jobs/running", lambda: release_in_one_tick(claim, place))
    os.utime(place.jobs / "pending")

    found = len(reader.query_jobs()) if verb == "query_jobs" else reader.get_stats().total

    assert found == 1


def test_a_job_that_goes_back_in_the_clock_tick_of_a_slow_look_is_found(
    actor: Actors, place: Place
) -> None:
    worker, reader = actor(), actor()
    worker.create_job(job())
    claim = claimed(worker)
    reader.disk.before("open_to_read", "running/j.json", lambda: release_in_one_tick(claim, place))
    # The reader is suspended in the middle of its look, so that at its end the folder's last
    # change looks old.
    reader.disk.before("open_to_read", "cancelled/j.json", lambda: threading.Event().wait(0.05))
    os.utime(place.jobs / "pending")

    assert seen(reader.get_job("j")).status == "pending"


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO])
def test_jobs_that_could_not_be_read_when_they_were_listed_are_not_forgotten(
    actor: Actors, place: Place, code: int
) -> None:
    actor().create_jobs([job(f"j{n}") for n in range(5)])
    settle(place)
    worker = actor()
    worker.disk.refuse(code, "open_to_read", "pending/*")

    with pytest.raises(StoreError):
        worker.claim_next_job()
    done = [eventually(worker.claim_next_job).complete().metadata.id for _ in range(5)]

    assert sorted(done) == [f"j{n}" for n in range(5)]


def test_a_job_that_could_not_be_opened_when_it_was_claimed_is_not_forgotten(
    actor: Actors, place: Place
) -> None:
    actor().create_job(job())
    settle(place)
    worker = actor()
    seen(worker.poll_next_pending_job())
    for verb in ("open", "open_to_read"):
        worker.disk.refuse(errno.EACCES, verb, "pending/j.json")

    worker.claim_next_job()

    assert eventually(worker.claim_next_job).job.metadata.id == "j"
