"""A claim: one job in the hands of whoever works on it, until it has an outcome.

It must not know where jobs are stored or how workers are run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, Protocol

from semiont_jobs import lifecycle, updates
from semiont_jobs.codec import Codec
from semiont_jobs.errors import (
    ClaimLost,
    InvalidValue,
    JobCancelled,
    JobFailed,
    JobTimeout,
    SemiontJobsError,
    Snooze,
    StoreError,
)
from semiont_jobs.events import EventName, logger
from semiont_jobs.fields import checked_cursors, checked_units, instant_after
from semiont_jobs.lifecycle import Failure, Tried, evolve_metadata
from semiont_jobs.model import (
    PG,
    AnyJob,
    CancelledJob,
    CompleteJob,
    P,
    PendingJob,
    R,
    RunningJob,
    evolve,
)
from semiont_jobs.retry import Retry, RetryPolicy, next_attempt
from semiont_jobs.store import Hold

REPORT_INTERVAL: Final = 0.5
"""Seconds between two written progress reports: faster than anyone reads, and rare enough
that a work reporting in a tight loop is not bound by the disk."""

REFUSED_PAUSE: Final = 5.0
"""Seconds until a job is due again whose checkpoint the disk refused: long enough that a full disk
is not a hot loop, and short beside the time it takes to free one."""


class Desk(Protocol):
    """What a claim needs of the queue that made it."""

    @property
    def codec(self) -> Codec: ...

    def clock(self) -> datetime: ...

    def emit(self, name: EventName, job: AnyJob) -> None: ...

    def policy_of(self, job: AnyJob) -> RetryPolicy: ...

    def forget(self, claim: AnyClaim) -> None: ...

    def dropped(self, hold: Hold) -> None: ...


class Claim(Generic[P, PG, R]):
    """Ownership of a running job. Every method may be called from any thread.

    As a context manager: an exception in the block fails the job and goes on to the caller
    (`Snooze` and `JobCancelled` are obeyed and go no further; `KeyboardInterrupt` and
    `SystemExit` release the job); leaving the block without an outcome gives the job back.

    An outcome that could not be stored (`StoreError`) leaves the claim as it was: call again.
    """

    def __init__(self, desk: Desk, hold: Hold, *, policy: RetryPolicy | None = None) -> None:
        job = hold.job
        assert job.status == "running"
        self._desk = desk
        self._hold = hold
        self._policy = policy
        self._lock = threading.RLock()
        self._job: RunningJob[P, PG] = job
        self._ended_by: str | None = None
        self._unwritten: RunningJob[P, PG] | None = None
        self._tried_at: float | None = None
        self._refused: StoreError | None = None
        self._is_cancelled = False
        self._cancelled: threading.Event | None = None

    def __del__(self) -> None:
        # Garbage, and no outcome: the job must not be held for as long as the process lives.
        if self._ended_by is None:
            self._desk.dropped(self._hold)

    @property
    def job(self) -> RunningJob[P, PG]:
        """The job as it stands, with the last progress reported."""
        return self._unwritten or self._job

    @property
    def cancelled(self) -> threading.Event:
        """Set within a second when somebody asks for the job to stop or takes it away."""
        if self._cancelled is None:
            with self._lock:
                # Made when first asked for: most works never look, and it is not cheap.
                self._cancelled = self._cancelled or threading.Event()
                if self._is_cancelled:
                    self._cancelled.set()
        return self._cancelled

    @property
    def is_open(self) -> bool:
        """Whether the job has no outcome yet and is still ours."""
        return self._ended_by is None

    @property
    def deadline(self) -> datetime | None:
        """When this attempt's time is up (``metadata.timeout``); None: never."""
        seconds = self._job.metadata.timeout
        return None if seconds is None else self._job.started_at + timedelta(seconds=seconds)

    # -- while the work goes on ----------------------------------------------------------

    def report(self, progress: PG) -> None:
        """Replace the job's progress. Written at once the first time, then at most every half
        second; the last one always. While the disk refuses, the work goes on, and the last
        progress is written when the disk takes it.

        :raises JobCancelled: somebody asked for the job to stop.
        :raises ClaimLost: the job is no longer ours.
        :raises JobEncodeError: JSON cannot hold it.
        """
        self.raise_if_cancelled()
        with self._lock:
            self._require_open()
            reported = lifecycle.report(self._job, progress)
            # It may be written later, in the background: what cannot be is refused now.
            self._desk.codec.encode(reported)
            self._unwritten = reported
            if self._tried_at is None or self._since_tried() >= REPORT_INTERVAL:
                try:
                    self._write_progress()
                except StoreError as error:
                    # A report is for people to look at: no reason to fail the work.
                    logger.warning("progress not stored yet: %s", error)

    def checkpoint(
        self, units: Iterable[str] = (), cursors: Mapping[str, Any] | None = None
    ) -> None:
        """Store at once which units of the work are done, and cursors within units.

        Units unite with those completed earlier; a cursor (a number, a text, or a list or
        object of such) replaces the one of its unit unless it lies before it. Both survive a
        crash, a retry and the end of the job, in ``job.metadata.completed_units``
        and ``job.metadata.unit_cursors``.

        :raises ClaimLost: the job is no longer ours.
        :raises StoreError: the disk refused. If the work ends with this error, the job is given
            back for a few seconds and no attempt is used.
        :raises JobEncodeError: JSON cannot hold a cursor.
        :raises InvalidValue: `units` is a bare text, or one of them is not a text; `cursors` is
            no mapping.
        """
        units = checked_units(units)
        cursors = checked_cursors(cursors)
        self._desk.codec.check(units, "units", job_id=self._job.metadata.id)
        self._desk.codec.check(cursors, "cursors", job_id=self._job.metadata.id)
        with self._lock:
            self._require_open()
            progress = self._unwritten.progress if self._unwritten else None
            self._store(lifecycle.checkpoint(self._job, units, cursors, progress=progress))
            self._unwritten = None
            self._desk.emit("checkpointed", self._job)

    def raise_if_cancelled(self) -> None:
        """Raise `JobCancelled` if somebody asked for the job to stop, `ClaimLost` if it was
        taken away, `JobTimeout` if its time is up. Cheap enough for the inner loop of a work:
        one look at the store."""
        self.watch()
        if self._ended_by is not None:
            raise self._lost()
        if self._is_cancelled:
            raise JobCancelled(f"job {self._job.metadata.id} was cancelled")
        deadline = self.deadline
        if deadline is not None and self._desk.clock() >= deadline:
            raise JobTimeout(f"it took more than its {self._job.metadata.timeout} seconds")

    # -- outcomes ------------------------------------------------------------------------

    def complete(self, result: R | None = None) -> CompleteJob[P, R]:
        """The work is done, with that result (any JSON value or object of the result class).

        :raises ClaimLost: the job is no longer ours; nothing changed.
        :raises JobEncodeError: JSON cannot hold the result; the claim goes on.
        :raises StoreError: the disk refused; the claim goes on, so call again.
        """
        with self._lock:
            self._require_open()
            self._flush()
            done: CompleteJob[P, R] = lifecycle.complete(self._job, result, self._desk.clock())
            self._end("complete", done)
            self._desk.emit("completed", done)
        return done

    def fail(self, error: BaseException | str) -> Tried:
        """The attempt failed: pending again after a back-off, or failed for good.

        The retry policy decides once, here. A text stands for `JobFailed`.
        """
        if isinstance(error, str):
            error = JobFailed(error)
        with self._lock:
            self._require_open()
            self._flush()
            now = self._desk.clock()
            metadata = self._job.metadata
            decide = partial(
                next_attempt,
                error=error,
                retry_count=metadata.retry_count,
                max_retries=metadata.max_retries,
                started_at=self._job.started_at,
                now=now,
            )
            try:
                decision = decide(self._policy or self._desk.policy_of(self._job))
            except BaseException:  # noqa: BLE001 - a policy's strategies are user code
                logger.exception("the retry policy failed; the default one decides")
                decision = decide(RetryPolicy())
            retry_at = decision.at if isinstance(decision, Retry) else None
            tried = lifecycle.fail(self._job, Failure.of(error), now, retry_at=retry_at)
            self._end("fail", tried)
            self._desk.emit("failed" if tried.status == "failed" else "retrying", tried)
        return tried

    def snooze(self, until_or_delay: datetime | timedelta | float) -> PendingJob[P]:
        """Give the job back until an instant, or for a time (a timedelta, or seconds); no
        attempt is used."""
        with self._lock:
            self._require_open()
            job_id = self._job.metadata.id
            until = instant_after(until_or_delay, self._desk.clock(), job_id=job_id)
            self._flush()
            waiting = lifecycle.snooze(self._job, until)
            self._end("snooze", waiting)
            self._desk.emit("snoozed", waiting)
        return waiting

    def release(self) -> PendingJob[P]:
        """Give the job back at once; no attempt is used."""
        with self._lock:
            self._require_open()
            self._flush()
            waiting = lifecycle.release(self._job)
            self._end("release", waiting)
            self._desk.emit("released", waiting)
        return waiting

    def cancel(self) -> CancelledJob[P]:
        """End the job as cancelled: what a worker does once its work has stopped."""
        with self._lock:
            self._require_open()
            self._flush()
            cancelled = lifecycle.cancel(self._job, self._desk.clock())
            self._end("cancel", cancelled)
            self._desk.emit("cancelled", cancelled)
        return cancelled

    def update(self, given: AnyJob) -> AnyJob:
        """What `JobQueue.update_job` does for a job claimed here; the claim is the fence."""
        self._desk.codec.check_update(given)
        with self._lock:
            self._require_open()
            update = updates.decide(self._job, given, self._desk.clock(), run="")
            if update.job.status == "running":
                self._store(update.job)
                self._unwritten = None
            else:
                self._end("update_job", update.job)
            if update.event is not None:
                self._desk.emit(update.event, update.job)
        return update.job

    def settle(self, error: BaseException) -> AnyJob:
        """The outcome that an exception out of the work stands for."""
        if isinstance(error, Snooze):
            try:
                return self.snooze(error.until)
            except InvalidValue as invalid:
                return self.fail(invalid)
        if isinstance(error, JobCancelled):
            return self.cancel()
        if error is self._refused:
            return self.snooze(REFUSED_PAUSE)  # the disk's failure, not the work's
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
        if error is None or not isinstance(error, Exception):
            self.release()
            return False
        self.settle(error)
        # The signals are obeyed and go no further; one that could not be (a snooze until no
        # time) is an error like any other.
        return self._ended_by in ("snooze", "cancel") and error is not self._refused

    # -- what the queue's housekeeping calls ---------------------------------------------

    def watch(self) -> None:
        """Look whether somebody wants the job to stop, or took it away."""
        if self._ended_by is not None or self._is_cancelled:
            return
        if self._hold.cancel_requested():
            self._stop_work()
        elif not self._hold.is_standing():
            with self._lock:
                # Again under the lock: our own outcome may have moved the job meanwhile.
                if self._ended_by is None and not self._hold.is_standing():
                    self._lose()

    def flush_if_due(self) -> None:
        """Write a progress report that was held back, once its half second is over."""
        if self._unwritten is None or not self._lock.acquire(blocking=False):
            return
        try:
            if self._unwritten is not None and self._since_tried() >= REPORT_INTERVAL:
                self._write_progress()
        finally:
            self._lock.release()

    # -- private -------------------------------------------------------------------------

    def _write_progress(self) -> None:
        if self._unwritten is not None and self._ended_by is None:
            self._store(lifecycle.report(self._job, self._unwritten.progress))
            self._unwritten = None
            self._desk.emit("reported", self._job)

    def _flush(self) -> None:
        """Write what was held back before the outcome; a full disk must not prevent that."""
        if self._unwritten is None:
            return
        try:
            self._write_progress()
        except StoreError:
            self._unwritten = None

    def _store(self, job: RunningJob[P, PG]) -> None:
        self._tried_at = time.monotonic()
        try:
            self._hold.move(job)
        except ClaimLost:
            self._lose()
            raise
        except StoreError as error:
            # What was not acknowledged may stand all the same: the next revision follows it.
            stored = self._hold.job
            if stored.status == "running":
                self._job = stored
            self._refused = error
            raise
        self._job = job

    def _end(self, verb: str, job: AnyJob) -> None:
        try:
            self._hold.move(job)
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
        self._desk.forget(self)

    def _lose(self) -> None:
        self._ended_by = "lost"
        self._hold.let_go()
        self._desk.forget(self)
        self._stop_work()

    def _stop_work(self) -> None:
        # First the flag: whoever makes the event at this moment looks at it afterwards.
        self._is_cancelled = True
        if self._cancelled is not None:
            self._cancelled.set()

    def _since_tried(self) -> float:
        return time.monotonic() - (self._tried_at or 0.0)

    def _require_open(self) -> None:
        if self._ended_by is not None:
            raise self._lost()

    def _lost(self) -> SemiontJobsError:
        if self._ended_by == "lost":
            return ClaimLost(self._job.metadata.id, "somebody else moved or removed the job")
        return ClaimLost(self._job.metadata.id, f"this claim ended already ({self._ended_by})")


AnyClaim = Claim[Any, Any, Any]
