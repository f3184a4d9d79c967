"""What ends with the process, last of all.

It must not know what these things are.

Python calls what was registered first last. The module that releases open claims at the exit
imports this one, so this one registers first, and the store of the claims can still be used then.
"""

from __future__ import annotations

import atexit
import weakref
from contextlib import ExitStack
from typing import Final, Protocol


class Ending(Protocol):
    """Something that has threads of its own to stop."""

    def end_with_process(self) -> None:
        """Called once, after the open claims were released; nothing uses the object after that."""
        ...


_known: Final[weakref.WeakSet[Ending]] = weakref.WeakSet()


def end_last(thing: Ending) -> None:
    """Have `thing.end_with_process` called when this process ends normally."""
    _known.add(thing)


def _end_all() -> None:
    with ExitStack() as ends:  # one that fails does not stop the others
        for thing in list(_known):
            ends.callback(thing.end_with_process)


atexit.register(_end_all)
