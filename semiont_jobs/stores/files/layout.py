"""Which folder holds what, and whether a place is fit to hold jobs.

It must not know jobs' contents or how they move.

::

    DATA_DIR/jobs/pending/ID.json ... cancelled/   one folder per status, jobs only
    DATA_DIR/jobs/.tmp/                            files being written
    DATA_DIR/jobs/.cancel/ID.LIFE                  asks a running job to stop
    DATA_DIR/jobs/.quarantine/                     invalid files, and why
    DATA_DIR/jobs/.journal/                        what was acknowledged, with durability="journal"
    DATA_DIR/jobs/.arriving/SOURCE/ID.json         jobs on their way here from another store
    DATA_DIR/jobs/.leaving/TARGET/ID.json          jobs on their way from here to another store
    DATA_DIR/jobs/.place                           identity of this place, for transfers
    DATA_DIR/jobs/.format                          version of this layout
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from semiont_jobs.errors import InvalidJobId, InvalidValue, UnsafeStore, UnsupportedFormat
from semiont_jobs.ids import job_id
from semiont_jobs.model import STATUSES, JobStatus
from semiont_jobs.stores.files.door import Disk

FORMAT: Final = 1
"""Version of the layout and of the files' format; raised if an older reader would misread them."""

SUFFIX: Final = ".json"

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph",
        "fuse.gcsfuse",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "fuse.vmhgfs-fuse",
        "gfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "prl_fs",
        "pvfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
    }
)
"""Types, as in mountinfo, whose locks may not reach other hosts, or the host of a virtual machine,
or may be lost silently."""


class Layout:
    """The paths of one data directory."""

    def __init__(self, data_dir: str) -> None:
        # Resolved once: a later chdir, or a symlink that is changed, must not split a queue.
        self.data_dir: str = os.path.realpath(data_dir)
        self.root: str = os.path.join(self.data_dir, "jobs")
        self.folders: Mapping[JobStatus, str] = {
            status: os.path.join(self.root, status) for status in STATUSES
        }
        self.tmp: str = os.path.join(self.root, ".tmp")
        self.cancel: str = os.path.join(self.root, ".cancel")
        self.quarantine: str = os.path.join(self.root, ".quarantine")
        self.journal: str = os.path.join(self.root, ".journal")
        self.arriving: str = os.path.join(self.root, ".arriving")
        self.leaving: str = os.path.join(self.root, ".leaving")
        self.place_file: str = os.path.join(self.root, ".place")
        self.format: str = os.path.join(self.root, ".format")

    def path(self, status: JobStatus, id_: str) -> str:
        """The path of a job of that status."""
        return f"{self.folders[status]}/{id_}{SUFFIX}"

    def place(self, path: str) -> tuple[JobStatus, str]:
        """The status of the folder that a path is in, and the name it has there."""
        folder, name = os.path.split(path)
        return next(each for each in STATUSES if self.folders[each] == folder), name


def checked_mode(field: str, value: object) -> int:
    """Permission bits. Raises `InvalidValue` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0o7777:
        rule = "permission bits are needed, a whole number such as 0o750"
        raise InvalidValue(rule, field=field, value=value)
    return value


def id_of(name: str) -> str | None:
    """The job id in a file name, or None: it is not a job's name."""
    if not name.endswith(SUFFIX):
        return None
    try:
        return job_id(name[: -len(SUFFIX)])
    except InvalidJobId:
        return None


def prepare(
    layout: Layout, disk: Disk, *, fsync: bool, journal: bool, dir_mode: int, file_mode: int
) -> None:
    """Make the folders that are missing, and refuse a place where jobs would not be safe.

    :param fsync: make the folders survive a power cut; without that no job in them would.
    :param journal: make a folder for journals too.
    :raises UnsafeStore: a folder is a symlink or writable by everyone, or this is Windows.
    :raises UnsupportedFormat: a newer version of this library wrote there.
    """
    if sys.platform == "win32":
        raise UnsafeStore(
            errno.ENOSYS,
            "FileStore needs POSIX file locks, which Windows does not have: use 'memory:' "
            "or a database store there",
            layout.root,
        )
    os.makedirs(os.path.dirname(layout.data_dir), exist_ok=True)
    with suppress(FileExistsError):
        disk.make_folder(layout.data_dir, dir_mode)
    for folder in (
        layout.root,
        *layout.folders.values(),
        layout.tmp,
        layout.cancel,
        layout.quarantine,
        *([layout.journal] if journal or disk.exists(layout.journal) else []),
    ):
        with suppress(FileExistsError):
            disk.make_folder(folder, dir_mode)
        _check(disk.stat(folder), folder)
    _check_format(layout, disk, fsync=fsync, file_mode=file_mode)
    if fsync:
        secure_folders(layout, disk)


def check_to_look(layout: Layout, disk: Disk) -> None:
    """Refuse a place that `prepare` would refuse, and change nothing.

    A folder may be missing: the TypeScript package makes a folder when it first needs it.

    :raises UnsafeStore: the root or a status folder is a symlink or writable by everyone.
    :raises UnsupportedFormat: a newer version of this library wrote there.
    """
    _check(disk.stat(layout.root), layout.root)
    for folder in layout.folders.values():
        with suppress(FileNotFoundError):
            _check(disk.stat(folder), folder)
    if disk.exists(layout.format):
        text = read_line(disk, layout.format)
        # Empty: a power cut came before its content was durable.
        _check_version(layout, text.strip("\0") or str(FORMAT))


