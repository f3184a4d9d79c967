"""The journal: what is acknowledged is in it, durably, before an older copy goes; what stands in
the files anyway is let go."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest
from files.disks import WatchedDisk
from files.journals import files, records, small, told
from files.places import (
    FOLDERS,
    PATIENCE,
    Actors,
    Place,
    Unattended,
    claimed,
    job,
    journalled,
    meanwhile,
)

from semiont_jobs import JobQueue, StoreError
from semiont_jobs.stores.files.journal import journal, segment
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.testing.waiting import eventually


def forced(queue: Unattended) -> int:
    """How often the journal was forced since it was last asked."""
    count = queue.disk.count("fdatasync")
    queue.disk.calls.clear()
    return count


# -- what is written when ------------------------------------------------------------------


def test_each_verb_is_forced_once_and_a_claim_of_what_was_just_written_not_at_all(
    actor: Actors, place: Place
) -> None:
    queue = journalled(actor)

    queue.create_job(job())
    assert forced(queue) == 1
    claim = claimed(queue)
    assert forced(queue) == 0
    claim.checkpoint(["a"])
    assert forced(queue) == 1
    claim.complete()
    assert forced(queue) == 1

    assert told(place.path) == [("j", 0), ("j", 2), ("j", 3)]
    assert records(place.path)[-1].text == (place.jobs / "complete" / "j.json").read_bytes()


def test_a_claim_of_what_another_process_wrote_is_in_the_journal_before_the_file_goes(
    actor: Actors, place: Place
) -> None:
    journalled(actor).create_job(job())
    worker = journalled(actor)

    claimed(worker)

    assert told(place.path).count(("j", 1)) == 1
    steps = [str(call) for call in worker.disk.calls if call.verb in ("fdatasync", "unlink")]
    assert steps[-2].startswith("fdatasync .journal/")
    assert steps[-1] == "unlink pending/j.json"


def test_a_claim_after_the_journal_was_emptied_is_in_the_next(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue = journalled(actor)
    queue.create_job(job())
    first = files(place.path)
    while files(place.path) == first:
        queue.create_job(job(f"k-{queue.disk.count('create')}", type="other"))

    claimed(queue, types=["task"])

    assert told(place.path)[-1] == ("j", 1)


def test_a_claim_of_a_job_that_another_process_has_changed_is_in_the_journal(
    actor: Actors, place: Place
) -> None:
    queue, other = journalled(actor), journalled(actor)
    queue.create_job(job())
    claimed(other).release()

    claimed(queue)

    assert ("j", 3) in told(place.path)


def test_a_record_whose_file_began_to_be_emptied_before_the_copy_had_its_name_is_written_again(
    actor: Actors, place: Place
) -> None:
    queue = journalled(actor)
    queue.create_job(job())
    claim = claimed(queue)
    (first,) = files(place.path)

    def turn_over() -> None:
        store: Any = queue.store
        with store._journal._lock:
            store._journal._turn_over()

    queue.disk.before("rename", "running/j.json", turn_over)
    claim.checkpoint(["a"])

    assert eventually(lambda: not first.exists())
    assert told(place.path) == [("j", 2)]


def test_a_batch_is_forced_once(actor: Actors, place: Place) -> None:
    queue = journalled(actor)

    queue.create_jobs([job(f"j-{n}") for n in range(20)])

    assert forced(queue) == 1
    assert len(told(place.path)) == 20


def test_threads_that_write_while_the_disk_is_busy_share_the_next_forcing(actor: Actors) -> None:
    queue = journalled(actor)
    queue.create_jobs([job(f"j-{n}") for n in range(9)])
    first, *claims = [claimed(queue) for _ in range(9)]
    queue.disk.calls.clear()
    is_busy, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        is_busy.set()
        assert goes_on.wait(PATIENCE)

    queue.disk.before("fdatasync", "*", wait)
    with meanwhile(first.complete):
        assert is_busy.wait(PATIENCE)
        others = [threading.Thread(target=claim.complete) for claim in claims]
        for thread in others:
            thread.start()
        eventually(lambda: queue.disk.count("write_at") == 9)
        goes_on.set()
        for thread in others:
            thread.join(PATIENCE)

    assert forced(queue) == 2


def test_a_job_too_large_for_the_journal_is_forced_by_itself(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue = journalled(actor)
    large = {"text": "x" * 4000}

    queue.create_jobs([job("one", params=large), job("two")])
    queue.create_job(job("three", params=large))
    claim = claimed(queue, types=["task"])
    claim.report({"page": 1})
    claim.complete()

    assert told(place.path) == [("two", 0)]
    assert queue.disk.count("fsync", "pending/one.json") == 1
    assert queue.disk.count("fsync", "pending/three.json") == 1
    assert queue.disk.count("fsync_folder", "jobs/complete") >= 1


def test_no_foreign_reader_sees_any_of_it(actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    queue.create_job(job())
    claimed(queue).complete()

    shown = {path.name for path in place.jobs.iterdir() if not path.name.startswith(".")}

    assert shown == set(FOLDERS)
    assert place.everything() == {"complete": ["j.json"]}


# -- what a disk refuses ---------------------------------------------------------------------


def test_what_could_not_be_forced_is_not_acknowledged_and_goes_to_another_file_next_time(
    actor: Actors, place: Place
) -> None:
    queue = journalled(actor)
    queue.create_job(job("before"))
    queue.disk.refuse(errno.EIO, "fdatasync")

    with pytest.raises(StoreError):
        queue.create_job(job("refused"))
    queue.disk.calls.clear()
    queue.create_job(job("after"))

    assert place.names("pending") == ["after.json", "before.json"]
    assert queue.disk.count("rename", ".journal/*") == 1


def test_a_full_disk_is_met_before_anything_is_acknowledged(actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    queue.disk.refuse(errno.ENOSPC, "write_at", ".journal/*")

    with pytest.raises(StoreError) as caught:
        queue.create_job(job())
    queue.create_job(job())

    assert caught.value.errno == errno.ENOSPC
    assert place.names("pending") == ["j.json"]


def fill(queue: Unattended, place: Path) -> None:
    """Until its file is another one. Others may stand beside it, and names do not say whose."""
    before = files(place)
    n = 0
    while not set(files(place)).difference(before):
        n += 1
        queue.create_job(job(f"{before[-1].stem[-8:]}-{n}"))


def test_a_full_file_goes_once_everything_is_forced(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue = journalled(actor)
    queue.create_job(job())
    (first,) = files(place.path)
    queue.disk.calls.clear()

    fill(queue, place.path)

    assert not first.exists()
    steps = [str(call) for call in queue.disk.calls if call.verb in ("syncfs", "unlink")]
    assert steps.index("syncfs jobs/.journal") < steps.index(f"unlink .journal/{first.name}")


def test_without_syncfs_the_files_themselves_are_forced_before_a_full_file_goes(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    monkeypatch.setattr(WatchedDisk, "syncfs", lambda _disk, _folder: False)
    queue = journalled(actor)
    queue.create_job(job("j"))
    claimed(queue)
    (first,) = files(place.path)
    queue.disk.calls.clear()

    fill(queue, place.path)

    steps = [str(call) for call in queue.disk.calls]
    gone = steps.index(f"unlink .journal/{first.name}")
    assert "fsync running/j.json" in steps[:gone]
    assert "fsync_folder jobs/running" in steps[:gone]


def test_a_slow_disk_slows_those_who_write_and_the_journal_does_not_grow(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    monkeypatch.setattr(Journal, "in_background", True)
    queue = journalled(actor)
    is_slow, goes_on = threading.Event(), threading.Event()

    def wait() -> None:
        is_slow.set()
        assert goes_on.wait(PATIENCE)

    queue.disk.before("syncfs", "*", wait)
    made: list[int] = []

    def produce() -> None:
        for n in range(60):
            queue.create_job(job(f"j-{n}"))
            made.append(n)

    with meanwhile(produce) as done:
        assert is_slow.wait(PATIENCE)
        eventually(lambda: len(files(place.path)) == 2)
        with pytest.raises(TimeoutError):
            done.result(0.5)
        stuck = len(made)
        assert len(files(place.path)) == 2
        goes_on.set()

    assert stuck < 60 == len(made)
    assert done.exception() is None


def test_a_file_that_cannot_be_emptied_is_kept_and_in_the_end_nothing_more_is_acknowledged(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small(monkeypatch)
    queue = journalled(actor)
    queue.disk.refuse(errno.EIO, "syncfs", times=10**6)

    with pytest.raises(StoreError, match="lost writes"):
        for n in range(200):
            queue.create_job(job(f"j-{n}"))
    kept = files(place.path)
    acknowledged = len(place.names("pending"))
    queue.disk.relent()
    queue.close()
    with actor(durability="journal"):
        pass

    assert len(kept) == journal.MOST_KEPT + 1
    assert files(place.path) == kept
    assert all(segment.Header.read(path.read_bytes()).is_kept for path in kept)
    assert len(records(place.path)) == acknowledged
    assert "cannot be emptied" in caplog.text


def test_an_old_file_is_emptied_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_AGE", 0.05)
    with JobQueue(tmp_path, durability="journal") as queue:
        queue.create_job(job())

        assert eventually(lambda: files(tmp_path) == [])


# -- removals ------------------------------------------------------------------------------


def finished(queue: Unattended, job_id: str = "j") -> None:
    queue.create_job(job(job_id))
    claimed(queue).complete()


def test_a_removal_is_told_before_the_file_goes(actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    finished(queue)
    queue.disk.calls.clear()

    assert queue.remove_job("j")

    assert told(place.path)[-1] == ("j", None)
    steps = [str(call) for call in queue.disk.calls if call.verb in ("fdatasync", "unlink")]
    assert steps[0].startswith("fdatasync .journal/")
    assert steps[1] == "unlink complete/j.json"


def test_a_removal_is_told_on_while_another_file_may_tell_of_the_job(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    producer, worker = journalled(actor), journalled(actor)
    producer.create_job(job())
    claimed(worker).complete()
    worker.remove_job("j")

    fill(worker, place.path)
    while_it_stands = told(place.path)
    producer.close()
    fill(worker, place.path)

    assert ("j", None) in while_it_stands
    assert ("j", None) not in told(place.path)


def test_a_closed_journal_stays_while_another_file_may_tell_of_what_it_removed(
    actor: Actors, place: Place
) -> None:
    producer, worker = journalled(actor), journalled(actor)
    producer.create_job(job())
    claimed(worker).complete()
    worker.remove_job("j")

    worker.close()
    left = told(place.path)
    producer.close()
    with journalled(actor):
        pass

    assert ("j", None) in left
    assert files(place.path) == []
