"""Making changes durable by the journal: one small write for what is acknowledged.

It must not know how the journal is kept.

The rule is that no step removes or replaces the last durable copy of a job. A new copy is durable
in the journal before the older one goes. One step needs no record: a claim of a job whose own
record is in the file that is appended to. Until that file is emptied, this record is the durable
copy; and emptying it makes the claimed copy durable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from semiont_jobs.model import STATUSES, AnyJob
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.forcing import ByFsync, Copied, Forcing, Texts
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.stores.files.journal.records import MOST_REVISION, moment
from semiont_jobs.stores.files.journal.segment import MOST_BYTES
from semiont_jobs.stores.files.journal.standing import Company
from semiont_jobs.stores.files.layout import Layout

LARGEST: Final = MOST_BYTES // 4
"""Bytes of a job above which its file is fsynced instead: what is written twice should be small,
and four jobs must not fill a journal."""


class ByJournal(Forcing):
    """What is acknowledged is in the journal; the files become durable later."""

    is_durable = True

    def __init__(self, disk: Disk, layout: Layout, journal: Journal) -> None:
        super().__init__(disk, layout)
        self.journal = journal
        self._by_itself = ByFsync(disk, layout)
        self._company = Company(disk, layout, journal.is_own)

    def published(self, job: AnyJob, text: bytes, fd: int) -> None:
        if _is_unfit(job, text):
            self._by_itself.published(job, text, fd)
        elif not self._is_told_of(job):
            self.journal.write([(job, text)])

    def is_wanted(self, job: AnyJob) -> bool:
        return not self._is_told_of(job)

    def make_ready(self) -> None:
        self.journal.make_ready()

    def all_published(self, copies: Sequence[Copied]) -> None:
        fit = []
        for copied in copies:
            if _is_unfit(copied.job, copied.text):
                self._by_itself.published(*copied)
            else:
                fit.append((copied.job, copied.text))
        if fit:
            self.journal.write(fit)

    def _is_told_of(self, job: AnyJob) -> bool:
        """Whether it is a claim of a revision that is in the journal, in a record that counts.

        A removal by another process makes it void, and the same job may have come back since.
        """
        return (
            job.status == "running"
            and self.journal.has(job, job.metadata.revision - 1)
            and not self._company.is_there()
        )

    def forces_together(self, job: AnyJob, text: bytes) -> bool:
        return not _is_unfit(job, text)

    def written(self, job: AnyJob, text: bytes, fd: int) -> None:
        is_unfit = _is_unfit(job, text)
        if is_unfit or not self.disk.has_syncfs:
            # Without ``syncfs``, emptying the journal forces the files that have their names, and
            # this one has none yet.
            self._by_itself.written(job, text, fd)
        if not is_unfit:
            self.journal.write([(job, text)])

    def replaced(self, job: AnyJob, text: bytes) -> None:
        if _is_unfit(job, text):
            self._by_itself.replaced(job, text)
        # If the file with the record began to be emptied before the job's file had its name, the
        # record may go and the name not be durable. So it is written again.
        elif not self.journal.has(job, job.metadata.revision):
            self.journal.write([(job, text)])

    def batch_published(self, texts: Texts, moments: Mapping[str, int]) -> None:
        fit = []
        for job, text in texts.values():
            if _is_unfit(job, text):
                self._force_one(job)
            else:
                fit.append((job, text))
        # From here on whoever removes a job records that. One that is not pending any more has been
        # made durable by whoever claimed it, and may be removed already: its record would bring it
        # back.
        file = self.journal.make_ready() if fit else ""
        fit = [(job, text) for job, text in fit if self._is_pending(job.metadata.id)]
        if fit:
            self.journal.write(fit, moments)
            if self.journal.make_ready() != file:  # there may have been none for an instant
                self._tell_of_the_removed([job.metadata.id for job, _text in fit])

    def _is_pending(self, job_id: str) -> bool:
        path = self.layout.path("pending", job_id)
        return self.disk.seems_there(path) or self.disk.exists(path)

    def _tell_of_the_removed(self, job_ids: Sequence[str]) -> None:
        """Record the removal of jobs of which nothing exists any more.

        They were finished and removed before the records were there, by a process that could not
        know of them.
        """
        at = moment()
        path, exists = self.layout.path, self.disk.exists
        gone = [
            job_id
            for job_id in job_ids
            if not self._is_pending(job_id)
            and not any(exists(path(status, job_id)) for status in STATUSES)
        ]
        if gone:
            self.journal.remove(dict.fromkeys(gone, at))

    def _force_one(self, job: AnyJob) -> None:
        try:
            fd = self.disk.open_to_read(self.layout.path(job.status, job.metadata.id))
        except FileNotFoundError:
            return  # a worker was faster, and has made it durable
        try:
            self._by_itself.published(job, b"", fd)
        finally:
            self.disk.close(fd)


def _is_unfit(job: AnyJob, text: bytes) -> bool:
    return len(text) > LARGEST or job.metadata.revision > MOST_REVISION
