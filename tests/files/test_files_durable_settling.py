"""Settling, setting aside and cleaning force what stays before anything else goes."""

from __future__ import annotations

import errno
from datetime import timedelta

import pytest
from files.disks import Died
from files.places import Actors, Place, claimed, job
from files.steps import plant_tie, steps


def test_c18_settling_forces_the_copy_that_stays_before_the_older_one_goes(
    actor: Actors, place: Place
) -> None:
    worker = actor()
    worker.create_job(job())
    claim = claimed(worker)
    worker.disk.die_before("unlink", "running/j.json")
    with pytest.raises(Died):
        claim.release()
    assert place.copies() == {"pending": 2, "running": 1}
    queue = actor(fsync=True)

    claimed(queue)

    trace = steps(queue)
    assert trace[:3] == [
        "fsync pending/j.json",
        "fsync_folder jobs/pending",
        "unlink running/j.json",
    ]


@pytest.mark.parametrize(
    ("true", "held"), [("pending", "pending"), ("running", "pending"), ("running", "running")]
)
def test_c18_of_two_names_of_one_file_the_one_that_stays_is_forced_before_the_other_goes(
    actor: Actors, place: Place, true: str, held: str
) -> None:
    # What a rename may leave of which a power cut kept both ends.
    maker = actor()
    maker.create_job(job())
    if true == "running":
        claimed(maker)
        maker.disk.bury()
    other = "running" if true == "pending" else "pending"
    (place.jobs / other / "j.json").hardlink_to(place.jobs / true / "j.json")
    queue = actor(fsync=True)

    queue._store._taking.settled(held, "j")  # type: ignore[attr-defined]

    assert steps(queue) == [
        f"fsync {true}/j.json", f"fsync_folder jobs/{true}", f"unlink {other}/j.json",
    ]  # fmt: skip
    assert list(place.copies()) == [true]


@pytest.mark.parametrize("held", ["pending", "running"])
def test_c18_of_two_copies_of_one_revision_the_one_that_stays_is_forced_before_the_other_goes(
    actor: Actors, place: Place, held: str
) -> None:
    plant_tie(actor, place)
    queue = actor(fsync=True)

    queue._store._taking.settled(held, "j")  # type: ignore[attr-defined]

    trace = steps(queue)
    assert trace[:2] == ["fsync running/j.json", "fsync_folder jobs/running"]
    assert [step.split()[0] for step in trace[2:]] == [
        "rename", "create", "write", "fsync", "fsync_folder", "fsync_folder",
    ]  # fmt: skip
    assert trace[2].startswith("rename .quarantine/")
    assert trace[-2:] == ["fsync_folder jobs/.quarantine", "fsync_folder jobs/pending"]
    assert list(place.copies()) == ["running"]


def test_what_is_set_aside_stays_so_its_reason_included(actor: Actors, place: Place) -> None:
    queue = actor(fsync=True)
    queue._store._copies.grace = 0  # type: ignore[attr-defined]
    place.put("complete", b"{")
    told: list[list[str]] = []
    queue.subscribe(lambda event: told.append(steps(queue)))
    queue.cleanup_completed_jobs(timedelta(minutes=-1))

    queue.cleanup_completed_jobs(timedelta(minutes=-1))

    (before_told,) = told
    assert [step.split()[0] for step in before_told] == [
        "rename", "create", "write", "fsync", "fsync_folder", "fsync_folder",
    ]  # fmt: skip
    assert before_told[-2:] == ["fsync_folder jobs/.quarantine", "fsync_folder jobs/complete"]


def test_what_is_set_aside_while_the_disk_cannot_force_it_is_told_all_the_same(
    actor: Actors, place: Place
) -> None:
    queue = actor(fsync=True)
    queue._store._copies.grace = 0  # type: ignore[attr-defined]
    place.put("complete", b"{")
    events: list[str] = []
    queue.subscribe(lambda event: events.append(event.name))
    queue.disk.refuse(errno.EIO, "fsync*", times=100)

    for _ in range(2):
        queue.cleanup_completed_jobs(timedelta(minutes=-1))

    assert events == ["quarantined"]
    assert place.names("complete") == []


def test_c18_settling_an_older_copy_forces_the_newer_one_before_the_older_goes(
    actor: Actors, place: Place
) -> None:
    worker = actor()
    worker.create_job(job())
    claim = claimed(worker)
    worker.disk.die_before("unlink", "running/j.json")
    with pytest.raises(Died):
        claim.complete()
    queue = actor(fsync=True)

    queue.rescue_orphans()

    assert steps(queue) == [
        "fsync complete/j.json", "fsync_folder jobs/complete", "unlink running/j.json",
    ]  # fmt: skip
    assert place.copies() == {"complete": 2}


def test_c18_cleaning_forces_all_five_folders_before_the_first_unlink_and_one_after_the_last(
    actor: Actors,
) -> None:
    queue = actor(fsync=True)
    queue.create_jobs([job(f"j{n}") for n in range(5)])
    for _ in range(5):
        claimed(queue).complete()
    queue.disk.calls.clear()

    assert queue.cleanup_completed_jobs(timedelta(minutes=-1)) == 5

    trace = steps(queue)
    assert sorted(trace[:5]) == sorted(
        f"fsync_folder jobs/{folder}"
        for folder in ("pending", "running", "complete", "failed", "cancelled")
    )
    assert sorted(trace[5:10]) == [f"unlink complete/j{n}.json" for n in range(5)]
    # What was told to be removed must not come back: it would beat a new job of its id.
    assert trace[10:] == ["fsync_folder jobs/complete"]
