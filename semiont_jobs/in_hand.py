"""A running job: its hold, the lock of the thread that acts on it, and what is not written yet.

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
"""Seconds between two written progress reports: faster than anyone reads, and rare enough that code
that reports in a tight loop is not limited by the disk."""


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

    def commit_soon(self) -> bool: ...

    def dropped(self, claim: AnyInHand) -> None: ...


class Turn:
    """The right to act on a job: ``with turn, turn.lock:``. Events that happen meanwhile are sent
    after the lock is released, because a hook may take long, or never return, and the job must
    still be looked after.

    The lock is entered separately, and last: its steps are C, which nothing interrupts. If an
    exception of a signal's handler (Ctrl-C, say) came in a Python step of ours around it, the lock
    would stay taken for ever.
    """

    __slots__ = ("_desk", "_is_mine", "_told", "lock")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.lock: threading.RLock = threading.RLock()
        """Reentrant: one method calls another, and a signal's handler any of them."""
        # Private, but `threading.Condition` uses it of its lock.
        self._is_mine: Callable[[], bool] = self.lock._is_owned  # type: ignore[attr-defined]  # noqa: SLF001
        # By thread, each of which touches only its own: events are sent after the lock's release.
        self._told: dict[int, tuple[tuple[EventName, AnyJob], ...]] = {}

    def tell(self, name: EventName, job: AnyJob) -> None:
        """Send that event at the end of this turn."""
        me = threading.get_ident()
        self._told[me] = (*self._told.get(me, ()), (name, job))

    def within(self, seconds: float, act: Callable[[], object]) -> bool:
        """Call `act` in a turn, if the lock can be had within that many seconds; whether it was."""
        with self:
            is_had = False
            try:
                # In here: an interrupt may come as soon as the lock is taken.
                is_had = self.lock.acquire(timeout=seconds)
                if is_had:
                    act()
            finally:
                try:  # noqa: SIM105 - Python code, where an interrupt may come in between
                    self.lock.release()
                except RuntimeError:
                    pass  # it was not acquired
            return is_had

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_exc: object) -> None:
        if self._is_mine():
            return  # this turn was part of another one
        told = self._told.pop(threading.get_ident(), None) if self._told else None
        if told is None:
            self._desk.tell_noted()
            return
        for name, job in told:
            self._desk.emit(name, job)


