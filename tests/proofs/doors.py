"""Doors to the disk that do the same every time, count what passes, and act before the K-th.

They must not know the store.
"""

from __future__ import annotations

import os
import signal
import stat
import zlib
from collections.abc import Callable

from files.disks import Call, WatchedDisk

from semiont_jobs.stores.files.door import Disk


class SteadyDisk(WatchedDisk):
    """The real disk, without its accidents: names come sorted, and a folder's mtime moves with
    every change of its names and never else. So one script makes the same calls every time.

    `before_each` is called before every primitive, closing too.
    """

    def __init__(self, before_each: Callable[[int, Call], None] | None = None) -> None:
        super().__init__()
        self.before_each = before_each

    def _note(self, verb: str, path: str) -> None:
        call = Call(verb, path)
        self.calls.append(call)
        if self.before_each is not None:
            self.before_each(len(self.calls), call)

    def close(self, fd: int) -> None:
        path = self._paths.pop(fd, "")
        try:
            self._note("close", path)
        finally:
            # Also where closing is to fail: the kernel lets go of the descriptor all the same.
            Disk.close(fd)

    def names(self, folder: str) -> list[str]:
        return sorted(super().names(folder))

    def stat(self, path: str) -> os.stat_result:
        found = super().stat(path)
        if not stat.S_ISDIR(found.st_mode):
            return found
        return _with_mtime(found, _fingerprint(path))


def _fingerprint(folder: str) -> int:
    """A number that tells one set of names (and what they name) from another: small enough to
    be the mtime of a folder that nobody has touched for years."""
    with os.scandir(folder) as entries:
        names = sorted(f"{entry.name} {entry.inode()}" for entry in entries)
    return zlib.crc32("\n".join(names).encode())


def _with_mtime(found: os.stat_result, mtime_ns: int) -> os.stat_result:
    extras = {"st_atime_ns": found.st_atime_ns, "st_mtime_ns": mtime_ns}
    return os.stat_result(tuple(found), {**extras, "st_ctime_ns": found.st_ctime_ns})


class LethalDisk(SteadyDisk):
    """Ends its own process, for good, before the K-th primitive: no finaliser, no `finally`,
    nothing is flushed. The kernel closes the files."""

    def __init__(self, k: int) -> None:
        super().__init__(self._end)
        self.k = k

    def _end(self, number: int, _call: Call) -> None:
        if number == self.k:
            os.kill(os.getpid(), signal.SIGKILL)