def secure_folders(layout: Layout, disk: Disk) -> None:
    """Make the folders survive a power cut, and those above them that may be new.

    Not only those just made: the process that made them may have died before this, or may not have
    wanted durability. To fsync what is not new costs next to nothing.
    """
    disk.fsync_folder(layout.root)
    device = disk.stat(layout.root).st_dev
    folder = os.path.dirname(layout.root)
    disk.fsync_folder(folder)
    while folder != (folder := os.path.dirname(folder)) and disk.stat(folder).st_dev == device:
        try:
            disk.fsync_folder(folder)
        except PermissionError:
            continue  # this user may pass it but not open it: so it is not new


def check_folder(layout: Layout, disk: Disk, folder: str) -> None:
    """Refuse a folder whose names are to be read if it is no longer what `prepare` saw.

    If it were swapped for a symlink, a sweep, a removal or a move to quarantine would change files
    that are no business of ours. Only a user who may write to the root can swap it.

    :raises UnsafeStore: it, or the root, is a symlink or writable by everyone.
    """
    for path in (layout.root, folder):
        _check(disk.stat(path), path)


def _check(found: os.stat_result, folder: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        reason = "a symlink may be turned elsewhere between two calls: make it a folder"
    elif not stat.S_ISDIR(found.st_mode):
        reason = "it is not a folder"
    elif found.st_mode & stat.S_IWOTH:
        reason = "everyone may write there, so anyone could plant or remove jobs: chmod o-w"
    else:
        return
    raise UnsafeStore(errno.EPERM, reason, folder)


def _check_format(layout: Layout, disk: Disk, *, fsync: bool, file_mode: int) -> None:
    if not disk.exists(layout.format):
        _write_format(layout, disk, disk.link, fsync=fsync, file_mode=file_mode)
    text = read_line(disk, layout.format)
    if not text.strip("\0"):
        # A power cut came when its name was durable and its content was not.
        _write_format(layout, disk, disk.rename, fsync=fsync, file_mode=file_mode)
        text = read_line(disk, layout.format)
    _check_version(layout, text)


def _check_version(layout: Layout, text: str) -> None:
    if not text.isdigit() or int(text) > FORMAT:
        raise UnsupportedFormat(
            errno.EPROTONOSUPPORT,
            f"its format is {text[:20]!r}, this version of semiont_jobs knows up to {FORMAT}: "
            "upgrade it",
            layout.root,
        )


def _write_format(
    layout: Layout,
    disk: Disk,
    publish: Callable[[str, str], object],
    *,
    fsync: bool,
    file_mode: int,
) -> None:
    # Two threads may open the directory at once: no other thread has this name.
    temporary = os.path.join(layout.tmp, f"format-{os.urandom(6).hex()}")
    fd = disk.create(temporary, file_mode)
    try:
        disk.write(fd, f"{FORMAT}\n".encode())
        if fsync:
            disk.fsync(fd)
        with suppress(FileExistsError):
            publish(temporary, layout.format)
    finally:
        disk.close(fd)
        with suppress(FileNotFoundError):
            disk.unlink(temporary)


def read_line(disk: Disk, path: str) -> str:
    """The content of a file of one short line of ASCII."""
    fd = disk.open_to_read(path)
    try:
        return disk.read(fd, 64, 64).decode("ascii", "replace").strip()
    finally:
        disk.close(fd)


def check_file_system(layout: Layout) -> None:
    """Refuse a network file system, by its type. If there is no mountinfo, accept.

    :raises UnsafeStore: its locks may not reach other hosts.
    """
    kind = file_system_of(layout.root)
    if kind in NETWORK_FILE_SYSTEMS:
        raise UnsafeStore(
            errno.ENOTSUP,
            f"file locks on {kind} are not reliable: a job could run twice. "
            "Pass allow_network_fs=True if you know that only one host uses it",
            layout.root,
        )


def check_locks(layout: Layout, disk: Disk, file_mode: int) -> None:
    """Refuse a file system whose lock does not keep a second holder out.

    If locks belong to the open file, as this library needs, two open files of one process conflict
    exactly as two processes do. If they belong to the process, or are ignored, the second lock is
    granted.

    :raises UnsafeStore: it was granted, or there are no locks at all.
    """
    path = os.path.join(layout.tmp, f"probe-{os.urandom(6).hex()}")
    first = disk.create(path, file_mode)
    try:
        second = disk.open(path)
        try:
            excludes = disk.lock(first) and not disk.lock(second)
        except OSError as error:
            raise UnsafeStore(
                error.errno or errno.ENOLCK, f"file locks do not work: {error}", layout.root
            ) from error
        finally:
            disk.close(second)
    finally:
        disk.close(first)
        disk.unlink(path)
    if not excludes:
        raise UnsafeStore(
            errno.ENOLCK,
            "file locks on this file system do not keep a second process out: a job could "
            "run twice. Use a local file system",
            layout.root,
        )


def file_system_of(path: str) -> str:
    """The type of the file system that `path` is on, such as ``ext4``; empty if unknown."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            mounts = [line.split() for line in lines]
    except OSError:
        return ""
    best, kind = "", ""
    for fields in mounts:
        # Of nested mounts the longest prefix counts; of stacked ones the last.
        point = fields[4].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[fields.index("-") + 1]
    return kind
