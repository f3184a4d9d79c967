"""What must not keep an object, and what ends when nobody has one any more.

A thread, or a store, that is given a method keeps the object: it would be looked after until its
process ends. It must not know what the method does.
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
    """What calls the bound method, and does nothing when its object is gone."""
    found = weakref.WeakMethod(method)

    def call(*args: A.args, **kwargs: A.kwargs) -> None:
        method = found()
        if method is not None:
            method(*args, **kwargs)

    return call


def end_after(owner: object, end: Callable[[], object]) -> weakref.finalize[..., object]:
    """Have `end` called when nobody has `owner` any more, unless that is `detached` before. In a
    forked child it is not: what it ends is the parent's.

    In a thread of its own. The collector may come upon `owner` in any thread and within any lock,
    one of those that `end` waits for among them.
    """
    finalizer: weakref.finalize[..., object] = weakref.finalize(owner, _end, os.getpid(), end)
    finalizer.atexit = False
    return finalizer


def _end(process: int, end: Callable[[], object]) -> None:
    if os.getpid() == process:
        # Not begun by `threading` here, which takes locks to do so. No thread to be had, or the
        # interpreter is ending: then it ends with the process.
        with suppress(RuntimeError):
            _thread.start_new_thread(_begin, (end,))


def _begin(end: Callable[[], object]) -> None:
    thread = threading.Thread(target=end, name="semiont-jobs-end", daemon=True)
    with suppress(RuntimeError):
        thread.start()
