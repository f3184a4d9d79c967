"""What is forced to the disk, and in which order: a power cut at any instant must find every
acknowledged job and outcome."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from files.disks import Died, WatchedDisk
from files.places import Actors, Place, Unattended, claimed, job
from files.steps import FORCING, plant_tie, steps

from semiont_jobs import FileStore, JobQueue, PermanentError, StoreError
from semiont_jobs.stores.files import door
from semiont_jobs.stores.files.door import Disk, is_same


def act(queue: Unattended, verb: str) -> None:
    """One transition of the job j, recorded alone."""
    prepared: dict[str, Callable[[], object]] = {}
    if verb not in ("create", "claim", "cancel"):
        if verb != "rescue":
            claim = claimed(queue)
            prepared = {
                "complete": claim.complete,
                "fail": lambda: claim.fail("broke"),
                "give up": lambda: claim.fail(PermanentError("never")),
                "release": claim.release,
                "snooze": lambda: claim.snooze(1),
                "checkpoint": lambda: claim.checkpoint(["a"]),
                "report": lambda: claim.report({"at": 1}),
            }
        if verb == "retry":
            claim.cancel()
    prepared |= {
        "create": lambda: queue.create_job(job("k")),
        "claim": queue.claim_next_job,
        "cancel": lambda: queue.cancel_job("j"),
        "retry": lambda: queue.retry_job("j"),
        "rescue": queue.rescue_orphans,
    }
    queue.disk.calls.clear()
    prepared[verb]()


MOVES = {
    "claim": ("pending", "running"),
    "complete": ("running", "complete"),
    "fail": ("running", "pending"),
    "give up": ("running", "failed"),
    "release": ("running", "pending"),
    "snooze": ("running", "pending"),
    "cancel": ("pending", "cancelled"),
    "retry": ("cancelled", "pending"),
    "rescue": ("running", "pending"),
}


def mover(actor: Actors, verb: str, *, fsync: bool) -> Unattended:
    queue = actor(fsync=fsync)
    queue.create_job(job(max_retries=0 if verb == "give up" else 3))
    if verb == "rescue":
        dead = actor(fsync=fsync)
        claimed(dead)
        dead.disk.bury()
    return queue


@pytest.mark.parametrize("verb", MOVES)
def test_c18_a_move_forces_the_new_file_and_its_folder_before_the_old_name_goes(
    actor: Actors, verb: str
) -> None:
    source, target = MOVES[verb]
    queue = mover(actor, verb, fsync=True)

    act(queue, verb)

    trace = steps(queue)
    published = trace.index(f"{'link' if target == 'pending' else 'rename'} {target}/j.json")
    forced = trace.index(f"fsync {target}/j.json")
    folder = trace.index(f"fsync_folder jobs/{target}")
    gone = trace.index(f"unlink {source}/j.json")
    assert published < forced < folder < gone


@pytest.mark.parametrize("verb", ["retry", "claim"])
def test_a_copy_that_leaves_a_finished_folder_is_forced_to_stay_away(
    actor: Actors, place: Place, verb: str
) -> None:
    # Back after a power cut it would be debris that nobody ever looks for.
    queue = mover(actor, "retry", fsync=True)
    if verb == "retry":
        act(queue, "retry")
    else:
        claimed(queue).cancel()
        queue.disk.die_before("unlink", "cancelled/j.json")
        with pytest.raises(Died):
            queue.retry_job("j")
        queue = actor(fsync=True)
        claimed(queue)

    trace = steps(queue)
    gone = trace.index("unlink cancelled/j.json")
    assert trace[gone + 1] == "fsync_folder jobs/cancelled"
    assert "cancelled" not in place.copies()


@pytest.mark.parametrize("verb", ["checkpoint", "report"])
def test_c18_a_rewrite_forces_the_new_file_before_it_replaces_the_old(
    actor: Actors, verb: str
) -> None:
    queue = mover(actor, verb, fsync=True)

    act(queue, verb)

    trace = steps(queue)
    assert [step.split()[0] for step in trace] == [
        "create", "write", "fsync", "rename", "fsync_folder",
    ]  # fmt: skip
    assert trace[-2:] == ["rename running/j.json", "fsync_folder jobs/running"]


def test_a_create_is_forced_before_it_is_acknowledged(actor: Actors) -> None:
    queue = actor(fsync=True)

    act(queue, "create")

    assert [step.split()[0] for step in steps(queue)] == [
        "create", "write", "link", "unlink", "fsync", "fsync_folder",
    ]  # fmt: skip
    assert steps(queue)[-2:] == ["fsync pending/k.json", "fsync_folder jobs/pending"]


def test_the_folders_and_those_above_them_are_forced_before_the_first_job(tmp_path: Path) -> None:
    disk = WatchedDisk()
    queue = Unattended(FileStore(tmp_path / "new" / "newer" / "data", disk=disk))

    queue.initialize()

    forced = [call.path for call in disk.calls if call.verb == "fsync_folder"]
    made = [call.path for call in disk.calls if call.verb == "make_folder"]
    data = tmp_path / "new" / "newer" / "data"
    assert forced[:5] == [str(each) for each in (data / "jobs", data, *data.parents[:3])]
    assert {os.path.dirname(path) for path in made} <= set(forced)
    trace = [call.verb for call in disk.calls if "format-" in call.path or call.verb == "link"]
    assert trace.index("fsync") < trace.index("link")
    assert disk.trace().index("link jobs/.format") < disk.trace().index("fsync_folder data/jobs")


def test_folders_that_stand_already_are_forced_again(actor: Actors) -> None:
    # Whoever made them may have died before that, or have had no wish for it.
    actor(fsync=False)
    disk = WatchedDisk()

    Unattended(FileStore(actor.path, disk=disk)).initialize()

    assert disk.trace().count("fsync_folder data/jobs") == 1
    assert disk.count("fsync_folder", "*/data") == 1


def test_a_folder_above_that_may_not_be_opened_is_left_alone(actor: Actors) -> None:
    disk = WatchedDisk()
    above = "/".join(actor.path.parent.parts[-2:])
    disk.refuse(errno.EACCES, "fsync_folder", above)

    Unattended(FileStore(actor.path, disk=disk)).initialize()

    assert disk.count("fsync_folder", "*/data") == 1


def test_a_data_directory_that_cannot_be_forced_is_a_clear_error(actor: Actors) -> None:
    disk = WatchedDisk()
    disk.refuse(errno.EIO, "fsync_folder", "*/data")

    with pytest.raises(StoreError) as told:
        Unattended(FileStore(actor.path, disk=disk)).initialize()

    assert told.value.errno == errno.EIO


def test_without_fsync_opening_a_new_directory_forces_nothing(tmp_path: Path) -> None:
    disk = WatchedDisk()

    Unattended(FileStore(tmp_path / "data", fsync=False, disk=disk)).initialize()

    assert [call for call in disk.calls if call.verb in FORCING] == []


def test_a_request_to_cancel_is_forced_before_it_is_acknowledged(actor: Actors) -> None:
    worker, canceller = actor(), actor(fsync=True)
    worker.create_job(job())
    claimed(worker)

    assert canceller.cancel_job("j") is True

    assert steps(canceller)[-1] == "fsync_folder jobs/.cancel"


def test_a_request_to_cancel_that_somebody_else_made_is_forced_before_it_is_acknowledged(
    actor: Actors,
) -> None:
    worker, dying, canceller = actor(), actor(fsync=True), actor(fsync=True)
    worker.create_job(job())
    claimed(worker)
    dying.disk.die_before("fsync_folder", "jobs/.cancel")
    with pytest.raises(Died):
        dying.cancel_job("j")

    assert canceller.cancel_job("j") is True

    assert steps(canceller)[-1] == "fsync_folder jobs/.cancel"


def test_a_request_that_comes_too_late_is_taken_back_only_when_the_outcome_is_durable(
    actor: Actors, place: Place
) -> None:
    worker, canceller = actor(fsync=True), actor(fsync=True)
    worker.create_job(job())
    claim = claimed(worker)
    worker.disk.die_before("fsync", "complete/j.json")

    def die_completing() -> None:
        with pytest.raises(Died):
            claim.complete()

    canceller.disk.before("create", ".cancel/*", die_completing)

    assert canceller.cancel_job("j") is False

    assert [step for step in steps(canceller) if not step.endswith(".cancel")][-3:] == [
        "fsync complete/j.json",
        "fsync_folder jobs/complete",
        f"unlink .cancel/j.{claim.job.metadata.life}",
    ]
    assert place.names(".cancel") == []


def test_a_request_is_not_swept_as_long_as_an_older_copy_stands_beside_the_outcome(
    actor: Actors, place: Place
) -> None:
    # A power cut may undo an outcome whose writer died before it was durable.
    worker = actor(fsync=True)
    worker.create_job(job())
    claim = claimed(worker)
    assert actor(fsync=True).cancel_job("j") is True
    worker.disk.die_before("fsync", "complete/j.json")
    with pytest.raises(Died):
        claim.complete()
    (asked,) = place.names(".cancel")
    os.utime(place.jobs / ".cancel" / asked, (0, 0))

    sweeper = actor(fsync=True)
    kept = place.names(".cancel")
    sweeper.rescue_orphans()
    actor(fsync=True)

    assert kept == [asked]
    assert place.everything() == {"complete": ["j.json"]}


@pytest.mark.parametrize("verb", [*MOVES, "create", "checkpoint", "report"])
def test_without_fsync_nothing_is_forced(actor: Actors, verb: str) -> None:
    queue = mover(actor, verb, fsync=False)

    act(queue, verb)

    assert [step for step in steps(queue) if step.split()[0] in FORCING] == []
    assert any(step.startswith(("link", "rename")) for step in steps(queue))


def test_without_fsync_neither_batch_nor_cleaning_nor_requests_force_anything(
    actor: Actors,
) -> None:
    queue, other = actor(), actor()
    queue.create_jobs([job(f"j{n}") for n in range(5)])
    claimed(queue).complete()
    claim = claimed(queue)
    other.cancel_job(claim.job.metadata.id)
    queue.cleanup_completed_jobs(timedelta(minutes=-1))

    assert [step for step in steps(queue) + steps(other) if step.split()[0] in FORCING] == []


def test_without_fsync_setting_aside_and_settling_force_nothing(
    actor: Actors, place: Place
) -> None:
    plant_tie(actor, place)
    queue = actor()

    queue._store._taking.settled("pending", "j")  # type: ignore[attr-defined]

    assert [step for step in steps(queue) if step.split()[0] in FORCING] == []
    assert len(place.names(".quarantine")) == 2


# -- folders that are kept open ------------------------------------------------------------


def test_the_names_in_a_folder_that_another_took_the_place_of_are_forced(tmp_path: Path) -> None:
    disk, folder = Disk(), tmp_path / "pending"
    folder.mkdir()
    disk.fsync_folder(str(folder))
    folder.rename(tmp_path / "old")
    folder.mkdir()

    disk.fsync_folder(str(folder))

    assert is_same(disk._folders[str(folder)].found, folder.lstat())


def test_a_folder_whose_names_could_not_be_forced_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, folder = Disk(), str(tmp_path)
    used: list[object] = []

    def fsync(fd: int) -> None:
        used.append(disk._folders[folder])
        os.fstat(fd)
        if len(used) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(door, "_full_fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        disk.fsync_folder(folder)

    disk.fsync_folder(folder)

    assert len(used) == 2
    assert used[0] is not used[1]


def test_a_closed_queue_keeps_no_folder_open(tmp_path: Path) -> None:
    def opened() -> set[str]:
        # Of this queue only: other tests' threads open and close files meanwhile.
        paths = set()
        for fd in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):
                paths.add(os.readlink(f"/proc/self/fd/{fd}"))
        return {path for path in paths if path.startswith(str(tmp_path))}

    queue = JobQueue(tmp_path, fsync=True)
    queue.create_job(job())
    claimed(queue).complete()
    assert str(tmp_path / "jobs" / "complete") in opened()

    queue.close()

    assert set() == opened()
