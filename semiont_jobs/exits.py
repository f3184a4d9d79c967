"""What is to end with the process, last of all.

It must not know what these things are.

Python calls what was registered first last. This module registers before whatever gives back
the jobs in hand at the exit, which imports it for that; so their store can still be asked.
"""

from __future__ import annotations

import atexit
import weakref
from contextlib import ExitStack
from typing import Final, Protocol


class Ending(Protocol):
    """Something that has threads of its own to stop."""

    def end_with_process(self) -> None:
        """Called once, when the jobs in hand were given back; nothing is asked of it after."""
        ...


_known: Final[weakref.WeakSet[Ending]] = weakref.WeakSet()


def end_last(thing: Ending) -> None:
    """Have `thing.end_with_process` called when this process ends in order."""
    _known.add(thing)


def _end_all() -> None:
    with ExitStack() as ends:  # one that fails keeps no other from it
        for thing in list(_known):
            ends.callback(thing.end_with_process)


atexit.register(_end_all)
