"""The journal of one process: records go in, are made durable together, and are let go once the
files that they tell of are durable themselves.

It must not know jobs' files, or what is done with a journal after a power cut.

There are two files at most: one that is appended to, and one that is being emptied. Emptying is one
``syncfs``: every record tells of what had been published before it was appended, so what is forced
after the last append to a file makes that file superfluous. A file that is full waits for
the one before it: a slow disk slows those who write, and the journal does not grow.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from semiont_jobs.errors import StoreError
from semiont_jobs.events import logger
from semiont_jobs.model import STATUSES, AnyJob
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.journal.records import moment, removal_of, revision_of
from semiont_jobs.stores.files.journal.segment import SUFFIX, Segment
from semiont_jobs.stores.files.layout import Layout

MOST_AGE: Final = 30.0
"""Seconds after which a file is emptied that is not full: about as long as Linux lets written data
wait. The longer, the more claims find the job's record and need none of their own."""
MOST_KEPT: Final = 4
"""Files that could not be emptied, after which nothing more is acknowledged: the disk has lost
writes, and somebody must look at it."""


class Journal:
    """Appends to files of its own in ``jobs/.journal``.

    :param file_mode: permission bits of these.
    """

    in_background = True
    """Whether a thread of its own empties what is full; tests have it done by whoever fills it."""

    def __init__(self, disk: Disk, layout: Layout, *, file_mode: int) -> None:
        self._disk = disk
        self._layout = layout
        self._file_mode = file_mode
        self._stem = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._made = 0
        self._lock = threading.Condition()
        self._current: Segment | None = None
        self._old: Segment | None = None
        """Being emptied."""
        self._kept: list[Segment] = []
        self._removals: list[tuple[bytes, frozenset[str]]] = []
        """Records of removals, and the files that may have older records of these jobs."""
        self._carried = 0
        self._is_closed = False
        self._wake = threading.Event()
        self._emptier: threading.Thread | None = None

    # -- writing -------------------------------------------------------------------------

    def write(self, jobs: Iterable[tuple[AnyJob, bytes]], at: int | None = None) -> Segment:
        """Append revisions of jobs with their texts, and return when they are durable: the file
        that has the last.

        :param at: when they were published, if that was before now (`moment`).
        :raises OSError: they may not be durable.
        """
        at = moment() if at is None else at
        segment, end = None, 0
        for job, text in jobs:
            metadata = job.metadata
            data = revision_of(metadata.id, metadata.revision, at, text)
            before = segment
            with self._lock:
                segment, before_end = self._with_room(len(data)), end
                end = segment.append(data)
                segment.revisions[metadata.id] = (metadata.created, metadata.revision)
            if before is not None and before is not segment:
                before.force(before_end)
        assert segment is not None, "nothing to write"
        segment.force(end)
        return segment

    def remove(self, job_ids: Iterable[str]) -> None:
        """Append that these jobs are removed, and return when that is durable.

        It is said again in every later file for as long as others stand that may tell of these
        jobs: nobody shall bring them back from there.

        :raises OSError: it may not be durable.
        """
        at = moment()
        data = b"".join(removal_of(job_id, at) for job_id in job_ids)
        with self._lock:
            segment = self._with_room(len(data))
            others = frozenset(self._names()) - {segment.name}
            end = segment.append(data)
            if others:
                self._removals.append((data, others))
        segment.force(end)

    def has(self, job: AnyJob, revision: int) -> bool:
        """Whether that revision of a job is in the file that is appended to. If so, what was
        published before this call is durable before the record goes."""
        current = self._current
        return current is not None and current.revisions.get(job.metadata.id) == (
            job.metadata.created,
            revision,
        )

    def is_current(self, segment: Segment) -> bool:
        """Whether what is published now is durable before the records in that file go."""
        return self._current is segment

    def _names(self) -> set[str]:
        return {name for name in self._disk.names(self._layout.journal) if name.endswith(SUFFIX)}

    def _with_room(self, size: int) -> Segment:
        """The file to append so many bytes to. The caller has the lock."""
        while self._current is None or not self._current.fits(size):
            if self._current is None:
                self._current = self._begun()
            elif self._old is not None:
                self._lock.wait()
            else:
                self._turn_over()
        return self._current

    def _begun(self) -> Segment:
        if len(self._kept) > MOST_KEPT:
            raise StoreError(
                errno.EIO, "the disk has lost writes; look at it", self._layout.journal
            )
        self._made += 1
        name = f"{self._stem}-{self._made}{SUFFIX}"
        segment = Segment.begin(self._disk, self._layout, name, self._file_mode)
        self._forget_removals()
        carried = b"".join(data for data, _others in self._removals)
        if carried:
            segment.append(carried)
        self._carried = segment.end
        if self.in_background:
            self._start_emptier()
        return segment

    def _forget_removals(self) -> None:
        """Those of which no file stands any more that may have older records of the job."""
        if self._removals:
            names = self._names()
            self._removals = [(data, o & names) for data, o in self._removals if o & names]

    # -- emptying ------------------------------------------------------------------------

    def _turn_over(self) -> None:
        """Begin to empty what is appended to. The caller has the lock."""
        self._old, self._current = self._current, None
        if self._emptier is None:
            self._empty()
        else:
            self._wake.set()

    def _empty(self) -> None:
        """Make everything durable that the old file tells of, and remove it."""
        old = self._old
        assert old is not None
        try:
            self._carry_over()
            self._force_files(old)
            self._disk.unlink(old.path)
            self._disk.fsync_folder(self._layout.journal)
        except Exception as error:  # noqa: BLE001 - whoever waits for room must not wait for ever
            # What was not written now never is, though the next call said so: the records stay,
            # until the machine is started again.
            logger.error("the journal %s cannot be emptied, and is kept: %s", old.name, error)
            self._kept.append(old)
            with suppress(Exception):
                old.keep()
        else:
            old.forced_otherwise()
            old.close()
        with self._lock:
            self._old = None
            self._lock.notify_all()

    def _carry_over(self) -> None:
        """Removals that are still needed stand in the next file before this one goes."""
        with self._lock:
            self._forget_removals()
            if self._removals and self._current is None:
                self._current = self._begun()
            current = self._current
            end = 0 if current is None else self._carried
        if current is not None:
            current.force(end)

    def _force_files(self, old: Segment) -> None:
        if self._disk.syncfs(self._layout.journal):
            return
        for job_id in old.revisions:
            for status in STATUSES:
                with suppress(FileNotFoundError):
                    fd = self._disk.open_to_read(self._layout.path(status, job_id))
                    try:
                        self._disk.fsync(fd)
                    finally:
                        self._disk.close(fd)
        for folder in self._layout.folders.values():
            self._disk.fsync_folder(folder)

    def tend(self) -> float | None:
        """Empty what is full or old; seconds until the next look, or None: it is over. For the
        thread that does it."""
        with self._lock:
            if self._is_closed:
                return None
            current = self._current
            if self._old is None and current is not None and current.end > self._carried:
                left = current.began + MOST_AGE - time.monotonic()
                if left > 0:
                    return left
                self._old, self._current = current, None
            if self._old is None:
                return MOST_AGE
        self._empty()
        return 0.0

    def _start_emptier(self) -> None:
        if self._emptier is None:
            thread = threading.Thread(
                target=_tend,
                args=(weakref.ref(self), self._wake),
                name="semiont-jobs-journal",
                daemon=True,
            )
            with suppress(RuntimeError):  # no thread to be had: whoever fills a file empties it
                thread.start()
                self._emptier = thread

    def close(self) -> None:
        """Empty all there is. What must stay is left as a dead process leaves it."""
        with self._lock:
            self._is_closed = True
        self._wake.set()
        if self._emptier is not None:
            self._emptier.join()
            self._emptier = None
        if self._old is not None:
            self._empty()
        with self._lock, suppress(OSError):
            self._forget_removals()
        if self._current is not None and not self._removals:
            self._old, self._current = self._current, None
            self._empty()
        for segment in (self._current, *self._kept):
            if segment is not None:
                segment.close()
        self._current, self._kept = None, []


def _tend(journal: weakref.ref[Journal], wake: threading.Event) -> None:
    delay: float | None = 0.0
    while delay is not None:
        wake.wait(delay)
        wake.clear()
        tended = journal()
        if tended is None:
            return
        delay = tended.tend()
        del tended  # while it sleeps, the journal may be forgotten
