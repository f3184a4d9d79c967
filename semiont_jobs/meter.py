"""The meter: counts what a queue object does, while it does it.

It must not know what is stored.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Hashable, Iterable
from datetime import timedelta
from typing import Any, Final

from attrs import evolve

from semiont_jobs.metrics import Durations, ProcessMetrics, counted_as, merged
from semiont_jobs.model import AnyJob

_MILLISECOND: Final = timedelta(milliseconds=1)
_ENDS_ATTEMPT: Final = frozenset({"completed", "failed", "retrying", "cancelled"})


class _Kind:
    """The jobs of one type in one named queue."""

    def __init__(self) -> None:
        self.events: defaultdict[str, int] = defaultdict(int)
        self.failures = 0
        self.waits = Durations()
        self.runs = Durations()


class Meter:
    """Thread-safe. It is called at every transition, so each call must cost next to nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._others: dict[Hashable, tuple[ProcessMetrics, ...]] = {}
        self._ended: tuple[ProcessMetrics, ...] = ()

    def hear_of(self, other: Hashable, figures: tuple[ProcessMetrics, ...] | None) -> None:
        """Take what another process has done so far, to report it, too; None: it has ended."""
        with self._lock:
            if figures is not None:
                self._others[other] = figures
                return
            last = self._others.pop(other, ())
            self._ended = merged((*self._ended, *(evolve(each, in_flight=0) for each in last)))

    def note(self, name: str, job: AnyJob) -> None:
        """Count an event that was sent, with the job as it is now."""
        metadata = job.metadata
        key = (counted_as(metadata.type), metadata.queue)
        with self._lock:
            kind = self._kinds.get(key)
            if kind is None:
                kind = self._kinds[key] = _Kind()
            kind.events[name] += 1
            if name == "claimed":
                whole: Any = job
                kind.waits.add((whole.started_at - metadata.due) // _MILLISECOND)
            elif name in _ENDS_ATTEMPT and metadata.attempts and _has_run(job):
                last = metadata.attempts[-1]
                kind.runs.add((last.ended_at - last.started_at) // _MILLISECOND)
            if name == "failed":
                kind.failures += 1

    def taken(self, held: Iterable[AnyJob]) -> tuple[ProcessMetrics, ...]:
        """The figures now, with the jobs that are in flight."""
        in_flight: dict[tuple[str, str], int] = {}
        for job in held:
            key = (counted_as(job.metadata.type), job.metadata.queue)
            in_flight[key] = in_flight.get(key, 0) + 1
        with self._lock:
            own = [
                ProcessMetrics(
                    type=type_name,
                    queue=queue,
                    in_flight=in_flight.get((type_name, queue), 0),
                    events=dict(kind.events),
                    failures=kind.failures,
                    wait=kind.waits.taken(),
                    run=kind.runs.taken(),
                )
                for (type_name, queue), kind in self._kinds.items()
            ]
            others = [each for figures in self._others.values() for each in figures]
            ended = self._ended
        return merged((*own, *ended, *others))


def _has_run(job: AnyJob) -> bool:
    """Whether its last attempt just ended here. A job cancelled while it waits may have earlier
    ones on record, and when a worker died is not known."""
    is_last = job.status == "pending" or job.started_at is not None
    return is_last and job.metadata.attempts[-1].outcome != "crashed"
