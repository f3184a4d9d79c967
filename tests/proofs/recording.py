"""A door to the disk that records every change, so that a power cut can be replayed later.

It must not know jobs: it sees names, files and what was forced to the disk.

Several disks may record into one trace: the processes of one machine, of which some die.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from files.disks import WatchedDisk


@dataclass(frozen=True)
class Step:
    """One change, or a mark. Of `rename` and `link`, `source` is the old name."""

    verb: str
    path: str = ""
    inode: int = 0
    source: str = ""
    data: bytes = b""
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.verb} {self.path or f'#{self.inode}'}"


@dataclass
class Trace:
    """What happened to one directory, in order, with marks for what the users were told.

    Files are numbered here, since a disk uses the number of a removed file again.
    """

    steps: list[Step] = field(default_factory=list)
    inodes: dict[str, int] = field(default_factory=dict)
    made: int = 0

    def note(self, verb: str, path: str = "", **facts: Any) -> None:
        """Record a step."""
        self.steps.append(Step(verb, path, **facts))

    def mark(self, owner: str = "") -> None:
        """Something was said between two steps, about a job or about all of them."""
        self.note("mark", owner)

    def new(self, path: str) -> int:
        """Number a file that was made under a name."""
        self.made += 1
        self.inodes[path] = self.made
        return self.made

    def number(self, path: str) -> int:
        """The number of the file that has a name; what a foreign hand put there is taken for
        durable."""
        if path not in self.inodes:
            self.note("plant", path, inode=self.new(path), data=Path(path).read_bytes())
        return self.inodes[path]


class RecordingDisk(WatchedDisk):
    """The real disk, with every change recorded. What changes nothing is not."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace
        self._inodes: dict[int, int] = {}

    # -- names ---------------------------------------------------------------------------

    def create(self, path: str, mode: int) -> int:
        fd = super().create(path, mode)
        self._inodes[fd] = self.trace.new(path)
        self.trace.note("create", path, inode=self._inodes[fd])
        return fd

    def link(self, source: str, target: str) -> None:
        super().link(source, target)
        inode = self.trace.inodes[target] = self.trace.number(source)
        self.trace.note("link", target, inode=inode, source=source)

    def rename(self, source: str, target: str) -> None:
        inode = self.trace.number(source)
        super().rename(source, target)
        del self.trace.inodes[source]
        self.trace.inodes[target] = inode
        self.trace.note("rename", target, inode=inode, source=source)

    def unlink(self, path: str) -> None:
        super().unlink(path)
        self.trace.inodes.pop(path, None)
        self.trace.note("unlink", path)

    def make_folder(self, path: str, mode: int) -> None:
        super().make_folder(path, mode)
        self.trace.note("make_folder", path)

    def names(self, folder: str) -> list[str]:
        # In order, so that one script makes one trace.
        return sorted(super().names(folder))

    def entries(self, folder: str) -> Iterator[tuple[str, int]]:
        return iter(sorted(super().entries(folder)))

    # -- contents ------------------------------------------------------------------------

    def _opened(self, fd: int, path: str) -> int:
        if path in self.trace.inodes:
            self._inodes[fd] = self.trace.inodes[path]
        return super()._opened(fd, path)

    def write(self, fd: int, data: bytes) -> None:
        super().write(fd, data)
        self.trace.note("write", inode=self._inodes[fd], data=data)

    def write_at(self, fd: int, data: bytes, offset: int) -> None:
        super().write_at(fd, data, offset)
        self.trace.note("write_at", inode=self._inodes[fd], data=data, offset=offset)

    # -- forcing: recorded, and not done, for the disk of the test need not survive anything --

    def fsync(self, fd: int) -> None:
        self._note_fd("fsync", fd)
        self.trace.note("fsync", inode=self._inodes[fd])

    def fdatasync(self, fd: int) -> None:
        self._note_fd("fdatasync", fd)
        self.trace.note("fdatasync", inode=self._inodes[fd])

    def fsync_folder(self, folder: str) -> None:
        self._note("fsync_folder", folder)
        self.trace.note("fsync_folder", folder)

    def syncfs(self, folder: str) -> bool:
        self._note("syncfs", folder)
        self.trace.note("syncfs", folder)
        return True
