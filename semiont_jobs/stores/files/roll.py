"""The roll of all jobs in a directory: a file is read once, when it is first seen.

It must not know who counts jobs, or what for.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from contextlib import suppress
from typing import Final, NamedTuple

from semiont_jobs.model import STATUSES, JobStatus
from semiont_jobs.outline import Outline
from semiont_jobs.store import RollChanges
from semiont_jobs.stores.files.copies import Bad, Copies
from semiont_jobs.stores.files.layout import id_of
from semiont_jobs.stores.files.reader import QUIET
from semiont_jobs.stores.files.told import told

SPARING: Final = 20
"""A folder that is looked at sparingly is listed again after so many times what the last listing
took: 5 % of the time, however many jobs stand in it."""

_STEADY: Final[frozenset[JobStatus]] = frozenset({"complete", "failed", "cancelled"})
"""Where a job that is there again after it was gone went through a retry by hand. There a file is
known by its inode, which a listing tells. Elsewhere jobs come and go, and an inode that was freed
is soon used again: its time of change is asked for too."""


class _Entry(NamedTuple):
    identity: Hashable
    outline: Outline | None
    """None: it is no job."""


class _Folder:
    """What was seen of one folder."""

    def __init__(self) -> None:
        self.entries: dict[str, _Entry] = {}
        self.mtime: int | None = None
        """Of the folder, if nothing has changed there since the entries were listed."""
        self.again_at = 0.0
        self.unreadable = 0


class FileRoll:
    """See `Roll`."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._folders = {status: _Folder() for status in STATUSES}
        self._standing: dict[str, Outline] = {}
        self._touched: dict[str, None] = {}
        """Ids at which something changed, kept where an error of the disk ended the look."""

    def changes(self, *, sparing: bool = False) -> RollChanges:
        """Look at the folders in lifecycle order. Of two copies of a job the higher revision
        counts; a job that moves backward meanwhile may be left out until the next look."""
        with told():
            for status, folder in self._folders.items():
                if not sparing or time.monotonic() >= folder.again_at:
                    self._touched.update(dict.fromkeys(self._list(status, folder)))
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
        return RollChanges(gone, come, sum(each.unreadable for each in self._folders.values()))

    def _highest(self, job_id: str) -> Outline | None:
        found = [folder.entries.get(job_id) for folder in self._folders.values()]
        copies = [each.outline for each in found if each is not None and each.outline is not None]
        return max(copies, key=lambda each: each.revision, default=None)

    def _list(self, status: JobStatus, folder: _Folder) -> list[str]:
        """Bring what is known of a folder up to date; the ids at which something changed."""
        disk, path = self._copies.disk, self._copies.layout.folders[status]
        began = time.monotonic()
        try:
            mtime = disk.stat(path).st_mtime_ns
        except FileNotFoundError:
            mtime = 0  # the TypeScript package makes a folder when it first needs it
        if mtime == folder.mtime:
            return []
        is_quiet = time.time_ns() - mtime > QUIET
        known, entries, touched = folder.entries, dict[str, _Entry](), list[str]()
        unreadable = 0
        for name, inode in disk.entries(path):
            job_id = id_of(name)
            if job_id is None:
                unreadable += 1
                continue
            identity: Hashable = inode
            if status not in _STEADY:
                with suppress(FileNotFoundError):
                    identity = (inode, disk.stat(f"{path}/{name}").st_ctime_ns)
            entry = known.get(job_id)
            if entry is None or entry.outline is None or entry.identity != identity:
                touched.append(job_id)
                outline = self._copies.outline(status, job_id)
                if outline is None:
                    continue  # gone meanwhile
                entry = _Entry(identity, None if isinstance(outline, Bad) else outline)
                unreadable += entry.outline is None
            entries[job_id] = entry
        touched += known.keys() - entries.keys()
        folder.entries, folder.unreadable = entries, unreadable
        # A change within the same tick of the clock would leave the same time; and what is no job
        # may be a file that another program is writing at this moment.
        folder.mtime = mtime if is_quiet and not unreadable else None
        folder.again_at = time.monotonic() + SPARING * (time.monotonic() - began)
        return touched
