"""What becomes of the journals of dead processes: replayed after a power cut, else emptied.

It must not know how a journal is written.

A journal whose lock can be had belongs to a dead process. If the machine was started again since,
what its files tell may be all that is left of some jobs: they are replayed before anything else is
done in the directory. If not, the kernel still has everything that was written, and will
write it to the disk: the files may go once it has.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from attrs import frozen

from semiont_jobs.errors import JobDecodeError
from semiont_jobs.events import logger
from semiont_jobs.model import STATUSES
from semiont_jobs.stores.files.copies import Copy
from semiont_jobs.stores.files.descriptors import HELD, Descriptor
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.journal import boot
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.stores.files.journal.records import Record, records_in
from semiont_jobs.stores.files.journal.segment import HEADER_BYTES, SUFFIX, Header
from semiont_jobs.stores.files.moves import Moves

MOST_READ: Final = 64 * 1024 * 1024
"""Bytes that are read of a file: four times what one of ours may have."""
PAUSE: Final = 0.02
"""Seconds between two looks whether another process has replayed what there is."""


@frozen
class Dead:
    """A journal file whose lock we have."""

    path: str
    descriptor: Descriptor
    header: Header

    @property
    def is_of_this_boot(self) -> bool:
        """Whether the kernel has all that its process wrote."""
        return self.header.boot == boot.current()


class Replay:
    """Looks after the journals that dead processes left in one data directory."""

    def __init__(self, moves: Moves) -> None:
        self._moves = moves
        self._copies = moves.copies
        self._disk: Disk = moves.disk
        self._layout = moves.layout

    # -- after a power cut ---------------------------------------------------------------

    def replay(self) -> int:
        """Publish what is known of jobs from journals alone; how many that were.

        Until it returns, nobody may look at a job: what its file says may be older than what was
        acknowledged. While another process is at it, it is waited for.

        :raises OSError: the disk refuses; the journals stay.
        """
        pause = threading.Event()
        while names := self._of_earlier_boots():
            dead: list[Dead] = []
            try:
                for name in names:
                    one = self._taken(name)
                    if one is None:
                        break  # another process is at it: it has the first of them
                    dead.append(one)
                else:
                    return self._replayed(dead)
            finally:
                for one in dead:
                    HELD.close(one.descriptor, self._disk.close)
            pause.wait(PAUSE)
        return 0

    def is_due(self) -> bool:
        """Whether there is something to be replayed."""
        return bool(self._of_earlier_boots())

    def _of_earlier_boots(self) -> list[str]:
        found = []
        for name in self._names():
            with suppress(FileNotFoundError):
                if self._header(name).boot != boot.current():
                    found.append(name)
        return found

    def _replayed(self, dead: list[Dead]) -> int:
        latest = _latest(record for one in dead for record in self._records(one))
        paths = [path for record in latest if (path := self._publish_if_newer(record))]
        self._force(paths)
        self._remove(dead)
        logger.info("%d jobs were replayed from %d journals", len(paths), len(dead))
        return len(paths)

    def _publish_if_newer(self, record: Record) -> str | None:
        """Where a job was published, of which no file stands that is as new; None: one does."""
        assert record.text is not None
        try:
            job = self._copies.codec.decode(record.text, job_id=record.job_id)
        except JobDecodeError as error:
            logger.error("a journal's record of %s is no job: %s", record.job_id, error)
            return None
        for status in STATUSES:
            copy = self._copies.read(status, record.job_id)
            if isinstance(copy, Copy):
                found = copy.job.metadata
                # One of another creation was put there by a hand that knew no journal.
                if found.revision >= record.revision or found.created != job.metadata.created:
                    return None
        path = self._layout.path(job.status, record.job_id)
        temporary, descriptor = self._moves.write_temporary(record.text)
        try:
            try:
                self._disk.rename(temporary, path)
            except IsADirectoryError:
                self._moves.set_aside(path, "a folder stood where a job is to be replayed")
                self._disk.rename(temporary, path)
        except BaseException:
            self._moves.discard(temporary)
            raise
        finally:
            self._copies.close(descriptor)
        for status in STATUSES:
            other = self._layout.path(status, record.job_id)
            if status != job.status and self._disk.exists(other):
                self._moves.discard(other)  # older, or torn
        return path

    def _force(self, paths: Iterable[str]) -> None:
        if self._disk.syncfs(self._layout.root):
            return
        for path in paths:
            fd = self._disk.open_to_read(path)
            try:
                self._disk.fsync(fd)
            finally:
                self._disk.close(fd)
        for folder in self._layout.folders.values():
            self._disk.fsync_folder(folder)

    # -- after the death of a process ----------------------------------------------------

    def retire(self, journal: Journal | None) -> None:
        """Empty what dead processes of this start of the machine have left.

        :param journal: this process's own, in which removals go on to be told of that others'
            files may contradict. Without one, files that tell of removals are left to others.
        """
        dead: list[Dead] = []
        try:
            for name in self._names():
                one = self._taken(name)
                if one is not None:
                    dead.append(one)
            able = [one for one in dead if self._may_go(one, journal)]
            if able and self._disk.syncfs(self._layout.journal):
                self._remove(able)
        finally:
            for one in dead:
                HELD.close(one.descriptor, self._disk.close)

    def _may_go(self, one: Dead, journal: Journal | None) -> bool:
        if not one.is_of_this_boot or one.header.is_kept:
            return False
        removed = [record.job_id for record in self._records(one) if record.text is None]
        if removed and journal is not None:
            journal.remove(removed)
        return not removed or journal is not None

    # -- files ---------------------------------------------------------------------------

    def _names(self) -> list[str]:
        try:
            names = self._disk.names(self._layout.journal)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name.endswith(SUFFIX))

    def _path(self, name: str) -> str:
        return f"{self._layout.journal}/{name}"

    def _header(self, name: str) -> Header:
        fd = self._disk.open_to_read(self._path(name))
        try:
            return Header.read(self._disk.read(fd, HEADER_BYTES - 1, HEADER_BYTES - 1))
        finally:
            self._disk.close(fd)

    def _taken(self, name: str) -> Dead | None:
        """A dead process's file, locked by us; None: its process lives, or it is gone."""
        held = self._copies.hold(self._path(name))
        if not isinstance(held, Descriptor):
            return None
        try:
            return Dead(self._path(name), held, self._header(name))
        except BaseException:
            HELD.close(held, self._disk.close)
            raise

    def _records(self, one: Dead) -> list[Record]:
        found = self._disk.stat_of(one.descriptor.fd)
        data = self._disk.read(one.descriptor.fd, found.st_size, MOST_READ)
        return list(records_in(data[HEADER_BYTES:]))

    def _remove(self, dead: Iterable[Dead]) -> None:
        for one in dead:
            self._disk.unlink(one.path)
        self._disk.fsync_folder(self._layout.journal)


def _latest(records: Iterable[Record]) -> list[Record]:
    """Of each job the highest revision, of two such the later; those that were removed after
    they were told of are gone."""
    removed: dict[str, int] = {}
    told: list[Record] = []
    for record in records:
        if record.text is None:
            removed[record.job_id] = max(record.at, removed.get(record.job_id, 0))
        else:
            told.append(record)
    latest: dict[str, Record] = {}
    for record in told:
        if record.at <= removed.get(record.job_id, -1):
            continue
        other = latest.get(record.job_id)
        if other is None or (other.revision, other.at) < (record.revision, record.at):
            latest[record.job_id] = record
    return list(latest.values())
