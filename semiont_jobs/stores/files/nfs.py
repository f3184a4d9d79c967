"""A door to a disk on NFS, where an open file that is unlinked keeps a name beside its old one.

It must not know why a name goes.

The name is ``.nfs`` and a number, until the file is closed. In a status folder the TypeScript
package would take that for a job. So what goes from there is renamed into ``.tmp`` while it is
held, and unlinked when it is closed.
"""

from __future__ import annotations

import os
from contextlib import suppress

from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.layout import Layout

FILE_SYSTEMS = frozenset({"nfs", "nfs4"})
"""Those of `layout.NETWORK_FILE_SYSTEMS` that do so."""


class NfsDisk(Disk):
    """Removes names as NFS needs it."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._folders_of_jobs = frozenset(layout.folders.values())
        self._tmp = layout.tmp
        # By device and inode number, because nothing else is known of a descriptor that is closed.
        # As long as a file is held, no other file has its number.
        self._gone: dict[tuple[int, int], str] = {}

    def unlink(self, path: str) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Remove a name.

        In a status folder the caller holds the file: its new name in ``.tmp`` goes when the file is
        closed, or in a sweep, if this process dies before that.
        """
        if os.path.dirname(path) not in self._folders_of_jobs:
            super().unlink(path)
            return
        found = self.stat(path)
        target = os.path.join(self._tmp, f"gone-{os.urandom(6).hex()}")
        self.rename(path, target)
        self._gone[found.st_dev, found.st_ino] = target

    def close(self, fd: int) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Close a descriptor; if the file's name was removed, the file goes for good."""
        target = None
        try:
            if self._gone:
                found = self.stat_of(fd)
                target = self._gone.pop((found.st_dev, found.st_ino), None)
        finally:  # its lock must go, though the server may not answer
            super().close(fd)
        if target is not None:
            with suppress(OSError):  # a later sweep removes it
                super().unlink(target)
