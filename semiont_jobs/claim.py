"""A claim: one running job in the hands of its worker, until it has an outcome.

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
    SemiontJobsError,
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
"""Seconds until a job is claimed again after the store cut its attempt short: a disk that is full
for long does not cause a hot loop of claims, and one that is full for a moment costs little."""


class Claim(InHand[P, PG], Generic[P, PG, R]):
    """Ownership of a running job. Every method may be called from any thread.

    As a context manager: an exception in the block fails the job and goes on to the caller.
    `Snooze`, `JobCancelled` and `WorkerStopping` are obeyed and go no further; `KeyboardInterrupt`
    and `SystemExit` release the job. If you leave the block without an outcome, the job is
    released.

    Keep the claim while you work on the job: if it is garbage-collected without an outcome, its
    queue releases the job and logs a warning.

    If an outcome could not be stored (`StoreError`), the claim is as it was: call again.
    """

    # -- while the job's code runs -------------------------------------------------------

    def report(self, progress: PG) -> None:
        """Replace the job's progress.

        The first report is written at once, later ones at most every half second, the last one
        always. This is a stopping point: it raises what `raise_if_cancelled` does, but no
        `StoreError`. While the disk refuses, the progress is kept and written later in the
        background.

        :raises JobEncodeError: JSON cannot hold the progress.
        :raises InvalidJob: it is not of the job type's class, or too large.
        """
        with suppress(StoreError):
            self.watch()
        self._raise_if_stopped()
        job = self._job
        # It may be written later, in the background: refuse now what cannot be written, and keep
        # a copy that later changes of the object do not affect. Not in a turn: both call the
        # object's own code, which may be stuck.
        reported = lifecycle.report(job, progress)
        self._desk.codec.encode(reported, is_update=True)
        kept = _kept(progress)
        with self._turn, self._turn.lock:
            self.require_open()
            if self._job is not job:  # there may be less room now
                reported = lifecycle.report(self._job, kept)
                self._desk.codec.encode(reported, is_update=True)
            self._unwritten = evolve(reported, progress=kept)
            self._write_progress_if_due()

    def checkpoint(
        self, units: Iterable[str] = (), cursors: Mapping[str, Any] | None = None
    ) -> None:
        """Store at once which units of the job are done, and cursors within units.

        Units are added to those completed earlier. A cursor (a number, a string, or a list or
        object of these) replaces the one of its unit, unless it compares lower. Both survive a
        crash, a retry and the end of the job, in ``job.metadata.completed_units`` and
        ``job.metadata.unit_cursors``.

        :raises ClaimLost: the job is no longer ours.
        :raises StoreError: the disk refused; nothing was stored. If this error ends the attempt, no
            attempt is used: the job is snoozed for a few seconds (see `settle`).
        :raises JobEncodeError: JSON cannot hold a cursor.
        :raises JobTooLarge: with these the job would leave no room for its end (14 MiB).
        :raises InvalidValue: `units` is a single string, one of them is not a string, or `cursors`
            is not a dict.
        """
        units = checked_units(units)
        cursors = checked_cursors(cursors)
        self._desk.codec.check(units, "units", job_id=self._job.metadata.id)
        self._desk.codec.check(cursors, "cursors", job_id=self._job.metadata.id)
        cursors = _kept(cursors)  # they are stored again with every later change
        with self._turn, self._turn.lock:
            self.require_open()
            progress = self._unwritten.progress if self._unwritten else None
            self._store(lifecycle.checkpoint(self._job, units, cursors, progress=progress))
            self._unwritten = None
            self._turn.tell("checkpointed", self._job)

    def raise_if_cancelled(self) -> None:
        """Raise an error if the job's code is to stop.

        That is `JobCancelled` after a request to cancel, `ClaimLost` if the job was taken away,
        `JobTimeout` if its time is up, `WorkerStopping` if its worker can wait no longer. It looks
        at the store once, which is cheap enough for an inner loop. A `StoreError` is treated as
        that of a `checkpoint`.
        """
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
        """Complete the job with that result (any JSON value or object of the result class).

        :raises ClaimLost: the job is no longer ours; nothing changed.
        :raises JobEncodeError: JSON cannot hold the result; the claim goes on.
        :raises InvalidJob: the result is not of the job type's class, or too large; the claim goes
            on.
        :raises StoreError: the disk refused; the claim goes on, so call again.
        """
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            done: CompleteJob[P, R] = lifecycle.complete(self._job, result, self._desk.clock())
            self._end("complete", "completed", done)
        return done

    def fail(self, error: BaseException | str) -> Tried:
        """Fail the attempt: the job is pending again after a back-off, or failed for good.

        The retry policy decides once, here. A string stands for `JobFailed`. Like `complete`, it
        raises `ClaimLost` and `StoreError`.
        """
        if isinstance(error, str):
            error = JobFailed(error)
        failure = Failure.of(error)  # not in a turn: as in `report`
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            now = self._desk.clock()
            # In the turn: if this is stuck, another call that ends the job would be, too.
            decision = self.terms.next_attempt(self._job, error, now)
            retry_at = decision.at if isinstance(decision, Retry) else None
            tried = lifecycle.fail(self._job, failure, now, retry_at=retry_at)
            self._end("fail", "failed" if tried.status == "failed" else "retrying", tried)
        return tried

    def snooze(self, until_or_delay: datetime | timedelta | float) -> PendingJob[P]:
        """Snooze the job until an instant, or for a time (a timedelta, or seconds).

        It is pending again; no attempt is used. Like `complete`, it raises `ClaimLost` and
        `StoreError`.

        :raises InvalidValue: that is not a valid time; the claim goes on.
        """
        self.require_open()
        job_id = self._job.metadata.id
        until = instant_after(until_or_delay, self._desk.clock(), field="until", job_id=job_id)
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            waiting = lifecycle.snooze(self._job, until)
            self._end("snooze", "snoozed", waiting)
        return waiting

    def release(self) -> PendingJob[P]:
        """Release the job: it is pending again at once; no attempt is used.

        Like `complete`, it raises `ClaimLost` and `StoreError`.
        """
        self._flush()
        with self._turn, self._turn.lock:
            self._begin_to_end()
            waiting = lifecycle.release(self._job)
            self._end("release", "released", waiting)
        return waiting

    def cancel(self) -> CancelledJob[P]:
        """End the job as cancelled: a worker calls this once the job's code has stopped.

        Like `complete`, it raises `ClaimLost` and `StoreError`.
        """
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
            self.require_open()
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
        """Store the outcome that an exception from the job's code stands for.

        A `StoreError` that this claim's own `checkpoint` or `raise_if_cancelled` raised is not a
        failure of the job's code: the job is snoozed for `REFUSED_PAUSE` seconds, and no attempt is
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
        if not isinstance(error, Exception):  # Ctrl-C, an exit: it goes on even if the disk refuses
            try:
                self.release()
            except SemiontJobsError as refused:
                logger.error("job %s is not given back: %s", self._job.metadata.id, refused)
            return False
        self.settle(error)
        # The signals are obeyed and go no further; one that could not be obeyed (a snooze until
        # an invalid time) is an error like any other.
        is_signal = isinstance(error, Snooze | JobCancelled | WorkerStopping)
        return is_signal and self._ended_by in ("snooze", "cancel", "release")


def _kept(given: T) -> T:
    """A copy, which later changes do not affect; the object itself if it cannot be copied."""
    try:
        return copy.deepcopy(given)
    except Exception:  # noqa: BLE001 - a class of user code
        return given


AnyClaim = Claim[Any, Any, Any]
