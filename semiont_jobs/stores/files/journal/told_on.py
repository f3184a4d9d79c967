"""Removals that must be recorded again: other files may have older records of these jobs.

It must not know how a record is made durable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.journal.records import removals_of
from semiont_jobs.stores.files.journal.standing import Standing
from semiont_jobs.stores.files.layout import Layout


class ToldOn:
    """The removals that one process goes on recording. Its caller lets in one thread at a time."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self._disk = disk
        self._standing = Standing(disk, layout)
        self._moments: dict[str, int] = {}
        self._files: dict[str, frozenset[str]] = {}
        """For each job, the files that may have older records of it."""
        self._of_kept: dict[str, frozenset[str]] = {}
        """For each kept file, to which nothing is added any more, the jobs it has records of. It
        stays until the machine is restarted, and not every removal may be repeated so long."""

    def __bool__(self) -> bool:
        return bool(self._moments)

    def __iter__(self) -> Iterator[str]:
        return iter(self._moments)

    def names(self) -> set[str]:
        """The names of all files that exist."""
        return set(self._standing.names())

    def add(self, removed: Mapping[str, int], told_in: str) -> None:
        """Note removals recorded in a file, to be repeated if other files may contradict them."""
        names = self.names() - {told_in}
        self._look_for_kept(names)
        for job_id, at in removed.items():
            others = frozenset(name for name in names if self._may_tell(name, job_id))
            if others:
                self._moments[job_id] = max(at, self._moments.get(job_id, 0))
                self._files[job_id] = others

    def forget(self) -> None:
        """Forget those that no existing file may contradict."""
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
        """The records of all these removals."""
        return removals_of(self._moments)

    def _may_tell(self, name: str, job_id: str) -> bool:
        return name not in self._of_kept or job_id in self._of_kept[name]

    def _look_for_kept(self, names: set[str]) -> None:
        self._of_kept = {name: ids for name, ids in self._of_kept.items() if name in names}
        for name in names - self._of_kept.keys():
            ids = self._told_by(name)
            if ids is not None:
                self._of_kept[name] = ids

    def _told_by(self, name: str) -> frozenset[str] | None:
        """The jobs that a kept file has records of; None: it is not kept, or is gone."""
        try:
            fd = self._disk.open_to_read(self._standing.path(name))
        except FileNotFoundError:
            return None
        try:
            if not self._standing.header_of(fd).is_kept:
                return None
            return frozenset(each.job_id for each in self._standing.records_of(fd))
        finally:
            self._disk.close(fd)
