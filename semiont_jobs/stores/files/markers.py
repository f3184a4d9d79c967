"""Requests to cancel a running job: one empty file per job and life.

It must not know which process asks or which one obeys.

``.cancel/ID.LIFE`` is meant for one life of a job, from its creation or a retry by hand to its end.
One marker per id would cancel later lives (C11). One per attempt would be lost when the worker dies
(C12).
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from typing import Final

from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.layout import Layout

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Markers:
    """The requests in one data directory."""

    def __init__(self, disk: Disk, layout: Layout, *, fsync: bool, file_mode: int) -> None:
        self._disk = disk
        self._folder = layout.cancel
        self._fsync = fsync
        self._file_mode = file_mode

    def put(self, job_id: str, life: str) -> None:
        """Ask for that life of a job to be cancelled."""
        with suppress(FileExistsError):
            self._disk.close(self._disk.create(self._path(job_id, life), self._file_mode))
        if self._fsync:
            # Also for a request that existed: its process may not have come to this yet.
            self._disk.fsync_folder(self._folder)

    def stands_for(self, job: AnyJob) -> bool:
        """Whether this life of the job was asked to be cancelled."""
        return self._disk.exists(self._path(job.metadata.id, job.metadata.life))

    def remove(self, job_id: str, life: str) -> None:
        """Remove a request that was obeyed or is void."""
        with suppress(FileNotFoundError):
            self._disk.unlink(self._path(job_id, life))

    def _path(self, job_id: str, life: str) -> str:
        return f"{self._folder}/{job_id}.{name_of_life(life)}"


def name_of_life(life: str) -> str:
    """The life as a file name; one that a foreign program wrote may be anything."""
    if _PLAIN.fullmatch(life):
        return life
    return hashlib.sha256(life.encode("utf-8", "surrogatepass")).hexdigest()
