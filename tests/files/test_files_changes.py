"""Pending jobs that another process changes while this one knows them already."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from files.places import Actors, Place, Unattended, claimed, job, seen

from semiont_jobs import evolve
from semiont_jobs.stores.files import pending
from semiont_jobs.testing.suite import eventually


def edit(actor: Unattended, id: str = "j", /, **changes: Any) -> None:
    """Change the metadata of a waiting job."""
    waiting = seen(actor.get_job(id))
    actor.update_job(evolve(waiting, metadata=evolve(waiting.metadata, **changes)))


Known = Callable[[Unattended, Unattended], None]


def from_a_listing(worker: Unattended, other: Unattended) -> None:
    """The worker read the other's job."""
    other.create_job(job(queue="slow"))
    assert worker.claim_next_job(["nothing"]) is None


def by_creating_it(worker: Unattended, other: Unattended) -> None:
    """The worker's own process created it."""
    assert worker.claim_next_job() is None
    worker.create_job(job(queue="slow"))


def by_a_batch(worker: Unattended, other: Unattended) -> None:
    """The worker's own process created it with others."""
    assert worker.claim_next_job() is None
    worker.create_jobs([job(queue="slow"), job("k", queue="other")])


def by_releasing_it(worker: Unattended, other: Unattended) -> None:
    """The worker had it, and gave it back."""
    other.create_job(job(queue="slow"))
    claimed(worker).release()


@pytest.mark.parametrize("known", [from_a_listing, by_creating_it, by_a_batch, by_releasing_it])
def test_a_job_put_into_another_queue_elsewhere_is_offered_there(
    actor: Actors, known: Known
) -> None:
    worker, other = actor(), actor()
    known(worker, other)
    assert worker.claim_next_job(queue="fast") is None

    edit(other, queue="fast")

    claim = eventually(lambda: worker.claim_next_job(queue="fast"))
    assert claim.job.metadata.id == "j"
    assert worker.claim_next_job(queue="slow") is None


def test_a_job_that_became_urgent_elsewhere_goes_first(actor: Actors) -> None:
    worker, other = actor(), actor()
    other.create_jobs([job(f"j{n}") for n in range(5)])
    assert seen(worker.poll_next_pending_job()).metadata.id == "j0"

    edit(other, "j3", priority=9)

    eventually(lambda: seen(worker.poll_next_pending_job()).metadata.id == "j3")
    order = [claimed(worker).complete().metadata.id for _ in range(5)]
    assert order == ["j3", "j0", "j1", "j2", "j4"]


def test_a_job_that_became_less_urgent_elsewhere_goes_last(actor: Actors) -> None:
    worker, other = actor(), actor()
    other.create_jobs([job(f"j{n}") for n in range(3)])
    assert seen(worker.poll_next_pending_job()).metadata.id == "j0"

    edit(other, "j0", priority=-9)

    eventually(lambda: seen(worker.poll_next_pending_job()).metadata.id == "j1")
    assert [claimed(worker).complete().metadata.id for _ in range(3)] == ["j1", "j2", "j0"]


def test_a_changed_job_is_read_once_more_and_the_others_are_not(actor: Actors) -> None:
    worker, other = actor(), actor()
    other.create_jobs([job(f"j{n}") for n in range(20)])
    worker.claim_next_job(["nothing"])
    worker.disk.calls.clear()

    edit(other, "j7", priority=9)
    eventually(lambda: seen(worker.poll_next_pending_job()).metadata.id == "j7")

    listings = worker.disk.count("names")
    reads = {call.place for call in worker.disk.calls if call.verb == "open_to_read"}
    assert listings >= 1
    assert reads - {"pending/j0.json", "pending/j7.json"} == set()


