"""Making all files durable that journals have records of, before those journals go.

It must not know which journals these are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.forcing import NOTHING_LOST, force_each
from semiont_jobs.stores.files.layout import Layout


class Syncing:
    """Syncs for one thread at a time.

    The kernel reports a lost write once to all that share a descriptor. Whoever syncs next, and is
    told of nothing, must find it noted.

    :param note_loss: called when the disk has lost a write. It must take no lock: the thread that
        has it may wait for this one.
    """

    def __init__(self, disk: Disk, layout: Layout, note_loss: Callable[[], object]) -> None:
        self._disk = disk
        self._layout = layout
        self._note_loss = note_loss
        self._turn = threading.RLock()  # a signal's handler may close what it interrupted

    def force(self, job_ids: Callable[[], Iterable[str]]) -> None:
        """Make everything durable on this file system, or at least the files of these jobs.

        :raises OSError: something may not be durable.
        """
        with self._turn:
            try:
                if not self._disk.syncfs(self._layout.journal):
                    force_each(self._disk, self._layout, job_ids())
            except OSError as error:
                if error.errno not in NOTHING_LOST:
                    self._note_loss()
                raise
