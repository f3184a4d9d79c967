"""What a new child process gets to work with, in a file that it reads by itself.

It must not know what that is.

``multiprocessing`` writes what a process gets into a pipe, and holds the other end of that open
until all is written. If it is more than the pipe holds, and the process dies or stands still before
it reads, the write never returns. A function of ``pool.map`` with a table bound to it is as large.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
from multiprocessing import reduction
from typing import IO, Any


class Parcel:
    """Is what it was given in the process that it is sent to."""

    def __init__(self, content: object) -> None:
        self._content = content
        self._file = _new_file()

    def close(self) -> None:
        """Close the file, of which the process that was started has a copy."""
        self._file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Called once, when a process is about to be started, which inherits the file."""
        reduction.ForkingPickler(self._file).dump(self._content)
        self._file.seek(0)
        return _opened, (reduction.DupFd(self._file.fileno()),)


def _new_file() -> IO[bytes]:
    """A file without a name."""
    # In memory where the system can: a pool may run where no directory can be written.
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("semiont-jobs"), "w+b")
    return tempfile.TemporaryFile()


def _opened(handle: Any) -> object:
    with os.fdopen(handle.detach(), "rb") as file:
        return pickle.load(file)
