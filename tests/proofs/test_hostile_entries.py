"""Whatever stands in one of the five folders and is no job: set aside once, told of, never
deleted, and no other job is the worse for it."""

from __future__ import annotations

import errno
import logging
import os
import time
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from files.places import Actors, Place, Unattended, claimed, job
from proofs.hostile import (
    DEVICES,
    FOLDERS,
    NAMES,
    ODD,
    TEXTS,
    hurry,
    make_sweep_due,
    outside,
    signature,
    text,
)

from semiont_jobs import Event, JobDecodeError, JobExists, JobHeld, SemiontJobsError
from semiont_jobs.codec import MAX_JOB_BYTES
from semiont_jobs.testing.suite import eventually

SOON = timedelta(minutes=-1)

IS_ROOT = os.geteuid() == 0
KINDS = [
    *TEXTS,
    *ODD,
    *(
        pytest.param(kind, marks=pytest.mark.skipif(not IS_ROOT, reason="only root makes devices"))
        for kind in DEVICES
    ),
]


def plant(place: Place, folder: str, kind: str, tmp_path: Path, name: str = "bad.json") -> Path:
    """Put something bad into a folder; a symlink leads to a good job outside."""
    path = place.jobs / folder / name
    target = tmp_path / "outside" / "target.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(text(folder if folder in FOLDERS else "pending"))
    if kind in TEXTS:
        path.write_bytes(TEXTS[kind](folder))
    else:
        (ODD | DEVICES)[kind](path, target)
    return path


def quarantined(queue: Unattended) -> list[Event]:
    """The events of entries set aside, from now on."""
    events: list[Event] = []
    queue.subscribe(lambda event: event.name == "quarantined" and events.append(event))
    return events


def work(queue: Unattended) -> None:
    """What workers and readers do all the time, and nobody's cleaning."""
    queue.claim_next_job(types=["nothing"])
    queue.query_jobs(limit=None)
    queue.rescue_orphans()


def kept(place: Place) -> list[Path]:
    """What stands in quarantine, reasons left out."""
    return [
        place.jobs / ".quarantine" / name
        for name in place.names(".quarantine")
        if not name.endswith(".why")
    ]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_job_is_set_aside_once_by_work_alone_and_nothing_is_lost(
    actor: Actors, place: Place, tmp_path: Path, kind: str, folder: str
) -> None:
    queue = actor()
    hurry(queue)
    events = quarantined(queue)
    queue.create_job(job("good"))
    before = signature(plant(place, folder, kind, tmp_path))
    world = outside(tmp_path / "outside")

    assert claimed(queue).complete().metadata.id == "good"
    eventually(lambda: work(queue) or events)
    for _ in range(3):
        work(queue)

    (path,) = kept(place)
    why = path.with_name(f"{path.name}.why").read_text().splitlines()
    assert signature(path) == before
    assert why[1] == f"{folder}/'bad.json'"
    assert [(event.job_id, event.reason) for event in events] == [("bad.json", why[2])]
    assert place.everything() == {"complete": ["good.json"]}
    assert [found.metadata.id for found in queue.query_jobs()] == ["good"]
    assert queue.get_stats().total == 1
    assert outside(tmp_path / "outside") == world


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_jobs_is_set_aside_within_a_sweep(
    actor: Actors, place: Place, name: bytes, folder: str
) -> None:
    queue = actor()
    hurry(queue)
    events = quarantined(queue)
    path = os.fsencode(place.jobs / folder) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(text(folder))

    def look() -> list[Event]:
        make_sweep_due(queue)
        work(queue)
        return events

    eventually(look)
    look()

    (path,) = kept(place)
    assert path.read_bytes() == text(folder)
    assert path.name.isascii()
    assert path.name.isprintable()
    assert [event.job_id for event in events] == [os.fsdecode(name)]
    assert place.everything() == {}


VERBS: dict[str, Callable[[Unattended], object]] = {
    "get": lambda queue: queue.get_job("bad"),
    "wait": lambda queue: queue.wait_for("bad", timeout=30),
    "cancel": lambda queue: queue.cancel_job("bad"),
    "retry": lambda queue: queue.retry_job("bad"),
    "create": lambda queue: queue.create_job(job("bad")),
    "batch": lambda queue: queue.create_jobs([job("fine"), job("bad")]),
    "enqueue": lambda queue: queue.enqueue({}, type="task", id="bad"),
    "update": lambda queue: queue.update_job(job("bad")),
}
NAMED = {"create", "batch", "enqueue"}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    "kind", ["empty", "truncated", "misnamed", "one byte too long", "200 000 levels deep", *ODD]
)
def test_each_verb_on_what_is_no_job_says_so_and_changes_nothing(
    actor: Actors, place: Place, tmp_path: Path, kind: str, folder: str
) -> None:
    queue = actor()
    hurry(queue)
    path = plant(place, folder, kind, tmp_path)
    before = signature(path)

    told: dict[str, Any] = {}
    for verb, act in VERBS.items():
        try:
            told[verb] = act(queue)
        except SemiontJobsError as error:
            told[verb] = error

    for verb, error in told.items():
        assert isinstance(error, JobExists if verb in NAMED else JobDecodeError), verb
        assert error.job_id == "bad"
    assert signature(path) == before
    assert place.everything() == {folder: ["bad.json"]}
    assert queue.poll_next_pending_job() is None
    assert queue.query_jobs() == []
    assert queue.cancel_jobs() == 0


