"""An outcome and the claim of the next job, forced together: what it saves, and that neither of the
two suffers from what becomes of the other."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from files.loops import changes, claimed_by, filled, first_of
from files.places import Actors, Place, Unattended, claimed, job, journalled

from semiont_jobs import ClaimLost, StoreError
from semiont_jobs.stores.files import pending
from semiont_jobs.stores.files.journal import by_journal


@pytest.fixture(autouse=True)
def listings_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is something to offer: it is a matter of a hundredth of the time."""
    monkeypatch.setattr(pending, "BUSY_SHARE", 10**9)


# -- what it saves -------------------------------------------------------------------------


def test_both_are_published_then_forced_and_only_then_the_older_copies_go(actor: Actors) -> None:
    queue = filled(actor(fsync=True))
    _claimer, claim = first_of(queue)
    queue.disk.calls.clear()

    claim.complete()

    assert changes(queue) == [
        "rename complete/a.json",
        "rename running/b.json",
        "fsync running/b.json",
        "fsync_folder jobs/running",
        "fsync complete/a.json",
        "fsync_folder jobs/complete",
        "unlink pending/b.json",
        "unlink running/a.json",
    ]


def test_the_kernel_is_told_to_write_what_is_forced_last(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = filled(actor(fsync=True))
    begun: list[str] = []
    monkeypatch.setattr(
        queue.disk, "start_writing", lambda _fd: begun.append(changes(queue)[-1]), raising=True
    )
    _claimer, claim = first_of(queue)
    queue.disk.calls.clear()

    claim.complete()

    assert begun[0] == "rename complete/a.json"


def test_two_records_are_forced_by_one_write(actor: Actors) -> None:
    filled(journalled(actor))
    queue = journalled(actor)  # whose journal tells nothing of these jobs
    queue.poll_next_pending_job()
    _claimer, claim = first_of(queue)
    queue.disk.calls.clear()

    claim.complete()

    assert queue.disk.count("write_at") == 2
    assert queue.disk.count("fdatasync") == 1


def test_a_claim_of_what_the_journal_tells_of_adds_no_record(actor: Actors) -> None:
    queue = filled(journalled(actor))
    _claimer, claim = first_of(queue)
    queue.disk.calls.clear()

    claim.complete()

    assert queue.disk.count("write_at") == 1
    assert queue.disk.count("fdatasync") == 1


def test_an_outcome_that_is_too_large_for_the_journal_is_forced_by_itself(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = filled(journalled(actor))
    _claimer, claim = first_of(queue)
    monkeypatch.setattr(by_journal, "LARGEST", 1000)

    claim.complete("x" * 1000)

    assert queue.disk.count("fsync", "complete/a.json") == 1


def test_an_outcome_that_ends_after_its_queue_was_closed_leaves_no_journal(
    actor: Actors, place: Place
) -> None:
    queue = filled(journalled(actor))
    _claimer, claim = first_of(queue)
    store: Any = queue.store
    queue.disk.before("fdatasync", "*", store._journal.close)

    claim.complete()

    assert place.names(".journal") == []


def test_where_nothing_is_forced_nothing_is_claimed_ahead(actor: Actors, place: Place) -> None:
    queue = filled(actor())
    claimer, claim = first_of(queue)

    claim.complete()

    assert place.names("running") == []
    assert claimed_by(claimer) == "b"


# -- what is claimed ----------------------------------------------------------------------


@pytest.fixture(params=["fsync", "journal"])
def queue(request: pytest.FixtureRequest, actor: Actors) -> Unattended:
    """One that waits for its disk, with three jobs."""
    return filled(actor(durability=request.param))


def test_the_next_job_is_the_loops(queue: Unattended, place: Place) -> None:
    claimer, claim = first_of(queue)

    claim.complete()

    assert place.names("running") == ["b.json"]
    assert claimed_by(claimer) == "b"


def test_a_more_urgent_job_that_is_known_goes_first(queue: Unattended) -> None:
    claimer, claim = first_of(queue)
    queue.create_job(job("urgent", priority=9))

    claim.complete()

    assert claimed_by(claimer) == "urgent"


def test_when_it_is_time_to_look_for_others_nothing_is_claimed_ahead(
    queue: Unattended, actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimer, claim = first_of(queue)
    actor().create_job(job("urgent", priority=9))
    monkeypatch.setattr(pending, "BUSY_SHARE", 0)

    claim.complete()

    assert place.names("running") == []
    assert claimed_by(claimer) == "urgent"


def test_who_is_asked_for_each_job_is_not_asked_in_the_midst_of_an_outcome(
    queue: Unattended, place: Place
) -> None:
    _claimer, claim = first_of(queue, accept=lambda _job: True)

    claim.complete()

    assert place.names("running") == []


def test_a_loop_that_will_not_go_on_claims_nothing_ahead(queue: Unattended, place: Place) -> None:
    _claimer, claim = first_of(queue, goes_on=lambda: False)

    claim.complete()

    assert place.names("running") == []


def test_a_report_claims_nothing(queue: Unattended, place: Place) -> None:
    _claimer, claim = first_of(queue)

    claim.report({"page": 1})
    claim.checkpoint(["page"])

    assert place.names("running") == ["a.json"]


# -- what becomes of the other -------------------------------------------------------------


def test_an_outcome_that_is_not_forced_takes_the_claim_back(actor: Actors, place: Place) -> None:
    queue, other = filled(actor(fsync=True)), actor()
    claimer, claim = first_of(queue)
    queue.disk.refuse(errno.EIO, "fsync", "complete/a.json")

    with pytest.raises(StoreError):
        claim.complete()

    assert place.everything() == {
        "pending": ["b.json", "c.json"],
        "running": ["a.json"],
    }
    assert claimed(other).job.metadata.id == "b"
    claim.complete()
    assert claimed_by(claimer) == "c"


def test_an_outcome_whose_record_is_not_forced_takes_the_claim_back(
    actor: Actors, place: Place
) -> None:
    queue, other = filled(journalled(actor)), journalled(actor)
    claimer, claim = first_of(queue)
    queue.disk.refuse(errno.EIO, "fdatasync", "*")

    with pytest.raises(StoreError):
        claim.complete()

    assert place.names("pending") == ["b.json", "c.json"]
    assert place.names("running") == ["a.json"]
    assert claimed(other).job.metadata.id == "b"
    claim.complete()
    assert claimed_by(claimer) == "c"


@pytest.mark.parametrize(
    ("verb", "where"),
    [
        ("fsync", "running/b.json"),
        ("rename", "running/b.json"),
        ("read", "pending/b.json"),
        ("open", "pending/b.json"),
        ("lock", "pending/b.json"),
    ],
)
def test_a_claim_that_the_disk_refuses_does_not_keep_the_outcome_from_being_stored(
    actor: Actors, place: Place, verb: str, where: str
) -> None:
    queue = filled(actor(fsync=True))
    claimer, claim = first_of(queue)
    queue.disk.refuse(errno.EIO, verb, where)

    claim.complete()

    assert place.names("complete") == ["a.json"]
    assert place.names("running") == []
    assert queue.disk.count("fsync", "complete/a.json") == 1
    assert claimed_by(claimer) == "b"


def test_a_job_that_somebody_else_holds_is_left_to_them(queue: Unattended, actor: Actors) -> None:
    other = actor()
    claimer, claim = first_of(queue)
    held = claimed(other)

    claim.complete()

    assert held.job.metadata.id == "b"
    assert claimed_by(claimer) == "c"


def test_an_outcome_of_a_job_that_was_taken_away_claims_nothing(
    queue: Unattended, place: Place
) -> None:
    claimer, claim = first_of(queue)
    (place.jobs / "running" / "a.json").unlink()

    with pytest.raises(ClaimLost):
        claim.complete()

    assert place.names("running") == []
    assert claimed_by(claimer) == "b"
