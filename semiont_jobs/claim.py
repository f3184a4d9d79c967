"""A claim: one job in the hands of whoever works on it, until it has an outcome.

It must not know where jobs are stored or how workers are run.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from semiont_jobs import lifecycle, updates
from semiont_jobs.errors import (
    InvalidValue,
    JobCancelled,
    JobFailed,
    Snooze,
    StoreError,
    WorkerStopping,
)
from semiont_jobs.events import logger
from semiont_jobs.failure import Failure
from semiont_jobs.fields import checked_cursors, checked_units, instant_after
from semiont_jobs.in_hand import InHand
from semiont_jobs.lifecycle import Tried
from semiont_jobs.model import (
    PG,
    AnyJob,
    CancelledJob,
    CompleteJob,
    P,
    PendingJob,
    R,
    evolve,
)
from semiont_jobs.retry import Retry

T = TypeVar("T")

REFUSED_PAUSE: Final = 5.0
"""Seconds until a job whose attempt the store cut short is offered again: a disk that is full for
long makes no hot loop of claims, and one that is full for a moment costs little."""


class Claim(InHand[P, PG], Generic[P, PG, R]):
    """Ownership of a running job. Every method may be called from any thread.

    As a context manager: an exception in the block fails the job and goes on to the caller
    (`Snooze` and `JobCancelled` are obeyed and go no further; `KeyboardInterrupt` and
    `SystemExit` release the job); leaving the block without an outcome gives the job back.

    Keep it while you work on the job: when it is garbage without an outcome, its queue gives the
    job back and logs a warning.

    An outcome that could not be stored (`StoreError`) leaves the claim as it was: call again.
    """

    # -- while the work goes on ----------------------------------------------------------

    def report(self, progress: PG) -> None:
        """Replace the job's progress. Written at once the first time, then at most every half
        second; the last one always. While the disk refuses, it is kept and tried again in the
        background: no reason for the work to fail.

        :raises JobEncodeError: JSON cannot hold it.

        It is a stopping point: it raises what `raise_if_cancelled` does, but no `StoreError`.
        """
        with suppress(StoreError):
            self.watch()
        self._raise_if_stopped()
        job = self._job
        # It may be written later, in the background: what cannot be is refused now, and what the
        # work does to the object afterwards is no matter of this report. Not in a turn: both call
        # the object's own code, which may be stuck.
        reported = lifecycle.report(job, progress)
        self._desk.codec.encode(reported, is_update=True)
        kept = _kept(progress)
        with self._turn, self._turn.lock:
            self._require_open()
            if self._job is not job:  # there may be less room now
                reported = lifecycle.report(self._job, kept)
                self._desk.codec.encode(reported, is_update=True)
            self._unwritten = evolve(reported, progress=kept)
            self._write_progress_if_due()

    def checkpoint(
        self, units: Iterable[str] = (), cursors: Mapping[str, Any] | None = None
    ) -> None:
        """Store at once which units of the work are done, and cursors within units.

        Units unite with those completed earlier; a cursor (a number, a text, or a list or
        object of such) replaces the one of its unit unless it lies before it. Both survive a
        crash, a retry and the end of the job, in ``job.metadata.completed_units``
        and ``job.metadata.unit_cursors``.

        :raises ClaimLost: the job is no longer ours.
        :raises StoreError: the disk refused; nothing was stored. An attempt that ends with this
            very error uses no attempt: the job is snoozed for a few seconds (see `settle`).
        :raises JobEncodeError: JSON cannot hold a cursor.
        :raises JobTooLarge: with these the job would leave no room for its end (14 MiB).
        :raises InvalidValue: `units` is a bare text, one of them is not a text, or `cursors` is
            no dict.
        """
        units = checked_units(units)
        cursors = checked_cursors(cursors)
        self._desk.codec.check(units, "units", job_id=self._job.metadata.id)
        self._desk.codec.check(cursors, "cursors", job_id=self._job.metadata.id)
        cursors = _kept(cursors)  # they are stored again with whatever comes later
        with self._turn, self._turn.lock:
            self._require_open()
            progress = self._unwritten.progress if self._unwritten else None
            self._store(lifecycle.checkpoint(self._job, units, cursors, progress=progress))
            self._unwritten = None
            self._turn.tell("checkpointed", self._job)

    def raise_if_cancelled(self) -> None:
        """Raise `JobCancelled` if somebody asked for the job to stop, `ClaimLost` if it was
        taken away, `JobTimeout` if its time is up, `WorkerStopping` if its worker can wait no
        longer. Cheap enough for the inner loop of a work: one look at the store. A `StoreError` is
        treated as that of a `checkpoint`."""
        try:
            self.watch()
        except StoreError as error:
            self._note_refusal(error)
            raise
        self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self._ended_by is not None:
            raise self._lost()
        self._stop_if_overdue()
        self._asked.raise_if_any(self._job.metadata.id)

    # -- outcomes ------------------------------------------------------------------------

    def complete(self, result: R | None = None) -> CompleteJob[P, R]:
        """The work is done, with that result (any JSON value or object of the result class).

        :raises ClaimLost: the job is no longer ours; nothing changed.
        :raises JobEncodeError: JSON cannot hold the result; the claim goes on.
        :raises InvalidJob: it is of a class that is not the job type's, or too large; the claim
            goes on.
        :raises StoreError: the disk refused; the claim goes on, so call again.
        """
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            done: CompleteJob[P, R] = lifecycle.complete(self._job, result, self._desk.clock())
            self._end("complete", "completed", done)
        return done

    def fail(self, error: BaseException | str) -> Tried:
        """The attempt failed: pending again after a back-off, or failed for good.

        The retry policy decides once, here. A text stands for `JobFailed`. As `complete`, it raises
        `ClaimLost` and `StoreError`.
        """
        if isinstance(error, str):
            error = JobFailed(error)
        failure = Failure.of(error)  # not in a turn: as in `report`
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            now = self._desk.clock()
            # Here: if this is stuck, whatever would end the job in its place is so no less.
            decision = self.terms.next_attempt(self._job, error, now)
            retry_at = decision.at if isinstance(decision, Retry) else None
            tried = lifecycle.fail(self._job, failure, now, retry_at=retry_at)
            self._end("fail", "failed" if tried.status == "failed" else "retrying", tried)
        return tried

    def snooze(self, until_or_delay: datetime | timedelta | float) -> PendingJob[P]:
        """Give the job back until an instant, or for a time (a timedelta, or seconds); no
        attempt is used. As `complete`, it raises `ClaimLost` and `StoreError`.

        :raises InvalidValue: that is no time; the claim goes on.
        """
        self._require_open()
        job_id = self._job.metadata.id
        until = instant_after(until_or_delay, self._desk.clock(), field="until", job_id=job_id)
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            waiting = lifecycle.snooze(self._job, until)
            self._end("snooze", "snoozed", waiting)
        return waiting

    def release(self) -> PendingJob[P]:
        """Give the job back at once; no attempt is used. As `complete`, it raises `ClaimLost` and
        `StoreError`."""
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            waiting = lifecycle.release(self._job)
            self._end("release", "released", waiting)
        return waiting

    def cancel(self) -> CancelledJob[P]:
        """End the job as cancelled: what a worker does once its work has stopped. As `complete`, it
        raises `ClaimLost` and `StoreError`."""
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            cancelled = lifecycle.cancel(self._job, self._desk.clock())
            self._end("cancel", "cancelled", cancelled)
        return cancelled

    def update(self, given: AnyJob) -> AnyJob:
        """What `JobQueue.update_job` does for a job claimed here; the claim is the fence."""
        self._desk.codec.check_update(given)
        with self._turn, self._turn.lock:
            self._require_open()
            update = updates.decide(self._job, given, self._desk.clock(), run="")
            if update.job.status == "running":
                self._store(update.job)
                self._unwritten = None
                if update.event is not None:
                    self._turn.tell(update.event, update.job)
            else:
                assert update.event is not None, "a job that leaves running is told of"
                self._end("update_job", update.event, update.job)
        return update.job

    def settle(self, error: BaseException) -> AnyJob:
        """The outcome that an exception out of the work stands for.

        A `StoreError` that this claim's own `checkpoint` or `raise_if_cancelled` raised is not
        the work's failure: the job is given back for `REFUSED_PAUSE` seconds, and no attempt is
        used.
        """
        if isinstance(error, Snooze):
            try:
                return self.snooze(error.until)
            except InvalidValue as invalid:
                return self.fail(invalid)
        error = self._asked.meant_by(error)
        if isinstance(error, WorkerStopping):
            return self.release()
        if isinstance(error, JobCancelled):
            return self.cancel()
        stamp = self._job.metadata.claim
        if isinstance(error, StoreError) and stamp and error.refused_claim == stamp.token:
            logger.warning("given back for %g seconds: %s", REFUSED_PAUSE, error)
            return self.snooze(REFUSED_PAUSE)
        return self.fail(error)

    def __enter__(self) -> Claim[P, PG, R]:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        if not self.is_open:
            return False
        if error is None:
            self.release()
            return False
        if not isinstance(error, Exception):  # Ctrl-C, an exit: it goes on, whatever the disk says
            try:
                self.release()
            except StoreError as refused:
                logger.error("job %s is not given back: %s", self._job.metadata.id, refused)
            return False
        self.settle(error)
        # The signals are obeyed and go no further; one that could not be (a snooze until no
        # time) is an error like any other.
        is_signal = isinstance(error, Snooze | JobCancelled | WorkerStopping)
        return is_signal and self._ended_by in ("snooze", "cancel", "release")


def _kept(given: T) -> T:
    """As it is now, whatever becomes of the object; what cannot be copied is kept itself."""
    try:
        return copy.deepcopy(given)
    except Exception:  # noqa: BLE001 - a class of the work's own
        return given


AnyClaim = Claim[Any, Any, Any]
