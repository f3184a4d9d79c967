"""Two processes, or two threads, whose steps around the journals cross: nothing acknowledged is
lost, and nothing that was removed comes back."""

from __future__ import annotations

import errno
import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from files.disks import Died, WatchedDisk
from files.journals import another_start, files, small, told
from files.places import Actors, Place, Unattended, claimed, job

from semiont_jobs import FileStore
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.journal.standing import Company, Standing
from semiont_jobs.stores.files.layout import Layout
from semiont_jobs.testing.waiting import eventually


def journal_of(queue: Unattended) -> Any:
    store: Any = queue.store
    return store._journal


@pytest.fixture
def no_syncfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without that call."""
    monkeypatch.setattr(WatchedDisk, "syncfs", lambda _disk, _folder: False)
    monkeypatch.setattr(WatchedDisk, "has_syncfs", False)


# -- a removal and a later job of the same id ----------------------------------------------------


def test_a_job_of_a_batch_counts_although_its_id_became_free_while_the_batch_was_made(
    actor: Actors, place: Place
) -> None:
    producer, other = actor(durability="journal"), actor(durability="journal")
    producer.create_job(job("elsewhere", type="other"))
    other.create_job(job("j"))
    claimed(other, types=["task"]).complete()
    producer.disk.before("seems_there", "pending/j.json", lambda: other.remove_job("j"))

    producer.create_jobs([job("j"), job("k")])

    for name in ("j", "k"):  # which nobody has forced
        (place.jobs / "pending" / f"{name}.json").write_bytes(b"")
    for queue in (producer, other):
        queue.disk.bury()
    with another_start():
        found = actor()
        assert {found.get_job(name).status for name in ("j", "k")} == {"pending"}  # type: ignore[union-attr]


@pytest.mark.usefixtures("no_syncfs")
def test_without_syncfs_a_job_that_came_back_is_forced_before_its_record_goes(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue, remover = actor(durability="journal"), actor(durability="journal")
    queue.create_job(job(max_retries=0))
    claimed(queue).fail("broke")
    remover.disk.die_before("unlink", "failed/j.json")
    with pytest.raises(Died):
        remover.remove_job("j")
    queue.retry_job("j")
    recorded = told(place.path)
    queue.store._sweep()  # type: ignore[attr-defined]
    queue.disk.calls.clear()

    journal_of(queue)._turn_over()

    assert ("j", None) in recorded
    assert files(place.path) == []
    steps = queue.disk.trace()
    gone = next(n for n, step in enumerate(steps) if step.startswith("unlink .journal"))
    assert "fsync pending/j.json" in steps[:gone]


@pytest.mark.usefixtures("no_syncfs")
def test_without_syncfs_what_a_killed_replay_has_published_is_forced_by_the_next(
    actor: Actors, place: Place
) -> None:
    past = actor(durability="journal")
    past.create_job(job())
    past.disk.bury()
    disk = WatchedDisk()

    with another_start():  # the file is whole: a replay has published it, and was killed
        Unattended(FileStore(place.path, fsync=False, disk=disk)).initialize()

    steps = disk.trace()
    gone = next(n for n, step in enumerate(steps) if step.startswith("unlink .journal"))
    assert "fsync pending/j.json" in steps[:gone]


def test_a_process_that_makes_nothing_durable_itself_removes_no_job_before_that_has_ended_durably(
    actor: Actors,
) -> None:
    producer, cleaner = actor(durability="journal"), actor(durability="process")
    producer.create_job(job())
    claimed(producer).complete()
    cleaner.disk.calls.clear()

    cleaner.remove_job("j")

    steps = cleaner.disk.trace()
    recorded = next(n for n, step in enumerate(steps) if step.startswith("fdatasync"))
    assert "fsync_folder jobs/running" in steps[:recorded]


# -- a write that the disk has lost, told to one of two threads ----------------------------------


def test_a_loss_that_the_kernel_tells_the_sweep_keeps_what_is_emptied_at_that_moment(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue, dead = actor(durability="journal"), actor(durability="journal")
    dead.create_job(job("one"))
    dead.disk.bury()
    queue.create_job(job("two"))

    def empty() -> None:
        with journal_of(queue)._lock:
            journal_of(queue)._turn_over()

    emptier = threading.Thread(target=empty)

    def lost() -> None:
        emptier.start()
        emptier.join(0.5)  # it is told of nothing, because this call was
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    queue.disk.before("syncfs", "jobs/.journal", lost)
    with pytest.raises(OSError, match=r"."):
        queue.store._sweep()  # type: ignore[attr-defined]
    emptier.join()

    assert ("two", 0) in told(place.path)


# -- a signal's handler that closes what it interrupts -------------------------------------------


def test_a_handler_may_close_a_store_in_the_midst_of_a_sweep_while_a_file_is_emptied(
    actor: Actors, place: Place
) -> None:
    queue, dead = actor(durability="journal"), actor(durability="journal")
    dead.create_job(job("one"))
    dead.disk.bury()
    queue.create_job(job("two"))
    journal = journal_of(queue)

    def handler() -> None:
        journal._current.began -= 1000
        journal._wake.put(None)
        eventually(lambda: journal._old is not None)  # its thread waits for its turn to sync
        queue.store.close()

    queue.disk.before("syncfs", "jobs/.journal", handler)
    interrupted = threading.Thread(target=queue.store._sweep, daemon=True)  # type: ignore[attr-defined]
    interrupted.start()
    interrupted.join(20)

    assert not interrupted.is_alive()
    assert files(place.path) == []


# -- a store that is closed while it removes jobs ------------------------------------------------


@pytest.mark.parametrize(
    ("step", "removed"), [("fsync_folder jobs/pending", 0), ("fsync complete/j.json", 1)]
)
def test_a_store_may_be_closed_while_it_removes_jobs(
    actor: Actors, place: Place, step: str, removed: int
) -> None:
    standing, cleaner = actor(durability="journal"), actor(durability="fsync")
    standing.create_job(job("elsewhere", type="other"))
    cleaner.create_job(job())
    claimed(cleaner, types=["task"]).complete()
    verb, _, where = step.partition(" ")
    cleaner.disk.before(verb, where, cleaner.store.close)

    count = cleaner.cleanup_completed_jobs(timedelta(seconds=-1))

    assert count == removed
    assert len(place.copies("j")) == 1 - removed


# -- a look at the folder that takes long --------------------------------------------------------


def test_a_journal_that_comes_right_after_a_look_is_seen_however_long_the_look_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(str(tmp_path))
    folder = Path(layout.journal)
    folder.mkdir(parents=True)
    (folder / "own-1.journal").touch()
    mtime = time.time_ns()
    os.utime(folder, ns=(mtime, mtime))
    names = Standing.names

    def slow(self: Standing) -> list[str]:
        found = names(self)
        (folder / "other-1.journal").touch()
        os.utime(folder, ns=(mtime, mtime))  # in the same tick of the clock
        monkeypatch.setattr(time, "time_ns", lambda: mtime + 10**9)
        return found

    company = Company(Disk(), layout, lambda name: name.startswith("own-"))
    monkeypatch.setattr(Standing, "names", slow)
    before = company.is_there()
    monkeypatch.setattr(Standing, "names", names)

    assert not before
    assert company.is_there()
