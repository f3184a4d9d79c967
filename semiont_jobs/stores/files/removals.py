"""What must be durable, and recorded, before held jobs are removed.

It must not know which jobs these are, or how they are removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from semiont_jobs.stores.files.forcing import ByFsync, Copied, Forcing
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.stores.files.journal.records import moment


class Removals:
    """Prepares removals from one data directory."""

    def __init__(self, forcing: Forcing, journal: Journal) -> None:
        self._forcing = forcing
        self._disk = forcing.disk
        self._layout = forcing.layout
        self._journal = journal

    def prepare(self, holds: Sequence[FileHold]) -> None:
        """Return when these jobs may be removed.

        With another durability than theirs, this process may remove jobs that others have made
        durable, and their journals must not bring them back.

        :raises ClaimLost: somebody closes the store.
        """
        has_journals = self._journal.is_there()
        if has_journals or self._forcing.is_durable:
            # A worker's unlink of the running copy must be durable before that of a finished one.
            # Otherwise a power cut could bring a finished job back to run again (C18).
            for folder in self._layout.folders.values():
                self._disk.fsync_folder(folder)
        if has_journals:
            self._record(holds)

    def _record(self, holds: Sequence[FileHold]) -> None:
        with ExitStack() as stack:
            for hold in holds:
                stack.enter_context(hold.at_work())
            at = moment()
            # Once that is recorded, no older record of these jobs counts. Should the removal be
            # refused or interrupted, their files must be enough.
            copies = [Copied(hold.job, b"", hold.descriptor.fd) for hold in holds]
            ByFsync(self._disk, self._layout).all_published(copies)
            self._journal.remove({hold.job.metadata.id: at for hold in holds})
