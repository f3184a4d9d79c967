"""Reading jobs without locks: one by id, many by status, how many.

It must not change anything on disk, not even what it cannot read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from typing import Final

from semiont_jobs.errors import JobDecodeError
from semiont_jobs.listing import Filters
from semiont_jobs.model import STATUSES, UNFINISHED, AnyJob, JobStatus
from semiont_jobs.outline import Outline
from semiont_jobs.stores.files.copies import Bad, Copies, Copy
from semiont_jobs.stores.files.door import is_same
from semiont_jobs.stores.files.layout import id_of

LOOKS: Final = 100
"""Passes over the folders for a job that keeps moving. Each pass that it escapes is a transition
made meanwhile, so in practice two or three suffice."""
EMPTY_PASSES: Final = 3
"""Passes that find nothing before a job counts as absent, if the folder's mtime cannot prove it:
other programs take a job out of one folder before they put it into the next."""
LISTINGS: Final = 12
"""Listings of a folder that changes all the time: a job is missed only if each one misses it."""
QUIET: Final = 20_000_000
"""Nanoseconds: an mtime older than this cannot hide a change of the same clock tick."""
LOOK_PAUSE: Final = 0.005
"""Seconds between two looks at something that another program is writing or moving."""


class Reader:
    """Finds jobs in the folders of one data directory."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._disk = copies.disk
        self._layout = copies.layout

    def get(self, job_id: str) -> AnyJob | None:
        """The job, in whatever folder it is.

        It looks in lifecycle order and takes the highest revision, if that is still there after the
        look (C17): the next copy of a job appears before the last one goes.

        :raises JobDecodeError: there are only invalid files of that name, and they stay invalid.
        """
        empty = 0
        best: Copy | None = None
        bad: Bad | None = None
        pause = threading.Event()
        for _ in range(LOOKS):
            quiet_since = self._quiet_since()
            kept_open: list[int] = []
            try:
                best, bad, is_settled = self._look(job_id, kept_open)
                if best is not None and self._still_stands(best):
                    return best.job
            finally:
                for fd in kept_open:
                    self._disk.close(fd)
            if best is not None:
                continue
            if bad is not None:
                if is_settled:
                    raise JobDecodeError(bad.reason, job_id=job_id)
                pause.wait(self._copies.grace / 20)
                continue
            empty += 1
            if empty == EMPTY_PASSES or self._proves_absence(quiet_since):
                return None
            pause.wait(LOOK_PAUSE)
        if bad is not None:
            raise JobDecodeError(bad.reason, job_id=job_id)
        return best.job if best else None

    def _look(self, job_id: str, kept_open: list[int]) -> tuple[Copy | None, Bad | None, bool]:
        """One pass: the highest copy, an invalid file, and whether all invalid ones stay so."""
        best: Copy | None = None
        bad: Bad | None = None
        is_settled = True
        for status in STATUSES:
            copy = self._copies.read(status, job_id, kept_open=kept_open)
            if isinstance(copy, Bad):
                bad = copy
                path = self._layout.path(status, job_id)
                is_settled = self._copies.is_settled_bad(path, copy) and is_settled
            elif copy is not None and (best is None or _revision(copy) > _revision(best)):
                best = copy
        return best, bad, is_settled

    def _still_stands(self, copy: Copy) -> bool:
        try:
            path = self._layout.path(copy.job.status, copy.job.metadata.id)
            return is_same(copy.found, self._disk.stat(path))
        except FileNotFoundError:
            return False

    def _quiet_since(self) -> int | None:
        """The mtime of ``pending``; None if it is too recent to show the next change."""
        mtime = self._disk.stat(self._layout.folders["pending"]).st_mtime_ns
        return mtime if time.time_ns() - mtime > QUIET else None

    def _proves_absence(self, quiet_since: int | None) -> bool:
        """Whether a pass that found nothing proves that there is no job.

        It misses an existing one only if that was put into ``pending`` meanwhile.
        """
        return quiet_since is not None and quiet_since == self._quiet_since()

    def marks(self, job_ids: Collection[str]) -> Mapping[str, Hashable]:
        """For each job, its folder and which file it is there; None: it is in none."""
        at = time.time_ns()
        return {each: self._mark(each, at) for each in job_ids}

    def _mark(self, job_id: str, at: int) -> Hashable:
        for status in STATUSES:
            try:
                found = self._disk.stat(self._layout.path(status, job_id))
            except FileNotFoundError:
                continue
            # Two changes within one tick of the clock may leave the same number. So the mark of a
            # file that young is another one when it is taken again later.
            is_fresh = at - found.st_ctime_ns < QUIET
            return (status, found.st_ino, found.st_ctime_ns, is_fresh)
        return None

    def jobs(self, statuses: Iterable[JobStatus]) -> Iterator[AnyJob]:
        """The jobs in these statuses, each once.

        Names come first, contents after: a job that moves meanwhile is looked up where it went.
        """
        wanted = frozenset(statuses)
        elsewhere: list[str] = []
        for job_id, status in self._standing(wanted).items():
            copy = None if status is None else self._copies.read(status, job_id)
            if isinstance(copy, Copy):
                yield copy.job
            else:
                self._note_bad(status, job_id, copy)
                elsewhere.append(job_id)
        for job_id in elsewhere:
            job = self._found(job_id)
            if job is not None and job.status in wanted:
                yield job

    def newest(self, filters: Filters, most: int) -> list[AnyJob]:
        """See `Listing.newest`. Most jobs are read for their outlines only, which takes half as
        long as decoding them."""
        outlines: list[Outline] = []
        elsewhere: list[str] = []
        for job_id, status in self._standing(frozenset(filters.statuses)).items():
            seen = None if status is None else self._copies.outline(status, job_id)
            if isinstance(seen, Outline):
                if filters.cover(seen):
                    outlines.append(seen)
            else:
                self._note_bad(status, job_id, seen)
                elsewhere.append(job_id)
        outlines.sort(key=lambda outline: (-outline.created, outline.id))
        found: list[AnyJob] = []
        for outline in outlines:
            if len(found) >= most:
                break
            copy = self._copies.read(outline.status, outline.id)
            if isinstance(copy, Copy) and filters.match(copy.job):
                found.append(copy.job)
            else:  # it moved or changed meanwhile, or is no job
                self._note_bad(outline.status, outline.id, copy)
                elsewhere.append(outline.id)
        found += [job for job_id in elsewhere if (job := self._found(job_id))]
        return filters.newest_of(found)[:most]

    def _standing(self, asked: frozenset[JobStatus]) -> dict[str, JobStatus | None]:
        """Every id in the folders of these statuses, and the folder it is in; None if it is in
        another one, too."""
        places = self._places(tuple(each for each in STATUSES if each in asked))
        for other in STATUSES:
            if other not in asked:
                # A job that is there too is on its way, or was left by a mover that died.
                for name in self._disk.names(self._layout.folders[other]):
                    job_id = id_of(name)
                    if job_id in places:
                        places[job_id] = None
        return places

    def _note_bad(self, status: JobStatus | None, job_id: str, seen: object) -> None:
        if isinstance(seen, Bad) and status is not None:
            # Its grace time begins now: that of many is waited for once, not one by one.
            self._copies.is_settled_bad(self._layout.path(status, job_id), seen)

    def _found(self, job_id: str) -> AnyJob | None:
        try:
            return self.get(job_id)
        except JobDecodeError:
            return None  # left to the doctor, and to a process that sets it aside

    def counts(self) -> Mapping[JobStatus, int]:
        """How many jobs are in each status."""
        counts = dict.fromkeys(STATUSES, 0)
        for job_id, status in self._places(STATUSES).items():
            if status is not None:
                counts[status] += 1
            elif (job := self._found(job_id)) is not None:
                counts[job.status] += 1
        return counts

    def _places(self, statuses: tuple[JobStatus, ...]) -> dict[str, JobStatus | None]:
        """Every id in these folders and the folder it is in; None if it is in two.

        Jobs move forward through the folders, in the order in which they are listed. A job that
        goes back into ``pending`` meanwhile may be missed. So as long as that cannot be ruled out,
        they are listed again: all, then only those between which jobs go to and fro.
        """
        places: dict[str, JobStatus | None] = {}
        for turn in range(LISTINGS):
            quiet_since = self._quiet_since()
            for status in statuses if turn < EMPTY_PASSES else UNFINISHED:
                for name in self._disk.names(self._layout.folders[status]):
                    job_id = id_of(name)
                    if job_id is not None:
                        known = places.get(job_id, status)
                        places[job_id] = status if known == status else None
            if len(statuses) == 1 or self._proves_absence(quiet_since):
                break
        return places


def _revision(copy: Copy) -> int:
    return copy.job.metadata.revision
