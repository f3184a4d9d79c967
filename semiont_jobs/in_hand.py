"""A job in hand: the hold on it, the lock of whoever acts on it, and what is not written yet.

It must not know what outcomes a job may have (`claim`), nor where jobs are stored.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, Protocol

from semiont_jobs import lifecycle
from semiont_jobs.asking import StopRequest
from semiont_jobs.codec import Codec
from semiont_jobs.errors import (
    ClaimLost,
    JobEncodeError,
    JobTimeout,
    SemiontJobsError,
    StoreError,
    WorkerStopping,
)
from semiont_jobs.events import EventName, logger
from semiont_jobs.lifecycle import evolve_metadata
from semiont_jobs.model import PG, AnyJob, P, RunningJob, evolve
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.store import Deferred, Hold
from semiont_jobs.terms import Rules, Terms
from semiont_jobs.threads import stand_still_at_the_end

REPORT_INTERVAL: Final = 0.5
"""Seconds between two written progress reports: faster than anyone reads, and rare enough
that a work reporting in a tight loop is not bound by the disk."""


class Desk(Rules, Protocol):
    """What a claim needs of the queue that made it."""

    @property
    def codec(self) -> Codec: ...

    def clock(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def emit(self, name: EventName, job: AnyJob) -> None: ...

    def note(self, name: EventName, job: AnyJob) -> None: ...

    def tell(self, name: EventName, job: AnyJob) -> None: ...

    def tell_noted(self) -> None: ...

    def forget(self, claim: AnyInHand) -> None: ...

    def commit_soon(self) -> None: ...

    def dropped(self, claim: AnyInHand) -> None: ...


class Turn:
    """The lock of whoever acts on a job. What happened meanwhile is told when it is let go: a
    hook may take its time, or never return, and the job is still to be looked after."""

    __slots__ = ("_depth", "_desk", "_lock", "_told")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        # Reentrant: one verb calls another. Only its holder touches what follows.
        self._lock = threading.RLock()
        self._depth = 0
        self._told: tuple[tuple[EventName, AnyJob], ...] = ()

    def take(self, *, blocking: bool = True) -> bool:
        """Wait for the lock, or try to have it; whether it was had."""
        is_mine = self._lock.acquire(blocking=blocking)
        self._depth += is_mine
        return is_mine

    def tell(self, name: EventName, job: AnyJob) -> None:
        """Tell that at the end of this turn."""
        self._told = (*self._told, (name, job))

    def end(self) -> None:
        """Let go of the lock, and tell."""
        self._depth -= 1
        if self._depth:
            self._lock.release()
            return
        told, self._told = self._told, ()
        self._lock.release()
        if not told:
            self._desk.tell_noted()
        for name, job in told:
            self._desk.emit(name, job)

    def interrupt(self) -> None:
        """Let go of the lock for as long as it takes to tell what happened so far, unless this
        turn is part of another one's. Others may act on the job in between."""
        if self._depth == 1:
            try:
                self.end()
            finally:
                self.take()

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *_exc: object) -> None:
        self.end()


