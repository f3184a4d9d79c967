"""The descriptors of this process that may carry a lock, and what becomes of them at a fork.

It must not know which files they are.

A child made by `fork` inherits the open files of its parent, locks included: were they left
open there, a killed worker's job would look alive for as long as its child lives. So every
such descriptor is opened and closed under one lock that a fork takes too, and the child
closes them all first thing. Close, never unlock: unlocking in the child would release the
parent's lock as well.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

CLOSED: Final = -1


class Descriptor:
    """One open file. ``fd`` is `CLOSED` once it is closed, here or by a fork."""

    __slots__ = ("fd", "found")

    def __init__(self, fd: int) -> None:
        self.fd: int = fd
        self.found: os.stat_result | None = None
        """What the file was when its lock was taken on an existing path."""


class Descriptors:
    """All of them."""

    def __init__(self) -> None:
        # Reentrant: a fork may happen in the thread that is just opening a file.
        self._lock = threading.RLock()
        self._open: set[Descriptor] = set()

    def open(self, opener: Callable[..., int], *arguments: object) -> Descriptor:
        """Open a file by calling `opener`, so that no fork comes between opening and noting."""
        with self._lock:
            descriptor = Descriptor(opener(*arguments))
            self._open.add(descriptor)
        return descriptor

    def close(self, descriptor: Descriptor, closer: Callable[[int], None] = os.close) -> None:
        """Close a file and let go of its lock; a second call does nothing.

        An error of closing is no error of what was done before: the kernel lets go of the
        descriptor all the same, and whatever had to be durable was forced to the disk. Raised
        here, it would make of an outcome that stands one that was refused.
        """
        with self._lock:
            fd, descriptor.fd = descriptor.fd, CLOSED
            self._open.discard(descriptor)
            if fd != CLOSED:
                try:
                    closer(fd)
                except OSError as error:
                    if error.errno == errno.EBADF:  # somebody else closed it: a mistake of ours
                        raise

    def before_fork(self) -> None:
        """No file is being opened or closed while the process is copied."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Close everything: the child holds nothing."""
        for descriptor in tuple(self._open):  # one may be forgotten, and so closed, meanwhile
            with suppress(OSError):
                os.close(descriptor.fd)
            descriptor.fd = CLOSED
        self._open = set()
        self._lock = threading.RLock()


HELD: Final = Descriptors()
"""Of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=HELD.before_fork,
        after_in_parent=HELD.after_fork_in_parent,
        after_in_child=HELD.after_fork_in_child,
    )
