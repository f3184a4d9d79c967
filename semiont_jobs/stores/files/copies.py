"""One copy of a job: reading it, holding it, and which of two copies is the true one.

It must not know queues, or what anyone wants to do with a job.

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
"""Seconds that something unreadable must stay unchanged before it is called bad. Other
programs truncate a file before they write it; this is twenty times the longest such gap
measured with 2 MB jobs."""

MOST_SUSPECTS: Final = 10_000
"""Bad entries remembered. A process that only reads beside programs that rewrite files in place
meets half a file now and then, and must not remember each for ever."""

Busy: TypeAlias = Literal["busy"]
BUSY: Final = "busy"


@frozen
class Copy:
    """What stands under one name, as read without its lock."""

    job: AnyJob
    found: os.stat_result


@frozen
class Glimpse:
    """What a pending job's file says of its turn. The rest is looked at when it is claimed."""

    turn: Turn
    found: os.stat_result


@frozen
class Bad:
    """Something under a job's name that is no job (or not yet: it may be being written)."""

    reason: str
    found: os.stat_result | None
    is_closed: bool = False
    """A regular file that this user may not open. It may well be a job, and somebody may be
    running it: its lock cannot be tried, so it is not ours to move."""


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
        """The copy of a job in one folder, without a lock; None: there is none.

        :param kept_open: gets the descriptor, for the caller to close. While a file is open its
            inode number is not used again, so that it tells for sure whether it still stands.
        """
        text = self._text(self.layout.path(status, job_id), kept_open)
        return self._decoded(*text, status, job_id) if isinstance(text, tuple) else text

    def glimpse(self, job_id: str) -> Glimpse | Bad | None:
        """The turn of a job in ``pending``, without a lock; None: it does not stand there."""
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
        """What a file holds and what it is."""
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
        """The copy that a descriptor taken by `hold` is open on."""
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
        """Whether something bad has stood unchanged for the grace time: then it is bad for
        good, and not a file that another program is writing at this moment."""
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
        """The paths at which something bad was seen, and not set aside yet."""
        return list(self._suspects)

    def forget_suspect(self, path: str) -> None:
        """It was set aside, or it reads well now."""
        self._suspects.pop(path, None)

    # -- holding -------------------------------------------------------------------------

    def hold(self, path: str) -> Descriptor | Busy | None:
        """Rule 1: open, lock, and check that the path still names what is locked.

        None: nothing is there. Busy: locked by another, or a ghost: a file that was replaced
        or removed between opening and locking, whose lock guards nothing (C9).

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
            # Another user's job, in a folder that admits us: nothing is ever written to a file
            # that stands, and its lock can be had by whoever may read it.
            return HELD.open(self.disk.open_to_read, path)

    def hold_at(self, status: JobStatus, job_id: str) -> Descriptor | Busy | Bad | None:
        """`hold` what stands under a job's name; `Bad` if its lock cannot be tried."""
        return self.hold_or_bad(self.layout.path(status, job_id))

    def hold_or_bad(self, path: str) -> Descriptor | Busy | Bad | None:
        """`hold` what stands under a path; `Bad` if its lock cannot be tried: it is of a kind
        that has none, or this user may not open it."""
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
        """Whether `path` names, still, the very file that is held."""
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
        """Close a held descriptor, which lets go of its lock."""
        HELD.close(descriptor, self.disk.close)


OF_THE_FILE: Final = {
    errno.ELOOP: "it is a symlink",
    errno.EMLINK: "it is a symlink",  # what some BSDs answer to O_NOFOLLOW
    errno.ENXIO: "it is a socket, a FIFO or a device",
    errno.EISDIR: "it is a folder",
    errno.EACCES: "it cannot be opened: permission denied",
    errno.EPERM: "it cannot be opened: not permitted",
}
"""Errors of opening that are the entry's fault, not the disk's."""
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)


def tie_loser(one: AnyJob, other: AnyJob) -> Literal["one", "other"]:
    """Which of two copies of equal revision goes. Only foreign hands make such a pair.

    Pending loses to all, running to finished; of two finished ones the later stays.
    """
    first, second = _weight(one), _weight(other)
    return "one" if first < second else "other"


def _weight(job: AnyJob) -> tuple[int, Any, int]:
    if job.status == "pending":
        return (0, 0, 0)
    if job.status == "running":
        return (1, job.started_at.timestamp(), 0)
    return (2, job.completed_at.timestamp(), -FINISHED.index(job.status))
