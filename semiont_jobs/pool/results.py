"""What a run yields, and the run's end when its results are no longer wanted.

It must not know what a run is: it has a generator that ends it.

When the generator is closed, it waits for threads, takes locks and removes jobs. The garbage
collector may run in any thread and under any lock, also in those threads and under those locks. So
the generator itself is never garbage: only `Results` is, and if it is the collector that drops it,
a thread of its own closes the generator.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

from semiont_jobs.pool.runs import Outcome
from semiont_jobs.threads import begin

T = TypeVar("T")

Outcomes = Generator[Outcome, None, None]


class Results(Iterator[T], Generic[T]):
    """Yields each outcome. The run ends with the last one, with an error, by `close`, or when this
    object is dropped."""

    def __init__(self, outcomes: Outcomes, hand_on: Callable[[Outcome], T]) -> None:
        self._outcomes = outcomes
        self._hand_on = hand_on
        self._dropped: SimpleQueue[bool] | None = None
        """Wakes the thread that ends the run if this is dropped; None: nothing has begun."""

    def __next__(self) -> T:
        """The next result.

        :raises ThreadRefused: the system gives no thread to look after the run.
        """
        if self._dropped is None:
            self._dropped = _looked_after(self._outcomes)
        try:
            return self._hand_on(next(self._outcomes))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the run, and return when no thread works on it any more."""
        try:
            self._outcomes.close()
        finally:
            if self._dropped is not None:
                self._dropped.put(False)

    def __del__(self) -> None:
        if self._dropped is None:
            return
        if sys.getrefcount(self) == _ALONE:
            self.close()
        else:  # the collector drops it: what refers to it is garbage, too
            self._dropped.put(True)  # takes no lock of ours


def _looked_after(outcomes: Outcomes) -> SimpleQueue[bool]:
    dropped: SimpleQueue[bool] = SimpleQueue()
    thread = threading.Thread(
        target=_close_if_dropped, args=(outcomes, dropped), name="semiont-jobs-run", daemon=True
    )
    begin(thread)
    _OPEN.add(outcomes)
    return dropped


def _close_if_dropped(outcomes: Outcomes, dropped: SimpleQueue[bool]) -> None:
    try:
        if dropped.get():
            outcomes.close()
    finally:
        _OPEN.discard(outcomes)


def _references_at_the_end() -> int:
    """How many references the finalizer of an unreferenced object counts; 0: it may run at any
    point all the same.

    On PyPy only the collector runs it. Without an interpreter lock it runs in the thread that made
    the object, which may be anywhere when another thread drops the last reference.

    A callback of the collector could show whether it is running, too. But a callback in Python
    swallows a Ctrl-C that comes meanwhile, in every program that imports this.
    """
    found = [0]
    if "free-threading" in sys.version:
        return found[0]

    class Probe:
        def __del__(self) -> None:
            found.append(sys.getrefcount(self))

    Probe()
    return found[-1]


_ALONE: Final = _references_at_the_end()

_OPEN: Final[set[Outcomes]] = set()
"""Those of the runs that have begun and not ended."""
