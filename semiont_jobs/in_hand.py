"""A job in hand: the hold on it, the lock of whoever acts on it, and what is not written yet.

It must not know what outcomes a job may have (`claim`), nor where jobs are stored.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, Protocol

from semiont_jobs import lifecycle
from semiont_jobs.asking import StopRequest
from semiont_jobs.codec import Codec
from semiont_jobs.errors import (
    ClaimLost,
    InvalidJob,
    JobEncodeError,
    JobHeld,
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
    """That of whoever acts on a job: ``with turn, turn.lock:``. What happened meanwhile is told
    when the lock is let go: a hook may take its time, or never return, and the job is still to be
    looked after.

    The lock is entered by itself, and last: its steps are C, which nothing interrupts. In a step
    of ours around it, what a signal's handler raises, as Ctrl-C does, would leave it taken for
    ever.
    """

    __slots__ = ("_desk", "_is_mine", "_told", "lock")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.lock: threading.RLock = threading.RLock()
        """Reentrant: one verb calls another, and a signal's handler any."""
        # Private, and what `threading.Condition` asks of its lock.
        self._is_mine: Callable[[], bool] = self.lock._is_owned  # type: ignore[attr-defined]  # noqa: SLF001
        # By thread, each of which touches only its own: the lock is let go before it is told.
        self._told: dict[int, tuple[tuple[EventName, AnyJob], ...]] = {}

    def tell(self, name: EventName, job: AnyJob) -> None:
        """Tell that at the end of this turn."""
        me = threading.get_ident()
        self._told[me] = (*self._told.get(me, ()), (name, job))

    def within(self, seconds: float, act: Callable[[], object]) -> bool:
        """Do something in a turn, if that can be had within so many seconds; whether it could."""
        with self:
            is_had = False
            try:
                # In here: an interrupt may come as soon as the lock is taken.
                is_had = self.lock.acquire(timeout=seconds)
                if is_had:
                    act()
            finally:
                try:  # noqa: SIM105 - that is Python code, where an interrupt may come in between
                    self.lock.release()
                except RuntimeError:
                    pass  # it was not had
            return is_had

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_exc: object) -> None:
        if self._is_mine():
            return  # this turn was part of another one's
        told = self._told.pop(threading.get_ident(), None) if self._told else None
        if told is None:
            self._desk.tell_noted()
            return
        for name, job in told:
            self._desk.emit(name, job)


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
        self.job_id: Final[str] = job.metadata.id
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

    def reset_after_fork(self) -> None:
        """In a forked child, whose work may look at its parent's claim: the thread that had the
        turn at the fork is not there."""
        self._turn = Turn(self._desk)

    def watch(self) -> None:
        """Look whether somebody wants the job to stop, or took it away."""
        if not self._is_wanted():
            with self._turn, self._turn.lock:
                self._lose_if_taken()

    def look_after(self) -> None:
        """One look: is it wanted still, and is there something to write? Whoever has the turn sees
        to that, or is stuck, and the keeper has other claims."""
        if not self._is_wanted():
            self._turn.within(0.0, self._lose_if_taken)
        self.flush_if_due()

    def soon(self, verb: Callable[[], object], seconds: float) -> None:
        """Call a verb of this claim, if its turn can be had within so many seconds. Works may be
        stuck within another one: in an object's own code, or on a disk that stands still.

        :raises JobHeld: it cannot; nothing changed.
        """
        if not (self._turn.within(seconds, self._flush) and self._turn.within(seconds, verb)):
            raise JobHeld(self._job.metadata.id, "its work is in the midst of a verb of its claim")

    def flush_if_due(self) -> None:
        """Write a progress report that was held back, once its half second is over."""
        if self._unwritten is not None:
            self._turn.within(0.0, self._write_progress_if_due)

    # -- private -------------------------------------------------------------------------

    def _is_wanted(self) -> bool:
        """Whether nobody has taken the job away. Tells the work if it is to stop."""
        if self._ended_by is not None or self._asked.is_cancelled:
            return True
        self._stop_if_overdue()
        if self._hold.cancel_requested():
            self._asked.cancel()
            return True
        return self._hold.is_standing()

    def _lose_if_taken(self) -> None:
        # Looked at again: our own outcome may have moved the job meanwhile.
        if self._ended_by is None and not self._hold.is_standing():
            self._lose()

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
        """Write what was held back, in a turn of its own before the outcome's: whoever has seen the
        outcome has heard of all that came before it. Others may act on the job in between."""
        if self._unwritten is not None:
            with self._turn, self._turn.lock:
                self._write_last_progress()

    def _begin_to_end(self) -> None:
        self._require_open()
        self._write_last_progress()  # what another thread reported meanwhile

    def _write_last_progress(self) -> None:
        """Nothing that ails it must prevent the outcome."""
        if self._unwritten is not None:
            with suppress(StoreError, JobEncodeError, InvalidJob):
                self._write_progress()

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
