"""What `watch` keeps about a queue from one look to the next.

It must not know how it is shown.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from attrs import frozen

from semiont_jobs.cli.text import document
from semiont_jobs.errors import JobDecodeError
from semiont_jobs.metrics import StoredMetrics
from semiont_jobs.model import STATUSES, JobStatus, RunningJob
from semiont_jobs.outline import milliseconds
from semiont_jobs.queue import JobQueue
from semiont_jobs.store import Roll
from semiont_jobs.tally import Tally, roll_of

WINDOW: Final = 60
"""Seconds over which rates are counted: a minute, for "per minute", which is enough for a steady
figure."""


@frozen(kw_only=True)
class AtWork:
    """A running job."""

    id: str
    type: str
    worker: str
    elapsed: float
    """Seconds since the attempt began."""
    progress: Any
    """As in the job's file."""
    attempt: int


@frozen(kw_only=True)
class Row:
    """The jobs of one type in one named queue."""

    stored: StoredMetrics
    done: int
    """How many were completed within the last minute."""
    failed: int
    """How many failed within the last minute."""


@frozen(kw_only=True)
class View:
    """The result of one look."""

    at: datetime
    jobs: dict[JobStatus, int]
    due: int
    oldest_due_age: float
    rows: tuple[Row, ...]
    at_work: tuple[AtWork | None, ...]
    """A job keeps its place as long as it runs; None: a place that is free again."""
    more_at_work: int
    """Running jobs beyond those places."""
    unreadable: int

    @property
    def done(self) -> int:
        """Jobs of all types completed within the last minute."""
        return sum(row.done for row in self.rows)

    @property
    def failed(self) -> int:
        """Jobs of all types that failed within the last minute."""
        return sum(row.failed for row in self.rows)

    @property
    def retries(self) -> int:
        """Retries of the stored jobs of all types."""
        return sum(row.stored.retries for row in self.rows)

    @property
    def rescues(self) -> int:
        """Rescues of the stored jobs of all types."""
        return sum(row.stored.rescues for row in self.rows)


class Board:
    """Looks again and again. It reads only what has changed, and the jobs that are shown."""

    def __init__(self, queue: JobQueue, *, clock: Callable[[], datetime]) -> None:
        self._queue = queue
        self._clock = clock
        self._roll: Roll = roll_of(queue.initialize().store)
        self._tally = Tally()
        self._running: dict[str, None] = {}
        self._places: list[str | None] = []
        # When each ended, and as what. Not in order: the first look finds the last minute's all at
        # once.
        self._ended: deque[tuple[int, JobStatus, str, str]] = deque()

    def look(self, places: int) -> View:
        """The current state, with at most so many running jobs."""
        changes = self._roll.changes(sparing=True)
        self._tally.apply(changes)
        at = self._clock()
        since = milliseconds(at) - 1000 * WINDOW
        for outline in changes.gone:
            self._running.pop(outline.id, None)
        for outline in changes.come:
            if outline.status == "running":
                self._running[outline.id] = None
            elif outline.completed is not None and outline.completed > since:
                ended = (outline.completed, outline.status, outline.type, outline.queue)
                self._ended.append(ended)
        self._ended = deque(each for each in self._ended if each[0] > since)
        recent = Counter(each[1:] for each in self._ended)
        rows = tuple(
            Row(
                stored=one,
                done=recent["complete", one.type, one.queue],
                failed=recent["failed", one.type, one.queue],
            )
            for one in self._tally.taken(at)
        )
        self._give_places(places)
        return View(
            at=at,
            jobs={status: sum(row.stored.jobs[status] for row in rows) for status in STATUSES},
            due=sum(row.stored.due for row in rows),
            oldest_due_age=max((row.stored.oldest_due_age for row in rows), default=0.0),
            rows=rows,
            at_work=tuple(self._seen(each, at) for each in self._places),
            more_at_work=len(self._running) - sum(each is not None for each in self._places),
            unreadable=changes.unreadable,
        )

    def _give_places(self, places: int) -> None:
        before = self._places[:places]
        kept = [each if each in self._running else None for each in before]
        shown = set(kept)
        waiting = iter([each for each in self._running if each not in shown])
        kept = [next(waiting, None) if each is None else each for each in kept]
        # A place that stayed free for two looks is removed, so that a burst leaves no lasting gaps.
        kept = [each for each, was in zip(kept, before, strict=True) if each or was]
        kept += list(waiting)[: places - len(kept)]
        while kept and kept[-1] is None:
            kept.pop()
        self._places = kept

    def _seen(self, id_: str | None, at: datetime) -> AtWork | None:
        try:
            job = None if id_ is None else self._queue.get_job(id_)
        except JobDecodeError:
            return None
        if not isinstance(job, RunningJob):
            return None  # it has ended since the look
        claim = job.metadata.claim
        return AtWork(
            id=str(job.metadata.id),
            type=job.metadata.type,
            worker=claim.worker if claim else "not ours",
            elapsed=max((at - job.started_at).total_seconds(), 0.0),
            progress=document(job, self._queue.codec).get("progress"),
            attempt=job.metadata.attempt_count + 1,
        )
