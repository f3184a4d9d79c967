"""The journal of one process: records are made durable together, and go once the files are durable.

It must not know jobs' files, or what is done with a journal after a power cut.

There are two files at most: one that is appended to, and one that is being emptied. Emptying is one
``syncfs`` after the last append. By then every copy of which the file has a record is published, or
its record is appended again (`ByJournal.replaced`): so the file is superfluous. A file that is full
waits for the one before it: a slow disk slows the threads that write, and the journal does not
grow.

::

    _new_segment              _turn_over, tend            _empty
    ------------->  _current  ----------------->  _old  ----------->  removed
                                                  |  ^
               the disk does not let it go (yet)  |  |  tend
                                                  v  |
                                                 _stuck

If the disk has lost a write, the old file is ``_kept`` instead, to be replayed one day. A file that
another program has removed is emptied like a full one, and the records of the last call are
appended again to the next.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Final, TypeVar

from semiont_jobs.errors import StoreError
from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.journal import segment as segments
from semiont_jobs.stores.files.journal.emptier import emptier_of
from semiont_jobs.stores.files.journal.pieces import Piece, appended_together, removed_together
from semiont_jobs.stores.files.journal.records import moment
from semiont_jobs.stores.files.journal.segment import SUFFIX, Segment, SegmentRemoved
from semiont_jobs.stores.files.journal.syncing import Syncing
from semiont_jobs.stores.files.journal.told_on import ToldOn
from semiont_jobs.stores.files.layout import Layout, secure_folders
from semiont_jobs.threads import LOOK_EVERY, lock_and_condition

T = TypeVar("T")

MOST_AGE: Final = 30.0
"""Seconds after which a file is emptied that is not full: about as long as Linux lets written data
wait. The longer, the more claims find the job's record and need none of their own."""
MOST_KEPT: Final = 4
"""Files that could not be emptied. With one more, nothing is acknowledged: the disk has lost
writes, or keeps refusing, and must be looked at."""
REMOVED: Final = "the journal %s was removed; its jobs' files are forced now"
PAUSE: Final = 1.0
"""Seconds after which a file is tried again that could not be emptied, for want of a descriptor,
say: soon enough for those that wait, and seldom enough to cost nothing."""