def test_verbs_on_a_file_that_may_be_in_the_middle_of_being_written_wait_for_it(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    place.put("failed", text("failed")[:90], "bad.json")
    with pytest.raises(JobHeld, match="being written"):
        queue.update_job(job("bad"))

    def mend() -> None:
        place.put("failed", text("failed"), "bad.json")

    # When the retry looks again, it is whole.
    queue.disk.before("open_to_read", "failed/bad.json", mend, skip=1)

    retried = queue.retry_job("bad")

    assert retried.status == "pending"
    assert place.everything() == {"pending": ["bad.json"]}


@pytest.mark.parametrize("folder", FOLDERS)
def test_two_copies_that_are_both_no_job_are_both_kept(
    actor: Actors, place: Place, folder: str
) -> None:
    queue = actor()
    hurry(queue)
    events = quarantined(queue)
    other = "running" if folder == "pending" else "pending"
    place.put(folder, b"{", "bad.json")
    place.put(other, b"[", "bad.json")

    eventually(lambda: work(queue) or len(events) == 2)

    assert {b"{", b"["} == {path.read_bytes() for path in kept(place)}
    assert place.everything() == {}


def test_a_list_waits_for_all_that_is_bad_at_once(actor: Actors, place: Place) -> None:
    queue = actor()
    for number in range(60):
        place.put("complete", b"{", f"bad-{number}.json")
    place.put("complete", text("complete", "good"), "good.json")
    begun = time.monotonic()

    found = queue.query_jobs()

    assert [each.metadata.id for each in found] == ["good"]
    # The grace time is a second. One by one it would be a minute.
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EBUSY, errno.EXDEV])
def test_an_entry_that_cannot_be_moved_is_told_once_and_keeps_no_job_waiting(
    actor: Actors, place: Place, caplog: pytest.LogCaptureFixture, folder: str, code: int
) -> None:
    # A folder of another user's, a mount point: root makes them, the queue's user cannot move them.
    queue, dead = actor(), actor()
    hurry(queue)
    dead.create_job(job("orphan"))
    claimed(dead)
    dead.disk.bury()
    queue.disk.refuse(code, "rename", ".quarantine/*", times=10_000)
    (place.jobs / folder / "bad.json").mkdir()

    with caplog.at_level(logging.ERROR, "semiont_jobs"):
        eventually(lambda: work(queue) or "cannot be set aside" in caplog.text)
        for number in range(3):
            queue.create_job(job(f"good-{number}", priority=1))
            work(queue)

    told = [record for record in caplog.records if "cannot be set aside" in record.getMessage()]
    assert len(told) == 1
    assert f"{folder}/'bad.json'" in told[0].getMessage()
    assert os.strerror(code) in told[0].getMessage()
    done = [claimed(queue).complete().metadata.id for _ in range(4)]
    assert done == ["good-0", "good-1", "good-2", "orphan"]
    assert queue.cleanup_completed_jobs(SOON, cancelled=True) == 4
    assert place.everything() == {folder: ["bad.json"]}


def test_a_job_in_whose_way_something_immovable_stands_waits_and_those_behind_it_do_not(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    hurry(queue)
    queue.create_job(job("bad", priority=1))
    (place.jobs / "running" / "bad.json").mkdir()
    queue.disk.refuse(errno.EACCES, "rename", ".quarantine/*", times=10_000)
    eventually(lambda: work(queue) or store_knows(queue))

    queue.create_job(job("behind"))
    assert eventually(queue.claim_next_job).complete().metadata.id == "behind"
    queue.disk.relent()

    assert eventually(queue.claim_next_job).complete().metadata.id == "bad"
    assert place.everything() == {"complete": ["bad.json", "behind.json"]}
    assert len(kept(place)) == 1


def store_knows(queue: Unattended) -> bool:
    """Whether the store has seen for long enough that something is no job."""
    return bool(queue._store._upkeep._quarantine._told)  # type: ignore[attr-defined]


@pytest.mark.parametrize("folder", [".tmp", ".cancel", ".quarantine"])
@pytest.mark.parametrize("kind", [*ODD, "empty", "17 MiB"])
def test_what_stands_beside_the_five_folders_hinders_nobody(
    actor: Actors, place: Place, tmp_path: Path, kind: str, folder: str
) -> None:
    queue = actor()
    hurry(queue)
    path = plant(place, folder, kind, tmp_path, "bad.1")
    world = outside(tmp_path / "outside")
    os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)

    again = actor()
    make_sweep_due(again)
    again.rescue_orphans()
    again.create_job(job("good"))

    assert claimed(again).complete().metadata.id == "good"
    assert again.cleanup_completed_jobs(SOON) == 1
    assert outside(tmp_path / "outside") == world


def test_the_reason_told_of_a_bad_entry_is_short_whatever_is_in_it(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    hurry(queue)
    events = quarantined(queue)
    for kind, make in TEXTS.items():
        place.put("pending", make("pending"), f"{kind.title().replace(' ', '')}.json")

    eventually(lambda: work(queue) or len(events) == len(TEXTS))

    assert all(0 < len(event.reason) < 400 for event in events)
    assert all(event.reason.isprintable() for event in events)
    assert max(path.stat().st_size for path in (place.jobs / ".quarantine").glob("*.why")) < 600


@pytest.mark.parametrize(
    "kind", ["17 MiB", "200 000 levels deep", "an integer of 5000 digits", "NaN"]
)
def test_what_is_too_much_for_a_job_takes_no_more_memory_than_the_largest_job(
    actor: Actors, place: Place, tmp_path: Path, kind: str
) -> None:
    queue = actor()
    plant(place, "pending", kind, tmp_path)

    tracemalloc.start()
    try:
        queue.claim_next_job()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 2 * MAX_JOB_BYTES
