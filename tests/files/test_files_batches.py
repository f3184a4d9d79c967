"""A batch is made durable as a whole, and is all or nothing for what is invalid."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from files.disks import Died
from files.places import Actors, Place, claimed, job
from files.steps import steps

from semiont_jobs import JobExists, JobMetadata, PendingJob, StoreError


def test_a_batch_is_forced_by_one_syncfs_before_and_one_folder_after_it_is_published(
    actor: Actors, place: Place
) -> None:
    queue = actor(fsync=True)

    queue.create_jobs([job(f"j{n}") for n in range(20)])

    verbs = [step.split()[0] for step in steps(queue)]
    assert (verbs.count("syncfs"), verbs.count("fsync_folder"), verbs.count("fsync")) == (1, 1, 0)
    synced = verbs.index("syncfs")
    assert "link" not in verbs[:synced]
    assert "write" not in verbs[synced:]
    assert verbs[-1] == "fsync_folder"
    assert steps(queue)[-1] == "fsync_folder jobs/pending"
    assert len(place.names("pending")) == 20


def test_where_there_is_no_syncfs_every_file_of_a_batch_is_forced_before_the_first_is_published(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = actor(fsync=True)
    monkeypatch.setattr(queue.disk, "syncfs", lambda _folder: False)

    queue.create_jobs([job(f"j{n}") for n in range(20)])

    verbs = [step.split()[0] for step in steps(queue)]
    assert (verbs.count("fsync"), verbs.count("fsync_folder")) == (20, 1)
    last_forced = len(verbs) - 1 - verbs[::-1].index("fsync")
    assert last_forced < verbs.index("link")


def test_a_batch_keeps_its_order(actor: Actors) -> None:
    queue, other = actor(), actor()
    batch: list[PendingJob[Any]] = [
        PendingJob(metadata=JobMetadata(type="task"), params={"at": n}) for n in range(50)
    ]

    made = queue.create_jobs(batch)

    assert made == batch
    assert [claimed(other).complete().params for _ in made] == [{"at": n} for n in range(50)]
    assert [call.place for call in queue.disk.calls if call.verb == "link"] == [
        f"pending/{each.metadata.id}.json" for each in made
    ]


@pytest.mark.parametrize("folder", ["pending", "running", "complete", "failed", "cancelled"])
def test_a_batch_with_an_id_that_exists_anywhere_creates_nothing(
    actor: Actors, place: Place, folder: str
) -> None:
    queue = actor()
    queue.create_job(job("x", max_retries=0))
    if folder == "cancelled":
        queue.cancel_job("x")
    elif folder != "pending":
        claim = claimed(queue)
        if folder != "running":
            claim.complete() if folder == "complete" else claim.fail("broken")
    before = place.everything()

    with pytest.raises(JobExists) as told:
        queue.create_jobs([job("a"), job("x"), job("b")])

    assert told.value.job_id == "x"
    assert place.everything() == before == {folder: ["x.json"]}


def test_a_batch_with_an_id_twice_touches_nothing(actor: Actors) -> None:
    queue = actor()

    with pytest.raises(JobExists) as told:
        queue.create_jobs([job("a"), job("b"), job("a")])

    assert told.value.job_id == "a"
    assert steps(queue) == []


def test_an_empty_batch_touches_nothing(actor: Actors) -> None:
    queue = actor()

    assert queue.create_jobs([]) == []
    assert queue.disk.calls == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("step", ["create .tmp/*", "write .tmp/*", "lock .tmp/*", "syncfs *"])
def test_a_batch_for_which_the_disk_is_too_full_leaves_nothing_and_works_later(
    actor: Actors, place: Place, step: str, code: int
) -> None:
    queue = actor(fsync=True)
    verb, where = step.split()
    queue.disk.refuse(code, verb, where, skip=0 if verb == "syncfs" else 5)

    with pytest.raises(StoreError) as told:
        queue.create_jobs([job(f"j{n}") for n in range(10)])

    assert told.value.errno == code
    assert place.everything() == {}
    queue.create_jobs([job(f"j{n}") for n in range(10)])
    assert len(place.names("pending")) == 10
    assert place.names(".tmp") == []


@pytest.mark.parametrize("step", ["open", "unlink"])
def test_a_job_of_a_refused_batch_that_the_disk_keeps_keeps_no_other_and_goes_a_little_later(
    actor: Actors, place: Place, step: str
) -> None:
    queue = actor()
    queue.disk.refuse(errno.ENOSPC, "link", "pending/j6.json")
    queue.disk.refuse(errno.EIO, step, "pending/j2.json")

    with pytest.raises(StoreError):
        queue.create_jobs([job(f"j{n}") for n in range(10)])

    assert place.everything() == {}


@pytest.mark.parametrize("step", ["open", "unlink"])
def test_what_the_disk_keeps_of_a_refused_batch_is_told(
    actor: Actors, place: Place, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    queue = actor()
    queue.disk.refuse(errno.ENOSPC, "link", "pending/j6.json")
    queue.disk.refuse(errno.EIO, step, "pending/j2.json", times=100)

    with pytest.raises(StoreError):
        queue.create_jobs([job(f"j{n}") for n in range(10)])

    assert place.names("pending") == ["j2.json"]
    assert "of 6 jobs that were refused together these stand all the same: 'j2'" in caplog.text


def test_a_job_that_was_refused_and_stays_is_told(
    actor: Actors, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    queue = actor(fsync=True)
    queue.disk.refuse(errno.EIO, "fsync", "pending/j.json")
    queue.disk.refuse(errno.EIO, "unlink", "pending/j.json")

    with pytest.raises(StoreError):
        queue.create_job(job())

    assert place.names("pending") == ["j.json"]
    assert "job j was refused, and exists all the same" in caplog.text


@contextmanager
def few_descriptors() -> Iterator[Callable[[], None]]:
    """Gives what leaves this process not a single one more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []

    def take() -> None:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))

    highest = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 50, before[1]))
    try:
        yield take
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_batch_in_the_midst_of_which_the_last_descriptor_goes_is_taken_back(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.initialize()
    with few_descriptors() as take:
        queue.disk.before("open", ".tmp/*", take, skip=5)

        with pytest.raises(StoreError) as told:
            queue.create_jobs([job(f"j{n}") for n in range(10)])

    assert told.value.errno == errno.EMFILE
    assert place.everything() == {}


def test_a_batch_that_stops_while_it_is_published_leaves_a_prefix_of_whole_jobs(
    actor: Actors, place: Place
) -> None:
    queue = actor(fsync=True)
    queue.disk.die_before("link", "pending/j6.json")

    with pytest.raises(Died):
        queue.create_jobs([job(f"j{n}") for n in range(10)])

    other = actor()
    assert place.names("pending") == [f"j{n}.json" for n in range(6)]
    assert sorted(claimed(other).complete().metadata.id for _ in range(6)) == [
        f"j{n}" for n in range(6)
    ]


def test_jobs_of_a_batch_that_is_being_published_can_be_claimed_one_by_one(
    actor: Actors, place: Place
) -> None:
    queue, other = actor(), actor()
    done: list[str] = []
    queue.disk.before(
        "link", "pending/j5.json", lambda: done.append(claimed(other).complete().metadata.id)
    )

    queue.create_jobs([job(f"j{n}") for n in range(10)])

    assert done == ["j0"]
    assert place.names("complete") == ["j0.json"]
    assert len(place.names("pending")) == 9


def test_a_batch_of_which_a_file_cannot_be_told_is_taken_back(actor: Actors, place: Place) -> None:
    queue = actor()
    queue.disk.refuse(errno.EIO, "stat_of", ".tmp/*")

    with pytest.raises(StoreError):
        queue.create_jobs([job("a"), job("b")])

    assert place.everything() == {}
    queue.create_jobs([job("a"), job("b")])