class InHand(Generic[P, PG]):
    """The part of a claim that does not depend on its outcome: ownership of a running job."""

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
        self.waits_for_disk: bool = False
        """Whether its outcome is there, and the disk refuses it."""
        self.is_put_off: bool = False
        """Whether it has ended, but its outcome is not durable yet."""
        # Last: if this is interrupted, `__del__` must not have the desk release the job.
        self._ended_by = None

    def put_off(self) -> None:
        """Put off the completions that this thread stores from now on.

        They become durable together with others of its loop, and events are sent then: the call
        returns before. Other outcomes are not put off.
        """
        self._puts_off_in = threading.get_ident()

    def __del__(self) -> None:
        # In any thread, at any point, also within our own locks: nothing that is called here
        # may take a lock. The claim lives on until its desk has released the job.
        if self._ended_by is None:
            self._desk.dropped(self)

    @property
    def job(self) -> RunningJob[P, PG]:
        """The job as it is now, with the last progress reported."""
        return self._unwritten or self._job

    @property
    def cancelled(self) -> threading.Event:
        """Set within a second when the job's code is to stop.

        That is if a cancel is requested, the job was taken away, its time is up, or its worker
        stops; and at once when this claim ends, whatever ended it. `Claim.raise_if_cancelled` says
        which.
        """
        return self._asked.event

    @property
    def is_open(self) -> bool:
        """Whether the job has no outcome yet and is still ours."""
        return self._ended_by is None

    @property
    def was_released(self) -> bool:
        """Whether the job was released, by its code or by what stopped that."""
        return self._ended_by == "release"

    @property
    def timeout(self) -> float | None:
        """Seconds this attempt may take; None: no limit.

        The job's own limit comes first, then its type's, then the worker's (see `Terms.set`).
        """
        return self.terms.timeout(self._job)

    @property
    def deadline(self) -> datetime | None:
        """When this attempt's time is up, by the clock as it was set when it began; None: never."""
        return self.terms.deadline(self._job)

    def ask_to_stop(self, why: WorkerStopping | JobTimeout) -> None:
        """Make `Claim.raise_if_cancelled` raise that, unless the job is to be cancelled. The first
        reason given stays."""
        self._asked.stop(why)

    # -- what the queue's housekeeping calls ---------------------------------------------

    def reset_after_fork(self) -> None:
        """In a forked child, whose code may look at its parent's claim: the thread that had the
        turn at the fork does not exist there."""
        self._turn = Turn(self._desk)

    def watch(self) -> None:
        """Check for a request to stop, or whether the job was taken away."""
        if not self._is_wanted():
            with self._turn, self._turn.lock:
                self._lose_if_taken()

    def look_after(self) -> None:
        """Check once: is the job still ours, and is there something to write? If another thread has
        the turn, it does that itself, or is stuck, and the keeper has other claims."""
        if not self._is_wanted():
            self._turn.within(0.0, self._lose_if_taken)
        self.flush_if_due()

    def soon(self, verb: Callable[[], object], seconds: float) -> None:
        """Call a method of this claim, if its turn can be had within that many seconds. The job's
        code may be stuck in another method: in an object's own code, or on a disk that hangs.

        :raises JobHeld: it cannot be had; nothing changed.
        """
        if not (self._turn.within(seconds, self._flush) and self._turn.within(seconds, verb)):
            raise JobHeld(self._job.metadata.id, "its work is in the midst of a verb of its claim")

    def flush_if_due(self) -> None:
        """Write a delayed progress report, once its half second is over."""
        if self._unwritten is not None:
            self._turn.within(0.0, self._write_progress_if_due)

    # -- private -------------------------------------------------------------------------

    def _is_wanted(self) -> bool:
        """Whether the job is still ours. Notifies its code if it is to stop."""
        if self._ended_by is not None or self._asked.is_cancelled:
            return True
        self._stop_if_overdue()
        if self._hold.cancel_requested():
            self._asked.cancel()
            return True
        return self._hold.is_standing()

    def _lose_if_taken(self) -> None:
        # Checked again: our own outcome may have moved the job meanwhile.
        if self._ended_by is None and not self._hold.is_standing():
            self._lose()

    def _stop_if_overdue(self) -> None:
        if self._asked.reason is None:
            # Not by the job's `started_at`: setting a clock does not change the time spent.
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
            # Progress may be lost, so a full disk must not fail the job's code. It is kept, and
            # written after the next interval, in the background if nothing else comes.
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
        """Write delayed progress, in a turn of its own before the outcome's: its event must be sent
        before the outcome can be seen. Other threads may act on the job in between."""
        if self._unwritten is not None:
            with self._turn, self._turn.lock:
                self._write_last_progress()

    def _begin_to_end(self) -> None:
        self.require_open()
        self._write_last_progress()  # what another thread reported meanwhile

    def _write_last_progress(self) -> None:
        """No problem of the progress may prevent the outcome."""
        if self._unwritten is not None:
            try:
                with suppress(StoreError):
                    self._write_progress()
            except ClaimLost:
                raise
            except Exception:  # noqa: BLE001 - its own code, or there is no room for it
                self._unwritten = None

    def _store(self, job: RunningJob[P, PG]) -> None:
        try:
            self._hold.move(job)
        except ClaimLost:
            self._lose()
            raise
        except StoreError as error:
            self._note_refusal(error)
            # A change that was not acknowledged may be stored all the same: continue from it.
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
        except BaseException as error:
            # As above, and an interrupt may come after it was stored. The next outcome may be a
            # different one, in another status: if both had the same revision, it would be unknown
            # which one counts.
            if isinstance(error, StoreError) or not isinstance(error, SemiontJobsError):
                metadata = self._job.metadata
                self._job = evolve(
                    self._job, metadata=evolve_metadata(metadata, revision=metadata.revision + 1)
                )
            raise
        self._ended_by = verb
        # Perhaps not ended by the job's code (a queue that is closed): notify it.
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
        self._desk.commit_soon()  # its loop may take long

    def _is_durable(self, event: EventName, job: AnyJob) -> None:
        """What was put off is durable; called in the thread that made it so."""
        self.is_put_off = False
        self._desk.note(event, job)
        self._desk.forget(self)

    def _lose(self) -> None:
        self._ended_by = "lost"
        self._hold.let_go()
        self._desk.forget(self)
        self._asked.tell()
        # No event: the queue that did it has sent one, or it was no queue.
        job_id = self._job.metadata.id
        logger.warning(
            "job %s was moved or removed by somebody else: what its work here comes to is lost",
            job_id,
            extra={"job_id": job_id},
        )

    def require_open(self) -> None:
        """Go on only if the job is still ours.

        :raises ClaimLost: this claim has ended.
        """
        if self._ended_by is not None:
            raise self._lost()

    def _lost(self) -> SemiontJobsError:
        stand_still_at_the_end()  # which released the job
        if self._ended_by == "lost":
            return ClaimLost(self._job.metadata.id, "somebody else moved or removed the job")
        return ClaimLost(self._job.metadata.id, f"this claim ended already ({self._ended_by})")


AnyInHand = InHand[Any, Any]
