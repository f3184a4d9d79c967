"""Objects that must reset themselves in a forked child.

It must not know what these objects are.

After a fork the child has a copy of every lock (perhaps held by a thread that does not exist
there), every cache and every descriptor of its parent. gunicorn's ``--preload`` and
multiprocessing's fork method make such children.
"""

from __future__ import annotations

import os
import weakref
from contextlib import ExitStack
from typing import Final, Protocol


class Forkable(Protocol):
    """Something that can reset itself."""

    def reset_after_fork(self) -> None:
        """Called in the child, before anything else runs there."""
        ...


_known: Final[weakref.WeakSet[Forkable]] = weakref.WeakSet()


def reset_in_child(thing: Forkable) -> None:
    """Have `thing.reset_after_fork` called in every child forked from now on."""
    _known.add(thing)


def _reset_all() -> None:
    with ExitStack() as resets:  # one that fails does not stop the others
        for thing in list(_known):
            resets.callback(thing.reset_after_fork)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
