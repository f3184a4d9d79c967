"""FileStore: a `JobStore` that is a directory.

It must not know system calls (`door`) or the steps of a move (`moves`): it finds jobs, holds them
and lets the parts do their work.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from semiont_jobs.codec import Codec
from semiont_jobs.errors import JobExists, JobNotFound
from semiont_jobs.events import Hook, logger
from semiont_jobs.floor import OPEN, Floor, new_floor
from semiont_jobs.listing import Filters
from semiont_jobs.model import FINISHED, STATUSES, AnyJob, ClaimStamp, JobStatus, PendingJob
from semiont_jobs.store import Hold, Roll, Wanted
from semiont_jobs.stores.files import nfs
from semiont_jobs.stores.files.arriving import Arriving
from semiont_jobs.stores.files.batch import create_batch
from semiont_jobs.stores.files.claiming import Claiming
from semiont_jobs.stores.files.copies import Copies
from semiont_jobs.stores.files.creating import Creating
from semiont_jobs.stores.files.deferred import FileDeferred
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.forcing import ByFsync, Durability, Forcing, durability_of
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.holds import Holds
from semiont_jobs.stores.files.house import MovingHouse
from semiont_jobs.stores.files.inspection import Inspection, inspect
from semiont_jobs.stores.files.journal.boot import check_for_journals
from semiont_jobs.stores.files.journal.by_journal import ByJournal
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.stores.files.journal.replay import Replay
from semiont_jobs.stores.files.layout import (
    Layout,
    check_file_system,
    check_locks,
    check_to_look,
    checked_mode,
    file_system_of,
    prepare,
)
from semiont_jobs.stores.files.leaving import Leaving
from semiont_jobs.stores.files.looking import LookingDisk
from semiont_jobs.stores.files.markers import Markers
from semiont_jobs.stores.files.moves import Moves
from semiont_jobs.stores.files.pending import Pending
from semiont_jobs.stores.files.place import Place
from semiont_jobs.stores.files.quarantine import Quarantine
from semiont_jobs.stores.files.reader import Reader
from semiont_jobs.stores.files.removals import Removals
from semiont_jobs.stores.files.roll import FileRoll
from semiont_jobs.stores.files.sweep import Sweeper
from semiont_jobs.stores.files.taking import Taking
from semiont_jobs.stores.files.told import is_disks, store_error, told
from semiont_jobs.stores.files.upkeep import Upkeep


class FileStore(MovingHouse):
    """Jobs in ``DATA_DIR/jobs``.

    :param fsync: acknowledged changes survive a power cut, not only the death of processes. This is
        the short form of two durabilities, ``"fsync"`` and ``"process"``.
    :param durability: what acknowledged changes survive, and how. ``"process"``: the death of
        processes. ``"fsync"``: a power cut too, because every file is fsynced. ``"journal"``: the
        same in a fraction of the time, because what is acknowledged goes into a journal, which is
        replayed after a power cut. None: as ``fsync`` says.
    :param dir_mode: permission bits of folders made here.
    :param file_mode: permission bits of files made here.
    :param allow_network_fs: accept a network file system. Its locks are as good as a local one's
        only if one host alone uses the directory.
    :param read_only: look, and change nothing: nothing is made, probed or swept. A directory that
        may not be written can be opened, and every method that would change a job raises
        `StoreError`.
    :param disk: the door to the disk; tests pass another.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        *,
        fsync: bool = True,
        durability: Durability | None = None,
        dir_mode: int = 0o700,
        file_mode: int = 0o600,
        allow_network_fs: bool = False,
        read_only: bool = False,
        disk: Disk | None = None,
    ) -> None:
        self.layout: Layout = Layout(os.fspath(data_dir))
        self._disk = LookingDisk(self.layout) if read_only else disk or Disk()
        self._may_be_on_nfs = allow_network_fs and not read_only and disk is None
        self._read_only = read_only
        self.durability: Final = durability_of(fsync, durability)
        """What acknowledged changes survive, and how."""
        self._fsync = self.durability != "process"
        self._dir_mode = checked_mode("dir_mode", dir_mode)
        self._file_mode = checked_mode("file_mode", file_mode)
        self._allow_network_fs = allow_network_fs
        # On a network file system every call waits for it, and threads can wait at the same time.
        self.floor: Final[Floor] = OPEN if allow_network_fs else new_floor()
        """See `HasFloor`."""
        self._disk.floor = self.floor
        self._holds = Holds()
        self._journal: Journal | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the directory and the options; unpickled, they make another store there."""
        options: dict[str, Any] = {
            "durability": self.durability,
            "dir_mode": self._dir_mode,
            "file_mode": self._file_mode,
            "allow_network_fs": self._allow_network_fs,
            "read_only": self._read_only,
        }
        return (partial(type(self), **options), (os.path.dirname(self.layout.root),))

    # -- life ----------------------------------------------------------------------------

    def open(self, codec: Codec, notify: Hook) -> None:
        """Make the folders, refuse what is unsafe, and begin with nothing held.

        :raises UnsafeStore: jobs would not be safe there.
        :raises StoreError: the directory cannot be made or written.
        """
        with told(self.layout):
            if self._read_only:
                check_to_look(self.layout, self._disk)
            else:
                self._make_ready()
        self._disk.forget_folders()  # those above the data directory are no longer needed
        disk, layout, mode = self._disk, self.layout, self._file_mode
        self._copies = copies = Copies(disk, layout, codec)
        self._reader = Reader(copies)
        quarantine = Quarantine(copies, notify, fsync=self._fsync, file_mode=mode)
        self._markers = Markers(disk, layout, fsync=self._fsync, file_mode=mode)
        journal = Journal(disk, layout, dir_mode=self._dir_mode, file_mode=mode)
        self._journal = journal
        forcing = self._forcing(journal)
        self._moves = moves = Moves(copies, quarantine.put, forcing, file_mode=mode)
        self._replay = Replay(moves)
        self._replay_journals()
        self._pending = pending = Pending(copies, quarantine.put_if_bad, self._is_leaving)
        self._holds.clear()  # after a fork these were the parent's
        self._taking = taking = Taking(moves, self._markers, pending, self._holds)
        self._claiming = Claiming(moves, self._markers, pending, taking, notify)
        self._upkeep = Upkeep(moves, taking, quarantine, Removals(forcing, journal))
        self._creating = Creating(moves)
        self._arriving = Arriving(moves, pending, dir_mode=self._dir_mode)
        self._leaving = Leaving(moves, self._upkeep, dir_mode=self._dir_mode)
        self._place = Place(copies, file_mode=mode)
        self._sweeper = Sweeper(disk, layout, self.get)
        if not self._read_only:
            with told(self.layout):
                self._sweep()

    def _is_leaving(self, job_id: str) -> bool:
        """Whether a copy in ``pending`` is one that a claim of this process is about to remove."""
        hold = self._holds.get(job_id)
        return hold is not None and hold.job.status != "pending"

    def _replay_journals(self) -> None:
        """Replay before anything else is done: a file may be older than what was acknowledged."""
        with told(self.layout):
            if not self._read_only:
                self._replay.replay()
            elif self._replay.is_due():
                logger.warning("%s: what a power cut left is not replayed", self.layout.journal)

    def _forcing(self, journal: Journal) -> Forcing:
        if self.durability == "journal" and not self._read_only:
            return ByJournal(self._disk, self.layout, journal)
        return (ByFsync if self._fsync else Forcing)(self._disk, self.layout)

    def _sweep(self) -> None:
        self._sweeper.sweep()
        if self._journal is not None:
            self._replay.retire(self._journal)

    def _make_ready(self) -> None:
        if self._may_be_on_nfs and file_system_of(self.layout.root) in nfs.FILE_SYSTEMS:
            self._disk = nfs.NfsDisk(self.layout)
        prepare(
            self.layout,
            self._disk,
            journal=self.durability == "journal",
            fsync=self._fsync,
            dir_mode=self._dir_mode,
            file_mode=self._file_mode,
        )
        if self.durability == "journal":
            check_for_journals(self.layout)
        if not self._allow_network_fs:
            check_file_system(self.layout)
            check_locks(self.layout, self._disk, self._file_mode)

    def close(self) -> None:
        """End all holds, and wake all waiting threads.

        A thread that is just storing a job keeps its hold.
        """
        for hold in self._holds.all():
            hold.let_go_if_idle()
        self._pending.close()
        if self._journal is not None:
            self._journal.close()
        self._disk.forget_folders()
        self.wake()

    def kill_holder(self, job_id: str) -> None:
        """Close the file of a held job, as the death of its process would: for tests."""
        hold = self._holds.get(job_id)
        if hold is None:
            raise KeyError(job_id)
        self._holds.end(hold)
        self._copies.close(hold.descriptor)

    # -- creating and reading ------------------------------------------------------------

    def create(self, job: PendingJob[Any]) -> None:
        """See `JobStore.create`."""
        self._create(job, is_unseen=False)

    def create_many(self, jobs: Iterable[PendingJob[Any]]) -> None:
        """See `JobStore.create_many`."""
        self._create_many(jobs, are_unseen=False)

    def create_unseen(self, jobs: Sequence[PendingJob[Any]]) -> None:
        """See `Trusting.create_unseen`."""
        if len(jobs) == 1:
            self._create(jobs[0], is_unseen=True)
        else:
            self._create_many(jobs, are_unseen=True)

    def _create(self, job: PendingJob[Any], *, is_unseen: bool) -> None:
        data = self._copies.codec.encode(job, is_new=True)
        with told(self.layout, job.metadata.id):
            found = self._creating.create(job, data, is_unseen=is_unseen)
        self._pending.put(job, found)

    def _create_many(self, jobs: Iterable[PendingJob[Any]], *, are_unseen: bool) -> None:
        batch = {}
        texts: dict[str, tuple[AnyJob, bytes]] = {}
        for job in jobs:
            job_id = job.metadata.id
            if job_id in batch:
                raise JobExists(job_id, "the batch has this id twice")
            batch[job_id] = job
            texts[job_id] = (job, self._copies.codec.encode(job, is_new=True))
        with told(self.layout):
            found = create_batch(self._moves, texts, are_unseen=are_unseen)
        for job_id, job in batch.items():
            self._pending.put(job, found[job_id])

    def get(self, job_id: str) -> AnyJob | None:
        """See `JobStore.get`."""
        with told(self.layout, job_id):
            return self._reader.get(job_id)

    def jobs(self, statuses: Iterable[JobStatus]) -> Iterator[AnyJob]:
        """See `JobStore.jobs`."""
        with told(self.layout):
            yield from self._reader.jobs(statuses)

    def newest(self, filters: Filters, most: int) -> list[AnyJob]:
        """See `Listing.newest`."""
        with told(self.layout):
            return self._reader.newest(filters, most)

    def counts(self) -> Mapping[JobStatus, int]:
        """See `JobStore.counts`."""
        with told(self.layout):
            return self._reader.counts()

    def marks(self, job_ids: Collection[str]) -> Mapping[str, Hashable]:
        """See `Marking.marks`."""
        with told(self.layout):
            return self._reader.marks(job_ids)

    def roll(self) -> Roll:
        """See `Rolling.roll`."""
        return FileRoll(self._copies)

    # -- claiming and holding ------------------------------------------------------------

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> Hold | None:
        """See `JobStore.claim`."""
        try:
            return self._claiming.claim(wanted, stamp, now)
        except OSError as error:
            if not is_disks(error):
                raise
            raise store_error(error, self.layout) from error

    def deferred(self) -> FileDeferred | None:
        """See `Deferring.deferred`."""
        if self.durability == "process":
            return None
        return FileDeferred(self._claiming, self._pending.index, self._moves.forcing)

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        """See `JobStore.peek`."""
        with told(self.layout):
            return self._claiming.peek(wanted, now)

    def hold(self, job_id: str) -> FileHold:
        """See `JobStore.hold`."""
        with told(self.layout, job_id):
            while True:
                for status in STATUSES:
                    hold = self._taking.settled(status, job_id)
                    if hold is not None:
                        return hold
                # Nothing can be held: the job does not exist, or is on its way somewhere.
                if self._reader.get(job_id) is None:
                    raise JobNotFound(job_id)

    def request_cancel(self, job_id: str, life: str) -> bool:
        """See `JobStore.request_cancel`."""
        with told(self.layout, job_id):
            self._markers.put(job_id, life)
            job = self._reader.get(job_id)
            if job is not None and job.status not in FINISHED and job.metadata.life == life:
                return True
            # That life is over: the request must not hit a later one (C13). Another caller may have
            # been promised that it is obeyed, so it stays until the outcome is durable.
            if job is None or job.status not in FINISHED or self._moves.secure(job):
                self._markers.remove(job_id, life)
            return False

    # -- upkeep --------------------------------------------------------------------------

    def orphans(self, now: datetime, foreign_stale_after: timedelta) -> Iterator[Hold]:
        """See `JobStore.orphans`."""
        with told(self.layout):
            swept = self._sweeper.is_due()
            if swept:
                self._sweep()
            yield from self._upkeep.orphans(now, foreign_stale_after)
            # After the rescue: invalid files must not keep jobs waiting.
            if swept:
                self._upkeep.note_odd_names()
            self._upkeep.set_aside_suspects()

    def remove(
        self,
        statuses: Iterable[JobStatus],
        before: datetime,
        removed: Callable[[AnyJob], object],
        type_name: str | None = None,
    ) -> None:
        """See `JobStore.remove`."""
        with told(self.layout):
            self._upkeep.remove(statuses, before, removed, type_name)

    def remove_one(self, job_id: str) -> AnyJob | None:
        """See `JobStore.remove_one`."""
        with told(self.layout, job_id):
            return self._upkeep.remove_one(job_id)

    def inspect(self) -> Inspection:
        """Inspect the directory without changing anything: for the doctor."""
        with told(self.layout):
            return inspect(self.layout, self._copies)

    # -- waiting -------------------------------------------------------------------------

    def wait(self, stop: threading.Event, timeout: float, now: datetime) -> None:
        """See `JobStore.wait`."""
        with told(self.layout):
            self._pending.wait(stop, timeout, now.timestamp())

    def wake(self) -> None:
        """See `JobStore.wake`."""
        self._pending.wake()
