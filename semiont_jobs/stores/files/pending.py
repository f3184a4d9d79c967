"""Keeping the index of ``pending`` up to date: when to list the folder, what to read of it.

It must not know claims: it finds jobs, others take them.

When the folder's mtime has changed, a listing is due. It only compares names and inode numbers, and
reads what was not seen before. Listings take a small part of the time, so that a large folder that
changes all the time does not take all of it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from semiont_jobs.codec import Turn
from semiont_jobs.model import JobStatus, PendingJob
from semiont_jobs.store import Wanted
from semiont_jobs.stores.files.copies import ODD_NAME, Bad, Copies
from semiont_jobs.stores.files.index import Entry, Known, PendingIndex, Signature, signature_of
from semiont_jobs.stores.files.layout import SUFFIX, check_folder, id_of
from semiont_jobs.stores.files.watch import Watch
from semiont_jobs.threads import lock_and_condition

BUSY_SHARE: Final = 100
"""If there is something to offer, the next listing comes no sooner than 100 times the last one's
length later: at most 1 % of the time goes into listings."""
IDLE_SHARE: Final = 4
"""If there is nothing to offer, 4 times: claimers wait for new jobs, but others may be working off
a large folder of jobs that no claimer here wants."""
LATELY: Final = 4096
"""Jobs of its own that a process remembers before it claims for the first time. A script that
creates some and works them off need not read them twice. One that only ever creates grows by some
two megabytes at most."""
MTIME_GRAIN: Final = 0.02
"""Seconds. A folder's mtime moves in clock ticks (1 to 10 ms): a change in the tick of a listing
leaves no trace. So a folder that had just changed is listed once more."""
TICK: Final = 0.02
"""Seconds between two looks at the folder while idle: a `stat` each, well under 1 % of a core. Half
of it is what another process's new job waits on average."""
CALM: Final = 0.05
"""Seconds without a change before file-system events are asked for. Arming takes as long as some
ten ticks: where jobs come all the time the ticks are cheaper, and as quick."""
REST: Final = TICK
"""Seconds after a look that found nothing new, in which a process with something to offer does not
look again: an idle worker begins a job of its own process at once."""
LONG_TICK: Final = 0.5
"""Seconds between two looks while file-system events wake us. Events may not come if another host
writes, or if the thread that reads them died."""
BUSY_DELAY: Final = 0.05
"""Seconds after which a job that another actor held is tried again."""
BAD_DELAY: Final = 0.25
"""Seconds between two looks at an entry that cannot be read (yet)."""
READ_AT_ONCE: Final = 3.0
"""Seconds of reading what a listing found before something is offered, even if it may not be the
most urgent: a hundred thousand jobs are read in two, and no claimer should wait for a million. From
then on reading takes half of the time, as long as there is something to offer."""
CLOSED_DELAY: Final = 10.0
"""Seconds between two looks at files that this user may not open. A user has to change their mode,
which takes as long and does not change the folder's mtime."""


