"""What calls an object without keeping it, and what ends when an object is garbage.

It must not know what the method does.

A thread or a store that is given a method keeps the object, which would then be looked after until
its process ends.
"""

from __future__ import annotations

import _thread
import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec

A = ParamSpec("A")


def weakly(method: Callable[A, object]) -> Callable[A, None]:
    """A function that calls the bound method, and does nothing when its object is gone."""
    found = weakref.WeakMethod(method)

    def call(*args: A.args, **kwargs: A.kwargs) -> None:
        method = found()
        if method is not None:
            method(*args, **kwargs)

    return call


def end_after(owner: object, end: Callable[[], object]) -> weakref.finalize[..., object]:
    """Have `end` called when `owner` is garbage, unless this is `detached` before.

    In a forked child it is not called: what it ends is the parent's. It runs in a thread of its
    own: the collector may find `owner` in any thread and within any lock, even one that `end` waits
    for.
    """
    finalizer: weakref.finalize[..., object] = weakref.finalize(owner, _end, os.getpid(), end)
    finalizer.atexit = False
    return finalizer


def _end(process: int, end: Callable[[], object]) -> None:
    if os.getpid() == process:
        # Not by `threading` here, which takes locks for that. If there is no thread to be had, or
        # the interpreter is ending, it ends with the process.
        with suppress(RuntimeError):
            _thread.start_new_thread(_begin, (end,))


def _begin(end: Callable[[], object]) -> None:
    thread = threading.Thread(target=end, name="semiont-jobs-end", daemon=True)
    with suppress(RuntimeError):
        thread.start()
