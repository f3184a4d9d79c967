"""Removals that must be told of again: other files may say something older of these jobs.

It must not know how a record is made durable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.journal.records import records_in, removal_of
from semiont_jobs.stores.files.journal.segment import HEADER_BYTES, SUFFIX, Header
from semiont_jobs.stores.files.layout import Layout

MOST_READ: Final = 64 * 1024 * 1024
"""Bytes that are read of a file: four times what one of ours may have."""


class ToldOn:
    """The removals that one process tells on. Its caller sees to it that one thread is at it."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk = disk
        self._layout = layout
        self._moments: dict[str, int] = {}
        self._files: dict[str, frozenset[str]] = {}
        """Of each job, the files that may say something older of it."""
        self._of_kept: dict[str, frozenset[str]] = {}
        """Of each kept file, to which nothing is added any more, the jobs of which it tells: it
        stands until the machine is started again, and not every job may be told on so long."""

    def __bool__(self) -> bool:
        return bool(self._moments)

    def __iter__(self) -> Iterator[str]:
        return iter(self._moments)

    def names(self) -> set[str]:
        """All files that stand."""
        try:
            names = self._disk.names(self._layout.journal)
        except FileNotFoundError:
            return set()
        return {name for name in names if name.endswith(SUFFIX)}

    def add(self, removed: Mapping[str, int], told_in: str) -> None:
        """Removals were told of in a file: they are told on if others may contradict them."""
        names = self.names() - {told_in}
        self._look_for_kept(names)
        for job_id, at in removed.items():
            others = frozenset(name for name in names if self._may_tell(name, job_id))
            if others:
                self._moments[job_id] = max(at, self._moments.get(job_id, 0))
                self._files[job_id] = others

    def forget(self) -> None:
        """Those which no file that stands may contradict."""
        if not self._moments:
            return
        names = self.names()
        self._look_for_kept(names)
        for job_id, others in list(self._files.items()):
            left = frozenset(name for name in others & names if self._may_tell(name, job_id))
            if left:
                self._files[job_id] = left
            else:
                del self._files[job_id], self._moments[job_id]

    def text(self) -> bytes:
        """The records of all."""
        return b"".join(removal_of(job_id, at) for job_id, at in self._moments.items())

    def _may_tell(self, name: str, job_id: str) -> bool:
        return name not in self._of_kept or job_id in self._of_kept[name]

    def _look_for_kept(self, names: set[str]) -> None:
        self._of_kept = {name: ids for name, ids in self._of_kept.items() if name in names}
        for name in names - self._of_kept.keys():
            ids = self._told_by(name)
            if ids is not None:
                self._of_kept[name] = ids

    def _told_by(self, name: str) -> frozenset[str] | None:
        """The jobs of which a kept file tells; None: it is none, or gone."""
        try:
            fd = self._disk.open_to_read(f"{self._layout.journal}/{name}")
        except FileNotFoundError:
            return None
        try:
            head = self._disk.read(fd, HEADER_BYTES - 1, HEADER_BYTES - 1)
            if not Header.read(head).is_kept:
                return None
            data = self._disk.read(fd, self._disk.stat_of(fd).st_size, MOST_READ)
        finally:
            self._disk.close(fd)
        return frozenset(each.job_id for each in records_in(data[HEADER_BYTES:]))
