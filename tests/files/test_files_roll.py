"""The roll of a directory tells of each job what counting needs, and reads what changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tallying import claimed, stored

from semiont_jobs import FileStore, JobQueue
from semiont_jobs.codec import Codec, read_outline
from semiont_jobs.job_types import JobTypes
from semiont_jobs.outline import outline_of
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.testing.waiting import eventually


class Counting(Disk):
    """Counts the files that are read."""

    reads = 0

    def open_to_read(self, path: str) -> int:
        self.reads += path.endswith(".json")
        return super().open_to_read(path)

    listings = 0

    def entries(self, path: str) -> list[tuple[str, int]]:
        self.listings += 1
        return super().entries(path)


def test_folders_in_which_nothing_has_changed_are_not_listed(tmp_path: Path) -> None:
    JobQueue(tmp_path, fsync=False).enqueue({}, type="t")
    disk = Counting()
    looking = JobQueue(FileStore(tmp_path, fsync=False, disk=disk))

    def look() -> int:
        before = disk.listings
        looking.metrics()
        return disk.listings - before

    first = look()

    # As soon as the last change is older than a tick of the clock.
    assert 5 == first
    assert eventually(lambda: look() == 0)


class Vanishing(Disk):
    """Lets another process take every pending job right after it was listed."""

    def entries(self, path: str) -> list[tuple[str, int]]:
        found = super().entries(path)
        if path.endswith("pending"):
            for name, _inode in found:
                Path(path, name).unlink()
        return found


def test_a_job_that_goes_while_a_folder_is_listed_is_not_there(tmp_path: Path) -> None:
    JobQueue(tmp_path, fsync=False).enqueue({}, type="t")
    looking = JobQueue(FileStore(tmp_path, fsync=False, disk=Vanishing()))

    found = looking.metrics()

    assert ((), 0) == (found.stored, found.unreadable)


def test_a_finished_job_is_read_once(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    for _ in range(5):
        queue.enqueue({}, type="t")
        claimed(queue).complete()
    disk = Counting()
    looking = JobQueue(FileStore(tmp_path, fsync=False, disk=disk))

    counts = []
    for _ in range(3):
        looking.metrics()
        counts.append(disk.reads)
    queue.enqueue({}, type="t")
    claimed(queue).complete()
    looking.metrics()

    assert [5, 5, 5, 6] == [*counts, disk.reads]


def test_a_job_in_two_folders_counts_once_in_its_later_state(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    queue.enqueue({}, type="t", id="a")
    pending = tmp_path / "jobs/pending/a.json"
    text = pending.read_bytes()
    claimed(queue).complete()
    pending.write_bytes(text)

    twice = stored(JobQueue(FileStore(tmp_path, read_only=True)))
    looking = JobQueue(FileStore(tmp_path, read_only=True))
    assert 1 == stored(looking).jobs["complete"]
    (tmp_path / "jobs/complete/a.json").unlink()
    once = stored(looking)

    assert (0, 1) == (twice.jobs["pending"], twice.jobs["complete"])
    assert (1, 0, 0) == (once.jobs["pending"], once.jobs["complete"], once.wait.count)


def test_what_is_no_job_is_told_and_read_again_once_it_is_one(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    queue.enqueue({}, type="t", id="a")
    claimed(queue).complete()
    path = tmp_path / "jobs/complete/a.json"
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])
    (tmp_path / "jobs/failed/odd name").write_text("")
    looking = JobQueue(FileStore(tmp_path, read_only=True))
    before = looking.metrics()

    path.write_bytes(text)
    after = looking.metrics()

    assert ((), 2) == (before.stored, before.unreadable)
    assert (1, 1) == (after.jobs("complete"), after.unreadable)


def test_folders_that_others_have_not_made_yet_are_empty(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    queue.enqueue({}, type="t")
    queue.close()
    for name in ("running", "complete", "failed", "cancelled"):
        (tmp_path / "jobs" / name).rmdir()

    assert 1 == JobQueue(FileStore(tmp_path, read_only=True)).metrics().jobs("pending")


GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "jobs").rglob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_outline_of_a_text_is_that_of_its_job(path: Path) -> None:
    codec = Codec(JobTypes(()))
    job = codec.decode(path.read_bytes())

    outline = read_outline(codec, path.read_bytes(), job_id=str(job.metadata.id), status=job.status)

    assert outline_of(job) == outline


def _changed(**changes: Any) -> Callable[[Any], None]:
    return lambda document: document["metadata"].update(changes)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("params"),
        lambda document: document.pop("startedAt"),
        lambda document: document.update(status="failed"),
        lambda document: document["metadata"].pop("retryCount"),
        _changed(id="b"),
        _changed(type=5),
        _changed(type=""),
        _changed(created="soon"),
        _changed(runAfter=5),
        _changed(revision="1"),
        _changed(attempts=[{"outcome": 1}]),
        _changed(attempts=5),
    ],
)
def test_the_outline_of_what_is_no_job_is_none(tmp_path: Path, spoil: Callable[[Any], Any]) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    queue.enqueue({}, type="t", id="a")
    claimed(queue).complete()
    document = json.loads((tmp_path / "jobs/complete/a.json").read_bytes())
    assert read_outline(queue.codec, json.dumps(document).encode(), job_id="a", status="complete")

    spoil(document)

    data = json.dumps(document).encode()
    assert None is read_outline(queue.codec, data, job_id="a", status="complete")
