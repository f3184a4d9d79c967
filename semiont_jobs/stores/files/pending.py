"""Keeping the index of ``pending`` true: when to list the folder, what to read of it.

It must not know claims: it finds jobs, others take them.

When the folder's mtime moved, a listing is due; it only compares names, and reads those not
seen before. Listings take a small part of the time, so that a large folder that changes all
the time does not become the work.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from semiont_jobs.model import JobMetadata, JobStatus, PendingJob
from semiont_jobs.store import Wanted
from semiont_jobs.stores.files.copies import ODD_NAME, Bad, Copies
from semiont_jobs.stores.files.index import Entry, PendingIndex
from semiont_jobs.stores.files.layout import SUFFIX, check_folder, id_of

BUSY_SHARE: Final = 100
"""With something to offer, the next listing comes not before 100 times the last one's length:
at most 1 % of the time goes into listings."""
IDLE_SHARE: Final = 4
"""With nothing to offer, 4 times: new jobs are what is waited for, but others may be working
off a large folder of jobs that nobody here wants."""
MTIME_GRAIN: Final = 0.02
"""Seconds. A folder's mtime moves in clock ticks (1 to 10 ms): a change in the tick of a listing
leaves no trace, so a listing of a folder just changed is made once more."""
TICK: Final = 0.02
"""Seconds between two looks at the folder while idle: a `stat` each, well under 1 % of a core,
and half of it is what another process's new job waits on average."""
BUSY_DELAY: Final = 0.05
"""Seconds after which a job that somebody else held is tried again."""
BAD_DELAY: Final = 0.25
"""Seconds between two looks at an entry that cannot be read (yet)."""
CLOSED_DELAY: Final = 10.0
"""Seconds between two looks at files that this user may not open. Somebody has to change their
mode, which takes as long, and of which the folder's mtime tells nothing."""


