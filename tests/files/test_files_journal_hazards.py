"""What must not be lost, and must not come back, where a journal meets removals, the deaths of
others, programs without one, and disks that are full or fail for a while."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from typing import Any

import pytest
from files.disks import Died, WatchedDisk
from files.journals import another_start, files, small, told
from files.places import PATIENCE, Actors, Place, Unattended, claimed, job, meanwhile

from semiont_jobs import JobQueue, StoreError
from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.stores.files.journal import boot, journal

ELSEWHERE = "e" * 32


def journalled(actor: Actors, name: str = "") -> Unattended:
    """A queue with a journal, whose files sort by that name."""
    queue = actor(durability="journal")
    if name:
        journal_of(queue)._stem = name
    return queue


def journal_of(queue: JobQueue) -> Any:
    store: Any = queue.store
    return store._journal


def finished(queue: Unattended, job_id: str = "j") -> None:
    queue.create_job(job(job_id))
    claimed(queue).complete()


def power_cut(*queues: Unattended) -> None:
    """Their processes are gone. What is lost of their files a test takes away by hand."""
    for queue in queues:
        queue.disk.bury()


def lose(place: Place, folder: str, name: str = "j.json") -> None:
    os.unlink(place.jobs / folder / name)


def after_the_start(actor: Actors) -> Unattended:
    with another_start():
        return actor()


# -- removals --------------------------------------------------------------------------------


def test_a_removal_that_a_dead_process_told_of_is_not_of_a_job_created_after_it(
    actor: Actors, place: Place
) -> None:
    dead, heir = journalled(actor), journalled(actor)
    finished(dead)
    dead.remove_job("j")
    power_cut(dead)
    heir.create_job(job(params={"life": 2}))
    heir.store._sweep()  # type: ignore[attr-defined]
    power_cut(heir)
    lose(place, "pending")

    found = after_the_start(actor).get_job("j")

    assert found is not None


def test_a_replay_that_dies_between_two_journals_brings_nothing_back(
    actor: Actors, place: Place
) -> None:
    producer, worker = journalled(actor, "2"), journalled(actor, "1")
    producer.create_job(job())
    claimed(worker).complete()
    worker.remove_job("j")
    power_cut(producer, worker)

    with another_start():
        dies = Unattended(type(worker.store)(place.path, disk=(disk := type(worker.disk)())))
        disk.die_before("unlink", ".journal/2-*")
        with pytest.raises(Died):
            dies.initialize()
        disk.bury()
        queue = actor()

    assert queue.get_job("j") is None
    assert files(place.path) == []


@pytest.mark.parametrize("durability", ["fsync", "process"])
def test_a_job_removed_by_a_program_without_a_journal_does_not_come_back(
    actor: Actors, place: Place, durability: Durability
) -> None:
    producer = journalled(actor)
    producer.create_job(job())
    cleaner = actor(durability=durability, fsync=durability != "process")
    claimed(cleaner).complete()
    cleaner.remove_job("j")
    power_cut(producer, cleaner)

    found = after_the_start(actor).get_job("j")

    assert found is None


def test_a_job_that_left_for_another_place_does_not_come_back(actor: Actors, place: Place) -> None:
    producer, mover = journalled(actor), actor(durability="fsync")
    producer.create_job(job())
    store: Any = mover.store
    store.leave(store.hold("j"), ELSEWHERE)
    power_cut(producer, mover)

    found = after_the_start(actor).get_job("j")

    assert found is None


def test_what_a_dead_process_left_goes_also_where_nobody_else_has_a_journal(
    actor: Actors, place: Place
) -> None:
    producer, worker = journalled(actor), journalled(actor)
    producer.create_job(job())
    claimed(worker).complete()
    worker.remove_job("j")
    power_cut(producer, worker)

    with actor(durability="fsync"):
        pass
    with actor(durability="fsync"):
        pass

    assert files(place.path) == []


def test_a_claim_of_a_job_that_left_and_came_back_is_in_the_journal(
    actor: Actors, place: Place
) -> None:
    queue = journalled(actor)
    queue.create_job(job())
    store: Any = queue.store
    text = (place.jobs / "pending" / "j.json").read_bytes()
    store.leave(store.hold("j"), ELSEWHERE)
    store.arrive("j", text, ELSEWHERE)
    store.admit("j", ELSEWHERE)

    claimed(queue)

    assert ("j", 1) in told(place.path)


def test_a_job_whose_removal_the_disk_refused_is_durable_still(actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    queue.create_job(job())
    queue.disk.refuse(errno.EACCES, "rename", f"{ELSEWHERE}/j.json")
    store: Any = queue.store
    hold = store.hold("j")
    (file,) = files(place.path)
    queue.disk.calls.clear()

    with pytest.raises(StoreError):
        store.leave(hold, ELSEWHERE)

    trace = queue.disk.trace()
    assert trace.index("fsync pending/j.json") < trace.index(f"fdatasync .journal/{file.name}")


def test_a_file_that_only_told_on_of_removals_goes_with_what_they_were_told_for(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    monkeypatch.setattr(journal, "MOST_AGE", 0.0)
    producer, worker = journalled(actor), journalled(actor)
    producer.create_job(job())
    claimed(worker).complete()
    worker.remove_job("j")
    journal_of(worker).tend()
    while_it_stands = told(place.path)
    producer.close()
    journal_of(worker).tend()

    assert ("j", None) in while_it_stands
    assert files(place.path) == []


def test_removals_are_not_told_on_for_the_sake_of_a_kept_file_that_says_nothing_of_the_job(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue = journalled(actor)
    queue.create_job(job("first"))
    queue.disk.refuse(errno.EIO, "syncfs")
    journal_of(queue)._turn_over()
    assert len(files(place.path)) == 1

    claimed(queue).complete()
    queue.remove_job("first")
    for n in range(100):
        finished(queue, f"j-{n}")
        queue.remove_job(f"j-{n}")

    assert list(journal_of(queue)._told_on) == ["first"]


def test_a_batch_told_of_after_its_jobs_were_over_and_removed_does_not_bring_them_back(
    actor: Actors, place: Place
) -> None:
    producer, worker = journalled(actor), journalled(actor)

    def work_and_remove() -> None:
        claimed(worker).complete()
        worker.remove_job("j")
        worker.close()  # its journal is emptied, as it is twice a minute

    producer.disk.before("create", ".tmp/*.journal", work_and_remove)
    producer.create_jobs([job()])
    power_cut(producer, worker)

    found = after_the_start(actor).get_job("j")

    assert found is None


def test_a_job_created_again_wins_over_the_one_whose_removal_was_not_durable(
    actor: Actors, place: Place
) -> None:
    cleaner, producer = journalled(actor), journalled(actor)
    finished(cleaner)
    old = (place.jobs / "complete" / "j.json").read_bytes()
    cleaner.disk.die_before("fsync_folder", "jobs/complete", skip=2)
    with pytest.raises(Died):
        cleaner.remove_job("j")
    producer.create_job(job(params={"life": 2}))
    power_cut(cleaner, producer)
    lose(place, "pending")
    place.put("complete", old)

    queue = after_the_start(actor)

    assert queue.get_job("j").params == {"life": 2}  # type: ignore[union-attr]
    assert place.everything() == {"pending": ["j.json"]}


def test_without_syncfs_what_a_dead_process_left_goes_once_its_jobs_files_are_forced(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WatchedDisk, "syncfs", lambda _disk, _folder: False)
    dead = journalled(actor)
    dead.create_job(job())
    (file,) = files(place.path)
    power_cut(dead)

    heir = actor()
    heir.disk.calls.clear()
    another = journalled(actor)
    another.create_job(job("other"))
    power_cut(another)
    (second,) = (path for path in files(place.path) if path != file)
    heir.store._sweep()  # type: ignore[attr-defined]

    steps = heir.disk.trace()
    gone = steps.index(f"unlink .journal/{second.name}")
    assert files(place.path) == []
    assert "fsync pending/other.json" in steps[:gone]
    assert "fsync_folder jobs/pending" in steps[:gone]


# -- disks that lose, are full, or have no descriptor to give ----------------------------------


def test_when_the_disk_has_lost_a_write_the_file_at_hand_is_kept_too(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue = journalled(actor)
    queue.create_job(job("one"))

    def lose_a_write() -> None:
        queue.create_job(job("two"))  # in the next file already, when the kernel tells, once
        raise OSError(errno.EIO, "lost")

    queue.disk.before("syncfs", "*", lose_a_write)
    journal_of(queue)._turn_over()
    journal_of(queue)._turn_over()

    assert told(place.path) == [("one", 0), ("two", 0)]


def test_what_a_sweep_learns_of_lost_writes_keeps_the_journal_at_hand(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue, dead = journalled(actor), journalled(actor)
    dead.create_job(job("one"))
    power_cut(dead)
    queue.create_job(job("two"))
    queue.disk.refuse(errno.EIO, "syncfs")
    with pytest.raises(OSError, match=r"."):
        queue.store._sweep()  # type: ignore[attr-defined]

    journal_of(queue)._turn_over()

    assert ("two", 0) in told(place.path)


def test_a_journal_goes_on_once_there_are_descriptors_again(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    monkeypatch.setattr(journal, "MOST_AGE", 0.0)
    standing, queue = journalled(actor), journalled(actor)
    finished(queue)
    standing.create_job(job("other", type="other"))
    queue.remove_job("j")
    for n in range(journal.MOST_KEPT + 1):
        queue.create_job(job(f"j-{n}", type="waits"))
        queue.disk.refuse(errno.EMFILE, "create", ".tmp/*.journal")
        journal_of(queue)._turn_over()
        queue.disk.relent()

    for _ in range(journal.MOST_KEPT + 2):
        journal_of(queue).tend()
    queue.create_job(job("after"))

    assert ("after", 0) in told(place.path)


# -- queues that are closed or forgotten -------------------------------------------------------


def open_journals(place: Path) -> list[str]:
    """Journals there of which this process has a descriptor."""
    found: list[str] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if path.startswith(str(place)) and path.endswith("-1.journal"):
            found.append(path)
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are not listed")
def test_a_forgotten_queue_lets_go_of_its_journal(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, durability="journal")
    queue.create_job(job())
    standing = open_journals(tmp_path)

    del queue
    gc.collect()

    assert len(standing) == 1
    assert [] == open_journals(tmp_path)


def test_a_verb_that_ends_after_its_queue_was_closed_leaves_no_journal_locked(
    actor: Actors, place: Place
) -> None:
    queue = journalled(actor)
    queue.disk.before("link", "pending/j.json", queue.close)

    queue.create_job(job())
    with actor(durability="fsync"):
        pass

    assert files(place.path) == []


# -- other starts of the machine ---------------------------------------------------------------


def test_a_journal_that_lives_though_of_another_start_keeps_nobody_waiting_for_ever(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = journalled(actor)
    lives.create_job(job())
    monkeypatch.setattr("semiont_jobs.stores.files.journal.replay.MOST_WAIT", 0.1)
    monkeypatch.setattr(boot, "current", lambda: "")  # as where there is no /proc

    with (
        meanwhile(lambda: actor(durability="fsync")) as opened,
        pytest.raises(StoreError, match="lives"),
    ):
        opened.result(PATIENCE)

    assert told(place.path) == [("j", 0)]
