"""The one door to the disk: every system call of the file store is a method here.

It must not know jobs, folders or what a call is for.

Tests replace it by an object that stops the world before the K-th call, makes it fail, or records
it. Production pays one attribute look-up.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import Final

from filelock import lock_descriptor

from semiont_jobs.floor import OPEN, Floor

# NOFOLLOW: a symlink planted under a job's name must not be followed. NONBLOCK: a FIFO must not
# block us. CLOEXEC: a program started by a job must not inherit the job's lock.
_SAFELY: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)
_TO_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY
_TO_LOCK: Final = os.O_RDWR | _SAFELY
_TO_READ: Final = os.O_RDONLY | _SAFELY

_PRIVATE: Final = 0o600
"""A mode that every sane umask allows, so that it need not be set again."""


class Disk:
    """The primitives, each one system call (or as few as it takes).

    A primitive that is one system call is that call itself: a method around it would be a Python
    frame at every step of every job.
    """

    def __init__(self) -> None:
        self._folders: dict[str, _Folder] = {}
        self.floor: Floor = OPEN
        """The floor that a thread leaves to others before it waits for the disk."""

    def create(self, path: str, mode: int) -> int:
        """Make and open a new file of exactly that mode; `FileExistsError` if its name exists."""
        fd = os.open(path, _TO_CREATE, mode)
        if mode != _PRIVATE:
            try:
                os.fchmod(fd, mode)
            except BaseException:
                os.close(fd)
                raise
        return fd

    def open(self, path: str) -> int:
        """Open an existing file to lock, read and move it."""
        return os.open(path, _TO_LOCK)

    def open_to_read(self, path: str) -> int:
        """Open whatever is there, only to read it."""
        return os.open(path, _TO_READ)

    def lock(self, fd: int) -> bool:
        """Take the advisory lock of an open file; False if it is taken.

        The lock belongs to the open file and follows it through `rename` and `link`. The kernel
        drops it when the last descriptor is closed, however the process ends.
        """
        return lock_descriptor(fd, blocking=False)

    def write(self, fd: int, data: bytes) -> None:
        """Write all of `data` at the file's position."""
        written = os.write(fd, data)
        while written < len(data):  # a signal or a full disk may cut a large write short
            data = data[written:]
            written = os.write(fd, data)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data` at that offset of the file."""
        written = os.pwrite(fd, data, offset)
        while written < len(data):
            data, offset = data[written:], offset + written
            written = os.pwrite(fd, data, offset)

    def read(self, fd: int, size: int, limit: int) -> bytes:
        """The file from its start, at most `limit` bytes and one more; `size` is the expected size.

        This asks for one byte more than expected. If that byte does not come, the end was seen, and
        one call suffices.
        """
        data = os.pread(fd, min(size, limit) + 1, 0)
        if len(data) <= size or len(data) > limit:
            return data
        parts = [data]
        got = len(data)
        while got <= limit and (more := os.pread(fd, limit + 1 - got, got)):
            parts.append(more)
            got += len(more)
        return b"".join(parts)

    stat_of: staticmethod[[int], os.stat_result] = staticmethod(os.fstat)
    """The stat result of an open file."""

    stat: staticmethod[[str], os.stat_result] = staticmethod(os.lstat)
    """The stat result of a name, symlinks not followed; `FileNotFoundError` if there is nothing."""

    def exists(self, path: str) -> bool:
        """Whether anything exists under a name.

        Not `os.access`: that returns False for an I/O error too, and a copy that could not be seen
        must not count as absent.
        """
        try:
            os.lstat(path)
        except FileNotFoundError:
            return False
        return True

    def seems_there(self, path: str) -> bool:
        """Whether anything exists under a name, in half the time of `exists`.

        False for an I/O error too, so this is for a first look that another one follows.
        """
        return os.access(path, os.F_OK, follow_symlinks=False)

    names: staticmethod[[str], list[str]] = staticmethod(os.listdir)
    """The names in a folder, in no order."""

    def entries(self, folder: str) -> Iterator[tuple[str, int]]:
        """The names in a folder and the inode number of each, in no order.

        They come one at a time, so that a hundred thousand of them need not be held.
        """
        with os.scandir(folder) as found:
            for entry in found:
                yield entry.name, entry.inode()

    link: staticmethod[[str, str], None] = staticmethod(os.link)
    """Give a file a second name; `FileExistsError` if it is taken: nothing is replaced."""

    rename: staticmethod[[str, str], None] = staticmethod(os.rename)
    """Give a file another name, replacing the file that had it."""

    def rename_new(self, path: str, target: str) -> bool:
        """Give a file another name; `FileExistsError` if it is taken: nothing is replaced.

        False: the kernel or the file system has no such step (Linux has it, on local file systems).
        """
        return _RENAME_NEW is not None and _RENAME_NEW(path, target)

    unlink: staticmethod[[str], None] = staticmethod(os.unlink)
    """Remove a name."""

    def fsync(self, fd: int) -> None:
        """Make a file's content survive a power cut."""
        self.floor.leave()
        _full_fsync(fd)

    def fdatasync(self, fd: int) -> None:
        """Make a file's content survive a power cut, but not the time when it was written.

        If the file did not become longer, this needs no commit of the file system's own journal.
        """
        self.floor.leave()
        _fdatasync(fd)

    @staticmethod
    def start_writing(fd: int) -> None:
        """Have the kernel begin to write a file's data, and return at once.

        It guarantees nothing: the fsync that follows has less to wait for.
        """
        with contextlib.suppress(OSError):
            _fadvise(fd)

    def fsync_folder(self, folder: str) -> None:
        """Make the names in a folder survive a power cut."""
        kept = self._kept(folder)
        self.floor.leave()
        try:
            _full_fsync(kept.fd)
        except OSError:
            # Never again on the same descriptor: the kernel tells of a lost write only once.
            self._folders.pop(folder, None)
            raise

    def keep_folder(self, folder: str) -> None:
        """Open a folder now that `fsync_folder` will need."""
        self._kept(folder)

    def _kept(self, folder: str) -> _Folder:
        kept = self._folders.get(folder)
        if kept is None or not is_same(kept.found, os.lstat(folder)):
            kept = self._folders[folder] = _Folder(folder)
        return kept

    def forget_folders(self) -> None:
        """Close what `fsync_folder` keeps open; it opens them again when needed."""
        self._folders.clear()

    @property
    def has_syncfs(self) -> bool:
        """Whether `syncfs` can do it."""
        return _SYNCFS is not None

    def syncfs(self, folder: str) -> bool:
        """Make everything on the folder's file system survive; False if one call cannot do it.

        It uses the descriptor that `fsync_folder` keeps, if there is one: the kernel reports writes
        that failed since a descriptor was opened, and not those before.
        """
        if _SYNCFS is None:
            return False
        self.floor.leave()
        kept = self._kept(folder)
        if _SYNCFS(kept.fd) != 0:
            code = ctypes.get_errno()
            self._folders.pop(folder, None)
            raise OSError(code, os.strerror(code), folder)
        return True

    def make_folder(self, path: str, mode: int) -> None:
        """Make a folder with exactly that mode, whatever the umask; parents must exist."""
        os.mkdir(path, mode)
        os.chmod(path, mode)

    close: staticmethod[[int], None] = staticmethod(os.close)
    """Close a descriptor, and drop its lock."""


class _Folder:
    """An open folder, kept from one fsync of its names to the next.

    Opening and closing it takes as long as an fsync that finds its names committed already, with
    the file's. It is closed with its last user, so that no thread fsyncs a number that is another
    file by then.
    """

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.found = os.fstat(self.fd)

    def __del__(self) -> None:
        # If the folder could not be opened, there is nothing to close.
        if hasattr(self, "found"):
            os.close(self.fd)


def _full_fsync(fd: int) -> None:
    if _F_FULLFSYNC is not None:
        # On macOS fsync() stops at the drive's own cache, which a power cut empties.
        fcntl.fcntl(fd, _F_FULLFSYNC)
    else:
        os.fsync(fd)


def _fdatasync(fd: int) -> None:
    if _F_FULLFSYNC is not None:
        _full_fsync(fd)
    else:
        os.fdatasync(fd)


def _fadvise(fd: int) -> None:
    if sys.platform == "linux":
        # "Not needed" drops clean pages, and starts to write dirty ones.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _find_syncfs() -> Callable[[int], int] | None:
    with contextlib.suppress(OSError, AttributeError):
        function: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
        return function
    return None


def _find_rename_new() -> Callable[[str, str], bool] | None:
    """Find the renaming call that replaces nothing; it returns False if the disk cannot."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None

    def rename_new(path: str, target: str) -> bool:
        where, flag = ctypes.c_int(_HERE), ctypes.c_uint(_NOREPLACE)
        if function(where, os.fsencode(path), where, os.fsencode(target), flag) == 0:
            return True
        code = ctypes.get_errno()
        if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            return False
        raise OSError(code, os.strerror(code), path, None, target)

    return rename_new


_HERE: Final = -100
"""``AT_FDCWD`` of ``fcntl.h``."""
_NOREPLACE: Final = 1
"""``RENAME_NOREPLACE`` of ``linux/fs.h``."""

if sys.platform == "win32":
    _F_FULLFSYNC = None
    _RENAME_NEW = None
    _SYNCFS = None
else:
    import fcntl

    _F_FULLFSYNC = getattr(fcntl, "F_FULLFSYNC", None)
    _SYNCFS = _find_syncfs()
    _RENAME_NEW = _find_rename_new()


def is_regular(found: os.stat_result) -> bool:
    """Whether it is a plain file: not a folder, symlink, FIFO, socket or device."""
    return stat.S_ISREG(found.st_mode)


def is_same(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether both are the same file."""
    return one.st_ino == other.st_ino and one.st_dev == other.st_dev
