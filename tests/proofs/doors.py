"""Doors to the disk that do the same every time, count what passes, and act before the K-th.

They must not know the store.
"""

from __future__ import annotations

import os
import signal
import stat
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from files.disks import Call, WatchedDisk

from semiont_jobs.stores.files.door import Disk

LOOKS: Final = frozenset({
    *("open", "open_to_read", "lock", "read", "close"),
    *("stat", "stat_of", "exists", "seems_there", "names"),
    *("fsync", "fdatasync", "fsync_folder", "syncfs"),
})  # fmt: skip
"""Primitives after which another process finds what it would have found before."""


class SteadyDisk(WatchedDisk):
    """The real disk, without its accidents: names come sorted, and a folder's mtime moves with
    every change of its names and never else. So one script makes the same calls every time.

    `before_each` is called before every primitive, closing too.
    """

    def __init__(self, before_each: Callable[[int, Call], None] | None = None) -> None:
        super().__init__()
        self.before_each = before_each
        self._changes: Counter[str] = Counter()

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

    def _renamed(self, source: str, target: str) -> None:
        # Of a copy: a worker and its queue's keeper may be here at once.
        for fd, path in list(self._paths.items()):
            if path == source:
                self._paths[fd] = target

    def link(self, source: str, target: str) -> None:
        super().link(source, target)
        self._changes[os.path.dirname(target)] += 1

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        self._changes[os.path.dirname(source)] += 1
        self._changes[os.path.dirname(target)] += 1

    def unlink(self, path: str) -> None:
        super().unlink(path)
        self._changes[os.path.dirname(path)] += 1

    def names(self, folder: str) -> list[str]:
        return sorted(super().names(folder))

    def entries(self, folder: str) -> Iterator[tuple[str, int]]:
        return iter(sorted(super().entries(folder)))

    def stat(self, path: str) -> os.stat_result:
        found = super().stat(path)
        if not stat.S_ISDIR(found.st_mode):
            return found
        return _with_mtime(found, _fingerprint(path, self._changes[path]))


def _fingerprint(folder: str, changes: int) -> int:
    """A number that tells one set of names (and what they name) from another: small enough to
    be the mtime of a folder that nobody has touched for years.

    With the count of changes made here: a job that leaves and comes back may be given the
    number of its old file.
    """
    with os.scandir(folder) as entries:
        names = sorted(f"{entry.name} {entry.inode()}" for entry in entries)
    return zlib.crc32("\n".join([str(changes), *names]).encode())


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


class FaultyDisk(SteadyDisk):
    """Fails with one errno: the K-th primitive only, or all from it on while so many verbs are
    tried, and then is well again."""

    def __init__(self, k: int, code: int, *, verbs: int = 0) -> None:
        super().__init__(self._fail)
        self.k = k
        self.code = code
        self.failures: list[Call] = []
        self.failed_at = float("inf")
        self._verbs = verbs
        self._is_well = False

    def _fail(self, number: int, call: Call) -> None:
        if self._is_well or number < self.k or (self.failures and not self._verbs):
            return
        if not self.failures:
            self.failed_at = time.monotonic()
        self.failures.append(call)
        raise OSError(self.code, os.strerror(self.code), call.path)

    def verb_ended(self) -> None:
        """Of those that the fault is to stand for."""
        if self.failures:
            self._verbs = max(0, self._verbs - 1)
            self._is_well = self._is_well or not self._verbs

    def lift(self) -> None:
        """Whatever it was, it is over."""
        self._is_well = True
