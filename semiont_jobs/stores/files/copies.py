"""One copy of a job: reading it, holding it, and which of two copies is the true one.

It must not know queues, or what a caller wants to do with a job.

The rules (Cn) are those of the protocol page of the documentation.
"""

from __future__ import annotations

import errno
import os
import time
from typing import Any, Final, Literal, TypeAlias

from attrs import define, frozen

from semiont_jobs.codec import MAX_JOB_BYTES, Codec, Turn, read_outline, read_turn
from semiont_jobs.errors import JobDecodeError
from semiont_jobs.model import FINISHED, AnyJob, JobStatus
from semiont_jobs.outline import Outline
from semiont_jobs.stores.files.descriptors import CLOSED, HELD, Descriptor
from semiont_jobs.stores.files.door import Disk, is_regular, is_same
from semiont_jobs.stores.files.layout import Layout

GRACE: Final = 1.0
"""Seconds that an unreadable entry must stay unchanged before it counts as invalid. Other programs
truncate a file before they write it; this is twenty times the longest such gap measured with 2 MB
jobs."""

MOST_SUSPECTS: Final = 10_000
"""Invalid entries remembered. A process that only reads, beside programs that rewrite files in
place, meets half a file now and then, and must not remember each one for ever."""

Busy: TypeAlias = Literal["busy"]
BUSY: Final = "busy"


@frozen
class Copy:
    """One copy of a job as it was read, and the stat result of its file."""

    job: AnyJob
    found: os.stat_result


@frozen
class Glimpse:
    """What a pending job's file says of its turn. The rest is read when it is claimed."""

    turn: Turn
    found: os.stat_result


@frozen
class Bad:
    """An entry under a job's name that is not a valid job (or not yet: it may be being written)."""

    reason: str
    found: os.stat_result | None
    is_closed: bool = False
    """It is a regular file that this user may not open. It may well be a job that a worker is
    running: its lock cannot be tried, so this process must not move it."""


ODD_NAME: Final = Bad("its name is not that of a job, ID.json", None)


@define
class _Suspect:
    signature: tuple[int, int, int]
    since: float