def test_where_a_folder_lists_other_numbers_than_files_have_nothing_is_read_twice(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As some layered file systems do.
    worker, other = actor(), actor()
    listed = worker.disk.entries

    def entries(folder: str) -> Iterator[tuple[str, int]]:
        return ((name, inode + 1_000) for name, inode in listed(folder))

    monkeypatch.setattr(worker.disk, "entries", entries)
    other.create_jobs([job(f"j{n}") for n in range(20)])
    for number in range(5):
        other.create_job(job(f"k{number}"))
        eventually(
            lambda number=number: (
                worker.disk.count("open_to_read", f"pending/k{number}.json")  # type: ignore[misc]
                or worker.claim_next_job(["nothing"])
            )
        )

    reads = [call.place for call in worker.disk.calls if call.verb == "open_to_read"]
    looks = worker.disk.count("stat", "pending/*")
    assert sorted(reads) == sorted(set(reads))
    assert len(reads) == 25
    assert looks == 1
    assert claimed(worker).complete().metadata.id == "j0"


# -- a folder of more than can be read at once -------------------------------------------


def test_something_is_claimed_before_all_is_read_and_then_all_strictly_by_priority(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "READ_AT_ONCE", 0.0)
    actor().create_jobs([job(f"j{n:02}", priority=n % 4) for n in range(12)])
    os.utime(place.jobs / "pending", (1_700_000_000, 1_700_000_000))
    worker = actor()

    first = claimed(worker).complete().metadata.id
    assert worker.claim_next_job(["nothing"]) is None
    rest = [claimed(worker).complete().metadata.id for _ in range(11)]

    assert first == "j00"
    assert rest == [f"j{n:02}" for n in (3, 7, 11, 2, 6, 10, 1, 5, 9, 4, 8)]


class SlowReader:
    """A clock that moves by a second whenever a pending job is read, and when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.read: list[str] = []
        self._really_read = pending.Pending._read
        monkeypatch.setattr(pending, "time", self)
        monkeypatch.setattr(pending.Pending, "_read", lambda *given: self._reads(*given))

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return time.time_ns()

    def _reads(self, found: pending.Pending, key: str, now: float) -> None:
        self._really_read(found, key, now)
        self.read.append(key)
        self.now += 1


def test_a_large_folder_is_read_on_for_half_of_the_time_while_there_is_something_to_claim(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor().create_jobs([job(f"j{n:02}") for n in range(20)])
    os.utime(place.jobs / "pending", (1_700_000_000, 1_700_000_000))
    worker, clock = actor(), SlowReader(monkeypatch)
    read = [0]

    for seconds_of_work in (2, 1, 5, 0, 0):
        claimed(worker).complete()
        read.append(len(clock.read))
        clock.now += seconds_of_work

    assert [after - before for before, after in pairwise(read)] == [3, 2, 1, 3, 1]
    assert worker.claim_next_job(["nothing"]) is None
    assert len(clock.read) == 20


def facing_a_large_folder(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> Unattended:
    """Somebody who reads one of ten files at a time; what is wanted is the last."""
    monkeypatch.setattr(pending, "READ_AT_ONCE", 0.0)
    actor().create_jobs([*(job(f"j{n}") for n in range(9)), job("z", type="wanted")])
    os.utime(place.jobs / "pending", (1_700_000_000, 1_700_000_000))
    return actor()


def test_there_is_nothing_to_claim_only_when_all_was_read(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = facing_a_large_folder(actor, place, monkeypatch)

    assert claimed(worker, types=["wanted"]).job.metadata.id == "z"
    assert worker.claim_next_job(["nothing"]) is None


def test_whoever_is_told_to_stop_reads_no_large_folder_to_its_end(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = facing_a_large_folder(actor, place, monkeypatch)
    read: list[str] = []

    def stopped_meanwhile(self: pending.Pending, key: str, now: float) -> None:
        read.append(key)
        if len(read) == 3:
            worker.wake()

    with monkeypatch.context() as patched:
        patched.setattr(pending.Pending, "_read", stopped_meanwhile)
        assert worker.claim_next_job(["wanted"]) is None

    assert len(read) == 3
    assert claimed(worker, types=["wanted"]).job.metadata.id == "z"
