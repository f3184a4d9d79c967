"""The roll of all jobs in a directory: a file is read once, when it is first seen.

It must not know which caller counts jobs, or what for.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import suppress
from typing import Final

from semiont_jobs.model import FINISHED, STATUSES, JobStatus
from semiont_jobs.outline import Outline
from semiont_jobs.store import RollChanges
from semiont_jobs.stores.files.copies import ODD_NAME, Bad, Copies
from semiont_jobs.stores.files.layout import id_of
from semiont_jobs.stores.files.reader import QUIET
from semiont_jobs.stores.files.told import told

SPARING: Final = 20
"""A folder that is looked at sparingly is listed again after so many times the processor time of
its last listing: 5 % of the processor's time, however many jobs are in it."""

LONGEST_SPARING: Final = 5.0
"""Seconds: after a look that read a hundred thousand files, the next must not wait for a minute."""


class _Folder:
    """What was seen of one folder."""

    def __init__(self) -> None:
        self.files: dict[str, Hashable] = {}
        """Which file was under each name."""
        self.outlines: dict[str, Outline] = {}
        """By the job's id."""
        self.unreadable: set[str] = set()
        """Names of invalid files."""
        self.mtime: int | None = None
        """The folder's mtime when it was listed; None if the next look must list it again."""
        self.again_at = 0.0


class FileRoll:
    """See `Roll`."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._folders: dict[JobStatus, _Folder] = {status: _Folder() for status in STATUSES}
        self._standing: dict[str, Outline] = {}
        self._touched: dict[str, None] = {}
        """Ids at which something changed, kept if an error of the disk ended the look."""

    def changes(self, *, sparing: bool = False) -> RollChanges:
        """Look at the folders in lifecycle order.

        Of two copies of a job the higher revision counts. A job that moves backward meanwhile may
        be left out until the next look.
        """
        with told(self._copies.layout):
            for status, folder in self._folders.items():
                if not sparing or time.monotonic() >= folder.again_at:
                    for job_id in self._list(status, folder):
                        self._touched[job_id] = None
        touched, self._touched = self._touched, {}
        gone: list[Outline] = []
        come: list[Outline] = []
        for job_id in touched:
            before = self._standing.pop(job_id, None)
            after = self._highest(job_id)
            if after is not None:
                self._standing[job_id] = after
            if before != after:
                gone += [] if before is None else [before]
                come += [] if after is None else [after]
        return RollChanges(gone, come, sum(len(each.unreadable) for each in self._folders.values()))

    def _highest(self, job_id: str) -> Outline | None:
        found = [folder.outlines.get(job_id) for folder in self._folders.values()]
        copies = [each for each in found if each is not None]
        return max(copies, key=lambda each: each.revision, default=None)

    def _list(self, status: JobStatus, folder: _Folder) -> Iterator[str]:
        """Bring what is known of a folder up to date; yield the ids at which something changed."""
        path = self._copies.layout.folders[status]
        began = time.thread_time()
        try:
            mtime = self._copies.disk.stat(path).st_mtime_ns
        except FileNotFoundError:
            mtime = 0  # the TypeScript package makes a folder when it first needs it
        if mtime == folder.mtime:
            return
        is_quiet = time.time_ns() - mtime > QUIET
        known, files = folder.files, self._files(status, path)
        changed = [name for name, file in files.items() if known.get(name) != file]
        gone = known.keys() - files.keys()
        for name in dict.fromkeys((*changed, *gone, *folder.unreadable)):
            # Not known until it is read: after an error of the disk the next look must read it.
            known.pop(name, None)
            folder.unreadable.discard(name)
            job_id = id_of(name)
            outline: Outline | Bad | None
            if job_id is None:
                outline = None if name in gone else ODD_NAME
            else:
                outline = self._copies.outline(status, job_id)
            if isinstance(outline, Bad):
                folder.unreadable.add(name)
            if job_id is not None:
                folder.outlines.pop(job_id, None)
                if isinstance(outline, Outline):
                    folder.outlines[job_id] = outline
                yield job_id
            if name in files:
                known[name] = files[name]
        # A change within the same tick of the clock would leave the same time, and an invalid file
        # may be one that another program is writing at this moment.
        folder.mtime = mtime if is_quiet and not folder.unreadable else None
        spent = time.thread_time() - began
        folder.again_at = time.monotonic() + min(SPARING * spent, LONGEST_SPARING)

    def _files(self, status: JobStatus, path: str) -> dict[str, Hashable]:
        disk = self._copies.disk
        # If a finished job is back after it was gone, it went through a retry by hand: its file is
        # known by its inode number, which a listing returns. Elsewhere jobs come and go, and a
        # freed inode number is soon used again: the time of the last change is read too.
        if status in FINISHED:
            return dict(disk.entries(path))
        files: dict[str, Hashable] = {}
        for name, inode in disk.entries(path):
            with suppress(FileNotFoundError):  # gone meanwhile
                files[name] = (inode, disk.stat(f"{path}/{name}").st_ctime_ns)
        return files