class Copies:
    """Reads and holds the copies of jobs in one data directory."""

    grace = GRACE

    def __init__(self, disk: Disk, layout: Layout, codec: Codec) -> None:
        self.disk = disk
        self.layout = layout
        self.codec = codec
        self._suspects: dict[str, _Suspect] = {}

    # -- reading -------------------------------------------------------------------------

    def read(
        self, status: JobStatus, job_id: str, *, kept_open: list[int] | None = None
    ) -> Copy | Bad | None:
        """The copy of a job in one folder, read without a lock; None if there is none.

        :param kept_open: gets the descriptor, for the caller to close. While a file is open its
            inode number is not used again, so the number proves whether the file is still in place.
        """
        text = self._text(self.layout.path(status, job_id), kept_open)
        return self._decoded(*text, status, job_id) if isinstance(text, tuple) else text

    def glimpse(self, job_id: str) -> Glimpse | Bad | None:
        """The turn of a job in ``pending``, read without a lock; None if it is not there."""
        text = self._text(self.layout.path("pending", job_id), None)
        if not isinstance(text, tuple):
            return text
        data, found = text
        turn = None if len(data) > MAX_JOB_BYTES else read_turn(data, job_id=job_id)
        if turn is not None:
            return Glimpse(turn, found)
        copy = self._decoded(data, found, "pending", job_id)
        return Glimpse(Turn.of(copy.job.metadata), found) if isinstance(copy, Copy) else copy

    def outline(self, status: JobStatus, job_id: str) -> Outline | Bad | None:
        """What counting needs of the copy in one folder, without a lock; None: there is none."""
        text = self._text(self.layout.path(status, job_id), None)
        if not isinstance(text, tuple):
            return text
        data, found = text
        outline = read_outline(self.codec, data, job_id=job_id, status=status)
        return outline or Bad("it is no job", found)

    def _text(
        self, path: str, kept_open: list[int] | None
    ) -> tuple[bytes, os.stat_result] | Bad | None:
        """The content of a file and its stat result."""
        try:
            fd = self.disk.open_to_read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._unopenable(path, error)
        try:
            found = self.disk.stat_of(fd)
            if not is_regular(found):
                return Bad("it is not a regular file", found)
            data = self.disk.read(fd, found.st_size, MAX_JOB_BYTES)
        finally:
            if kept_open is None:
                self.disk.close(fd)
            else:
                kept_open.append(fd)
        return data, found

    def read_held(self, descriptor: Descriptor, status: JobStatus, job_id: str) -> Copy | Bad:
        """The copy in the file that `hold` has opened."""
        found = descriptor.found or self.disk.stat_of(descriptor.fd)
        data = self.disk.read(descriptor.fd, found.st_size, MAX_JOB_BYTES)
        return self._decoded(data, found, status, job_id)

    def _decoded(
        self, data: bytes, found: os.stat_result, status: JobStatus, job_id: str
    ) -> Copy | Bad:
        try:
            return Copy(self.codec.decode(data, job_id=job_id, status=status), found)
        except JobDecodeError as error:
            return Bad(str(error), found)

    def _unopenable(self, path: str, error: OSError) -> Bad | None:
        if error.errno not in OF_THE_FILE:
            raise error
        try:
            found = self.disk.stat(path)
        except FileNotFoundError:
            return None
        is_closed = error.errno in _FORBIDDEN and is_regular(found)
        return Bad(OF_THE_FILE[error.errno], found, is_closed=is_closed)

    def is_settled_bad(self, path: str, bad: Bad) -> bool:
        """Whether an invalid entry has stayed unchanged for the grace time.

        Then it stays invalid, and is not a file that another program is writing at this moment.
        """
        found = bad.found
        if found is None:
            return False
        signature = (found.st_ino, found.st_size, found.st_mtime_ns)
        seen = time.monotonic()  # a stepped wall clock must not age a file
        suspect = self._suspects.get(path)
        if suspect is None or suspect.signature != signature:
            if len(self._suspects) >= MOST_SUSPECTS:
                self._suspects.clear()
            self._suspects[path] = _Suspect(signature, seen)
            return False
        return seen - suspect.since >= self.grace

    def suspects(self) -> list[str]:
        """The paths at which an invalid entry was seen that was not set aside yet."""
        return list(self._suspects)

    def forget_suspect(self, path: str) -> None:
        """Forget an entry: it was set aside, or can be read now."""
        self._suspects.pop(path, None)

    # -- holding -------------------------------------------------------------------------

    def hold(self, path: str) -> Descriptor | Busy | None:
        """Hold a file: open it, lock it, and check that the path still names the locked file.

        None: nothing is there. Busy: another actor has the lock, or the file is a ghost. A ghost
        was replaced or removed between opening and locking, so its lock protects nothing (C9).

        :raises OSError: it cannot be opened.
        """
        try:
            descriptor = self._opened(path)
        except FileNotFoundError:
            return None
        kept = False
        try:
            if self.disk.lock(descriptor.fd):
                descriptor.found = self.disk.stat_of(descriptor.fd)
                if not is_regular(descriptor.found):
                    raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), path)
                kept = self._names(path, descriptor.found)
            return descriptor if kept else BUSY
        finally:
            if not kept:
                self.close(descriptor)

    def _opened(self, path: str) -> Descriptor:
        try:
            return HELD.open(self.disk.open, path)
        except PermissionError as error:
            if error.errno != errno.EACCES:
                raise
            # Another user's job, in a folder that this user may enter. No existing job file is ever
            # written to, and every user who may read a file can lock it.
            return HELD.open(self.disk.open_to_read, path)

    def hold_at(self, status: JobStatus, job_id: str) -> Descriptor | Busy | Bad | None:
        """Hold the copy under a job's name; `Bad` if its lock cannot be tried."""
        return self.hold_or_bad(self.layout.path(status, job_id))

    def hold_or_bad(self, path: str) -> Descriptor | Busy | Bad | None:
        """Hold the file at a path; `Bad` if its lock cannot be tried.

        It cannot if the file is of a kind that has none, or if this user may not open it.
        """
        try:
            return self.hold(path)
        except OSError as error:
            return self._unopenable(path, error)

    def _names(self, path: str, found: os.stat_result) -> bool:
        # Not the link count: publishing by link makes it two for a moment.
        try:
            return is_same(found, self.disk.stat(path))
        except FileNotFoundError:
            return False

    def stands(self, descriptor: Descriptor, path: str) -> bool:
        """Whether `path` still names the very file that is held."""
        fd = descriptor.fd
        if fd == CLOSED:
            return False
        try:
            found = self.disk.stat_of(fd)
        except OSError as error:
            if error.errno == errno.EBADF:  # closed by another thread at this moment
                return False
            raise
        return self._names(path, found)

    def close(self, descriptor: Descriptor) -> None:
        """Close a held descriptor, and so unlock its file."""
        HELD.close(descriptor, self.disk.close)


OF_THE_FILE: Final = {
    errno.ELOOP: "it is a symlink",
    errno.EMLINK: "it is a symlink",  # some BSDs return it for O_NOFOLLOW
    errno.ENXIO: "it is a socket, a FIFO or a device",
    errno.EISDIR: "it is a folder",
    errno.EACCES: "it cannot be opened: permission denied",
    errno.EPERM: "it cannot be opened: not permitted",
}
"""Errors of opening that are due to the entry, not to the disk."""
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)


def tie_loser(one: AnyJob, other: AnyJob) -> Literal["one", "other"]:
    """Which of two copies of equal revision goes. Only foreign programs make such a pair.

    A pending copy loses to any other, a running one to a finished one; of two finished ones the
    later stays.
    """
    first, second = _weight(one), _weight(other)
    return "one" if first < second else "other"


def _weight(job: AnyJob) -> tuple[int, Any, int]:
    if job.status == "pending":
        return (0, 0, 0)
    if job.status == "running":
        return (1, job.started_at.timestamp(), 0)
    return (2, job.completed_at.timestamp(), -FINISHED.index(job.status))
