"""One file of a journal: appended to by one process, made durable for all its threads at once.

It must not know what its records say, or when it may go.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from attrs import frozen

from semiont_jobs import fields
from semiont_jobs.errors import StoreError
from semiont_jobs.events import logger
from semiont_jobs.stores.files.descriptors import HELD, Descriptor
from semiont_jobs.stores.files.door import Disk, is_same
from semiont_jobs.stores.files.journal import boot
from semiont_jobs.stores.files.layout import Layout
from semiont_jobs.threads import LOOK_EVERY, lock_and_condition

SUFFIX: Final = ".journal"
VERSION: Final = 1
HEADER_BYTES: Final = 512
"""The first line, padded. A disk writes no smaller block, so no record ever shares one with it."""
MOST_BYTES: Final = 16 * 1024 * 1024
"""Some twenty thousand records; as much again exists while an older file is being emptied."""
FIRST_STEP: Final = 128 * 1024
LARGEST_STEP: Final = 4 * 1024 * 1024
"""Zeros are written ahead of the records. To sync an append that makes a file longer costs a commit
of the file system's own journal, five times what it costs to sync bytes that have their place. A
file begins small, because many processes create one job and end; each step doubles."""


@frozen
class Header:
    """What the first line of a file says."""

    boot: str
    """The start of the machine in which it was written; empty if the line cannot be read."""
    pid: int
    began: str
    """When it was made, as ISO 8601."""
    is_kept: bool
    """What it records could not be made durable otherwise: it must be replayed one day."""

    def line(self) -> bytes:
        """The line as it is written."""
        facts = {
            "journal": VERSION,
            "boot": self.boot,
            "pid": self.pid,
            "began": self.began,
            "kept": self.is_kept,
        }
        return (json.dumps(facts) + "\n").encode().ljust(HEADER_BYTES, b" ")

    @classmethod
    def read(cls, data: bytes) -> Header:
        """The header at the start of a file.

        A torn one is of no known start of the machine, so that its records, if there are any, are
        replayed.
        """
        try:
            facts: Any = json.loads(data[:HEADER_BYTES])
            return cls(
                str(facts["boot"]), int(facts["pid"]), str(facts["began"]), bool(facts["kept"])
            )
        except (ValueError, KeyError, TypeError):
            return cls("", 0, "", is_kept=False)


class SegmentRemoved(OSError):
    """The file that was appended to has lost its name: no replay would find its records."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOENT, "the journal was removed, or moved away", path)


