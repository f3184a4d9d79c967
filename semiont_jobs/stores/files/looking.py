"""A door to the disk through which one can only look: every call that would change it is refused.

It must not know which caller looks, or what for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NoReturn

from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.layout import Layout


def _refuse(_disk: Disk, *arguments: object) -> NoReturn:
    path = next((each for each in arguments if isinstance(each, str)), None)
    raise OSError(errno.EROFS, "opened only to look", path)


_REFUSED: Final[Any] = _refuse  # for any parameters and result


class LookingDisk(Disk):
    """Reads a directory in which nothing is to be changed.

    It may be another user's, on a disk mounted read-only, or made by the TypeScript package, which
    makes folders when it first needs them. Calls are refused here, under everything else, so that
    no method can be forgotten.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self._root = layout.root
        self._pending = layout.folders["pending"]

    def open(self, path: str) -> int:
        """Open a file to lock it; for reading only, if the disk is mounted read-only."""
        try:
            return super().open(path)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
        return self.open_to_read(path)

    def names(self, path: str) -> list[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The names in a folder; none if it does not exist yet."""
        with suppress(FileNotFoundError):
            return os.listdir(path)
        return []

    def entries(self, folder: str) -> Iterator[tuple[str, int]]:
        """The names in a folder and their inode numbers; none if it does not exist yet."""
        with suppress(FileNotFoundError):
            yield from super().entries(folder)

    def stat(self, path: str) -> os.stat_result:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The stat result of a name.

        As long as ``pending`` does not exist, it is that of the folder above, which changes when
        ``pending`` is made.
        """
        try:
            return os.lstat(path)
        except FileNotFoundError:
            if path != self._pending:
                raise
        return os.lstat(self._root)

    # All primitives that write.
    create = _REFUSED
    write = _REFUSED
    write_at = _REFUSED
    link = _REFUSED
    rename = _REFUSED
    rename_new = _REFUSED
    unlink = _REFUSED
    make_folder = _REFUSED
    fsync = _REFUSED
    fdatasync = _REFUSED
    fsync_folder = _REFUSED
    syncfs = _REFUSED
