"""What this process holds of one data directory.

It must not keep a hold alive: one that is dropped closes its file, which another process can claim
then.
"""

from __future__ import annotations

import weakref

from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.threads import pop_entry


class Holds:
    """The holds that are not over, by their jobs' ids."""

    def __init__(self) -> None:
        # Plain references: a `WeakValueDictionary` takes several times as long, for every job.
        self._known: dict[str, weakref.ref[FileHold]] = {}

    def add(self, hold: FileHold) -> None:
        """Note a new one."""
        self._known[hold.job.metadata.id] = weakref.ref(hold)

    def end(self, hold: FileHold) -> None:
        """Forget one that is over."""
        job_id = hold.job.metadata.id
        known = self._known.get(job_id)
        if known is not None and known() in (hold, None):  # else another thread's, of the same job
            pop_entry(self._known, job_id, known)

    def get(self, job_id: str) -> FileHold | None:
        """The hold of a job; None: it is not held here."""
        known = self._known.get(job_id)
        return None if known is None else known()

    def all(self) -> list[FileHold]:
        """Every one of them."""
        found = [known() for known in list(self._known.values())]
        return [hold for hold in found if hold is not None]

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()
