"""How an acknowledged change is made durable: not at all, or by ``fsync``.

It must not know which change it is, or what a job becomes. The journal is a third way.

Every change is published first and acknowledged last, and the older copy goes in between: each
method here is one of the moments at which something may have to be made durable.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from semiont_jobs.errors import InvalidValue
from semiont_jobs.model import STATUSES, AnyJob, JobStatus
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.layout import Layout
from semiont_jobs.threads import has_gil

Durability: TypeAlias = Literal["journal", "fsync", "process"]
"""What survives, and how: see `FileStore`."""

Texts: TypeAlias = Mapping[str, tuple[AnyJob, bytes]]
"""New jobs by id, each with the content of its file."""


NOTHING_LOST: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Errors for lack of descriptors or memory, before the kernel was asked to write anything."""


class Copied(NamedTuple):
    """A copy of a job that has its name and is held."""

    job: AnyJob
    text: bytes
    fd: int


DURABILITIES: Final[tuple[Durability, ...]] = get_args(Durability)


def durability_of(fsync: bool, durability: Durability | None) -> Durability:
    """What two options mean together.

    :raises InvalidValue: there is no such durability, the two contradict each other, or `fsync` is
        not a bool: a string from an environment variable, for example.
    """
    if not isinstance(fsync, bool):
        raise InvalidValue("True or False is needed", field="fsync", value=fsync)
    if durability is None:
        return "fsync" if fsync else "process"
    if durability not in DURABILITIES:
        rule = f"one of {', '.join(DURABILITIES)} is needed"
        raise InvalidValue(rule, field="durability", value=durability)
    if not fsync and durability != "process":
        rule = "fsync=False is the durability 'process'; give one of the two"
        raise InvalidValue(rule, field="durability", value=durability)
    return durability


def force_each(disk: Disk, layout: Layout, job_ids: Iterable[str]) -> None:
    """Make the files of these jobs durable, in any folder: for systems without ``syncfs``."""
    for job_id in job_ids:
        for status in STATUSES:
            with suppress(FileNotFoundError):
                fd = disk.open_to_read(layout.path(status, job_id))
                try:
                    disk.fsync(fd)
                finally:
                    disk.close(fd)
    for folder in layout.folders.values():
        disk.fsync_folder(folder)


class Forcing:
    """Makes nothing durable: what is acknowledged survives the death of processes."""

    is_durable = False
    """Whether what is acknowledged survives a power cut."""

    def __init__(self, disk: Disk, layout: Layout) -> None:
        self.disk = disk
        self.layout = layout
        self._has_gil = has_gil()

    def published(self, job: AnyJob, text: bytes, fd: int) -> None:
        """A copy has its name, and the older one still has its own."""

    def is_wanted(self, job: AnyJob) -> bool:
        """Whether `published` would have to wait for the disk."""
        return False

    def make_ready(self) -> None:
        """Open now what making durable needs: it must not fail for want of a descriptor."""

    def all_published(self, copies: Sequence[Copied]) -> None:
        """Several copies have their names, and the older ones, if any, still have theirs."""

    def forces_together(self, job: AnyJob, text: bytes) -> bool:
        """Whether this is made durable with others at the price of one.

        If not, every thread should wait for its own, at the same time as the others.
        """
        return self._has_gil  # nothing to wait for: if threads run one at a time, one is quicker

    def written(self, job: AnyJob, text: bytes, fd: int) -> None:
        """A copy is whole, and is about to replace the older one under its name."""

    def replaced(self, job: AnyJob, text: bytes) -> None:
        """The copy has replaced the older one."""

    def batch_written(self, paths: Sequence[str]) -> None:
        """New jobs are whole, and none has its name yet."""

    def batch_published(self, texts: Texts, moments: Mapping[str, int]) -> None:
        """All have their names; each was held, under its name, at its moment (`moment`)."""


class ByFsync(Forcing):
    """Fsyncs files and the names in their folders, each by itself."""

    is_durable = True

    def forces_together(self, job: AnyJob, text: bytes) -> bool:
        return False

    def published(self, job: AnyJob, text: bytes, fd: int) -> None:
        self.disk.fsync(fd)
        self.disk.fsync_folder(self.layout.folders[job.status])

    def is_wanted(self, job: AnyJob) -> bool:
        return True

    def make_ready(self) -> None:
        for status in ("running", "complete"):
            self.disk.keep_folder(self.layout.folders[status])

    def all_published(self, copies: Sequence[Copied]) -> None:
        # The first commit of the file system's own journal includes all that was published before
        # it, but it does not wait for data whose writing has not begun.
        for copied in copies[1:]:
            self.disk.start_writing(copied.fd)
        for copied in copies:
            self.disk.fsync(copied.fd)
        statuses: list[JobStatus] = [copied.job.status for copied in copies]
        for status in dict.fromkeys(statuses):
            self.disk.fsync_folder(self.layout.folders[status])

    def written(self, job: AnyJob, text: bytes, fd: int) -> None:
        self.disk.fsync(fd)

    def replaced(self, job: AnyJob, text: bytes) -> None:
        self.disk.fsync_folder(self.layout.folders[job.status])

    def batch_written(self, paths: Sequence[str]) -> None:
        if self.disk.syncfs(self.layout.tmp):
            return
        for path in paths:
            fd = self.disk.open(path)
            try:
                self.disk.fsync(fd)
            finally:
                self.disk.close(fd)

    def batch_published(self, texts: Texts, moments: Mapping[str, int]) -> None:
        self.disk.fsync_folder(self.layout.folders["pending"])