class Segment:
    """A file that this process appends to, under its own lock.

    `append` is called by one thread at a time; `force` by any number.
    """

    def __init__(self, disk: Disk, path: str, descriptor: Descriptor, header: Header) -> None:
        self._disk = disk
        self._descriptor = descriptor
        self._header = header
        self._allocated = HEADER_BYTES
        self._step = FIRST_STEP
        self._lock, self._changed = lock_and_condition()
        self._forcing: int | None = None
        """The thread that syncs it. Only that thread resets this, and does so before anything else
        when it is done: an interrupt may strike at every call."""
        self._safe = HEADER_BYTES
        self.path = path
        self.name: str = os.path.basename(path)
        self.end: int = HEADER_BYTES
        self.began: float = time.monotonic()
        self.is_faulty: bool = False
        """A sync of it failed: nothing may be written here any more, because the kernel reports a
        lost write only once."""
        self.is_doubtful = False
        """The disk has lost a write while it existed: it may be all that records it."""
        self.is_superfluous: bool = False
        """All that it records is durable otherwise: it may go."""
        self.is_removed: bool = False
        """Another program has removed its name: nothing may be written here any more."""
        self.told: set[str] = set()
        """What was logged about it."""
        self.revisions: dict[str, tuple[datetime, int] | None] = {}
        """For each job that it has records of, its creation and the latest revision; None: it was
        removed, and what is recorded of it may not count."""

    @classmethod
    def begin(cls, disk: Disk, layout: Layout, name: str, file_mode: int) -> Segment:
        """Make a new one, whole and locked before another process sees it, and durable.

        :raises StoreError: in a container with its own name for the start of the machine. Other
            processes would take the file for one of another start.
        """
        if boot.is_hidden():
            reason = "in a container with a name of its own for the start of the machine no journal"
            raise StoreError(errno.ENOTSUP, f"{reason} may be written", layout.journal)
        temporary = f"{layout.tmp}/{name}"
        path = f"{layout.journal}/{name}"
        header = Header(boot.current(), os.getpid(), fields.now().isoformat(), is_kept=False)
        descriptor = HELD.open(disk.create, temporary, file_mode)
        standing = temporary
        try:
            if not disk.lock(descriptor.fd):
                raise StoreError(errno.ENOLCK, "the lock of a new file is taken", temporary)
            disk.write(descriptor.fd, header.line())
            disk.fsync(descriptor.fd)
            descriptor.found = disk.stat_of(descriptor.fd)
            disk.rename(temporary, path)
            standing = path
            disk.fsync_folder(layout.journal)
        except BaseException:
            with suppress(OSError):  # unlocked and empty, it goes when what is left is retired
                disk.unlink(standing)
            HELD.close(descriptor, disk.close)
            raise
        return cls(disk, path, descriptor, header)

    def fits(self, size: int) -> bool:
        """Whether so many bytes more may be appended."""
        return not self.is_faulty and self.end + size <= MOST_BYTES

    def stands(self) -> bool:
        """Whether a replay would find it.

        It is removed with a folder that a user tidies up, and moved with a data directory, and the
        descriptor shows neither.

        :raises OSError: that cannot be seen.
        """
        assert self._descriptor.found is not None
        try:
            stands = is_same(self._descriptor.found, self._disk.stat(self.path))
        except (FileNotFoundError, NotADirectoryError):
            stands = False
        if not stands:
            self.is_faulty = self.is_removed = True
        return stands

    def tell_once(self, what: str, *details: object) -> None:
        """Log, only once, what became of it."""
        if what not in self.told:
            self.told.add(what)
            logger.error(what, self.name, *details)

    def append(self, data: bytes) -> int:
        """Write records after the last, not durably yet; return where they end."""
        end = self.end + len(data)
        while end > self._allocated:
            zeros = bytes(self._step)
            self._disk.write_at(self._descriptor.fd, zeros, self._allocated)
            self._allocated += len(zeros)
            self._step = min(2 * self._step, LARGEST_STEP)
        self._disk.write_at(self._descriptor.fd, data, self.end)
        self.end = end
        return end

    def force(self, end: int) -> None:
        """Return when everything up to `end` is durable.

        One thread syncs what all have written, and the others wait for it.

        :raises SegmentRemoved: it is no longer where a replay would look for it.
        :raises OSError: it may not be durable, and must not be acknowledged to any caller.
        """
        thread, reach = threading.get_ident(), end
        try:
            with self._lock:
                while self._safe < end and self._forcing is not None:
                    self._changed.wait(LOOK_EVERY)
                if self._safe >= end:
                    return
                if self.is_faulty:
                    raise self._refusal()
                self._forcing = thread
                reach = self.end
            self._disk.fdatasync(self._descriptor.fd)
            if not self._counts():
                raise self._refusal()
            self._safe = reach
        finally:
            if self._forcing == thread:
                if self._safe < reach:
                    self.is_faulty = True
                self._forcing = None
                with self._lock:
                    self._changed.notify_all()

    def _counts(self) -> bool:
        """Whether what was synced lasts: a replay would find it, or need not."""
        # This process may remove it at any moment, but says so before.
        return self.is_superfluous or self.stands() or self.is_superfluous

    def _refusal(self) -> OSError:
        if self.is_removed:
            return SegmentRemoved(self.path)
        return OSError(errno.EIO, "the journal could not be forced to the disk", self.path)

    def forced_otherwise(self) -> None:
        """Note that all of it is durable, or no longer needed: no thread need wait to sync it."""
        with self._lock:
            while self._forcing is not None:
                self._changed.wait(LOOK_EVERY)
            self._safe = self.end

    def keep(self) -> None:
        """Note in the file that it must be replayed before it may go."""
        header = Header(self._header.boot, self._header.pid, self._header.began, is_kept=True)
        self._disk.write_at(self._descriptor.fd, header.line(), 0)
        self._disk.fsync(self._descriptor.fd)

    def close(self) -> None:
        """Unlock it. Nothing can be synced any more."""
        with self._lock:
            # Not while a thread syncs it: the number may be another file's at once.
            while self._forcing is not None:
                self._changed.wait(LOOK_EVERY)
            self.is_faulty = True
            HELD.close(self._descriptor, self._disk.close)
