"""The identity of a data directory, and whose turn it is to move jobs there.

It must not know jobs.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import suppress
from typing import Final

from semiont_jobs.errors import StoreError
from semiont_jobs.stores.files.copies import Copies
from semiont_jobs.stores.files.descriptors import HELD, Descriptor
from semiont_jobs.stores.files.layout import read_line

IDENTITY: Final = re.compile(r"[0-9a-f]{32}")
"""Also the name of a folder, so it contains nothing that leads elsewhere."""


class Place:
    """The file in which a data directory keeps its identity, and whose lock is the turn."""

    def __init__(self, copies: Copies, *, file_mode: int) -> None:
        self._copies = copies
        self._disk = copies.disk
        self._layout = copies.layout
        self._file_mode = file_mode

    def identity(self) -> str:
        """See `Moving.identity`."""
        if not self._disk.exists(self._layout.place_file):
            self._make()
        text = read_line(self._disk, self._layout.place_file)
        if not IDENTITY.fullmatch(text):
            # It is never replaced: a process with the old file's lock would not keep out one that
            # takes the new file's.
            raise StoreError(errno.EINVAL, "it does not tell an identity", self._layout.place_file)
        return text

    def take_turn(self) -> Descriptor:
        """The file, locked: the kernel drops the lock, however this process ends.

        :raises StoreError: another transfer has it (``EBUSY``).
        """
        self.identity()
        descriptor = HELD.open(self._disk.open, self._layout.place_file)
        try:
            if not self._disk.lock(descriptor.fd):
                place = os.path.dirname(self._layout.root)
                raise StoreError(errno.EBUSY, "another transfer to there is under way", place)
        except BaseException:
            self.end_turn(descriptor)
            raise
        return descriptor

    def end_turn(self, descriptor: Descriptor) -> None:
        """Unlock it."""
        self._copies.close(descriptor)

    def _make(self) -> None:
        temporary = os.path.join(self._layout.tmp, f"place-{os.urandom(6).hex()}")
        fd = self._disk.create(temporary, self._file_mode)
        try:
            self._disk.write(fd, f"{secrets.token_hex(16)}\n".encode())
            # With every durability, and before it has its name: arrivals elsewhere name it, and
            # would wait in vain if it were another one after a power cut.
            self._disk.fsync(fd)
            with suppress(FileExistsError):
                self._disk.link(temporary, self._layout.place_file)
            self._disk.fsync_folder(self._layout.root)
        finally:
            self._disk.close(fd)
            with suppress(FileNotFoundError):
                self._disk.unlink(temporary)
