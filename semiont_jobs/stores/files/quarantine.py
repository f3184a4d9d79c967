"""Moving invalid files to quarantine: out of the way, reported, never deleted.

It must not know how they were found.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Final

from semiont_jobs import fields
from semiont_jobs.errors import abridged
from semiont_jobs.events import Event, Hook, logger
from semiont_jobs.model import STATUSES, JobStatus
from semiont_jobs.stores.files.copies import BUSY, Bad, Copies, Copy
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.door import is_regular
from semiont_jobs.stores.files.layout import check_folder, id_of

_LONGEST_NAME: Final = 150
"""Characters kept of an invalid file's name: with what is added, any file system takes it."""
_MOST_TOLD: Final = 1000
"""Entries remembered that stay where they are, so that each is logged once."""
_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9._-]")


class Quarantine:
    """The ``.quarantine`` folder of one data directory."""

    def __init__(self, copies: Copies, notify: Hook, *, fsync: bool, file_mode: int) -> None:
        self._copies = copies
        self._disk = copies.disk
        self._layout = copies.layout
        self._notify = notify
        self._fsync = fsync
        self._file_mode = file_mode
        self._told: set[tuple[JobStatus, str]] = set()

    def put(self, path: str, reason: str) -> None:
        """Move what is at `path`, whatever it is, to quarantine, beside a ``.why`` file.

        That file has the old place and the reason. The caller holds the lock, if it can be locked.
        It is a rename to a name that nothing has: a symlink is neither followed nor opened.
        """
        folder, name = os.path.split(path)
        for each in (folder, self._layout.quarantine):
            check_folder(self._layout, self._disk, each)
        plain = _UNPLAIN.sub("_", name)[:_LONGEST_NAME]
        target = os.path.join(self._layout.quarantine, f"{os.urandom(6).hex()}-{plain}")
        try:
            self._disk.rename(path, target)
        except FileNotFoundError:
            return  # another process was first
        at = fields.now()
        why = f"{at.isoformat()}\n{os.path.basename(folder)}/{abridged(name)}\n{reason}\n"
        # The entry is out of the way; a full disk may cost the note, not the queue.
        with suppress(OSError):
            fd = self._disk.create(f"{target}.why", self._file_mode)
            try:
                self._disk.write(fd, why.encode("utf-8", "backslashreplace"))
                if self._fsync:
                    self._disk.fsync(fd)
            finally:
                self._disk.close(fd)
        self._secure(self._layout.quarantine, folder)
        self._notify(Event(name="quarantined", at=at, job_id=name, job=None, reason=reason))

    def _secure(self, *folders: str) -> None:
        """Make the move survive a power cut, the new name first."""
        if self._fsync:
            with suppress(OSError):  # if undone, it is found and set aside again
                for folder in folders:
                    self._disk.fsync_folder(folder)

    def put_if_bad(self, status: JobStatus, name: str, bad: Bad) -> bool:
        """Move an invalid file to quarantine once it has stayed unchanged for the grace time.

        Returns whether there is nothing more to do about it. A file that this user may not open is
        logged and left: to rename it would take a job from users who may.
        """
        path = os.path.join(self._layout.folders[status], name)
        try:
            found = bad.found or self._disk.stat(path)
        except FileNotFoundError:
            return True
        if not self._copies.is_settled_bad(path, Bad(bad.reason, found)):
            return False
        held = self._copies.hold_or_bad(path) if is_regular(found) else bad
        if held is None or held == BUSY:
            return held is None
        if isinstance(held, Bad) and held.is_closed:
            self._tell(status, name, held, "it is left alone: it may be somebody's job")
            return True
        try:
            job_id = id_of(name)
            if isinstance(held, Descriptor) and job_id is not None:
                again = self._copies.read_held(held, status, job_id)
                if isinstance(again, Copy):
                    return True  # it is whole by now
                if self._is_debris(status, job_id):
                    self._disk.unlink(path)
                    self._copies.forget_suspect(path)
                    return True
            self.put(path, bad.reason)
            self._copies.forget_suspect(path)
        except OSError as error:
            # For example, of a folder that is another user's. It stays: one entry must not keep a
            # process that meets it from the jobs beside it.
            self._tell(status, name, bad, f"it cannot be set aside: {error.strerror}")
        finally:
            if isinstance(held, Descriptor):
                self._copies.close(held)
        return True

    def _is_debris(self, status: JobStatus, job_id: str) -> bool:
        """Whether a whole copy of the job is in another folder.

        Then this one is what a power cut left of a move that was never acknowledged, and there is
        nothing to report.
        """
        return any(
            isinstance(self._copies.read(other, job_id), Copy)
            for other in STATUSES
            if other != status
        )

    def _tell(self, status: JobStatus, name: str, bad: Bad, outcome: str) -> None:
        """Log, once, that an entry stays which this process cannot use."""
        entry = (status, name)
        if entry in self._told:
            return
        if len(self._told) < _MOST_TOLD:
            self._told.add(entry)
        logger.error(
            "%s/%s is no job for us (%s); %s", status, abridged(name), abridged(bad.reason), outcome
        )