class Pending:
    """The index of one data directory's ``pending``, kept up to date."""

    def __init__(
        self,
        copies: Copies,
        set_aside_bad: Callable[[JobStatus, str, Bad], bool],
        is_leaving: Callable[[str], bool],
    ) -> None:
        self._copies = copies
        self._disk = copies.disk
        self._folder = copies.layout.folders["pending"]
        self._set_aside_bad = set_aside_bad
        self._is_leaving = is_leaving
        self.index: PendingIndex = PendingIndex()
        self._listing = threading.Lock()
        self._lock, self._changed = lock_and_condition()
        self._version = 0
        self._wakes = 0
        self._seen = threading.local()
        self._ticking = False
        self._watch = Watch(self._folder, self._ring)
        self._in_use = False
        self._lately: deque[tuple[Turn, Signature]] = deque(maxlen=LATELY)
        """Put before it was in use."""
        self._listed_mtime = -1
        self._listed_at = self._unchanged_at = float("-inf")
        self._listing_took = 0.0
        self._is_wanted = False
        self._is_unsettled = False
        self._has_bad = False
        self._has_closed = False
        # Found by a listing and not read yet, last made first.
        self._unread: list[str] = []
        self._read_at = float("-inf")
        # Some FUSE and layered file systems list other inode numbers than `stat` returns.
        self._inodes_tell = True

    # -- what the store reports ----------------------------------------------------------

    def put(self, job: PendingJob[Any], found: os.stat_result) -> None:
        """Offer a job that this process put into ``pending``, and wake all waiting threads.

        Its file is the one that `found` describes.
        """
        try:
            new = Turn.of(job.metadata), signature_of(found.st_ino, found.st_mtime_ns)
            # A process that only creates jobs remembers few.
            if self._in_use:
                self._know(*new)
            else:
                self._lately.append(new)
            self._tell_waiting()
        except BaseException:
            self.start_over()  # else it may be known and not be offered
            raise

    def _know(self, turn: Turn, signature: Signature) -> None:
        self.index.put(turn, signature=signature, not_before=turn.run_after or 0.0)

    def start_over(self) -> None:
        """Read everything again, after a thread was interrupted.

        Otherwise no thread here would offer the job that a claimer was trying.
        """
        self.index.start_over()
        self._is_wanted = True

    def wake(self) -> None:
        """Make every `wait` return, and every `take` that reads a large folder for a job."""
        with self._lock:
            self._wakes += 1
        self._tell_waiting()

    def _tell_waiting(self) -> None:
        with self._lock:
            self._version += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Stop watching the folder."""
        self._watch.close()

    def _ring(self) -> None:
        """Something came into the folder: have the waiting threads look now."""
        with self._lock:
            self._changed.notify_all()

    # -- what claimers ask ---------------------------------------------------------------

    def take(self, wanted: Wanted, now: float) -> Entry | None:
        """The next job to try, for this caller alone until it reports to the index what came of it.

        None: there is none in the whole folder, or `wake` was called before it was read.
        """
        wakes = self._wakes
        while True:
            entry = self._taken(wanted, now)
            if entry is not None or not self._unread or wakes != self._wakes:
                return entry

    def _begin(self) -> None:
        """Start to use the index: a claimer asks. The first listing drops what is gone by now."""
        self._in_use = True
        with suppress(IndexError):
            while True:
                self._know(*self._lately.popleft())

    def _taken(self, wanted: Wanted, now: float) -> Entry | None:
        if not self._in_use:
            self._begin()
        self._seen.version = self._version
        entry = self.index.take(wanted, now)
        is_idle = entry is None or self.index.is_worn
        share, rest = (IDLE_SHARE, 0.0) if is_idle else (BUSY_SHARE, REST)
        try:
            if not self._is_listing_due(share, rest):
                return entry
        except BaseException:
            if entry is not None:
                self.index.give_back(entry, wanted)  # else no thread here would offer it again
            raise
        if entry is not None:
            if self._listing.locked():
                return entry
            self.index.give_back(entry, wanted)
        # Nothing to offer: wait for another thread's listing rather than return empty-handed.
        with self._listing:  # not a call: an interrupt right after it would leave it locked
            if self._is_listing_due(share, rest):
                self._list(now, has_offer=entry is not None)
        return self.index.take(wanted, now)

    def unreadable(self, entry: Entry) -> None:
        """Drop a job that cannot be read, now or for good, and look again soon.

        Another program may be rewriting it, which does not change the folder's mtime.
        """
        self.index.forget(entry.id)
        self._has_bad = True

    def unopenable(self, entry: Entry, bad: Bad) -> None:
        """Drop a job whose entry has no lock, or none that this user can take."""
        self.index.forget(entry.id)
        self._note_bad(f"{entry.id}{SUFFIX}", bad)

    def postpone(self, entry: Entry, now: float) -> None:
        """Try a job again a little later, because another actor holds it."""
        self.index.postpone(entry, now + BUSY_DELAY)

    def wait(self, stop: threading.Event, timeout: float, now: float) -> None:
        """See `JobStore.wait`.

        Of the waiting threads, one looks at the folder every tick, or when an event reports that
        something came into it.
        """
        due = self.index.next_due()
        if due is not None:
            timeout = min(timeout, max(0.0, due - now))
        deadline = time.monotonic() + timeout
        seen = getattr(self._seen, "version", self._version)
        with self._lock:
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
                    self._look_on(left)
                finally:
                    self._ticking = False
            # If threads go on waiting, one of them must look.
            self._changed.notify()

    def _look_on(self, left: float) -> None:
        """Wait for the next look at the folder. The caller holds the condition's lock."""
        if self._watch.is_armed:
            # What came before the watch was armed rings no bell, and a listing so soon after the
            # last one may not have been due.
            self._changed.wait(min(LONG_TICK if self._is_as_listed() else TICK, left))
        elif self._watch.is_of_use and self._is_quiet():
            self._lock.release()  # the thread that rings takes it
            try:
                self._watch.arm()
            finally:
                self._lock.acquire()
            # No waiting yet: something may have come before the watch was armed.
        else:
            self._changed.wait(min(TICK, left))

    def _is_quiet(self) -> bool:
        """Whether nothing is to be looked at again soon, and nothing changed lately."""
        if self._is_unsettled or self._has_bad:
            return False
        return self._is_as_listed() and abs(time.time_ns() - self._listed_mtime) >= CALM * 1e9

    def _is_as_listed(self) -> bool:
        """Whether the folder has not changed since the last listing."""
        looked_at = time.monotonic()
        if self._disk.stat(self._folder).st_mtime_ns != self._listed_mtime:
            return False
        self._unchanged_at = looked_at
        return True

    # -- listing -------------------------------------------------------------------------

    def _is_listing_due(self, share: int, rest: float = 0.0) -> bool:
        if self._unread or self._is_wanted:
            return True
        now = time.monotonic()
        age = now - self._listed_at
        if age < share * self._listing_took or now - self._unchanged_at < rest:
            return False
        if not self._is_as_listed():
            return True
        return (
            (self._is_unsettled and age >= MTIME_GRAIN)
            or (self._has_bad and age >= BAD_DELAY)
            or (self._has_closed and age >= CLOSED_DELAY)
        )

    def _list(self, now: float, *, has_offer: bool) -> None:
        seconds = READ_AT_ONCE
        if not self._unread:
            self._compare()
        elif has_offer:
            seconds = min(seconds, time.monotonic() - self._read_at)
        has_news = bool(self._unread)
        try:
            self._read_on(now, seconds)
        except BaseException:
            self._listed_mtime = -1  # what could not be read must be found again
            raise
        if has_news:
            # There may be something for the other threads too, and no event reports it again.
            self._tell_waiting()
            self._seen.version = self._version

    def _compare(self) -> None:
        begun = time.monotonic()
        # The mtime before the names: a change in between makes the next listing due.
        mtime = self._disk.stat(self._folder).st_mtime_ns
        self._is_unsettled = abs(time.time_ns() - mtime) < MTIME_GRAIN * 1e9
        check_folder(self._copies.layout, self._disk, self._folder)
        odd: list[str] = []
        # Before the look: what another thread notes from now on counts after it. And other threads
        # wait for the look, and make it again if it fails.
        self._listed_mtime = -1
        self._is_wanted = self._has_bad = self._has_closed = False
        fresh, changed = self.index.compare(self._standing(odd))
        self._unread = [each for each in fresh if not self._is_leaving(each)]
        self._unread.extend(self._other_files(changed))
        self._listed_mtime = mtime
        self._listed_at = time.monotonic()
        self._listing_took = self._listed_at - begun
        for name in odd:
            self._note_bad(name, ODD_NAME)

    def _standing(self, odd: list[str]) -> Iterator[tuple[str, int]]:
        """The ids in the folder, each with its inode number; other names go to `odd`."""
        end = -len(SUFFIX)
        for name, inode in self._disk.entries(self._folder):
            if name.endswith(SUFFIX):
                yield name[:end], inode
            else:
                odd.append(name)

    def _other_files(self, suspects: list[Known]) -> Iterator[str]:
        """The ids of the known jobs that are another file by now."""
        # Many file systems give a new file the number that became free last. A job that left and
        # came back, due sooner, may have its old one. A job that is offered is seen in time without
        # this, when it is tried.
        for waiting in self.index.waiting():
            if self._is_changed(waiting):
                yield waiting.id
        for known in suspects if self._inodes_tell else ():
            if self._is_changed(known):
                yield known.id
            elif known.signature:
                self._inodes_tell = False
                return

    def _is_changed(self, known: Known) -> bool:
        """Whether the file in the folder is another one than the job was read from."""
        try:
            found = self._disk.stat(self._copies.layout.path("pending", known.id))
        except FileNotFoundError:
            return False
        return signature_of(found.st_ino, found.st_mtime_ns) != known.signature

    def _read_on(self, now: float, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._unread:
            self._read(self._unread.pop(), now)
            if time.monotonic() >= until:
                break
        self._read_at = time.monotonic()

    def _read(self, key: str, now: float) -> None:
        job_id = id_of(f"{key}{SUFFIX}")
        if job_id is None:
            self._note_bad(f"{key}{SUFFIX}", ODD_NAME)
            return
        seen = self._copies.glimpse(job_id)
        if isinstance(seen, Bad):
            self._note_bad(f"{key}{SUFFIX}", seen)
        elif seen is not None:
            self.learn(seen.turn, seen.found, now)

    def learn(self, turn: Turn, found: os.stat_result, now: float) -> None:
        """Add a job as it was read from the file that `found` describes."""
        run_after = turn.run_after
        not_before = run_after if run_after is not None and run_after > now else 0.0
        signature = signature_of(found.st_ino, found.st_mtime_ns)
        self.index.put(turn, signature=signature, not_before=not_before)

    def _note_bad(self, name: str, bad: Bad) -> None:
        if not self._set_aside_bad("pending", name, bad):
            self._has_bad = True
        elif bad.is_closed:
            self._has_closed = True
