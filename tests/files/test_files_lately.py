"""What a process put in before it claimed for the first time need not be read by its claimers."""

from __future__ import annotations

import gc
import weakref
from datetime import timedelta
from typing import Any

import pytest
from files.disks import WatchedDisk
from files.places import Actors, claimed, job

from semiont_jobs.stores.files import pending
from semiont_jobs.testing import FakeClock


def read_for_their_turn(disk: WatchedDisk) -> list[str]:
    """Jobs whose files were read without their lock."""
    return [call.place for call in disk.calls if call.verb == "open_to_read"]


def test_jobs_of_its_own_are_worked_off_in_order_without_being_read_first(actor: Actors) -> None:
    queue = actor()
    queue.create_jobs([job(f"low{n}", priority=1) for n in range(5)])
    queue.create_job(job("high", priority=2))

    done = [claimed(queue).complete().metadata.id for _ in range(6)]

    assert done == ["high", *(f"low{n}" for n in range(5))]
    assert read_for_their_turn(queue.disk) == []
    assert queue.claim_next_job() is None


def test_only_the_latest_are_remembered_and_the_others_are_read(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "LATELY", 3)
    queue = actor()
    for n in range(8):
        queue.create_job(job(f"j{n}"))

    done = [claimed(queue).complete().metadata.id for _ in range(8)]

    assert done == [f"j{n}" for n in range(8)]
    assert sorted(read_for_their_turn(queue.disk)) == [f"pending/j{n}.json" for n in range(5)]


def test_of_what_is_remembered_only_its_place_in_the_order_is_kept(actor: Actors) -> None:
    queue = actor()
    large: Any = Large()
    queue.create_job(job("j", extra={"large": large}))
    known = weakref.ref(large)
    del large

    gc.collect()
    assert known() is None


class Large(list[int]):
    """What metadata may hold besides."""


def test_what_others_did_meanwhile_is_seen(actor: Actors) -> None:
    queue, other = actor(), actor()
    for name in ("done", "removed", "kept", "last"):
        queue.create_job(job(name))
    claimed(other).complete()
    other.cancel_job("removed")
    other.remove_job("removed")
    other.create_job(job("theirs", priority=5))

    done = [claimed(queue).complete().metadata.id for _ in range(3)]

    assert done == ["theirs", "kept", "last"]
    assert queue.claim_next_job() is None
    assert queue.disk.count("open", "pending/done.json") == 0


def test_what_is_put_in_for_later_is_offered_then(actor: Actors, clock: FakeClock) -> None:
    queue = actor(clock=clock)
    queue.create_job(job("later", run_after=clock() + timedelta(seconds=5)))
    queue.create_job(job("now"))

    claimed(queue).complete()
    assert queue.claim_next_job() is None
    clock.advance(5)

    assert claimed(queue).job.metadata.id == "later"
    assert read_for_their_turn(queue.disk) == []


def test_a_job_that_went_and_came_back_is_another_one(actor: Actors, clock: FakeClock) -> None:
    """Nothing counts that was known of it."""
    queue, other = actor(clock=clock), actor(clock=clock)
    queue.create_job(job("first"))
    queue.create_job(job("second"))
    claimed(other).snooze(60)

    assert claimed(queue).complete().metadata.id == "second"
    assert queue.claim_next_job() is None
    clock.advance(60)
    assert claimed(queue).job.metadata.id == "first"
