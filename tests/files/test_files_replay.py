"""After a power cut what journals tell of stands again, before anybody looks at a job; after the
death of a process alone nothing is replayed."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from filelock import lock_descriptor
from files.disks import Died, WatchedDisk
from files.journals import another_start, files, small, told
from files.places import PATIENCE, Actors, Place, Unattended, claimed, job, meanwhile

from semiont_jobs import FileStore, JobQueue, StoreError
from semiont_jobs.stores.files.journal.records import revision_of
from semiont_jobs.stores.files.journal.segment import HEADER_BYTES


@pytest.fixture
def past(actor: Actors) -> Unattended:
    """A queue with a journal, whose process will not outlive the power cut."""
    return actor(durability="journal")


def power_cut(queue: Unattended) -> None:
    """Its process is gone. What is lost of its files a test takes away by hand."""
    queue.disk.bury()


def tear(place: Place, folder: str, name: str = "j.json") -> None:
    path = place.jobs / folder / name
    path.write_bytes(path.read_bytes()[:40])


def opened(actor: Actors) -> JobQueue:
    return actor()


def test_a_job_whose_file_is_gone_stands_again(
    actor: Actors, past: Unattended, place: Place
) -> None:
    past.create_job(job())
    text = (place.jobs / "pending" / "j.json").read_bytes()
    power_cut(past)
    os.unlink(place.jobs / "pending" / "j.json")

    with another_start():
        opened(actor)

    assert (place.jobs / "pending" / "j.json").read_bytes() == text
    assert files(place.path) == []


def test_an_outcome_stands_again_and_what_is_older_goes(
    actor: Actors, past: Unattended, place: Place
) -> None:
    past.create_job(job())
    pending = (place.jobs / "pending" / "j.json").read_bytes()
    claimed(past).complete({"pages": 3})
    power_cut(past)
    tear(place, "complete")
    place.put("pending", pending)
    place.put("running", b"")

    with another_start():
        queue = opened(actor)

    assert place.everything() == {"complete": ["j.json"]}
    assert queue.get_job("j").result == {"pages": 3}  # type: ignore[union-attr]


def test_a_readable_file_of_the_same_revision_wins(
    actor: Actors, past: Unattended, place: Place
) -> None:
    past.create_job(job())
    power_cut(past)
    path = place.jobs / "pending" / "j.json"
    document = json.loads(path.read_text())
    document["params"] = {"by": "another program"}
    path.write_text(json.dumps(document))

    with another_start():
        queue = opened(actor)

    assert queue.get_job("j").params == {"by": "another program"}  # type: ignore[union-attr]


def test_a_file_of_a_higher_revision_wins(actor: Actors, past: Unattended, place: Place) -> None:
    past.create_job(job())
    power_cut(past)
    other = actor()
    claimed(other).complete()
    power_cut(other)

    with another_start():
        opened(actor)

    assert place.everything() == {"complete": ["j.json"]}


def test_a_file_of_another_creation_wins(actor: Actors, past: Unattended, place: Place) -> None:
    past.create_job(job())
    claimed(past).complete()
    power_cut(past)
    os.unlink(place.jobs / "complete" / "j.json")
    other = actor()
    other.create_job(job(params={"life": 2}))
    power_cut(other)

    with another_start():
        opened(actor)

    assert place.everything() == {"pending": ["j.json"]}


def test_of_several_journals_the_highest_revision_counts(
    actor: Actors, past: Unattended, place: Place
) -> None:
    other = actor(durability="journal")
    past.create_job(job())
    claimed(other).complete()
    for queue in (past, other):
        power_cut(queue)
    os.unlink(place.jobs / "complete" / "j.json")

    with another_start():
        opened(actor)

    assert place.everything() == {"complete": ["j.json"]}
    assert files(place.path) == []


def test_a_removed_job_does_not_come_back(actor: Actors, past: Unattended, place: Place) -> None:
    other = actor(durability="journal")
    past.create_job(job())
    claimed(other).complete()
    other.remove_job("j")
    for queue in (past, other):
        power_cut(queue)

    with another_start():
        opened(actor)

    assert place.everything() == {}


def test_a_job_created_again_after_its_removal_stands(
    actor: Actors, past: Unattended, place: Place
) -> None:
    past.create_job(job())
    claimed(past).complete()
    past.remove_job("j")
    past.create_job(job(params={"life": 2}))
    power_cut(past)
    tear(place, "pending")

    with another_start():
        queue = opened(actor)

    assert queue.get_job("j").params == {"life": 2}  # type: ignore[union-attr]


def test_a_folder_where_a_job_is_to_stand_is_set_aside(
    actor: Actors, past: Unattended, place: Place
) -> None:
    past.create_job(job())
    power_cut(past)
    os.unlink(place.jobs / "pending" / "j.json")
    (place.jobs / "pending" / "j.json").mkdir()

    with another_start():
        opened(actor)

    assert (place.jobs / "pending" / "j.json").is_file()
    assert len(place.names(".quarantine")) == 2


def test_a_torn_tail_ends_a_journal_and_what_lies_before_counts(
    actor: Actors, past: Unattended, place: Place
) -> None:
    for name in ("a", "b", "c"):
        past.create_job(job(name))
    power_cut(past)
    (path,) = files(place.path)
    data = bytearray(path.read_bytes())
    second = len(data[HEADER_BYTES:].rstrip(b"\0")) // 2
    data[HEADER_BYTES + second] ^= 1
    path.write_bytes(data)
    for name in ("a", "b", "c"):
        os.unlink(place.jobs / "pending" / f"{name}.json")

    with another_start():
        opened(actor)

    assert place.everything() == {"pending": ["a.json"]}


@pytest.mark.parametrize("header", [b"", bytes(HEADER_BYTES), b"{" * HEADER_BYTES])
def test_a_journal_whose_first_line_is_torn_is_replayed_as_far_as_it_can_be_read(
    actor: Actors, past: Unattended, place: Place, header: bytes
) -> None:
    past.create_job(job())
    power_cut(past)
    (path,) = files(place.path)
    path.write_bytes(header and header + path.read_bytes()[HEADER_BYTES:])
    os.unlink(place.jobs / "pending" / "j.json")

    with another_start():
        opened(actor)

    assert place.everything() == ({"pending": ["j.json"]} if header else {})
    assert files(place.path) == []


def test_a_record_that_is_no_job_is_told_of_and_the_others_stand(
    actor: Actors, past: Unattended, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    queue = actor(durability="journal")
    queue.create_job(job())
    power_cut(queue)
    (path,) = files(place.path)
    data = path.read_bytes()
    bad = revision_of("bad", 0, 1, b'{"no": "job"}')
    path.write_bytes(data[:HEADER_BYTES] + bad + data[HEADER_BYTES:])
    os.unlink(place.jobs / "pending" / "j.json")

    with another_start():
        opened(actor)

    assert place.everything() == {"pending": ["j.json"]}
    assert "bad" in caplog.text


def test_what_one_process_replays_others_wait_for(
    actor: Actors, past: Unattended, place: Place
) -> None:
    past.create_job(job())
    power_cut(past)
    os.unlink(place.jobs / "pending" / "j.json")
    (path,) = files(place.path)
    fd = os.open(path, os.O_RDWR)

    with another_start():
        assert lock_descriptor(fd, blocking=False)  # as another process that replays it
        with meanwhile(lambda: opened(actor).get_job("j")) as found:
            with pytest.raises(TimeoutError):
                found.result(0.3)
            os.close(fd)

    assert found.result(PATIENCE) is not None


def test_a_replay_that_the_disk_refuses_leaves_the_journal_for_the_next(
    actor: Actors, past: Unattended, place: Place
) -> None:
    past.create_job(job())
    power_cut(past)
    os.unlink(place.jobs / "pending" / "j.json")

    with another_start():
        for verb in ("create", "write", "rename", "syncfs"):
            queue = Unattended(FileStore(place.path, disk=(disk := WatchedDisk())))
            disk.refuse(errno.EIO, verb, "*", times=10**6)
            with pytest.raises(StoreError):
                queue.initialize()
            assert len(files(place.path)) == 1
        opened(actor)

    assert place.everything() == {"pending": ["j.json"]}


def test_a_replay_that_dies_at_any_step_is_made_good_by_the_next(tmp_path: Path) -> None:
    actor = Actors(tmp_path / "made")
    past = actor(durability="journal")
    past.create_jobs([job("a"), job("b")])
    claimed(past, types=["task"]).complete()
    power_cut(past)
    for path in (tmp_path / "made" / "jobs").glob("[a-z]*/*.json"):
        path.write_bytes(path.read_bytes()[:9])
    steps, k = 0, 0
    with another_start():
        while k <= steps:
            place = Place(tmp_path / f"{k}")
            shutil.copytree(tmp_path / "made", place.path)
            again = Actors(place.path)
            disk = WatchedDisk()
            if k:
                disk.before("*", "*", disk.kill, skip=k - 1)
            with suppress(Died):
                Unattended(FileStore(place.path, fsync=False, disk=disk)).initialize()
            steps = steps or len(disk.calls)
            disk.bury()
            queue = again()
            found = {each.metadata.id: each.status for each in queue.query_jobs(limit=None)}
            assert sorted(found.values()) == ["complete", "pending"], f"died at {k}"
            again.close()
            k += 1

    assert steps > 30


def test_the_death_of_a_process_alone_replays_nothing(
    actor: Actors, past: Unattended, place: Place
) -> None:
    past.create_job(job())
    power_cut(past)
    os.unlink(place.jobs / "pending" / "j.json")  # by hand

    queue = opened(actor)

    assert queue.get_job("j") is None
    assert files(place.path) == []


def test_whoever_only_looks_replays_nothing_and_says_so(
    actor: Actors, past: Unattended, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    past.create_job(job())
    power_cut(past)

    with another_start(), caplog.at_level(logging.WARNING, "semiont_jobs"):
        JobQueue(place.path, read_only=True).initialize()

    assert told(place.path) == [("j", 0)]
    assert "not replayed" in caplog.text


def test_a_kept_journal_is_replayed_at_the_next_start_of_the_machine(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    queue = actor(durability="journal")
    queue.disk.refuse(errno.EIO, "syncfs", times=10**6)
    for n in range(30):
        queue.create_job(job(f"j-{n}"))
    names = place.names("pending")
    power_cut(queue)
    opened(actor).close()
    kept = len(files(place.path))
    for name in names:
        tear(place, "pending", name)

    with another_start():
        opened(actor)

    assert kept > 0
    assert place.names("pending") == names
    assert files(place.path) == []


@pytest.mark.parametrize("is_started_again", [True, False], ids=["power cut", "death"])
def test_without_syncfs_each_file_is_forced_before_what_a_dead_process_left_goes(
    actor: Actors,
    past: Unattended,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    is_started_again: bool,
) -> None:
    monkeypatch.setattr(WatchedDisk, "syncfs", lambda _disk, _folder: False)
    past.create_job(job())
    power_cut(past)
    (left,) = files(place.path)
    if is_started_again:
        os.unlink(place.jobs / "pending" / "j.json")
    disk = WatchedDisk()

    with another_start() if is_started_again else nullcontext():
        Unattended(FileStore(place.path, fsync=False, disk=disk)).initialize()

    steps = [str(call) for call in disk.calls]
    gone = steps.index(f"unlink .journal/{left.name}")
    assert "fsync pending/j.json" in steps[:gone]
    assert "fsync_folder jobs/pending" in steps[:gone]
