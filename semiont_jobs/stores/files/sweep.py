"""Left-overs of dead processes: temporary files, and requests to cancel that are void.

It must not touch a job: a file in ``.tmp`` may be a second link to one, so it is only ever
unlinked, never written or truncated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from stat import S_ISDIR
from typing import Final

from semiont_jobs.errors import InvalidJobId, JobDecodeError
from semiont_jobs.ids import job_id
from semiont_jobs.model import FINISHED, UNFINISHED, AnyJob
from semiont_jobs.stores.files.descriptors import HELD
from semiont_jobs.stores.files.door import Disk, is_regular
from semiont_jobs.stores.files.layout import Layout, check_folder
from semiont_jobs.stores.files.markers import name_of_life

SWEEP_INTERVAL: Final = 60.0
"""Seconds between two sweeps of one process."""
TMP_GRACE: Final = 900.0
"""Seconds before an unlocked temporary file counts as left over. Those of a batch are unlocked
until they are published: a quarter of an hour is long enough for any."""
MARKER_GRACE: Final = 5.0
"""Seconds before a request to cancel is examined: its canceller may still be at work."""


class Sweeper:
    """Sweeps one data directory, now and then."""

    def __init__(self, disk: Disk, layout: Layout, get: Callable[[str], AnyJob | None]) -> None:
        self._disk = disk
        self._layout = layout
        self._get = get
        self._swept_at = float("-inf")

    def is_due(self) -> bool:
        """Whether it was not done lately."""
        return time.monotonic() - self._swept_at >= SWEEP_INTERVAL

    def sweep(self) -> None:
        """Remove what is left over."""
        self._swept_at = time.monotonic()
        self._sweep_temporary()
        self._sweep_markers()

    def _names(self, folder: str) -> list[str]:
        check_folder(self._layout, self._disk, folder)
        return self._disk.names(folder)

    def _sweep_temporary(self) -> None:
        for name in self._names(self._layout.tmp):
            path = os.path.join(self._layout.tmp, name)
            with suppress(FileNotFoundError):
                found = self._disk.stat(path)
                if is_regular(found) and time.time() - found.st_mtime >= TMP_GRACE:
                    self._remove_unlocked(path)

    def _remove_unlocked(self, path: str) -> None:
        try:
            descriptor = HELD.open(self._disk.open, path)
        except OSError:
            return  # not ours to remove
        try:
            if self._disk.lock(descriptor.fd):
                self._disk.unlink(path)
        finally:
            HELD.close(descriptor, self._disk.close)

    def _sweep_markers(self) -> None:
        for name in self._names(self._layout.cancel):
            path = os.path.join(self._layout.cancel, name)
            with suppress(FileNotFoundError):
                found = self._disk.stat(path)
                age = time.time() - found.st_mtime
                # A folder is not a request, and cannot be unlinked.
                if age >= MARKER_GRACE and not S_ISDIR(found.st_mode) and self._is_void(name):
                    self._disk.unlink(path)

    def _is_void(self, name: str) -> bool:
        """Whether the life that a marker is meant for is over."""
        id_, _dot, life = name.partition(".")
        try:
            job = self._get(job_id(id_))
        except InvalidJobId:
            return True
        except JobDecodeError:
            return False
        if job is None or job.status in FINISHED:
            # As long as an older copy is beside an outcome, a power cut may undo it.
            return not any(
                self._disk.exists(self._layout.path(status, id_)) for status in UNFINISHED
            )
        return name_of_life(job.metadata.life) != life
