"""The bare system calls of the file store's protocol: the limit to which the store is compared.

It makes the same calls in the same order as `stores.files`, per job and with its payload, as a
plain loop: no model, no codec, no index, no events, no locks between threads.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from filelock import lock_descriptor

FOLDERS = ("pending", "running", "complete", "failed", "cancelled")
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = _OPEN | os.O_CREAT | os.O_EXCL
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class BareLoop:
    """Creates, looks at, claims and completes files of given content, and nothing else."""

    def __init__(self, root: Path, *, fsync: bool) -> None:
        self.fsync = fsync
        self.folders = {name: str(root / name) for name in FOLDERS}
        self.tmp = str(root / ".tmp")
        self.temporary = f"{self.tmp}/{os.getpid()}-"
        self.cancel = str(root / ".cancel")
        for folder in (*self.folders.values(), self.tmp, self.cancel):
            os.makedirs(folder, exist_ok=True)  # another process may have been first
        self.serial = itertools.count()
        self.opened: dict[str, int] = {}

    def close(self) -> None:
        for fd in self.opened.values():
            os.close(fd)
        self.opened.clear()

    def create(self, name: str, data: bytes, *, is_given: bool = False) -> None:
        """Create a file.

        :param is_given: the name may be taken: look for it before and after.
        """
        paths = [f"{folder}/{name}.json" for folder in self.folders.values()]
        if is_given:
            for path in paths:
                if os.access(path, os.F_OK, follow_symlinks=False):
                    raise FileExistsError(path)
        temporary, fd = self._write(data)
        os.link(temporary, paths[0])
        os.unlink(temporary)
        if is_given:
            for path in paths[1:]:
                _absent(path)
        if self.fsync:
            os.fsync(fd)
            self._fsync_folder("pending")
        os.close(fd)

    def look(self, name: str) -> None:
        """Read a pending file that another process made, for its place in the order."""
        fd = os.open(f"{self.folders['pending']}/{name}.json", _LOOK)
        os.pread(fd, os.fstat(fd).st_size + 1, 0)
        os.close(fd)

    def claim(self, name: str, data: bytes) -> int:
        """Move from pending to running; returns the descriptor whose lock is the claim."""
        path = f"{self.folders['pending']}/{name}.json"
        old = os.open(path, _OPEN)
        lock_descriptor(old, blocking=False)
        size = os.fstat(old).st_size
        os.lstat(path)
        os.pread(old, size + 1, 0)
        for folder in FOLDERS[1:]:
            _absent(f"{self.folders[folder]}/{name}.json")
        _absent(f"{self.cancel}/{name}.1")
        return self._move(name, "pending", "running", old, data)

    def complete(self, name: str, held: int, data: bytes) -> None:
        os.fstat(held)
        os.lstat(f"{self.folders['running']}/{name}.json")
        os.close(self._move(name, "running", "complete", held, data))

    def _move(self, name: str, source: str, target: str, old: int, data: bytes) -> int:
        path = f"{self.folders[source]}/{name}.json"
        temporary, fd = self._write(data)
        os.rename(temporary, f"{self.folders[target]}/{name}.json")
        if self.fsync:
            os.fsync(fd)
            self._fsync_folder(target)
        os.unlink(path)
        os.close(old)
        return fd

    def _write(self, data: bytes) -> tuple[str, int]:
        temporary = f"{self.temporary}{next(self.serial)}"
        fd = os.open(temporary, _MAKE, 0o600)
        lock_descriptor(fd, blocking=False)
        os.write(fd, data)
        return temporary, fd

    def _fsync_folder(self, name: str) -> None:
        # As the store does: kept open, and checked to be still the folder of that name.
        if name not in self.opened:
            self.opened[name] = os.open(self.folders[name], _FOLDER)
        os.lstat(self.folders[name])
        os.fsync(self.opened[name])


def _absent(path: str) -> None:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return
    raise FileExistsError(path)
