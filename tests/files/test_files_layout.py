"""The directory: its modes, what is made and opened, and what is refused."""

from __future__ import annotations

import builtins
import errno
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from files.disks import WatchedDisk
from files.places import FOLDERS, Place, claimed, job, seen

from semiont_jobs import FileStore, JobQueue, StoreError, UnsafeStore, UnsupportedFormat
from semiont_jobs.stores.files import layout
from semiont_jobs.testing.suite import eventually


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def lived_in(queue: JobQueue) -> None:
    """Jobs in every status, and a request to cancel."""
    for status in FOLDERS:
        queue.create_job(job(status, max_retries=0))
    for _ in range(4):
        claim = claimed(queue)
        match claim.job.metadata.id:
            case "complete":
                claim.complete()
            case "failed":
                claim.fail("broken")
            case "cancelled":
                claim.cancel()
            case "running":
                queue.cancel_job("running")
            case _:
                claim.release()
                break


def modes(root: Path) -> tuple[set[int], set[int]]:
    """The modes of all folders and of all files."""
    paths = [root, *root.rglob("*")]
    return (
        {mode(path) for path in paths if path.is_dir()},
        {mode(path) for path in paths if path.is_file()},
    )


# -- modes -------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_whatever_the_umask_files_and_folders_are_for_the_owner_only(
    tmp_path: Path, mask: int
) -> None:
    with umask(mask), JobQueue(tmp_path / "data", fsync=False) as queue:
        lived_in(queue)
        (tmp_path / "data" / "jobs" / "pending" / "bad.json").write_bytes(b"{")
        (tmp_path / "data" / "jobs" / "pending" / "bad.json").chmod(0o600)
        queue._store._copies.grace = 0.02  # type: ignore[attr-defined]
        quarantine = tmp_path / "data" / "jobs" / ".quarantine"
        eventually(lambda: queue.claim_next_job(["none"]) or list(quarantine.glob("*.why")))

        found = modes(tmp_path / "data")

    assert found == ({0o700}, {0o600})


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_modes_asked_for_are_those_of_every_file_and_folder(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        queue = JobQueue(tmp_path / "data", fsync=False, dir_mode=0o750, file_mode=0o660)
        lived_in(queue)
        queue.create_jobs([job("batch-1"), job("batch-2")])

        found = modes(tmp_path / "data")
        queue.close()

    assert found == ({0o750}, {0o660})


# -- making and opening ------------------------------------------------------------------


def test_making_a_queue_touches_nothing(tmp_path: Path) -> None:
    disk = WatchedDisk()

    JobQueue(FileStore(tmp_path / "a" / "b", disk=disk))

    assert disk.calls == []
    assert list(tmp_path.iterdir()) == []


def test_the_first_verb_makes_the_directory_and_its_parents(tmp_path: Path) -> None:
    with JobQueue(tmp_path / "a" / "b" / "c", fsync=False) as queue:
        queue.create_job(job())

    made = tmp_path / "a" / "b" / "c" / "jobs"
    assert sorted(path.name for path in made.iterdir()) == sorted(
        [*FOLDERS, ".tmp", ".cancel", ".quarantine", ".format"]
    )
    assert (made / ".format").read_text() == "1\n"
    assert list((made / ".tmp").iterdir()) == []


def test_the_directory_stays_where_it_was_although_the_process_changes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    queue = JobQueue("data", fsync=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    queue.create_job(job())
    queue.close()

    assert Place(tmp_path / "data").copies() == {"pending": 0}


def test_two_queues_of_one_process_may_open_one_new_directory_at_the_same_time(
    tmp_path: Path,
) -> None:
    disk = WatchedDisk()
    first = JobQueue(FileStore(tmp_path / "data", disk=disk))
    second = JobQueue(tmp_path / "data")
    disk.before("link", "*/.format", second.initialize)

    first.initialize()

    first.create_job(job())
    assert seen(second.get_job("j")).status == "pending"
    assert (tmp_path / "data" / "jobs" / ".format").read_text() == "1\n"
    first.close()
    second.close()


@pytest.mark.parametrize("step", ["create .tmp/*", "write .tmp/*", "link */.format", "lock .tmp/*"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_directory_that_cannot_be_written_is_a_clear_error_and_opens_later(
    tmp_path: Path, code: int, step: str
) -> None:
    disk = WatchedDisk()
    queue = JobQueue(FileStore(tmp_path / "data", disk=disk))
    verb, place = step.split()
    disk.refuse(code, verb, place)

    with pytest.raises(StoreError) as told:
        queue.initialize()

    assert told.value.errno == code
    queue.initialize().close()
    assert list((tmp_path / "data" / "jobs" / ".tmp").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    disk = WatchedDisk()
    queue = JobQueue(FileStore(tmp_path / "data", disk=disk))
    disk.refuse(errno.EACCES, "make_folder", "*", times=1000)

    with pytest.raises(StoreError, match="Permission denied") as told:
        queue.initialize()

    assert told.value.errno == errno.EACCES
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_directory_should_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")

    with pytest.raises(StoreError):
        JobQueue(tmp_path / "data").initialize()

    assert (tmp_path / "data").read_text() == "a file"


# -- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["2\n", "10", "next", "1\0", "-1"])
def test_a_format_that_this_version_does_not_know_is_refused(tmp_path: Path, text: str) -> None:
    JobQueue(tmp_path / "data").initialize().close()
    (tmp_path / "data" / "jobs" / ".format").write_text(text)

    with pytest.raises(UnsupportedFormat, match="upgrade"):
        JobQueue(tmp_path / "data").create_job(job())

    assert Place(tmp_path / "data").everything() == {}


@pytest.mark.parametrize("torn", ["", "\0\0"])
def test_a_format_that_a_power_cut_left_empty_is_written_again(tmp_path: Path, torn: str) -> None:
    JobQueue(tmp_path / "data").enqueue({}, type="task", id="j")
    (tmp_path / "data" / "jobs" / ".format").write_text(torn)

    found = JobQueue(tmp_path / "data").get_job("j")

    assert seen(found).status == "pending"
    assert (tmp_path / "data" / "jobs" / ".format").read_text() == "1\n"
    assert Place(tmp_path / "data").everything() == {"pending": ["j.json"]}


@pytest.mark.parametrize("folder", [*FOLDERS, ".tmp", ".cancel", ".quarantine", ""])
def test_a_folder_that_is_a_symlink_is_refused(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "data" / "jobs"
    JobQueue(tmp_path / "data").initialize().close()
    moved = (root / folder).rename(tmp_path / "moved")
    (root / folder).symlink_to(moved)

    with pytest.raises(UnsafeStore, match="symlink"):
        JobQueue(tmp_path / "data").initialize()


@pytest.mark.parametrize("folder", [*FOLDERS, ".tmp", ".cancel", ".quarantine", ""])
def test_a_folder_that_everyone_may_write_to_is_refused(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "data" / "jobs"
    JobQueue(tmp_path / "data").initialize().close()
    (root / folder).chmod(0o777)

    with pytest.raises(UnsafeStore, match="everyone"):
        JobQueue(tmp_path / "data").initialize()


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "jobs").mkdir(parents=True)
    (tmp_path / "data" / "jobs" / "running").write_text("a file")

    with pytest.raises(UnsafeStore, match="not a folder"):
        JobQueue(tmp_path / "data").initialize()


def test_a_data_directory_that_is_a_symlink_is_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to("real")

    with JobQueue(tmp_path / "data", fsync=False) as queue:
        queue.create_job(job())

    assert Place(tmp_path / "real").copies() == {"pending": 0}


class LocksThatDoNotExclude(WatchedDisk):
    """Grants every lock, as a file system does that ignores them."""

    def lock(self, fd: int) -> bool:
        return True


class LocksOfNobody(WatchedDisk):
    """Grants no lock to anyone."""

    def lock(self, fd: int) -> bool:
        return False


@pytest.mark.parametrize("disk", [LocksThatDoNotExclude, LocksOfNobody])
def test_locks_that_do_not_keep_a_second_process_out_are_refused(
    tmp_path: Path, disk: type[WatchedDisk]
) -> None:
    with pytest.raises(UnsafeStore, match="twice") as told:
        JobQueue(FileStore(tmp_path / "data", disk=disk())).initialize()

    assert told.value.errno == errno.ENOLCK
    assert Place(tmp_path / "data").everything() == {}


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks_is_refused(tmp_path: Path, code: int) -> None:
    disk = WatchedDisk()
    disk.refuse(code, "lock", ".tmp/*")

    with pytest.raises(UnsafeStore) as told:
        JobQueue(FileStore(tmp_path / "data", disk=disk)).initialize()

    assert told.value.errno == code
    assert Place(tmp_path / "data").everything() == {}


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw
40 22 0:40 / /srv/share rw,relatime shared:9 - nfs4 server:/share rw,vers=4.2
41 40 254:1 / /srv/share/local rw,relatime - xfs /dev/vdb rw
42 22 0:42 / /srv/with\\040space rw,relatime - cifs //server/share rw
43 22 0:43 / /srv/ssh rw master:1 shared:3 - fuse.sshfs host:/ rw
44 22 0:44 / /srv/stacked rw - nfs server:/old rw
45 44 0:45 / /srv/stacked rw - tmpfs tmpfs rw
"""


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mounts of another machine."""
    real = builtins.open

    def opened(path: Any, *arguments: Any, **options: Any) -> Any:
        if path == "/proc/self/mountinfo":
            return io.StringIO(MOUNTS)
        return real(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", opened)


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/someone", "ext4"),
        ("/srv", "ext4"),
        ("/srv/share", "nfs4"),
        ("/srv/share/jobs", "nfs4"),
        ("/srv/shared", "ext4"),
        ("/srv/share/local/jobs", "xfs"),
        ("/srv/with space/jobs", "cifs"),
        ("/srv/ssh/a", "fuse.sshfs"),
        ("/srv/stacked/a", "tmpfs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_nearest_mount(path: str, kind: str) -> None:
    assert layout.file_system_of(path) == kind


def test_where_mounts_cannot_be_read_the_file_system_is_unknown_and_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.open

    def opened(path: Any, *arguments: Any, **options: Any) -> Any:
        if path == "/proc/self/mountinfo":
            raise FileNotFoundError(path)
        return real(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", opened)

    assert layout.file_system_of("/") == ""
    JobQueue(tmp_path / "data").initialize().close()


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs", "9p", "ceph", "lustre"])
def test_a_network_file_system_is_refused_unless_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(layout, "file_system_of", lambda _path: kind)

    with pytest.raises(UnsafeStore, match=f"{kind}.*allow_network_fs=True"):
        JobQueue(tmp_path / "data").initialize()

    with JobQueue(tmp_path / "data", allow_network_fs=True) as queue:
        assert queue.create_job(job()).metadata.id == "j"


def test_windows_is_told_that_posix_locks_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(UnsafeStore, match=r"POSIX file locks.*Windows"):
        JobQueue(tmp_path / "data").initialize()

    assert list(tmp_path.iterdir()) == []
