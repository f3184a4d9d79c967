"""What a run yields, and its end when nobody asks for more.

It must not know what a run is: it has a generator that ends it.

The generator waits for threads, takes locks and removes jobs when it is closed. The collector may
come upon it in any thread, within any lock, one of those threads and locks among them: so it is
never garbage by itself. What is dropped is what has it, and has it closed by a thread of its own if
it is the collector that comes.
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
    """Hands on each outcome. The run ends with the last one, with an error, by `close`, or when
    this is dropped."""

    def __init__(self, outcomes: Outcomes, hand_on: Callable[[Outcome], T]) -> None:
        self._outcomes = outcomes
        self._hand_on = hand_on
        self._dropped: SimpleQueue[bool] | None = None
        """Where the thread waits that ends the run if this is dropped; None: nothing has begun."""

    def __next__(self) -> T:
        """The next one.

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
        """End the run, and return when nobody works on it any more."""
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
        else:  # it is the collector that comes: what refers to this is garbage, too
            self._dropped.put(True)  # which takes no lock of ours


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
    """How many are counted in the finalizer of what nothing refers to any more; 0: objects do not
    end when the last reference goes.

    A callback of the collector's could tell whether it is at work, too; but one in Python swallows
    the Ctrl-C that comes meanwhile, in every program that imports this.
    """
    found = [0]

    class Probe:
        def __del__(self) -> None:
            found.append(sys.getrefcount(self))

    Probe()
    return found[-1]


_ALONE: Final = _references_at_the_end()

_OPEN: Final[set[Outcomes]] = set()
"""Of the runs that have begun and not ended."""
