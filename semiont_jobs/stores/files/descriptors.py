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
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

CLOSED: Final = -1


class Descriptor:
    """One open file. ``fd`` is `CLOSED` once it is closed, here or by a fork.

    One that is dropped is closed. An exception of a signal's handler (Ctrl-C, say) may come where
    nothing else would do that; the file's lock would be taken for as long as this process lives.
    """

    __slots__ = ("__weakref__", "fd", "found", "noted")

    def __init__(self) -> None:
        self.fd: int = CLOSED
        self.found: os.stat_result | None = None
        """The stat result of the file when it was locked at an existing path."""
        self.noted: weakref.ref[Descriptor] | None = None
        """By which all are known."""

    def __del__(self) -> None:
        # An interrupt may have come before it had a number. And at the very end of the interpreter
        # there are no globals any more.
        if getattr(self, "fd", CLOSED) != CLOSED and HELD:
            HELD.dropped(self)


class Descriptors:
    """All such descriptors."""

    def __init__(self) -> None:
        # Reentrant: a fork may happen in the thread that is just opening a file.
        self._lock = threading.RLock()
        # Weakly: one that is dropped is to be closed.
        self._open: dict[int, weakref.ref[Descriptor]] = {}
        self._dropped: deque[tuple[int, weakref.ref[Descriptor] | None]] = deque()
        """Dropped while another thread had the lock."""
        self._close = os.close

    def open(self, opener: Callable[..., int], *arguments: object) -> Descriptor:
        """Open a file by calling `opener`; no fork can come between opening and noting it."""
        descriptor = Descriptor()
        noted = descriptor.noted = weakref.ref(descriptor)
        with self._lock:
            # An interrupt right after the call leaves the file open for good, but not locked: its
            # number is lost, and nobody waits for it. Python has nothing against that.
            fd = descriptor.fd = opener(*arguments)
            self._open[fd] = noted
        self._close_dropped()
        return descriptor

    def close(self, descriptor: Descriptor, closer: Callable[[int], None] = os.close) -> None:
        """Close a file and so unlock it; a second call does nothing.

        An error of closing is not an error of what was done before: the kernel frees the descriptor
        all the same, and whatever had to be durable is durable already. If it were raised here, an
        outcome that is stored would be reported as refused.
        """
        with self._lock:
            fd = descriptor.fd
            if fd != CLOSED:
                is_noted = self._open.get(fd) is descriptor.noted
                # From here to the closer nothing is called: after a call an interrupt may come, and
                # would leave the file open with no number to close it by.
                descriptor.fd = CLOSED
                if is_noted:
                    del self._open[fd]
                try:
                    closer(fd)
                except OSError as error:
                    if error.errno == errno.EBADF:  # it was closed elsewhere: a mistake of ours
                        raise
        self._close_dropped()

    def dropped(self, descriptor: Descriptor) -> None:
        """Close a file to which there is no other reference.

        A finalizer calls this, in any thread, perhaps while another one waits for what this thread
        has locked: so this waits for no lock. If the lock is taken, whoever has it closes this one.
        """
        fd, descriptor.fd = descriptor.fd, CLOSED
        self._dropped.append((fd, descriptor.noted))
        self._close_dropped()

    def _close_dropped(self) -> None:
        while self._dropped and self._lock.acquire(blocking=False):
            try:
                with suppress(IndexError):
                    while True:
                        fd, noted = self._dropped.popleft()
                        # Not if it is another file's number by now: its process "died" in a test,
                        # or this is a child of a fork.
                        if noted is not None and self._open.get(fd) is noted:
                            self._open.pop(fd)
                            with suppress(OSError):
                                self._close(fd)
            finally:
                self._lock.release()

    def before_fork(self) -> None:
        """Let no file be opened or closed while the process is copied."""
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        """Allow it again."""
        self._lock.release()
        self._close_dropped()

    def after_fork_in_child(self) -> None:
        """Close everything: the child holds nothing."""
        for fd, noted in tuple(self._open.items()):  # garbage collection may close one meanwhile
            with suppress(OSError):
                os.close(fd)
            descriptor = noted()
            if descriptor is not None:
                descriptor.fd = CLOSED
        self._open = {}
        self._dropped.clear()
        self._lock = threading.RLock()


HELD: Final = Descriptors()
"""The descriptors of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=HELD.before_fork,
        after_in_parent=HELD.after_fork_in_parent,
        after_in_child=HELD.after_fork_in_child,
    )
