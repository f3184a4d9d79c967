"""The descriptors of this process that may carry a lock, and what becomes of them at a fork.

It must not know which files they are.

A child made by `fork` inherits its parent's open files, with their locks. If they stayed open
there, a killed worker's job would look alive for as long as its child lives. So every such
descriptor is opened and closed under one lock that a fork takes too, and the child first closes
them all. It closes and never unlocks: unlocking in the child would release the parent's lock as
well.
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
        """The stat result of the file when it was locked at an existing path."""


class Descriptors:
    """All such descriptors."""

    def __init__(self) -> None:
        # Reentrant: a fork may happen in the thread that is just opening a file.
        self._lock = threading.RLock()
        self._open: set[Descriptor] = set()

    def open(self, opener: Callable[..., int], *arguments: object) -> Descriptor:
        """Open a file by calling `opener`; no fork can come between opening and noting it."""
        with self._lock:
            descriptor = Descriptor(opener(*arguments))
            self._open.add(descriptor)
        return descriptor

    def close(self, descriptor: Descriptor, closer: Callable[[int], None] = os.close) -> None:
        """Close a file and so unlock it; a second call does nothing.

        An error of closing is not an error of what was done before: the kernel frees the descriptor
        all the same, and whatever had to be durable is durable already. If it were raised here, an
        outcome that is stored would be reported as refused.
        """
        with self._lock:
            fd, descriptor.fd = descriptor.fd, CLOSED
            self._open.discard(descriptor)
            if fd != CLOSED:
                try:
                    closer(fd)
                except OSError as error:
                    if error.errno == errno.EBADF:  # it was closed elsewhere: a mistake of ours
                        raise

    def before_fork(self) -> None:
        """Let no file be opened or closed while the process is copied."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Allow it again."""
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Close everything: the child holds nothing."""
        for descriptor in tuple(self._open):  # garbage collection may close one meanwhile
            with suppress(OSError):
                os.close(descriptor.fd)
            descriptor.fd = CLOSED
        self._open = set()
        self._lock = threading.RLock()


HELD: Final = Descriptors()
"""The descriptors of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=HELD.before_fork,
        after_in_parent=HELD.after_fork_in_parent,
        after_in_child=HELD.after_fork_in_child,
    )
