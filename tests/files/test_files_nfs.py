"""A directory on NFS, which gives an open file that is unlinked a name in its old folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from files.places import AT_ONCE, FOLDERS, Place, claimed, job

from semiont_jobs import FileStore, JobQueue
from semiont_jobs.stores.files import store as store_module
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.layout import Layout
from semiont_jobs.stores.files.nfs import NfsDisk


class Silly(Disk):
    """Does what an NFS client does, on another file system; tells what stood in the status
    folders after every call that takes a name away."""

    jobs: Path

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._open: set[tuple[int, int]] = set()
        self._silly: dict[tuple[int, int], str] = {}

    def create(self, path: str, mode: int) -> int:
        return self._opened(super().create(path, mode))

    def open(self, path: str) -> int:
        return self._opened(super().open(path))

    def _opened(self, fd: int) -> int:
        found = os.fstat(fd)
        self._open.add((found.st_dev, found.st_ino))
        return fd

    def unlink(self, path: str) -> None:  # type: ignore[override]
        found = os.lstat(path)
        key = (found.st_dev, found.st_ino)
        if key in self._open and found.st_nlink == 1:
            self._silly[key] = f"{os.path.dirname(path)}/.nfs{found.st_ino:x}"
            os.rename(path, self._silly[key])
        else:
            os.unlink(path)
        self.seen += [name for folder in FOLDERS for name in os.listdir(self.jobs / folder)]

    def close(self, fd: int) -> None:  # type: ignore[override]
        found = os.fstat(fd)
        key = (found.st_dev, found.st_ino)
        os.close(fd)
        self._open.discard(key)
        if key in self._silly:
            os.unlink(self._silly.pop(key))


class SillyNfs(NfsDisk, Silly):
    """The door for NFS, on NFS."""


@pytest.fixture
def disk(tmp_path: Path) -> SillyNfs:
    layout = Layout(str(tmp_path))
    made = SillyNfs(layout)
    made.jobs = Path(layout.root)
    return made


def work(queue: JobQueue) -> None:
    """Every way in which a name goes from a status folder."""
    queue.create_jobs([job(f"j{n}") for n in range(4)])
    claimed(queue).complete()
    claimed(queue).fail("broke")
    claimed(queue).release()
    queue.cancel_job("j1")
    queue.retry_job("j1")
    queue.cancel_job("j3")
    claimed(queue).complete()
    queue.cleanup_completed_jobs(timedelta(minutes=-1), cancelled=True)


def test_on_nfs_nothing_but_jobs_ever_stands_in_the_status_folders(
    tmp_path: Path, disk: SillyNfs
) -> None:
    place = Place(tmp_path)
    with JobQueue(FileStore(tmp_path, fsync=False, disk=disk), retry_policy=AT_ONCE) as queue:
        work(queue)

        assert len(disk.seen) > 20
        assert [name for name in disk.seen if not name.endswith(".json")] == []
        assert place.everything() == {"pending": ["j2.json"]} | {
            folder: names for folder in FOLDERS[1:] if (names := place.names(folder))
        }
        assert place.names(".tmp") == []


def test_what_a_process_that_died_left_of_a_removal_is_swept(
    tmp_path: Path, disk: SillyNfs
) -> None:
    queue = JobQueue(FileStore(tmp_path, fsync=False, disk=disk)).initialize()
    queue.create_job(job())
    path = tmp_path / "jobs" / "pending" / "j.json"
    os.utime(path, (1_700_000_000, 1_700_000_000))
    fd = disk.open(str(path))
    disk.unlink(str(path))
    assert len(Place(tmp_path).names(".tmp")) == 1
    os.close(fd)

    JobQueue(tmp_path, fsync=False).initialize().close()

    assert Place(tmp_path).names(".tmp") == []


@pytest.mark.parametrize(
    ("kind", "is_nfs"), [("nfs", True), ("nfs4", True), ("cifs", False), ("ext4", False)]
)
def test_the_door_for_nfs_is_taken_on_nfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, is_nfs: bool
) -> None:
    tell: Callable[[str], str] = lambda _path: kind  # noqa: E731
    monkeypatch.setattr(store_module, "file_system_of", tell)
    store = FileStore(tmp_path, fsync=False, allow_network_fs=True)

    with JobQueue(store, retry_policy=AT_ONCE) as queue:
        work(queue)

        assert isinstance(store._disk, NfsDisk) == is_nfs
        assert Place(tmp_path).names(".tmp") == []
