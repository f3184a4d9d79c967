"""Claiming costs the same with ten jobs waiting and with thousands."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from files.disks import Call
from files.listings import quiet, settle
from files.places import Actors, Place, claimed, job

from semiont_jobs import PendingJob
from semiont_jobs.stores.files import pending
from semiont_jobs.stores.files.index import MOST_VIEWS
from semiont_jobs.testing.suite import eventually


def of_jobs(calls: list[Call]) -> list[str]:
    """The calls that concern single jobs; listings and looks at folders left out."""
    return [str(call) for call in calls if "/jobs/" not in f"/{call.place}/"]


class Refusing:
    """A filter that wants one kind of job, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, job: PendingJob[Any]) -> bool:
        self.asked += 1
        return job.metadata.type == "wanted"


def cost_of_claims(actor: Actors, refused: int, how: str) -> tuple[list[str], int]:
    """The calls of a few claims beside so many jobs that the claimer does not want."""
    accept = Refusing()
    queue = actor()
    queue.create_jobs([job(f"r{n:05}") for n in range(refused)])
    filters: dict[str, Any] = {"types": ["wanted"]} if how == "types" else {"accept": accept}
    assert queue.claim_next_job(**filters) is None
    quiet(queue)
    asked = accept.asked
    for number in range(3):
        queue.create_job(job(f"w{number}", type="wanted"))
        claimed(queue, **filters).complete()
        assert queue.claim_next_job(**filters) is None
    return of_jobs(queue.disk.calls), accept.asked - asked


@pytest.mark.parametrize("how", ["types", "accept"])
def test_claiming_costs_the_same_beside_a_thousand_and_beside_three_thousand_refused_jobs(
    tmp_path: Any, how: str
) -> None:
    few, many = Actors(tmp_path / "few"), Actors(tmp_path / "many")

    few_calls, few_asked = cost_of_claims(few, 1_000, how)
    many_calls, many_asked = cost_of_claims(many, 3_000, how)
    few.close()
    many.close()

    assert len(few_calls) == len(many_calls) < 200
    assert few_asked == many_asked == (3 if how == "accept" else 0)


def test_a_file_is_read_once_however_often_the_folder_is_listed(actor: Actors) -> None:
    worker, other = actor(), actor()
    other.create_jobs([job(f"r{n}") for n in range(50)])
    for number in range(5):
        other.create_job(job(f"n{number}"))
        eventually(
            lambda number=number: (
                worker.disk.count("open_to_read", f"pending/n{number}.json")  # type: ignore[misc]
                or worker.claim_next_job(["nothing"])
            )
        )

    reads = [call.place for call in worker.disk.calls if call.verb == "open_to_read"]
    assert len(reads) == len(set(reads)) == 55
    assert worker.disk.count("names", "jobs/pending") >= 2


def test_a_processs_own_jobs_are_claimed_without_listing(actor: Actors) -> None:
    queue = actor()
    quiet(queue)
    for number in range(3):
        queue.create_job(job(f"j{number}"))
        claimed(queue).complete()

    reads = [call for call in queue.disk.calls if call.verb == "open_to_read"]
    assert reads == []


@pytest.mark.parametrize(
    ("rest", "order"),
    [(60.0, ["own", "urgent"]), (0.0, ["urgent", "own"])],
    ids=["soon after", "later"],
)
def test_who_has_just_seen_that_nothing_is_new_begins_a_job_of_its_process_without_a_look(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch, rest: float, order: list[str]
) -> None:
    for name, value in (("BUSY_SHARE", 0), ("IDLE_SHARE", 0), ("REST", rest)):
        monkeypatch.setattr(pending, name, value)
    worker, other = actor(), actor()
    other.create_job(job("refused", type="unwanted"))
    assert worker.claim_next_job(["task"]) is None
    settle(place)
    quiet(worker)
    assert worker.claim_next_job(["task"]) is None
    assert worker.disk.trace() == ["stat jobs/pending"]
    worker.create_job(job("own"))
    other.create_job(job("urgent", priority=9))
    worker.disk.calls.clear()

    claim = claimed(worker, types=["task"])
    looks = [call for call in worker.disk.calls if call.place == "jobs/pending"]
    claim.complete()

    assert bool(looks) == (rest == 0.0)
    assert [claim.job.metadata.id, claimed(worker, types=["task"]).job.metadata.id] == order


def test_an_idle_claim_costs_one_look_at_the_folder(actor: Actors, place: Place) -> None:
    queue = actor()
    queue.create_jobs([job(f"r{n}") for n in range(100)])
    settle(place)
    quiet(queue)

    assert queue.claim_next_job(["nothing"]) is None

    assert queue.disk.trace() == ["stat jobs/pending"]


def test_claimers_beyond_those_remembered_still_get_their_jobs(actor: Actors) -> None:
    queue = actor()
    queue.create_jobs([job(f"j{n:03}", type=f"type-{n}") for n in range(MOST_VIEWS + 20)])

    for _round in range(2):
        for n in range(MOST_VIEWS + 20):
            assert queue.poll_next_pending_job([f"type-{n}"]) is not None
    done = [
        claimed(queue, types=[f"type-{n}"]).complete().metadata.id for n in range(MOST_VIEWS + 20)
    ]

    assert done == [f"j{n:03}" for n in range(MOST_VIEWS + 20)]
    assert queue.claim_next_job() is None


def test_a_new_filter_for_every_claim_does_not_grow_what_is_remembered(actor: Actors) -> None:
    queue = actor()
    queue.create_job(job("unwanted"))
    for n in range(3 * MOST_VIEWS):
        assert queue.claim_next_job(accept=lambda _job, n=n: n < 0) is None  # type: ignore[misc]

    views = queue._store._pending.index._views  # type: ignore[attr-defined]
    assert len(views) <= MOST_VIEWS
    assert claimed(queue).job.metadata.id == "unwanted"


def test_threads_that_claim_at_once_share_the_jobs_of_another_process_out(
    actor: Actors,
) -> None:
    worker, other = actor(), actor()
    other.create_jobs([job(f"j{n:03}") for n in range(100)])
    done: list[str] = []

    def drain() -> None:
        while (claim := worker.claim_next_job()) is not None:
            done.append(claim.complete().metadata.id)

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    drain()

    assert sorted(done) == [f"j{n:03}" for n in range(100)]
