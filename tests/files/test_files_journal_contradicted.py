"""A record that no longer counts, because a removal came after it: no copy that is needed relies on
it, and nothing that was removed comes back by it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from files.disks import Died, WatchedDisk
from files.journals import another_start, files, small, told
from files.places import Actors, Place, Unattended, claimed, job

from semiont_jobs import StoreError, UnsafeStore
from semiont_jobs.stores.files.journal import boot


def journal_of(queue: Unattended) -> Any:
    store: Any = queue.store
    return store._journal


def lose(place: Place, folder: str) -> None:
    """What a power cut takes of a file that nobody has forced."""
    (place.jobs / folder / "j.json").write_bytes(b"")


def after_the_cut(actor: Actors, *queues: Unattended) -> Unattended:
    for queue in queues:
        queue.disk.bury()
    with another_start():
        return actor()


# -- a claim of a job that was gone for a while ------------------------------------------------


@pytest.mark.parametrize("durability", ["fsync", "journal"])
def test_a_claim_relies_on_no_record_that_another_process_has_made_void(
    actor: Actors, place: Place, durability: Any
) -> None:
    producer, other = actor(durability="journal"), actor(durability=durability)
    first = job()
    producer.create_job(first)
    claimed(other).complete()
    other.remove_job("j")
    other.create_job(first)
    other.close()

    claimed(producer)

    assert ("j", 1) in told(place.path)
    lose(place, "running")
    assert after_the_cut(actor, producer).get_job("j") is not None


def test_a_claim_of_ones_own_job_needs_no_record_where_no_other_journal_is(
    actor: Actors, place: Place
) -> None:
    queue, other = actor(durability="journal"), actor(durability="journal")
    queue.create_job(job("a"))
    queue.create_job(job("b"))
    queue.create_job(job("c"))

    claimed(queue)
    alone = told(place.path)
    other.create_job(job("elsewhere", "other"))
    claimed(queue, types=["task"])
    beside_another = told(place.path)
    other.close()
    claimed(queue, types=["task"])

    assert alone == [("a", 0), ("b", 0), ("c", 0)]
    assert ("b", 1) in beside_another
    assert ("c", 1) not in told(place.path)


# -- a removal that is recorded and not done -------------------------------------------------


def no_descriptor(disk: WatchedDisk) -> None:
    disk.refuse(errno.EMFILE, "names", "jobs/.journal", skip=1)


def lost_write(disk: WatchedDisk) -> None:
    disk.refuse(errno.EIO, "fdatasync")


def interrupt(disk: WatchedDisk) -> None:
    def strike() -> None:
        raise KeyboardInterrupt

    disk.before("unlink", "complete/j.json", strike)


def no_unlink(disk: WatchedDisk) -> None:
    disk.refuse(errno.EACCES, "unlink", "complete/j.json")


@pytest.mark.parametrize("trouble", [no_descriptor, lost_write, interrupt, no_unlink])
@pytest.mark.parametrize("durability", ["process", "fsync", "journal"])
@pytest.mark.parametrize("how", ["remove_job", "cleanup"])
def test_a_job_whose_removal_is_recorded_is_durable_before(
    actor: Actors,
    place: Place,
    durability: Any,
    trouble: Callable[[WatchedDisk], None],
    how: str,
) -> None:
    producer, cleaner = actor(durability="journal"), actor(durability=durability)
    producer.create_job(job())
    claimed(producer).complete()
    cleaner.disk.calls.clear()
    trouble(cleaner.disk)

    with pytest.raises((StoreError, KeyboardInterrupt)):
        if how == "cleanup":
            cleaner.cleanup_completed_jobs(timedelta(seconds=-1))
        else:
            cleaner.remove_job("j")

    assert place.copies("j").keys() == {"complete"}
    trace = cleaner.disk.trace()
    forced = trace.index("fsync complete/j.json")
    (recorded,) = [n for n, call in enumerate(trace) if call.startswith("fdatasync")][:1] or [None]
    assert recorded is None or forced < recorded
    assert "fsync_folder jobs/complete" in trace[forced:]


# -- a batch that is worked off while it is created --------------------------------------------


def test_a_job_that_was_removed_while_its_batch_was_created_does_not_come_back(
    actor: Actors, place: Place
) -> None:
    producer, worker = actor(durability="journal"), actor(durability="fsync")

    def work_and_remove() -> None:
        claimed(worker).complete()
        assert worker.remove_job("gone")

    # Its first file: until that is there, nobody knows that there is something to contradict.
    producer.disk.before("create", ".tmp/*.journal", work_and_remove)
    producer.disk.die_before("fdatasync", "*", skip=1)
    with pytest.raises(Died):
        producer.create_jobs([job("gone", priority=1), job("stays")])
        producer.create_job(job("later"))

    queue = after_the_cut(actor, producer, worker)

    assert queue.get_job("gone") is None
    assert queue.get_job("stays") is not None


def test_a_job_that_was_removed_while_no_journal_was_there_does_not_come_back(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    producer, worker = actor(durability="journal"), actor(durability="fsync")

    def empty_and_remove() -> None:
        with journal_of(producer)._lock:
            journal_of(producer)._turn_over()
        assert files(place.path) == []
        claimed(worker).complete()
        assert worker.remove_job("gone")

    # Between the look at the one and its record.
    producer.disk.before("seems_there", "pending/stays.json", empty_and_remove, skip=1)
    producer.create_jobs([job("gone", priority=1), job("stays")])

    queue = after_the_cut(actor, producer, worker)

    assert queue.get_job("gone") is None
    assert queue.get_job("stays") is not None


# -- a write that the disk has lost ------------------------------------------------------------


def test_that_the_disk_has_lost_a_write_is_known_after_the_process_was_killed(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue = actor(durability="journal")
    queue.create_job(job("one"))

    def lose_a_write() -> None:
        queue.create_job(job("two"))
        raise OSError(errno.EIO, "lost")

    queue.disk.before("syncfs", "*", lose_a_write)
    journal_of(queue)._turn_over()
    queue.disk.bury()

    actor(durability="journal")

    assert {("one", 0), ("two", 0)} <= set(told(place.path))


# -- a container with another name for the start of the machine --------------------------------


@pytest.fixture
def guest(actor: Actors, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Unattended]:
    """A queue in such a container. Its process lives on beside those of the machine."""

    def opened() -> Unattended:
        monkeypatch.setattr(boot, "is_hidden", lambda: True)
        try:
            with another_start():
                return actor(durability="fsync")
        finally:
            monkeypatch.setattr(boot, "is_hidden", lambda: False)

    return opened


@pytest.mark.parametrize("is_dead", [True, False])
def test_a_guest_replays_nothing_under_the_hands_of_the_host(
    actor: Actors, place: Place, guest: Callable[[], Unattended], is_dead: bool
) -> None:
    host = actor(durability="journal")
    host.create_job(job())
    if is_dead:
        host.disk.bury()
    before = told(place.path)

    with pytest.raises(UnsafeStore, match="a name of its own for the start of the machine"):
        guest()

    assert told(place.path) == before
    if not is_dead:
        host.close()
        assert guest().get_job("j") is not None


def test_a_guest_removes_nothing_of_which_a_journal_of_the_host_may_tell(
    actor: Actors, place: Place, guest: Callable[[], Unattended], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = guest()
    host = actor(durability="journal")
    host.create_job(job())
    claimed(host).complete()

    monkeypatch.setattr(boot, "is_hidden", lambda: True)
    with another_start(), pytest.raises(StoreError, match="no journal may be written"):
        inside.remove_job("j")

    assert place.copies("j").keys() == {"complete"}
    assert [path.name for path in files(place.path)] == [journal_of(host)._current.name]


# -- a record that cannot be read --------------------------------------------------------------


def test_a_record_that_is_no_job_is_put_into_quarantine(actor: Actors, place: Place) -> None:
    queue = actor(durability="journal")
    strange = job("strange")
    journal_of(queue).write([(strange, b'{"status": "of a later version"}')])

    after_the_cut(actor, queue)

    aside = place.jobs / ".quarantine"
    (kept,) = aside.glob("*-strange.json")
    assert kept.read_bytes() == b'{"status": "of a later version"}'
    assert "a journal's record of it is no job" in kept.with_name(f"{kept.name}.why").read_text()
    assert files(place.path) == []