class Pending:
    """The index of one data directory's ``pending``, kept true."""

    def __init__(
        self, copies: Copies, set_aside_bad: Callable[[JobStatus, str, Bad], bool]
    ) -> None:
        self._copies = copies
        self._disk = copies.disk
        self._folder = copies.layout.folders["pending"]
        self._set_aside_bad = set_aside_bad
        self.index = PendingIndex()
        self._listing = threading.Lock()
        self._changed = threading.Condition()
        self._version = 0
        self._seen = threading.local()
        self._ticking = False
        self._in_use = False
        self._listed_mtime = -1
        self._listed_at = float("-inf")
        self._listing_took = 0.0
        self._is_unsettled = False
        self._has_bad = False
        self._has_closed = False
        self._signatures: dict[str, tuple[int, int]] = {}

    # -- what the store tells ------------------------------------------------------------

    def put(self, job: PendingJob[Any]) -> None:
        """This process put a job into ``pending``: offer it, and wake whoever waits."""
        # One that is due later is found by the next listing, like those of other processes;
        # a process that only creates jobs remembers none.
        if self._in_use and job.metadata.run_after is None:
            self.index.put(job.metadata)
        self.wake()

    def wake(self) -> None:
        """Make every `wait` return."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    # -- what claimers ask ---------------------------------------------------------------

    def take(self, wanted: Wanted, now: float) -> Entry | None:
        """The next job to try, in the caller's hand until it tells the index what came of it."""
        self._in_use = True
        self._seen.version = self._version
        entry = self.index.take(wanted, now)
        try:
            if not self._is_listing_due(IDLE_SHARE if entry is None else BUSY_SHARE):
                return entry
        except BaseException:
            if entry is not None:
                self.index.give_back(entry, wanted)  # or nobody here would offer it again
            raise
        # Nothing to offer: wait for another thread's listing rather than return empty-handed.
        if not self._listing.acquire(blocking=entry is None):
            return entry
        try:
            if entry is not None:
                self.index.give_back(entry, wanted)
            if self._is_listing_due(IDLE_SHARE if entry is None else BUSY_SHARE):
                self._list(now)
        finally:
            self._listing.release()
        return self.index.take(wanted, now)

    def unreadable(self, entry: Entry) -> None:
        """The job in hand cannot be read, now or for good: look again soon. Another program may
        be rewriting it, which the folder's mtime does not tell."""
        self.index.forget(entry.id)
        self._has_bad = True

    def unopenable(self, entry: Entry, bad: Bad) -> None:
        """What stands under the name of the job in hand has no lock, or not for this user."""
        self.index.forget(entry.id)
        self._note_bad(f"{entry.id}{SUFFIX}", bad)

    def postpone(self, entry: Entry, now: float) -> None:
        """Somebody else holds the job in hand: try it again a little later."""
        self.index.postpone(entry, now + BUSY_DELAY)

    def wait(self, stop: threading.Event, timeout: float, now: float) -> None:
        """See `JobStore.wait`. Of the threads that wait, one looks at the folder every tick."""
        due = self.index.next_due()
        if due is not None:
            timeout = min(timeout, max(0.0, due - now))
        deadline = time.monotonic() + timeout
        seen = getattr(self._seen, "version", self._version)
        with self._changed:
            while not stop.is_set() and seen == self._version:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                if self._ticking:
                    self._changed.wait(left)
                    continue
                if self._is_listing_due(IDLE_SHARE):
                    break
                self._ticking = True
                try:
                    self._changed.wait(min(TICK, left))
                finally:
                    self._ticking = False
            # Whoever waits on must have somebody who looks.
            self._changed.notify()

    # -- listing -------------------------------------------------------------------------

    def _is_listing_due(self, share: int) -> bool:
        age = time.monotonic() - self._listed_at
        if age < share * self._listing_took:
            return False
        if self._disk.stat(self._folder).st_mtime_ns != self._listed_mtime:
            return True
        return (
            (self._is_unsettled and age >= MTIME_GRAIN)
            or (self._has_bad and age >= BAD_DELAY)
            or (self._has_closed and age >= CLOSED_DELAY)
        )

    def _list(self, now: float) -> None:
        begun = time.monotonic()
        # The mtime before the names: a change in between makes the next listing due.
        mtime = self._disk.stat(self._folder).st_mtime_ns
        self._is_unsettled = abs(time.time_ns() - mtime) < MTIME_GRAIN * 1e9
        check_folder(self._copies.layout, self._disk, self._folder)
        names = self._disk.names(self._folder)
        end = -len(SUFFIX)
        fresh = self.index.unknown({name[:end] for name in names if name.endswith(SUFFIX)})
        fresh.extend(self._replaced())
        odd = [name for name in names if not name.endswith(SUFFIX)]
        self._listed_mtime = mtime
        self._listed_at = time.monotonic()
        self._listing_took = self._listed_at - begun
        self._has_bad = self._has_closed = False
        try:
            for key in fresh:
                self._read(key, now)
            for name in odd:
                self._note_bad(name, ODD_NAME)
        except BaseException:
            self._listed_mtime = -1  # what could not be read must be found again
            raise

    def _replaced(self) -> list[str]:
        """Jobs that wait for their time under a name that another file has taken since: a job
        may have left and come back, due at another time, between two listings."""
        replaced = []
        signatures, self._signatures = self._signatures, {}
        for job_id in self.index.waiting():
            known = signatures.get(job_id)
            if known is None:
                continue
            try:
                found = self._disk.stat(self._copies.layout.path("pending", job_id))
            except FileNotFoundError:
                continue
            if known == (found.st_ino, found.st_mtime_ns):
                self._signatures[job_id] = known
            else:
                replaced.append(job_id)
        return replaced

    def _read(self, key: str, now: float) -> None:
        job_id = id_of(f"{key}{SUFFIX}")
        if job_id is None:
            name = f"{key}{SUFFIX}"
            self._note_bad(name, ODD_NAME)
            return
        seen = self._copies.glimpse(job_id)
        if isinstance(seen, Bad):
            self._note_bad(f"{key}{SUFFIX}", seen)
        elif seen is not None:
            self.learn(seen.metadata, seen.found, now)

    def learn(self, metadata: JobMetadata, found: os.stat_result, now: float) -> None:
        """Know a job as it was read from the file that `found` describes."""
        run_after = metadata.run_after
        if run_after is not None and run_after.timestamp() > now:
            self._signatures[metadata.id] = (found.st_ino, found.st_mtime_ns)
            self.index.put(metadata, not_before=run_after.timestamp())
        else:
            self.index.put(metadata)

    def _note_bad(self, name: str, bad: Bad) -> None:
        if not self._set_aside_bad("pending", name, bad):
            self._has_bad = True
        elif bad.is_closed:
            self._has_closed = True
