"""Setting aside what is no job: moved out of the way, reported, never deleted.

It must not know how it was found.
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
"""Characters kept of a bad entry's name: with what is added, any file system takes it."""
_MOST_TOLD: Final = 1000
"""Entries remembered that stay where they are, so that each is logged once."""
_UNPLAIN: Final = re.compile(r"[^A-Za-z0-9._-]")


class Quarantine:
    """The ``.quarantine`` folder of one data directory."""

    def __init__(self, copies: Copies, notify: Hook, *, file_mode: int) -> None:
        self._copies = copies
        self._disk = copies.disk
        self._layout = copies.layout
        self._notify = notify
        self._file_mode = file_mode
        self._told: set[tuple[JobStatus, str]] = set()

    def put(self, path: str, reason: str) -> None:
        """Move what stands under `path`, whatever it is, beside a ``.why`` file that tells
        where it stood and the reason. The caller holds its lock if it can be locked.

        A rename to a name that nothing has: neither followed, if it is a symlink, nor opened.
        """
        folder, name = os.path.split(path)
        for each in (folder, self._layout.quarantine):
            check_folder(self._layout, self._disk, each)
        plain = _UNPLAIN.sub("_", name)[:_LONGEST_NAME]
        target = os.path.join(self._layout.quarantine, f"{os.urandom(6).hex()}-{plain}")
        try:
            self._disk.rename(path, target)
        except FileNotFoundError:
            return  # somebody else was first
        at = fields.now()
        why = f"{at.isoformat()}\n{os.path.basename(folder)}/{abridged(name)}\n{reason}\n"
        # The entry is out of the way; a full disk may cost the note, not the queue.
        with suppress(OSError):
            fd = self._disk.create(f"{target}.why", self._file_mode)
            try:
                self._disk.write(fd, why.encode("utf-8", "backslashreplace"))
            finally:
                self._disk.close(fd)
        self._notify(Event(name="quarantined", at=at, job_id=name, job=None, reason=reason))

    def put_if_bad(self, status: JobStatus, name: str, bad: Bad) -> bool:
        """Put an entry that is no job into quarantine, once it has stood unchanged for the
        grace time; whether there is nothing more to do about it.

        What this user may not open is told of and left: to rename it would take a job from
        whoever may.
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
                    return True  # written whole meanwhile
                if self._is_debris(status, job_id):
                    self._disk.unlink(path)
                    self._copies.forget_suspect(path)
                    return True
            self.put(path, bad.reason)
            self._copies.forget_suspect(path)
        except OSError as error:
            # As of a folder that is another user's. It stays: one entry must not keep whoever
            # comes upon it from the jobs beside it.
            self._tell(status, name, bad, f"it cannot be set aside: {error.strerror}")
        finally:
            if isinstance(held, Descriptor):
                self._copies.close(held)
        return True

    def _is_debris(self, status: JobStatus, job_id: str) -> bool:
        """Whether a whole copy of the job stands elsewhere: then this one is what a power cut
        left of a move that nobody acknowledged, and nothing to report."""
        return any(
            isinstance(self._copies.read(other, job_id), Copy)
            for other in STATUSES
            if other != status
        )

    def _tell(self, status: JobStatus, name: str, bad: Bad, outcome: str) -> None:
        """Log, once, that something stays which nobody here can use."""
        entry = (status, name)
        if entry in self._told:
            return
        if len(self._told) < _MOST_TOLD:
            self._told.add(entry)
        logger.error(
            "%s/%s is no job for us (%s); %s", status, abridged(name), abridged(bad.reason), outcome
        )
