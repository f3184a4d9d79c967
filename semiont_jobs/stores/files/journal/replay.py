"""What becomes of the journals of dead processes: replayed after a power cut, else emptied.

It must not know how a journal is written.

A journal that can be locked belongs to a dead process. If the machine was restarted since, its
records may be all that is left of some jobs: they are replayed before anything else is done in the
directory. If not, the kernel still has everything that was written, and will write it to the disk:
the journal may go once it has.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from attrs import frozen

from semiont_jobs.errors import JobDecodeError, StoreError, UnsafeStore
from semiont_jobs.events import logger
from semiont_jobs.model import STATUSES, AnyJob
from semiont_jobs.stores.files.copies import Copy
from semiont_jobs.stores.files.descriptors import HELD, Descriptor
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.forcing import force_each
from semiont_jobs.stores.files.journal import boot
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.stores.files.journal.records import Record, removals_of
from semiont_jobs.stores.files.journal.segment import SUFFIX, Header
from semiont_jobs.stores.files.journal.standing import NO_FILE, Standing
from semiont_jobs.stores.files.layout import SUFFIX as JOB_SUFFIX
from semiont_jobs.stores.files.moves import Moves

MOST_WAIT: Final = 300.0
"""Seconds to wait for another process that replays the same files: what they hold is written in a
few. A process that lives but seems to be of another start of the machine, because the name of this
start cannot be read here, would be waited for until it ends."""
PAUSE: Final = 0.02
"""Seconds between two looks whether another process has replayed what there is."""


@frozen
class Dead:
    """A journal file that this process has locked."""

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
        self._standing = Standing(moves.disk, moves.layout)
        self._odd: set[str] = set()

    # -- after a power cut ---------------------------------------------------------------

    def replay(self) -> None:
        """Publish what is known of jobs from journals alone.

        Until it returns, no caller may look at a job: its file may be older than what was
        acknowledged. If another process is replaying, this waits for it.

        :raises UnsafeStore: it cannot be known whether they belong to living processes.
        :raises OSError: the disk refuses, or a process lives that cannot be alive; the journals
            stay.
        """
        pause = threading.Event()
        waits_for: list[str] = []
        since = 0.0
        while names := self._of_earlier_boots():
            if boot.is_hidden():
                reason = (
                    "this container has a name of its own for the start of the machine, so that it "
                    "cannot know whether the journals here are of a power cut"
                )
                raise UnsafeStore(errno.ENOTSUP, reason, self._standing.path(names[0]))
            if names != waits_for:
                waits_for, since = names, time.monotonic()
            elif time.monotonic() - since > MOST_WAIT:
                reason = "its process lives, though by its first line the machine was started again"
                raise StoreError(errno.EBUSY, reason, self._standing.path(names[0]))
            dead: list[Dead] = []
            try:
                for name in names:
                    one = self._taken(name)
                    if one is None:
                        break  # another process is replaying: it has the first of them
                    dead.append(one)
                else:
                    self._replay(dead)
                    return
            finally:
                for one in dead:
                    HELD.close(one.descriptor, self._disk.close)
            pause.wait(PAUSE)

    def is_due(self) -> bool:
        """Whether there is something to replay."""
        return bool(self._of_earlier_boots())

    def _of_earlier_boots(self) -> list[str]:
        found = []
        for name in self._standing.names():
            with suppress(FileNotFoundError):
                if self._standing.header(name).boot != boot.current():
                    found.append(name)
        return found

    def _replay(self, dead: list[Dead]) -> None:
        records = [record for one in dead for record in self._records(one)]
        removed = _removed(records)
        latest = _latest(records)
        published = [
            self._publish_if_newer(record, was_removed=record.job_id in removed)
            for record in latest
        ]
        # All of them: a replay that was killed may have published some.
        self._force(record.job_id for record in records)
        self._remove_replayed(dead, removed)
        logger.info("%d jobs were replayed from %d journals", sum(published), len(dead))

    def _publish_if_newer(self, record: Record, *, was_removed: bool) -> bool:
        """Publish a job if no file of it is as new; whether it was published.

        :param was_removed: another job had this id before, and was removed.
        """
        assert record.text is not None
        try:
            job = self._copies.codec.decode(record.text, job_id=record.job_id)
        except JobDecodeError as error:
            self._set_aside(record, f"a journal's record of it is no job: {error}")
            return False
        for status in STATUSES:
            copy = self._copies.read(status, record.job_id)
            if isinstance(copy, Copy):
                found = copy.job.metadata
                if was_removed and found.created < job.metadata.created:
                    continue  # the one that was removed: its removal was not durable
                # A job of another creation was put there by a program that knows no journal.
                if found.revision >= record.revision or found.created != job.metadata.created:
                    return False
        self._publish(job, record.text)
        return True

    def _set_aside(self, record: Record, reason: str) -> None:
        """Put what cannot be read into quarantine: a later version may have written it."""
        assert record.text is not None
        path = f"{self._layout.tmp}/{record.job_id}{JOB_SUFFIX}"
        with self._written(record.text) as (temporary, fd):
            self._disk.fsync(fd)
            self._disk.rename(temporary, path)
            self._moves.set_aside(path, reason)

    @contextmanager
    def _written(self, text: bytes) -> Iterator[tuple[str, int]]:
        """A new file in ``.tmp``, held, to be given a name."""
        temporary, descriptor = self._moves.write_temporary(text)
        try:
            yield temporary, descriptor.fd
        except BaseException:
            self._moves.discard(temporary)
            raise
        finally:
            self._copies.close(descriptor)

    def _publish(self, job: AnyJob, text: bytes) -> None:
        path = self._layout.path(job.status, job.metadata.id)
        with self._written(text) as (temporary, _fd):
            try:
                self._disk.rename(temporary, path)
            except IsADirectoryError:
                self._moves.set_aside(path, "a folder stood where a job is to be replayed")
                self._disk.rename(temporary, path)
        for status in STATUSES:
            other = self._layout.path(status, job.metadata.id)
            if status != job.status and self._disk.exists(other):
                self._moves.discard(other)  # older, or torn

    def _force(self, job_ids: Iterable[str]) -> None:
        if not self._disk.syncfs(self._layout.root):
            force_each(self._disk, self._layout, set(job_ids))

    # -- after the death of a process ----------------------------------------------------

    def retire(self, journal: Journal) -> None:
        """Empty what dead processes of this start of the machine have left.

        :param journal: this process's own, which goes on recording removals that other files may
            contradict.
        """
        self._tell_of_odd()
        dead: list[Dead] = []
        try:
            for name in self._standing.names():
                one = self._taken(name)
                if one is not None:
                    dead.append(one)
            able = [one for one in dead if self._may_go(one, journal)]
            if able:
                journal.force_files(lambda: self._jobs_in(able))
                self._remove(able)
        finally:
            for one in dead:
                HELD.close(one.descriptor, self._disk.close)

    def _tell_of_odd(self) -> None:
        odd = set(self._standing.odd())
        for name in sorted(odd - self._odd):
            logger.warning("%s is no journal: %s", self._standing.path(name), NO_FILE)
        self._odd = odd

    def _may_go(self, one: Dead, journal: Journal) -> bool:
        if not one.is_of_this_boot or one.header.is_kept:
            return False
        # Each at its own moment: a job that was created since is not affected.
        journal.remove(_removed(self._records(one)))
        return True

    # -- files ---------------------------------------------------------------------------

    def _taken(self, name: str) -> Dead | None:
        """A dead process's file, locked by us; None: its process lives, or the file is gone."""
        held = self._copies.hold(self._standing.path(name))
        if not isinstance(held, Descriptor):
            return None
        try:
            return Dead(self._standing.path(name), held, self._standing.header(name))
        except BaseException:
            HELD.close(held, self._disk.close)
            raise

    def _jobs_in(self, dead: Iterable[Dead]) -> set[str]:
        return {record.job_id for one in dead for record in self._records(one)}

    def _records(self, one: Dead) -> list[Record]:
        return self._standing.records_of(one.descriptor.fd)

    def _remove_replayed(self, dead: list[Dead], removed: Mapping[str, int]) -> None:
        """Remove all files, so that a death in between brings nothing back.

        What one of them records may be void by what another records.
        """
        if len(dead) > 1 and removed:
            last = self._told_again(dead[0].header, removed)
            try:
                self._remove(dead)
                self._remove([last])
            finally:
                HELD.close(last.descriptor, self._disk.close)
        else:
            self._remove(dead)

    def _told_again(self, header: Header, removed: Mapping[str, int]) -> Dead:
        """A file that records only these removals, to go when the others are gone."""
        data = header.line() + removals_of(removed)
        temporary, descriptor = self._moves.write_temporary(data)
        path = self._standing.path(f"{os.path.basename(temporary)}{SUFFIX}")
        try:
            self._disk.fsync(descriptor.fd)
            self._disk.rename(temporary, path)
            self._disk.fsync_folder(self._layout.journal)
        except BaseException:
            self._moves.discard(temporary)
            HELD.close(descriptor, self._disk.close)
            raise
        return Dead(path, descriptor, header)

    def _remove(self, dead: Iterable[Dead]) -> None:
        for one in dead:
            self._disk.unlink(one.path)
        self._disk.fsync_folder(self._layout.journal)


def _removed(records: Iterable[Record]) -> dict[str, int]:
    """The jobs that were removed, and when each was last."""
    removed: dict[str, int] = {}
    for record in records:
        if record.text is None:
            removed[record.job_id] = max(record.at, removed.get(record.job_id, 0))
    return removed


def _latest(records: Sequence[Record]) -> list[Record]:
    """Of each job the highest revision, of two such the later.

    Records from before a job's removal do not count.
    """
    removed = _removed(records)
    latest: dict[str, Record] = {}
    for record in records:
        if record.text is None or record.at <= removed.get(record.job_id, -1):
            continue
        other = latest.get(record.job_id)
        if other is None or (other.revision, other.at) < (record.revision, record.at):
            latest[record.job_id] = record
    return list(latest.values())
