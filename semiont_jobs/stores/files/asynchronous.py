"""Forcing a file's content that is begun now and waited for later, by Linux's asynchronous calls.

It must not know which file, or what is done in between.

A thread of our own could not do it: to begin, it would need the interpreter that the other one is
at work with. The kernel has workers for this (io_submit(2), ``IOCB_CMD_FDSYNC``, since Linux 4.18).
Neither Python nor the C library has functions for these calls, only their numbers. Where one is
refused, as in some containers, there is no beginning, and whoever waits does all of it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

_FDSYNC: Final = 3
_MACHINES: Final = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
"""The numbers of io_setup, io_destroy, io_getevents and io_submit."""


class _Control(ctypes.Structure):
    """What is asked for: ``struct iocb``."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_uint32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("fd", ctypes.c_uint32),
        ("buffer", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("event_fd", ctypes.c_uint32),
    )


class _Event(ctypes.Structure):
    """What came of it: ``struct io_event``."""

    _fields_ = (
        ("data", ctypes.c_uint64),
        ("control", ctypes.c_uint64),
        ("result", ctypes.c_int64),
        ("result2", ctypes.c_int64),
    )


class _Calls(NamedTuple):
    """The system calls. Each answers -1 where it was refused."""

    setup: Callable[[int, object], int]
    destroy: Callable[[int], int]
    wait: Callable[[int, int, int, object, None], int]
    submit: Callable[[int, int, object], int]


def _found() -> _Calls | None:
    numbers = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or sys.maxsize < 2**32 or numbers is None:
        return None
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None, use_errno=True)
        whole, place = ctypes.c_long, ctypes.c_void_p

        def call(number: int, *kinds: type) -> Callable[..., int]:
            prototype = ctypes.CFUNCTYPE(whole, whole, *kinds, use_errno=True)
            return partial(prototype(("syscall", library)), number)

        setup, destroy, wait, submit = numbers
        return _Calls(
            setup=call(setup, whole, place),
            destroy=call(destroy, ctypes.c_ulong),
            wait=call(wait, ctypes.c_ulong, whole, whole, place, place),
            submit=call(submit, ctypes.c_ulong, whole, place),
        )
    return None


CALLS: Final = _found()


class _Context:
    """The kernel's side of one call at a time."""

    _pid = 0

    def __init__(self, calls: _Calls) -> None:
        self._calls = calls
        number = ctypes.c_ulong(0)
        self.is_ready: bool = calls.setup(1, ctypes.byref(number)) == 0
        if self.is_ready:
            self._number = number.value
            self._pid = os.getpid()
        self._control = _Control(opcode=_FDSYNC)
        self._controls = (ctypes.c_void_p * 1)(ctypes.addressof(self._control))
        self._event = _Event()
        self._event_at = ctypes.addressof(self._event)

    def try_to_begin(self, fd: int) -> bool:
        """Whether the kernel has begun to force that file."""
        self._control.fd = fd
        return self._calls.submit(self._number, 1, self._controls) == 1

    def wait(self) -> None:
        while self._calls.wait(self._number, 1, 1, self._event_at, None) != 1:
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code))
        code = -self._event.result
        # What is idle may be another thread's at once, and the event too: not before it was read.
        # Nor before the end was seen: after an interrupt the call may be under way.
        _IDLE.append(self)
        if code:
            raise OSError(code, os.strerror(code))

    def __del__(
        self,
        process: Callable[[], int] = os.getpid,
        is_exiting: Callable[[], bool] = sys.is_finalizing,
    ) -> None:
        # It waits for a call that is under way, and takes some 30 ms, which a process that ends can
        # spare. A forked child has none of its parent's, and one of its own may have the same
        # number.
        if self._pid == process() and not is_exiting():
            self._calls.destroy(self._number)


_IDLE: Final[deque[_Context]] = deque()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_IDLE.clear)


def begin_fdatasync(fd: int) -> Callable[[], None] | None:
    """Have the kernel begin to force what is in an open file, without whatever is written later.

    :returns: what waits until it is forced, and raises `OSError` if it may not be; None: it cannot
        be begun here.
    """
    # By answers, not by errors: `TimeoutError` is one of the system, and a signal's handler may
    # raise it here. Who is interrupted must not be told that nothing has begun.
    context = _idle()
    if context is None:
        return None
    if not context.try_to_begin(fd):
        _IDLE.append(context)
        return None
    return context.wait


def _idle() -> _Context | None:
    with suppress(IndexError):
        return _IDLE.pop()
    context = None if CALLS is None else _Context(CALLS)
    return context if context is not None and context.is_ready else None
