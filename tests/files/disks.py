"""A door to the disk that tells, before every call, what is about to happen.

It must not know the store: it sees verbs and paths, as strace would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from semiont_jobs.stores.files.descriptors import HELD
from semiont_jobs.stores.files.door import Disk


class Died(Exception):
    """The process that uses this disk is dead: no further call of it happens."""


@dataclass(frozen=True)
class Call:
    """One primitive. Of `link` and `rename` the path is the new name."""

    verb: str
    path: str

    @property
    def place(self) -> str:
        """Folder and name, such as ``running/j.json``."""
        return "/".join(self.path.rsplit("/", 2)[-2:])

    def is_like(self, verb: str, place: str) -> bool:
        """Whether verb and place match these patterns (as in a shell)."""
        return fnmatchcase(self.verb, verb) and fnmatchcase(self.place, place)

    def __str__(self) -> str:
        return f"{self.verb} {self.place}"


@dataclass
class _Order:
    verb: str
    place: str
    act: Callable[[], object]
    times: int
    skip: int = field(default=0)


def close_of_the_dead(fd: int) -> None:
    """What the kernel does for a process that died, which here is a part of this one: it must not
    be closed once more where a later test forks, when something else has its number."""
    with HELD._lock:
        HELD._open.pop(fd, None)
        os.close(fd)


def _inode_of(fd: int) -> int | None:
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return None


class WatchedDisk(Disk):
    """The real disk, watched: records calls, and acts before chosen ones.

    What acts may raise (an error of the disk), `kill` (the process dies before the call), or
    do anything with other disks (somebody else is faster).
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.is_dead = False
        self._orders: list[_Order] = []
        self._paths: dict[int, str] = {}
        self._files: dict[int, int | None] = {}

    # -- orders --------------------------------------------------------------------------

    def before(
        self, verb: str, place: str, act: Callable[[], object], *, times: int = 1, skip: int = 0
    ) -> None:
        """Call `act` before the next call like this (or the next `times`, after `skip`)."""
        self._orders.append(_Order(verb, place, act, times, skip))

    def die_before(self, verb: str, place: str, *, skip: int = 0) -> None:
        """The process dies before that call: the call and all later ones do not happen."""
        self.before(verb, place, self.kill, skip=skip)

    def refuse(
        self, code: int, verb: str, place: str = "*", *, times: int = 1, skip: int = 0
    ) -> None:
        """Have the next such call (or so many) fail with that errno."""

        def fail() -> None:
            raise OSError(code, os.strerror(code), place)

        self.before(verb, place, fail, times=times, skip=skip)

    def relent(self) -> None:
        """Forget all orders: the disk is well again."""
        self._orders.clear()

    def kill(self) -> None:
        """End the process that uses this disk: the kernel closes its files, locks go."""
        self.is_dead = True
        while self._paths:
            fd, _path = self._paths.popitem()
            if _inode_of(fd) == self._files[fd]:  # else it was dropped, and is closed already
                close_of_the_dead(fd)
        raise Died

    def bury(self) -> None:
        """Kill from outside."""
        try:
            self.kill()
        except Died:
            return

    def trace(self) -> list[str]:
        """The calls so far, as text."""
        return [str(call) for call in self.calls]

    def count(self, verb: str, place: str = "*") -> int:
        """How many calls were like that."""
        return sum(call.is_like(verb, place) for call in self.calls)

    def _note(self, verb: str, path: str) -> None:
        if self.is_dead:
            raise Died
        call = Call(verb, path)
        for order in list(self._orders):
            if call.is_like(order.verb, order.place):
                if order.skip:
                    order.skip -= 1
                    continue
                order.times -= 1
                if order.times <= 0:
                    self._orders.remove(order)
                order.act()
        self.calls.append(call)

    def _note_fd(self, verb: str, fd: int) -> None:
        self._note(verb, self._paths.get(fd, ""))

    # -- the primitives ------------------------------------------------------------------

    def create(self, path: str, mode: int) -> int:
        self._note("create", path)
        return self._opened(super().create(path, mode), path)

    def open(self, path: str) -> int:
        self._note("open", path)
        return self._opened(super().open(path), path)

    def open_to_read(self, path: str) -> int:
        self._note("open_to_read", path)
        return self._opened(super().open_to_read(path), path)

    def _opened(self, fd: int, path: str) -> int:
        self._paths[fd] = path
        self._files[fd] = _inode_of(fd)
        return fd

    def lock(self, fd: int) -> bool:
        self._note_fd("lock", fd)
        return super().lock(fd)

    def write(self, fd: int, data: bytes) -> None:
        self._note_fd("write", fd)
        super().write(fd, data)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        self._note_fd("write_at", fd)
        super().write_at(fd, data, offset)

    def read(self, fd: int, size: int, limit: int) -> bytes:
        self._note_fd("read", fd)
        return super().read(fd, size, limit)

    def stat_of(self, fd: int) -> os.stat_result:
        self._note_fd("stat_of", fd)
        return super().stat_of(fd)

    def stat(self, path: str) -> os.stat_result:
        self._note("stat", path)
        return super().stat(path)

    def exists(self, path: str) -> bool:
        self._note("exists", path)
        return super().exists(path)

    def seems_there(self, path: str) -> bool:
        try:
            self._note("seems_there", path)
        except OSError:
            return False  # as `access` says
        return super().seems_there(path)

    def names(self, folder: str) -> list[str]:
        self._note("names", folder)
        return super().names(folder)

    def entries(self, folder: str) -> Iterator[tuple[str, int]]:
        self._note("names", folder)
        return super().entries(folder)

    def link(self, source: str, target: str) -> None:
        self._note("link", target)
        super().link(source, target)
        self._renamed(source, target)

    def rename(self, source: str, target: str) -> None:
        self._note("rename", target)
        super().rename(source, target)
        self._renamed(source, target)

    def rename_new(self, path: str, target: str) -> bool:
        self._note("rename_new", target)
        is_done = super().rename_new(path, target)
        if is_done:
            self._renamed(path, target)
        return is_done

    def _renamed(self, source: str, target: str) -> None:
        for fd, path in list(self._paths.items()):
            if path == source:
                self._paths[fd] = target

    def unlink(self, path: str) -> None:
        self._note("unlink", path)
        super().unlink(path)

    def fsync(self, fd: int) -> None:
        self._note_fd("fsync", fd)
        super().fsync(fd)

    def fdatasync(self, fd: int) -> None:
        self._note_fd("fdatasync", fd)
        super().fdatasync(fd)

    def fsync_folder(self, folder: str) -> None:
        self._note("fsync_folder", folder)
        super().fsync_folder(folder)

    def syncfs(self, folder: str) -> bool:
        self._note("syncfs", folder)
        return super().syncfs(folder)

    def make_folder(self, path: str, mode: int) -> None:
        self._note("make_folder", path)
        super().make_folder(path, mode)

    def close(self, fd: int) -> None:
        # No order can be given here: closing is also what the kernel does for the dead.
        path = self._paths.pop(fd, None)
        if path is None and self.is_dead:
            return
        super().close(fd)
        self.calls.append(Call("close", path or ""))
