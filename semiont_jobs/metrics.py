"""The figures of a queue, as plain frozen data.

It must not know where they come from, nor how they are shown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Final

from attrs import frozen

from semiont_jobs.model import OF_NAMELESS_RUNS, JobStatus

BOUNDS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Seconds. From what a thumbnail takes to what a night's import takes; about three per power of ten
where most jobs are: enough to see a change, few enough for a series each."""

_BOUNDS_MS: Final = tuple(int(1000 * each) for each in BOUNDS)


def counted_as(type_name: str) -> str:
    """The type under which a job is counted. Runs without a name count as one type: else a program
    that makes many would have ever more figures."""
    return OF_NAMELESS_RUNS if type_name.startswith(OF_NAMELESS_RUNS) else type_name


@frozen(kw_only=True)
class Histogram:
    """How long something took, in seconds."""

    counts: tuple[int, ...]
    """For each of `BOUNDS`, how many took at most that long, including those of lower bounds."""
    count: int
    """How many there were in all."""
    sum: float
    """Seconds that all of them took together."""


class Durations:
    """A histogram that grows, and shrinks when jobs that it counts are removed. Not thread-safe."""

    def __init__(self) -> None:
        self._slots = [0] * (len(BOUNDS) + 1)
        self._sum = 0

    def add(self, milliseconds: int, times: int = 1) -> None:
        """Count one that took that long; a negative time (clocks were set) counts as zero."""
        milliseconds = max(milliseconds, 0)
        self._slots[bisect_left(_BOUNDS_MS, milliseconds)] += times
        self._sum += times * milliseconds

    def taken(self) -> Histogram:
        """Its present figures."""
        cumulated = tuple(accumulate(self._slots))
        return Histogram(counts=cumulated[:-1], count=cumulated[-1], sum=self._sum / 1000)


@frozen(kw_only=True)
class StoredMetrics:
    """The jobs of one type in one named queue, as they are stored, from all processes.

    All figures fall when jobs are removed, so none of them is a counter.
    """

    type: str
    queue: str
    jobs: Mapping[JobStatus, int]
    """The number in each status. ``running`` is what is in flight, in all processes."""
    due: int
    """How many are pending and could be claimed now."""
    oldest_due_age: float
    """Seconds since the first of those was due; 0 if there is none."""
    retries: int
    """Attempts of these jobs that failed or timed out and were retried."""
    rescues: int
    """Attempts that ended with their worker's death."""
    wait: Histogram
    """Of finished jobs that ran: from when the last attempt was due until it began."""
    run: Histogram
    """Of the same: from when the last attempt began until it ended."""

    @property
    def failures(self) -> int:
        """How many were given up."""
        return self.jobs["failed"]


@frozen(kw_only=True)
class ProcessMetrics:
    """What this queue object has done to the jobs of one type in one named queue since it was made.
    The processes of its pools are included. No figure falls, except `in_flight`."""

    type: str
    queue: str
    in_flight: int
    """Claims that it holds now."""
    events: Mapping[str, int]
    """How often each event was sent (see `Event`)."""
    failures: int
    """Jobs given up: failed with no retries left, or permanently, or their workers died too
    often."""
    wait: Histogram
    """From when a job was due until it was claimed here."""
    run: Histogram
    """From a claim until the attempt's end: completed, failed or cancelled."""

    @property
    def retries(self) -> int:
        """Attempts that failed here and are retried."""
        return self.events.get("retrying", 0)

    @property
    def rescues(self) -> int:
        """Jobs of dead workers that were rescued here."""
        return self.events.get("rescued", 0)


def merged(figures: Iterable[ProcessMetrics]) -> tuple[ProcessMetrics, ...]:
    """The figures of several processes as one's, by type and queue."""
    kinds: dict[tuple[str, str], list[ProcessMetrics]] = {}
    for each in figures:
        kinds.setdefault((each.type, each.queue), []).append(each)
    return tuple(_sum(several) for _, several in sorted(kinds.items()))


def _sum(several: Sequence[ProcessMetrics]) -> ProcessMetrics:
    if len(several) == 1:
        return several[0]
    events: Counter[str] = Counter()
    for each in several:
        events.update(each.events)
    return ProcessMetrics(
        type=several[0].type,
        queue=several[0].queue,
        in_flight=sum(each.in_flight for each in several),
        events=dict(events),
        failures=sum(each.failures for each in several),
        wait=_together([each.wait for each in several]),
        run=_together([each.run for each in several]),
    )


def _together(several: Sequence[Histogram]) -> Histogram:
    return Histogram(
        counts=tuple(map(sum, zip(*(each.counts for each in several), strict=True))),
        count=sum(each.count for each in several),
        sum=sum(each.sum for each in several),
    )


@frozen(kw_only=True)
class QueueMetrics:
    """The figures of a queue: `JobQueue.metrics`."""

    at: datetime
    stored: tuple[StoredMetrics, ...]
    """Of what is stored, by type and queue."""
    unreadable: int
    """Invalid files (or rows) that are not in quarantine yet."""
    process: tuple[ProcessMetrics, ...]
    """Of what this queue object and the processes of its pools did, by type and queue."""

    @property
    def due(self) -> int:
        """How many jobs could be claimed now, of all types."""
        return sum(each.due for each in self.stored)

    @property
    def oldest_due_age(self) -> float:
        """Seconds that the first of all due jobs has waited; 0 if none waits."""
        return max((each.oldest_due_age for each in self.stored), default=0.0)

    def jobs(self, status: JobStatus) -> int:
        """How many jobs are in that status, of all types."""
        return sum(each.jobs[status] for each in self.stored)
