"""FileStore: a `JobStore` that is a directory.

It must not know system calls (`door`) or the steps of a move (`moves`): it finds jobs, takes
hold of them and lets the parts do their work.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from semiont_jobs import lifecycle
from semiont_jobs.codec import Codec
from semiont_jobs.errors import (
    JobDecodeError,
    JobExists,
    JobHeld,
    JobNotFound,
)
from semiont_jobs.events import Event, Hook
from semiont_jobs.model import (
    FINISHED,
    STATUSES,
    AnyJob,
    ClaimStamp,
    JobStatus,
    PendingJob,
    RunningJob,
)
from semiont_jobs.store import Hold, Wanted
from semiont_jobs.stores.files.batch import create_batch
from semiont_jobs.stores.files.copies import BUSY, OF_THE_FILE, Bad, Busy, Copies, Copy
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.door import Disk, is_regular
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.index import Entry
from semiont_jobs.stores.files.layout import (
    SUFFIX,
    Layout,
    check_file_system,
    check_locks,
    id_of,
    prepare,
)
from semiont_jobs.stores.files.markers import Markers
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.pending import Pending
from semiont_jobs.stores.files.quarantine import Quarantine
from semiont_jobs.stores.files.reader import Reader
from semiont_jobs.stores.files.sweep import Sweeper
from semiont_jobs.stores.files.told import told

REMOVED_AT_ONCE: Final = 256
"""Jobs whose files are held together while finished ones are removed: far below the usual
limit of 1024 open files."""


class FileStore:
    """Jobs in ``DATA_DIR/jobs``.

    :param fsync: acknowledged changes survive a power cut, not only the death of processes.
    :param dir_mode: permission bits of folders made here.
    :param file_mode: permission bits of files made here.
    :param allow_network_fs: accept a network file system. Only where one host alone uses the
        directory are its locks as good as a local one's.
    :param disk: the door to the disk; tests give another.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        *,
        fsync: bool = True,
        dir_mode: int = 0o700,
        file_mode: int = 0o600,
        allow_network_fs: bool = False,
        disk: Disk | None = None,
    ) -> None:
        self.layout = Layout(os.fspath(data_dir))
        self._disk = disk or Disk()
        self._fsync = fsync
        self._dir_mode = dir_mode
        self._file_mode = file_mode
        self._allow_network_fs = allow_network_fs
        self._holds: dict[str, FileHold] = {}

    # -- life ----------------------------------------------------------------------------

    def open(self, codec: Codec, notify: Hook) -> None:
        """Make the folders, refuse what is unsafe, and begin with nothing held.

        :raises UnsafeStore: jobs would not be safe there.
        :raises StoreError: the directory cannot be made or written.
        """
        with told():
            prepare(self.layout, self._disk, dir_mode=self._dir_mode, file_mode=self._file_mode)
            if not self._allow_network_fs:
                check_file_system(self.layout)
                check_locks(self.layout, self._disk, self._file_mode)
        disk, layout, mode = self._disk, self.layout, self._file_mode
        self._notify = notify
        self._holds = {}
        self._copies = Copies(disk, layout, codec)
        self._quarantine = Quarantine(disk, layout, notify, file_mode=mode)
        self._moves = Moves(self._copies, self._quarantine.put, fsync=self._fsync, file_mode=mode)
        self._markers = Markers(disk, layout, fsync=self._fsync, file_mode=mode)
        self._pending = Pending(self._copies, self._set_aside_bad)
        self._reader = Reader(self._copies)
        self._sweeper = Sweeper(disk, layout, self.get)
        self._sweeper.sweep()

    def close(self) -> None:
        """Let go of everything held, and wake whoever waits."""
        for hold in list(self._holds.values()):
            hold.let_go()
        self.wake()

    def kill_holder(self, job_id: str) -> None:
        """Close the file of a held job as the death of its process would: for tests."""
        hold = self._holds.pop(job_id)
        self._copies.close(hold.descriptor)

    # -- creating and reading ------------------------------------------------------------

    def create(self, job: PendingJob[Any]) -> None:
        """See `JobStore.create`."""
        data = self._copies.codec.encode(job, strict=True)
        with told(job.metadata.id):
            self._moves.create(job.metadata.id, data)
        self._pending.put(job)

    def create_many(self, jobs: Iterable[PendingJob[Any]]) -> None:
        """See `JobStore.create_many`."""
        batch = {}
        texts: dict[str, bytes] = {}
        for job in jobs:
            job_id = job.metadata.id
            if job_id in batch:
                raise JobExists(job_id, "the batch has this id twice")
            batch[job_id] = job
            texts[job_id] = self._copies.codec.encode(job, strict=True)
        with told():
            create_batch(self._moves, texts)
        for job in batch.values():
            self._pending.put(job)

    def get(self, job_id: str) -> AnyJob | None:
        """See `JobStore.get`."""
        with told(job_id):
            return self._reader.get(job_id)

    def jobs(self, statuses: Iterable[JobStatus]) -> Iterator[AnyJob]:
        """See `JobStore.jobs`."""
        with told():
            yield from self._reader.jobs(statuses)

    def counts(self) -> Mapping[JobStatus, int]:
        """See `JobStore.counts`."""
        with told():
            return self._reader.counts()

    # -- claiming ------------------------------------------------------------------------

    def claim(self, wanted: Wanted, stamp: Callable[[], ClaimStamp], now: datetime) -> Hold | None:
        """See `JobStore.claim`."""
        at = now.timestamp()
        with told():
            while (entry := self._pending.take(wanted, at)) is not None:
                hold = None
                try:
                    hold = self._claim(entry, wanted, stamp, now)
                finally:
                    # Whatever went wrong, the job must not be forgotten in our hand.
                    self._pending.index.give_back(entry, wanted)
                if hold is not None:
                    return hold
        return None

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        """See `JobStore.peek`."""
        at = now.timestamp()
        with told():
            while (entry := self._pending.take(wanted, at)) is not None:
                try:
                    copy = self._copies.read("pending", entry.id)
                    job = self._checked(entry, copy, wanted, now)
                finally:
                    self._pending.index.give_back(entry, wanted)
                if job is not None:
                    return job
        return None

    def _claim(
        self, entry: Entry, wanted: Wanted, stamp: Callable[[], ClaimStamp], now: datetime
    ) -> FileHold | None:
        """Take the job in hand, or tell the index why not. Everything is decided anew from
        the locked file."""
        index = self._pending.index
        held = self._hold_at("pending", entry.id)
        if held is None or isinstance(held, Bad):
            index.forget(entry.id)
            return None
        if held == BUSY:
            self._pending.postpone(entry, now.timestamp())
            return None
        hold = None
        try:
            copy = self._copies.read_held(held, "pending", entry.id)
            job = self._checked(entry, copy, wanted, now)
            if job is None:
                return None
            settled = self._moves.settle(entry.id, "pending", held, copy)
            if settled == "busy":
                self._pending.postpone(entry, now.timestamp())
            elif settled == "gone":
                index.forget(entry.id)
            else:
                hold = self._held(held, job)
        finally:
            if hold is None:
                self._copies.close(held)
        return None if hold is None else self._begin(hold, job, stamp, now)

    def _begin(
        self,
        hold: FileHold,
        job: PendingJob[Any],
        stamp: Callable[[], ClaimStamp],
        now: datetime,
    ) -> FileHold | None:
        job_id = job.metadata.id
        try:
            if not hold.cancel_requested():
                hold.move(lifecycle.claim(job, stamp(), now))
                self._pending.index.forget(job_id)
                return hold
            # Asked of a worker that died before it could obey (C12).
            cancelled = lifecycle.cancel(job, now)
            hold.move(cancelled)
        except BaseException:
            hold.let_go()
            raise
        self._pending.index.forget(job_id)
        self._notify(Event(name="cancelled", at=now, job_id=job_id, job=cancelled))
        return None

    def _checked(
        self, entry: Entry, copy: Copy | Bad | None, wanted: Wanted, now: datetime
    ) -> PendingJob[Any] | None:
        """The job, if it is what the index thought and the claimer wants it; else None, and
        the index knows better."""
        index = self._pending.index
        if not isinstance(copy, Copy) or not isinstance(copy.job, PendingJob):
            index.forget(entry.id)
            return None
        job = copy.job
        metadata = job.metadata
        if metadata.run_after is not None and not metadata.is_due(now):
            index.put(job, not_before=metadata.run_after.timestamp())
        elif not wanted.covers(metadata.type, metadata.queue):
            index.put(job)
        elif wanted.accept is not None and not wanted.accept(job):
            index.refused(entry)
        else:
            return job
        return None

    # -- holding -------------------------------------------------------------------------

    def hold(self, job_id: str) -> FileHold:
        """See `JobStore.hold`."""
        with told(job_id):
            while True:
                for status in STATUSES:
                    hold = self._hold_settled(status, job_id)
                    if hold is not None:
                        return hold
                # Nothing that can be held: it is not there, or on its way somewhere.
                if self._reader.get(job_id) is None:
                    raise JobNotFound(job_id)

    def _hold_settled(self, status: JobStatus, job_id: str) -> FileHold | None:
        held = self._hold_at(status, job_id)
        if held is None:
            return None
        if held == BUSY:
            raise JobHeld(job_id)
        if isinstance(held, Bad):
            raise JobDecodeError(held.reason, job_id=job_id)
        hold = None
        try:
            copy = self._copies.read_held(held, status, job_id)
            settled = self._moves.settle(job_id, status, held, copy)
            if settled == "busy":
                raise JobHeld(job_id)
            if settled == "stays":
                if isinstance(copy, Bad):
                    if not self._copies.is_settled_bad(self.layout.path(status, job_id), copy):
                        raise JobHeld(job_id, "its file is being written by another program")
                    raise JobDecodeError(copy.reason, job_id=job_id)
                hold = self._held(held, copy.job)
        finally:
            if hold is None:
                self._copies.close(held)
        return hold

    def _hold_at(self, status: JobStatus, job_id: str) -> Descriptor | Busy | Bad | None:
        path = self.layout.path(status, job_id)
        try:
            return self._copies.hold(path)
        except OSError as error:
            if error.errno not in OF_THE_FILE:
                raise
            return Bad(OF_THE_FILE[error.errno], None)

    def _held(self, descriptor: Descriptor, job: AnyJob) -> FileHold:
        return FileHold(self._moves, self._markers, descriptor, job, self)

    def holding(self, hold: FileHold) -> None:
        """A hold began (called by it)."""
        self._holds[hold.job.metadata.id] = hold

    def stored(self, job: AnyJob) -> None:
        """A hold stored a job (called by it)."""
        if isinstance(job, PendingJob):
            self._pending.put(job)

    def ended(self, hold: FileHold) -> None:
        """A hold is over (called by it)."""
        if self._holds.get(hold.job.metadata.id) is hold:
            del self._holds[hold.job.metadata.id]

    def request_cancel(self, job_id: str, life: str) -> bool:
        """See `JobStore.request_cancel`."""
        with told(job_id):
            self._markers.put(job_id, life)
            job = self._reader.get(job_id)
            if job is not None and job.status not in FINISHED and job.metadata.life == life:
                return True
            # Finished meanwhile: the request must not hit a later life (C13).
            self._markers.remove(job_id, life)
            return False

    # -- upkeep --------------------------------------------------------------------------

    def orphans(self, now: datetime, foreign_stale_after: timedelta) -> Iterator[Hold]:
        """See `JobStore.orphans`. A lock that can be taken on a running file is the proof."""
        with told():
            self._sweeper.sweep_if_due()
            for name in self._disk.names(self.layout.folders["running"]):
                job_id = id_of(name)
                if job_id is None:
                    self._set_aside_bad("running", name, Bad("its name is no job's", None))
                elif job_id not in self._holds:
                    hold = self._orphan(job_id, now, foreign_stale_after)
                    if hold is not None:
                        yield hold

    def _orphan(
        self, job_id: str, now: datetime, foreign_stale_after: timedelta
    ) -> FileHold | None:
        held = self._hold_at("running", job_id)
        if held is None or held == BUSY:
            return None
        if isinstance(held, Bad):
            self._set_aside_bad("running", f"{job_id}{SUFFIX}", held)
            return None
        hold = None
        try:
            copy = self._copies.read_held(held, "running", job_id)
            if self._moves.settle(job_id, "running", held, copy) != "stays":
                return None
            if isinstance(copy, Copy) and not _is_foreign(copy, now, foreign_stale_after):
                hold = self._held(held, copy.job)
        finally:
            if hold is None:
                self._copies.close(held)
        if isinstance(copy, Bad):
            self._set_aside_bad("running", f"{job_id}{SUFFIX}", copy)
        return hold

    def remove(self, statuses: Iterable[JobStatus], before: datetime) -> list[AnyJob]:
        """See `JobStore.remove`."""
        removed: list[AnyJob] = []
        with told():
            for status in statuses:
                names = iter(self._disk.names(self.layout.folders[status]))
                while some := list(islice(names, REMOVED_AT_ONCE)):
                    removed += self._remove_some(status, some, before)
        return removed

    def _remove_some(self, status: JobStatus, names: list[str], before: datetime) -> list[AnyJob]:
        holds: list[FileHold] = []
        try:
            for name in names:
                hold = self._hold_ended(status, name, before)
                if hold is not None:
                    holds.append(hold)
            if holds and self._fsync:
                # A worker's unlink of the running copy must be durable before this one, or a
                # power cut could bring a finished job back to run again (C18).
                for folder in self.layout.folders.values():
                    self._disk.fsync_folder(folder)
            for hold in holds:
                hold.remove()
        finally:
            for hold in holds:
                hold.let_go()
        return [hold.job for hold in holds]

    def _hold_ended(self, status: JobStatus, name: str, before: datetime) -> FileHold | None:
        """Hold a finished job if it ended before that instant; look before locking it."""
        job_id = id_of(name)
        if job_id is None:
            self._set_aside_bad(status, name, Bad("its name is no job's", None))
            return None
        copy = self._copies.read(status, job_id)
        if isinstance(copy, Bad):
            self._set_aside_bad(status, name, copy)
            return None
        if copy is None or not _ended_before(copy.job, before):
            return None
        try:
            hold = self._hold_settled(status, job_id)
        except (JobHeld, JobDecodeError):
            return None
        if hold is None or _ended_before(hold.job, before):
            return hold
        hold.let_go()
        return None

    def _set_aside_bad(self, status: JobStatus, name: str, bad: Bad) -> bool:
        """Put an entry that is no job into quarantine, once it has stood unchanged for the
        grace time; whether there is nothing more to do about it."""
        path = os.path.join(self.layout.folders[status], name)
        try:
            found = bad.found or self._disk.stat(path)
        except FileNotFoundError:
            return True
        if not self._copies.is_settled_bad(path, Bad(bad.reason, found)):
            return False
        held: Descriptor | Busy | Bad | None = None
        if is_regular(found):
            held = self._hold_at(status, name.removesuffix(SUFFIX))
            if held is None or held == BUSY:
                return held is None
        descriptor = held if isinstance(held, Descriptor) else None
        try:
            self._quarantine.put(path, bad.reason)
            self._copies.forget_suspect(path)
        finally:
            if descriptor is not None:
                self._copies.close(descriptor)
        return True

    # -- waiting -------------------------------------------------------------------------

    def wait(self, stop: threading.Event, timeout: float, now: datetime) -> None:
        """See `JobStore.wait`."""
        with told():
            self._pending.wait(stop, timeout, now.timestamp())

    def wake(self) -> None:
        """See `JobStore.wake`."""
        self._pending.wake()


def _is_foreign(copy: Copy, now: datetime, stale_after: timedelta) -> bool:
    """Whether the TypeScript package, which takes no lock, may be working on it still."""
    if copy.job.metadata.claim is not None:
        return False
    return now.timestamp() - copy.found.st_mtime < stale_after.total_seconds()


def _ended_before(job: AnyJob, before: datetime) -> bool:
    return not isinstance(job, PendingJob | RunningJob) and job.completed_at < before