class InHand(Generic[P, PG]):
    """What a claim is, whatever it may become: ownership of a running job."""

    _ended_by: str | None = "not begun"

    def __init__(self, desk: Desk, hold: Hold, *, policy: RetryPolicy | None = None) -> None:
        job = hold.job
        assert job.status == "running"
        self._desk = desk
        self._hold = hold
        self.terms: Terms = Terms(desk, policy)
        self._turn = Turn(desk)
        self._job: RunningJob[P, PG] = job
        self._began = desk.monotonic()
        self._unwritten: RunningJob[P, PG] | None = None
        self._written_at: float | None = None
        self._is_refused = False
        self._asked = StopRequest()
        self.deferred: Deferred | None = None
        """Of the loop that claimed this, for `put_off`; None: it puts nothing off."""
        self._puts_off_in = 0
        self.is_put_off: bool = False
        """Whether it has ended, and its outcome is not durable yet."""
        # Last: until then, a claim whose making is interrupted is nobody's to give back.
        self._ended_by = None

    def put_off(self) -> None:
        """Have an outcome that this thread stores from now on made durable with others of its loop,
        and told of then: its verb returns before. A job that failed is not put off."""
        self._puts_off_in = threading.get_ident()

    def __del__(self) -> None:
        # In whatever thread, at whatever point, also within our own locks: nothing that is
        # called here may take one. The claim lives on until its desk has given it back.
        if self._ended_by is None:
            self._desk.dropped(self)

    @property
    def job(self) -> RunningJob[P, PG]:
        """The job as it stands, with the last progress reported."""
        return self._unwritten or self._job

    @property
    def cancelled(self) -> threading.Event:
        """Set within a second when the work is to stop: somebody asks for it, takes the job away,
        its time is up, or its worker stops; at once when this claim ends, by whatever hand.
        `Claim.raise_if_cancelled` says which."""
        return self._asked.event

    @property
    def is_open(self) -> bool:
        """Whether the job has no outcome yet and is still ours."""
        return self._ended_by is None

    @property
    def was_released(self) -> bool:
        """Whether the job was given back, by its work or by whoever stopped that."""
        return self._ended_by == "release"

    @property
    def timeout(self) -> float | None:
        """Seconds this attempt may take; None: any time. The job's own limit goes before its
        type's, and that before the worker's (see `Terms.set`)."""
        return self.terms.timeout(self._job)

    @property
    def deadline(self) -> datetime | None:
        """When this attempt's time is up, by the clock as it was set when it began; None: never."""
        return self.terms.deadline(self._job)

    def ask_to_stop(self, why: WorkerStopping | JobTimeout) -> None:
        """Have `Claim.raise_if_cancelled` raise that, unless somebody cancels the job. The first
        reason given stays."""
        self._asked.stop(why)

    # -- what the queue's housekeeping calls ---------------------------------------------

    def watch(self) -> None:
        """Look whether somebody wants the job to stop, or took it away."""
        if self._ended_by is not None or self._asked.is_cancelled:
            return
        self._stop_if_overdue()
        if self._hold.cancel_requested():
            self._asked.cancel()
        elif not self._hold.is_standing():
            with self._turn:
                # Again under the lock: our own outcome may have moved the job meanwhile.
                if self._ended_by is None and not self._hold.is_standing():
                    self._lose()

    def flush_if_due(self) -> None:
        """Write a progress report that was held back, once its half second is over."""
        if self._unwritten is None or not self._turn.take(blocking=False):
            return
        try:
            self._write_progress_if_due()
        finally:
            self._turn.end()

    # -- private -------------------------------------------------------------------------

    def _stop_if_overdue(self) -> None:
        if self._asked.reason is None:
            # Not by the job's own `started_at`: clocks are set, and time spent is spent.
            overdue = self.terms.overdue(self._job, self._desk.monotonic() - self._began)
            if overdue is not None:
                self.ask_to_stop(overdue)

    def _write_progress_if_due(self) -> None:
        at = self._written_at
        if at is not None and time.monotonic() - at < REPORT_INTERVAL:
            return
        try:
            self._write_progress()
        except StoreError as error:
            # Progress may be lost, so a full disk is no matter of the work's: it is kept, and
            # tried again after the next interval, in the background if nothing else comes.
            self._written_at = time.monotonic()
            if not self._is_refused:
                self._is_refused = True
                logger.warning("progress is not stored yet: %s", error)

    def _write_progress(self) -> None:
        if self._unwritten is not None and self._ended_by is None:
            self._store(lifecycle.report(self._job, self._unwritten.progress))
            self._unwritten = None
            self._turn.tell("reported", self._job)

    def _flush(self) -> None:
        """Write what was held back before the outcome; nothing that ails it must prevent that.

        It is told at once: whoever has seen the outcome has heard of all that came before it.
        """
        if self._unwritten is None:
            return
        with suppress(StoreError, JobEncodeError):
            self._write_progress()
            self._turn.interrupt()
            self._require_open()
            self._write_progress()  # what another thread reported meanwhile

    def _store(self, job: RunningJob[P, PG]) -> None:
        try:
            self._hold.move(job)
        except ClaimLost:
            self._lose()
            raise
        except StoreError as error:
            self._note_refusal(error)
            # What was not acknowledged may stand all the same: the next revision follows it.
            stored = self._hold.job
            if stored.status == "running":
                self._job = stored
            raise
        self._job = job
        self._written_at = time.monotonic()
        self._is_refused = False

    def _note_refusal(self, error: StoreError) -> None:
        stamp = self._job.metadata.claim
        error.refused_claim = stamp.token if stamp else None

    def _end(self, verb: str, event: EventName, job: AnyJob) -> None:
        puts_off = job.status == "complete" and self._puts_off_in == threading.get_ident()
        deferred = self.deferred if puts_off else None
        try:
            if deferred is None:
                self._hold.move(job)
            else:
                self._store_later(deferred, event, job)
        except ClaimLost:
            self._lose()
            raise
        except StoreError:
            # As above. The next outcome may be another one, in another status: were both of one
            # revision, nobody could tell which of them is true.
            metadata = self._job.metadata
            self._job = evolve(
                self._job, metadata=evolve_metadata(metadata, revision=metadata.revision + 1)
            )
            raise
        self._ended_by = verb
        # Perhaps by another hand than the work's (a queue that is closed): it is to notice.
        self._asked.tell()
        if deferred is None:
            self._desk.forget(self)
            self._turn.tell(event, job)

    def _store_later(self, deferred: Deferred, event: EventName, job: AnyJob) -> None:
        self.is_put_off = True
        done = partial(self._is_durable, event, job)
        try:
            deferred.end(self._hold, job, done, partial(self._desk.tell, event, job))
        except BaseException:
            self.is_put_off = False
            raise
        self._desk.commit_soon()  # its loop may take its time

    def _is_durable(self, event: EventName, job: AnyJob) -> None:
        """What was put off is durable: in whatever thread made it so."""
        self.is_put_off = False
        self._desk.note(event, job)
        self._desk.forget(self)

    def _lose(self) -> None:
        self._ended_by = "lost"
        self._hold.let_go()
        self._desk.forget(self)
        self._asked.tell()
        # Who did that may have told of it elsewhere, or be no queue.
        job_id = self._job.metadata.id
        logger.warning(
            "job %s was moved or removed by somebody else: what its work here comes to is lost",
            job_id,
            extra={"job_id": job_id},
        )

    def _require_open(self) -> None:
        if self._ended_by is not None:
            raise self._lost()

    def _lost(self) -> SemiontJobsError:
        stand_still_at_the_end()  # which gave the job back
        if self._ended_by == "lost":
            return ClaimLost(self._job.metadata.id, "somebody else moved or removed the job")
        return ClaimLost(self._job.metadata.id, f"this claim ended already ({self._ended_by})")


AnyInHand = InHand[Any, Any]
