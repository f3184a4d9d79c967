"""Threads of one process that create jobs at the same time: one of them serves all who wait."""

from __future__ import annotations

import errno

import pytest
from files.crowds import COUNT, crowd, ids
from files.disks import Died
from files.journals import small, told
from files.places import PATIENCE, Actors, Place, claimed, job, journalled

from semiont_jobs import JobExists, StoreError
from semiont_jobs.claim import AnyClaim
from semiont_jobs.stores.files.journal import segment
from semiont_jobs.testing.waiting import eventually

pytestmark = pytest.mark.usefixtures("with_gil")


def test_those_who_wait_are_served_by_one_in_order(actor: Actors, place: Place) -> None:
    queue = actor()

    with crowd(queue) as them:
        others = them.join(*ids())
        them.go_on()
        made = [each.result(PATIENCE) for each in (them.first, *others)]

    assert [each.metadata.id for each in made] == ["first", *ids()]
    links = [call.place for call in queue.disk.calls if call.verb == "link"]
    assert links == [f"pending/{id_}.json" for id_ in ("first", *ids())]
    assert len(place.names("pending")) == COUNT + 1
    assert {claimed(queue).job.metadata.id for _ in made} == {"first", *ids()}


@pytest.mark.parametrize("python", ["with_gil", "without_gil"])
def test_one_forcing_of_the_journal_serves_all(
    actor: Actors, place: Place, request: pytest.FixtureRequest, python: str
) -> None:
    request.getfixturevalue(python)
    queue = journalled(actor)

    with crowd(queue) as them:
        others = them.join(*ids())
        them.go_on()
        for each in (them.first, *others):
            each.result(PATIENCE)

    assert queue.disk.count("fdatasync") == 2
    assert told(place.path) == [(id_, 0) for id_ in ("first", *ids())]


def test_with_fsync_nobody_waits_for_another(actor: Actors) -> None:
    queue = actor(fsync=True)

    with crowd(queue, "fsync", "pending/first.json") as them:
        them.overtake()
        them.go_on()


def test_a_job_that_a_worker_without_locks_took_and_finished_before_the_look_is_no_other(
    actor: Actors, place: Place
) -> None:
    queue = actor()

    def finish() -> None:
        (place.jobs / "pending" / "j.json").rename(place.jobs / "complete" / "j.json")

    queue.disk.before("exists", "running/j.json", finish)
    made = queue.create_job(job())

    assert made.metadata.id == "j"
    assert {"complete": ["j.json"]} == place.everything()
    with pytest.raises(JobExists, match="complete"):
        queue.create_job(job())


def test_what_one_of_them_does_wrong_is_its_own_error(actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    queue.create_job(job("twice"))

    with crowd(queue) as them:
        before, wrong, after = them.join("before", "twice", "after")
        them.go_on()
        before.result(PATIENCE)
        after.result(PATIENCE)
        with pytest.raises(JobExists, match="twice"):
            wrong.result(PATIENCE)

    assert place.everything()["pending"] == [
        f"{id_}.json" for id_ in ("after", "before", "first", "twice")
    ]


def test_the_error_of_the_one_who_serves_harms_nobody(actor: Actors, place: Place) -> None:
    queue = actor()
    queue.create_job(job("twice"))

    with crowd(queue) as them:
        wrong, after = them.join("twice", "after")
        them.go_on()
        with pytest.raises(JobExists, match="twice"):
            wrong.result(PATIENCE)
        after.result(PATIENCE)

    assert "after.json" in place.names("pending")


def test_an_error_of_ones_own_goes_before_that_of_all(actor: Actors) -> None:
    queue = journalled(actor)
    queue.create_job(job("twice"))

    with crowd(queue) as them:
        wrong, after = them.join("twice", "after")
        queue.disk.refuse(errno.EIO, "fdatasync", skip=1)
        them.go_on()
        with pytest.raises(JobExists, match="twice"):
            wrong.result(PATIENCE)
        with pytest.raises(StoreError):
            after.result(PATIENCE)


def test_a_job_too_large_for_the_journal_waits_for_nobody(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue = journalled(actor)

    with crowd(queue) as them:
        queue.create_job(job("large", params={"text": "x" * segment.MOST_BYTES}))
        assert not them.first.done()
        them.go_on()


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_where_the_disk_does_not_force_their_record_none_is_created(
    actor: Actors, place: Place, code: int
) -> None:
    queue = journalled(actor)

    with crowd(queue) as them:
        others = them.join(*ids())
        queue.disk.refuse(code, "fdatasync", skip=1)
        them.go_on()
        them.first.result(PATIENCE)
        for id_, each in zip(ids(), others, strict=True):
            with pytest.raises(StoreError) as refused:
                each.result(PATIENCE)
            assert refused.value.errno == code
            assert refused.value.job_id == id_

    assert place.everything() == {"pending": ["first.json"]}
    queue.create_job(job("j-0"))


def test_a_job_is_held_until_it_is_durable(actor: Actors) -> None:
    queue, other = journalled(actor), actor()
    seen: list[AnyClaim | None] = []

    with crowd(queue) as them:
        others = them.join(*ids())

        def claim_two() -> None:
            seen.extend([other.claim_next_job(), other.claim_next_job()])

        queue.disk.before("fdatasync", "*", claim_two, skip=1)
        them.go_on()
        for each in (them.first, *others):
            each.result(PATIENCE)

    assert [claim and claim.job.metadata.id for claim in seen] == ["first", None]
    assert eventually(other.claim_next_job)


def test_a_dead_process_creates_nothing_for_anybody(actor: Actors, place: Place) -> None:
    queue = actor()

    with crowd(queue) as them:
        others = them.join(*ids())
        queue.disk.die_before("link", "pending/j-2.json")
        them.go_on()
        them.first.result(PATIENCE)
        for each in others:
            with pytest.raises(Died):
                each.result(PATIENCE)

    assert set(place.names("pending")) == {"first.json", "j-0.json", "j-1.json"}
