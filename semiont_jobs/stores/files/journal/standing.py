"""The files in a folder of journals, and what is in them.

It must not know which process they are of, or what becomes of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from semiont_jobs.stores.files.door import Disk, is_regular
from semiont_jobs.stores.files.journal.records import Record, records_in
from semiont_jobs.stores.files.journal.segment import HEADER_BYTES, SUFFIX, Header
from semiont_jobs.stores.files.layout import Layout

NO_FILE: Final = "it is not a regular file"
MTIME_GRAIN: Final = 20_000_000
"""Nanoseconds. A folder's mtime moves in clock ticks of 1 to 10 ms."""
MOST_READ: Final = 64 * 1024 * 1024
"""Bytes that are read of a file: four times what one of ours may have."""


class Standing:
    """Reads the journals of one data directory."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk = disk
        self._folder = layout.journal

    def names(self) -> list[str]:
        """All of them, in order; none if there is no folder for them."""
        return self._named(are_files=True)

    def odd(self) -> list[str]:
        """What has a journal's name and is not a file, such as a folder, a symlink or a FIFO.

        No process reads it, and none is stopped by it.
        """
        return self._named(are_files=False)

    def _named(self, *, are_files: bool) -> list[str]:
        try:
            names = self._disk.names(self._folder)
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            if name.endswith(SUFFIX):
                with suppress(FileNotFoundError):  # emptied meanwhile
                    if is_regular(self._disk.stat(self.path(name))) == are_files:
                        found.append(name)
        return sorted(found)

    def path(self, name: str) -> str:
        """The path of the file of that name."""
        return f"{self._folder}/{name}"

    def header(self, name: str) -> Header:
        """The first line of a file.

        :raises FileNotFoundError: it is gone.
        """
        fd = self._disk.open_to_read(self.path(name))
        try:
            return self.header_of(fd)
        finally:
            self._disk.close(fd)

    def header_of(self, fd: int) -> Header:
        """The first line of an open file."""
        return Header.read(self._disk.read(fd, HEADER_BYTES - 1, HEADER_BYTES - 1))

    def records_of(self, fd: int) -> list[Record]:
        """The records in an open file, up to its end or the first thing that is not one."""
        data = self._disk.read(fd, self._disk.stat_of(fd).st_size, MOST_READ)
        return list(records_in(data[HEADER_BYTES:]))


class Company:
    """Whether there are journals of other processes, at the price of one look at the folder."""

    def __init__(self, disk: Disk, layout: Layout, is_own: Callable[[str], bool]) -> None:
        self._disk = disk
        self._folder = layout.journal
        self._standing = Standing(disk, layout)
        self._is_own = is_own
        self._seen: tuple[int, bool] | None = None
        """The folder's mtime when its names were read, and what they showed; None: they may have
        changed since. One value: several threads look."""

    def is_there(self) -> bool:
        """Whether any exists. One that has recorded a removal exists for as long as a journal
        does that it may contradict: see `ToldOn`."""
        mtime, seen = self._disk.stat(self._folder).st_mtime_ns, self._seen
        if seen is not None and seen[0] == mtime:
            return seen[1]
        # A change in the clock tick of this look would leave the same mtime.
        is_settled = time.time_ns() - mtime > MTIME_GRAIN
        is_there = not all(map(self._is_own, self._standing.names()))
        self._seen = (mtime, is_there) if is_settled else None
        return is_there
