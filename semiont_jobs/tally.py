"""The tally: figures of all stored jobs, kept up to date by what has changed.

It must not know how a store finds out what has changed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from semiont_jobs.metrics import Durations, StoredMetrics, counted_as
from semiont_jobs.model import STATUSES, JobStatus
from semiont_jobs.outline import Outline, milliseconds, outline_of
from semiont_jobs.store import JobStore, Roll, RollChanges, Rolling


class _Kind:
    """The jobs of one type in one named queue."""

    def __init__(self) -> None:
        self.jobs: Counter[JobStatus] = Counter()
        self.ready: dict[str, int] = {}
        """By id: since when a pending job without ``run_after`` has waited."""
        self.put_off: dict[str, int] = {}
        """By id: when each other pending job is due."""
        self.retries = 0
        self.rescues = 0
        self.waits = Durations()
        self.runs = Durations()


class Tally:
    """Figures by type and named queue.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def apply(self, changes: RollChanges) -> None:
        """Count what has come, and no longer what has gone."""
        self._count(changes.gone, -1)
        self._count(changes.come, +1)

    def taken(self, at: datetime) -> tuple[StoredMetrics, ...]:
        """The figures at that instant."""
        now = milliseconds(at)
        return tuple(
            _figures(type_name, queue, kind, now)
            for (type_name, queue), kind in sorted(self._kinds.items())
            if any(kind.jobs.values())
        )

    def _count(self, outlines: Iterable[Outline], times: int) -> None:
        for outline in outlines:
            key = (counted_as(outline.type), outline.queue)
            kind = self._kinds.get(key)
            if kind is None:
                kind = self._kinds[key] = _Kind()
            kind.jobs[outline.status] += times
            if outline.status == "pending":
                waiting = kind.ready if outline.run_after is None else kind.put_off
                if times > 0:
                    waiting[outline.id] = outline.due
                else:
                    waiting.pop(outline.id, None)
            if outline.outcomes:
                kind.rescues += times * outline.outcomes.count("crashed")
                kind.retries += times * _retries(outline)
            if outline.completed is not None and outline.started is not None:
                kind.waits.add(outline.started - outline.due, times)
                kind.runs.add(outline.completed - outline.started, times)


def _retries(outline: Outline) -> int:
    failed = outline.outcomes.count("failed") + outline.outcomes.count("timeout")
    # The attempt after which a job was given up was not tried again.
    is_last = outline.status == "failed" and outline.outcomes[-1] in ("failed", "timeout")
    return failed - is_last


def _figures(type_name: str, queue: str, kind: _Kind, now: int) -> StoredMetrics:
    due = [each for each in kind.put_off.values() if each <= now]
    oldest = min(due, default=now)
    if kind.ready:
        oldest = min(oldest, *kind.ready.values())
    return StoredMetrics(
        type=type_name,
        queue=queue,
        jobs={status: kind.jobs[status] for status in STATUSES},
        due=len(kind.ready) + len(due),
        oldest_due_age=max(now - oldest, 0) / 1000,
        retries=kind.retries,
        rescues=kind.rescues,
        wait=kind.waits.taken(),
        run=kind.runs.taken(),
    )


class ReadingRoll:
    """The roll of a store that has none: it reads every job at every look."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._standing: dict[str, Outline] = {}

    def changes(self, *, sparing: bool = False) -> RollChanges:
        """See `Roll.changes`."""
        before = self._standing
        after = {str(job.metadata.id): outline_of(job) for job in self._store.jobs(STATUSES)}
        self._standing = after
        return RollChanges(
            gone=[each for id_, each in before.items() if after.get(id_) != each],
            come=[each for id_, each in after.items() if before.get(id_) != each],
            unreadable=0,
        )


def roll_of(store: JobStore) -> Roll:
    """A new roll of an opened store's jobs."""
    return store.roll() if isinstance(store, Rolling) else ReadingRoll(store)


class Survey:
    """A store's roll and its tally, shared by all threads that ask.

    From the first question on, it takes a few hundred bytes of memory for each stored job.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._roll: Roll | None = None
        self._tally = Tally()

    def taken(self, at: datetime) -> tuple[tuple[StoredMetrics, ...], int]:
        """The figures at that instant, and how many entries are not valid jobs."""
        with self._lock:
            self._roll = self._roll or roll_of(self._store)
            changes = self._roll.changes()
            self._tally.apply(changes)
            return self._tally.taken(at), changes.unreadable