class Journal:
    """Appends to files of its own in ``jobs/.journal``. There is none before the first record.

    :param dir_mode: permission bits of that folder, if it has to be made again.
    :param file_mode: permission bits of these files.
    """

    in_background = True
    """Whether a thread of its own empties full files; in tests the thread that fills one does."""

    def __init__(self, disk: Disk, layout: Layout, *, dir_mode: int, file_mode: int) -> None:
        self._disk = disk
        self._layout = layout
        self._dir_mode = dir_mode
        self._file_mode = file_mode
        self._stem = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._made = 0
        self._lock, self._changed = lock_and_condition()
        self._syncing = Syncing(disk, layout, self._doubt)
        self._inside: set[int] = set()
        """The threads that are writing something."""
        self._current: Segment | None = None
        self._old: Segment | None = None
        """Being emptied."""
        self._stuck: list[Segment] = []
        """Could not be emptied, though the disk lost nothing: tried again."""
        self._kept: list[Segment] = []
        """Have records of what the disk may have lost."""
        self._told_on = ToldOn(disk, layout)
        self._carried = 0
        self._was_removed = False
        """The folder may be another one than the one that was opened."""
        self._is_closed = False
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._emptier: threading.Thread | None = None

    # -- writing -------------------------------------------------------------------------

    def write(
        self, jobs: Sequence[tuple[AnyJob, bytes]], moments: Mapping[str, int] | None = None
    ) -> None:
        """Append revisions of jobs with their file contents, and return when they are durable.

        :param moments: for each job a `moment` at which it was held, if none of them is held now.
        :raises OSError: they may not be durable.
        """
        now = moment()
        at_of = (lambda _job_id: now) if moments is None else moments.__getitem__
        self._enter(lambda: self._put(partial(appended_together, jobs, at_of)))

    def remove(self, removed: Mapping[str, int]) -> None:
        """Append that these jobs are removed, each at its moment, and return when that is durable.

        It is repeated in every later file while others exist that may have records of these jobs:
        no replay may bring them back from there. Where none exists (`is_there`), do not call this.

        :raises OSError: it may not be durable.
        """
        pieces = partial(removed_together, removed, self._note_removed)
        self._enter(lambda: self._put(pieces))

    def is_there(self) -> bool:
        """Whether any process's file exists, so that removals have to be recorded."""
        return self._enter(self._is_there)

    def _is_there(self) -> bool:
        with self._lock:
            return self._current is not None or bool(self._told_on.names())

    def _note_removed(self, some: Mapping[str, int], segment: Segment) -> None:
        for job_id in some:  # older records of the job are void: no claim may rely on them
            if job_id in segment.revisions:
                segment.revisions[job_id] = None
        self._told_on.add(some, segment.name)

    def _put(self, pieces: Callable[[], Iterable[Piece]]) -> None:
        """Append each piece, note its file at once, and return when all are durable.

        If that file was removed they are appended again: a record may exist twice.
        """
        try:
            self._put_all(pieces())
        except SegmentRemoved:
            self._put_all(pieces())

    def _enter(self, act: Callable[[], T]) -> T:
        """Do something that takes locks: a signal's handler that closes this in the midst of it
        leaves the closing to this thread."""
        thread = threading.get_ident()
        if thread in self._inside:
            # It would write into what it interrupted, or wait for itself.
            reason = "a signal's handler called the queue in the midst of another call"
            raise StoreError(errno.EDEADLK, reason, self._layout.journal)
        try:
            self._inside.add(thread)
            done = act()
        finally:
            self._inside.discard(thread)
        if self._is_closed:  # meanwhile: no other thread will empty what was written
            self.close()
        return done

    def _put_all(self, pieces: Iterable[Piece]) -> None:
        segment, end = None, 0
        for data, note in pieces:
            before = segment
            with self._lock:
                segment, before_end = self._with_room(len(data)), end
                end = segment.append(data)
                note(segment)
            if before is not None and before is not segment:
                before.force(before_end)
        if segment is not None:
            segment.force(end)

    def make_ready(self) -> str:
        """Have a file to append to; its name."""
        return self._enter(self._ready).name

    def _ready(self) -> Segment:
        with self._lock:
            return self._current or self._with_room(1)

    def is_own(self, name: str) -> bool:
        """Whether a file of that name is one of these."""
        return name.startswith(self._stem)

    def has(self, job: AnyJob, revision: int) -> bool:
        """Whether that revision of a job is in the file that is appended to. If so, what was
        published before this call is durable before the record goes."""
        current = self._current
        if current is None:
            return False
        told = current.revisions.get(job.metadata.id)
        if told != (job.metadata.created, revision):
            return False
        try:
            return current.stands()
        except OSError:
            return False  # it is written again, and that sync raises the disk's error

    def _with_room(self, size: int) -> Segment:
        """The file to append so many bytes to. The caller has the lock."""
        while self._current is None or not self._current.fits(size):
            if self._current is None:
                self._current = self._new_segment()
            elif self._old is None:
                self._was_removed |= self._current.is_removed
                self._turn_over()
            elif self._emptier is None:  # the thread that began to was interrupted
                self._empty()
            else:
                self._changed.wait(LOOK_EVERY)
        return self._current

    def _new_segment(self) -> Segment:
        if len(self._kept) + len(self._stuck) > MOST_KEPT:
            reason = "the disk has lost writes; look at it"
            if self._stuck:
                reason = "the disk does not let journals go; see the log"
            raise StoreError(errno.EIO, reason, self._layout.journal)
        if self._was_removed:
            self._have_folder()
        self._told_on.forget()
        carried = self._told_on.text()
        if len(carried) > segments.MOST_BYTES // 2:
            reason = "journals that must stay tell of too many removed jobs; see the doctor"
            raise StoreError(errno.EFBIG, reason, self._layout.journal)
        self._made += 1
        name = f"{self._stem}-{self._made}{SUFFIX}"
        begin_one = partial(Segment.begin, self._disk, self._layout, name, self._file_mode)
        try:
            segment = begin_one()
        except FileNotFoundError:
            self._have_folder()
            segment = begin_one()
        if carried:
            segment.append(carried)
        self._carried = segment.end
        if self.in_background and self._emptier is None and not self._is_closed:
            # None: then the thread that fills a file empties it.
            self._emptier = emptier_of(self, self._wake)
        return segment

    def _have_folder(self) -> None:
        """Make the removed folder again; its data directory may not be durable itself."""
        with suppress(FileExistsError):
            self._disk.make_folder(self._layout.journal, self._dir_mode)
        secure_folders(self._layout, self._disk)
        self._was_removed = False

    # -- emptying ------------------------------------------------------------------------

    def _turn_over(self) -> None:
        """Begin to empty the file that is appended to. The caller has the lock."""
        self._old, self._current = self._current, None
        if self._emptier is None:
            self._empty()
        else:
            self._wake.put(None)

    def _empty(self) -> bool:
        """Make everything durable that the old file records, and remove it; whether it went."""
        old = self._old
        assert old is not None
        is_emptied = False
        try:
            if old.stands() or self._disk.exists(self._layout.root):
                self._let_go(old)
                old.forced_otherwise()
            is_emptied = True
        except Exception as error:  # noqa: BLE001 - threads that wait for room must not hang
            old.tell_once("the journal %s cannot be emptied, and is kept: %r", error)
            if old.is_doubtful:
                # What was not written now never will be, though the next call reports success: the
                # records stay, until the machine is restarted.
                self._kept.append(old)
                with suppress(Exception):
                    old.keep()
            else:
                self._stuck.append(old)
        else:
            old.close()
        with self._lock:
            self._old = None
            self._changed.notify_all()
        return is_emptied

    def _let_go(self, old: Segment) -> None:
        if old.is_removed:
            if not old.told:  # else it may have been us, at an earlier try
                old.tell_once(REMOVED)
            with self._lock:
                self._have_folder()
        lost = self._carry_over()
        if lost is not None:
            lost.tell_once(REMOVED)
            old.revisions.update(lost.revisions)
        self._force_files(old)
        old.is_superfluous = True
        if not old.is_removed:  # else there is nothing under its name, or what is not ours
            self._disk.unlink(old.path)
        self._disk.fsync_folder(self._layout.journal)

    def _carry_over(self) -> Segment | None:
        """Make removals that are still needed durable in the next file, before this one goes. If
        the next was removed, in another; returns the removed one, whose jobs must be made durable
        too."""
        lost = None
        with self._lock:
            self._told_on.forget()
            current = self._current
            if current is not None and not current.stands():
                self._was_removed = True
                lost, current, self._current = current, None, None
            if self._told_on and current is None:
                current = self._current = self._new_segment()
            end = 0 if current is None else self._carried
        if current is not None:
            current.force(end)
        return lost

    def _force_files(self, old: Segment) -> None:
        self._syncing.force(lambda: old.revisions)
        if old.is_doubtful:
            raise StoreError(errno.EIO, "the disk has lost a write", old.path)

    def force_files(self, job_ids: Callable[[], Iterable[str]]) -> None:
        """Make all files durable that dead processes' journals record: see `Syncing.force`."""
        self._enter(partial(self._syncing.force, job_ids))

    def _doubt(self) -> None:
        """Note that the disk has lost a write, of whatever file: the files that exist now may be
        all that records it. They say so from now on, because this process may be killed before it
        empties them."""
        # Without the lock. A file is in one of these places all the time, and moves in this order:
        # from the stuck ones it may become the old one again.
        for segment in (*self._stuck, self._current, self._old, *self._stuck):
            if segment is not None and not segment.is_doubtful:
                segment.is_doubtful = True
                with suppress(OSError):  # tried again when it is emptied
                    segment.keep()

    def tend(self) -> float | None:
        """Empty what is full or old, in its thread; seconds until the next look, None: closed."""
        with self._lock:
            if self._is_closed:
                return None
            if self._old is None and self._stuck:
                self._old = self._stuck[0]
                del self._stuck[0]
            current = self._current
            if self._old is None and current is not None and self._is_wanted_gone(current):
                left = current.began + MOST_AGE - time.monotonic()
                if left > 0:
                    return left
                self._old, self._current = current, None
            if self._old is None:
                return MOST_AGE
        return 0.0 if self._empty() else PAUSE

    def _is_wanted_gone(self, current: Segment) -> bool:
        """Whether a file has more than the removals carried over to it, or these are not needed."""
        if current.end == self._carried:
            with suppress(OSError):  # tried again later
                self._told_on.forget()
        return current.end > self._carried or not self._told_on

    def close(self) -> None:
        """Empty all files. What must stay is left as a dead process leaves it."""
        if threading.get_ident() in self._inside:  # a signal handler
            self._is_closed = True  # what it interrupted closes, when it is done
            return
        with self._lock:
            self._is_closed = True
            emptier = self._emptier
        self._wake.put(None)
        if emptier is not None:
            emptier.join()
        with self._lock:
            self._emptier = None
            if self._old is not None:
                self._empty()
            with suppress(OSError):
                self._told_on.forget()
            if self._current is not None and not self._told_on:
                self._old, self._current = self._current, None
                self._empty()
            if self._current is not None:
                # For threads that have just written to it, and would be refused.
                with suppress(OSError):
                    self._current.force(self._current.end)
            for segment in (self._current, *self._stuck, *self._kept):
                if segment is not None:
                    segment.close()
            self._current, self._stuck, self._kept = None, [], []
