"""What people do to jobs by hand: cancel, retry, clean up.

It must not know claims, but for telling this process's own that somebody asked.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, cast

from semiont_jobs import lifecycle
from semiont_jobs.errors import (
    ClaimLost,
    InvalidTransition,
    InvalidValue,
    JobHeld,
    JobNotFound,
    JobTimeout,
)
from semiont_jobs.ids import job_id
from semiont_jobs.model import (
    FINISHED,
    UNFINISHED,
    AnyJob,
    CancelledJob,
    FailedJob,
    JobStatus,
    PendingJob,
    RunningJob,
)
from semiont_jobs.reading import Reading, checked_filter, checked_status
from semiont_jobs.retry import poll
from semiont_jobs.store import Hold

CANCEL_PATIENCE: Final = 30.0
"""Seconds. A waiting job is held only while it is created, claimed or moved, which takes a slow
disk a second or two: who holds it for longer is another program, and may for ever."""
BUSY_PATIENCE: Final = 1.0
"""Seconds. A finished job is held only while it is made durable, settled or removed."""


class ByHand(Reading):
    """The verbs of a `JobQueue` that are for people and programs that look after jobs."""

    def cancel_job(self, id: str) -> bool:  # noqa: A002
        """Cancel a job: at once if it waits; if it runs, its work is asked to stop.

        True: cancelled, or asked. False: it is finished already, or there is none. Work that
        ends with a result in spite of being asked is complete. A retry by hand during this call
        is not undone by it: what is cancelled, or asked to stop, is the life before.

        :raises InvalidJobId: `id` cannot be a job's.
        :raises JobHeld: it waits, and for half a minute somebody held it who neither claimed nor
            moved it: another program has a lock on its file. Nothing changed.
        """
        return self._cancel(job_id(id), UNFINISHED)

    def cancel_jobs(
        self,
        *,
        status: JobStatus | None = None,
        type: str | None = None,  # noqa: A002
        user_id: str | None = None,
        queue: str | None = None,
    ) -> int:
        """Cancel every waiting or running job that matches; how many were cancelled or asked.

        A waiting job that a worker takes meanwhile is left alone if `status` is ``"pending"``.

        :raises InvalidValue: a status there is not, a filter that is no text.
        :raises JobHeld: one of them could not be cancelled (see `cancel_job`); the others were.
        """
        statuses = UNFINISHED if status is None else (checked_status(status),)
        return self._done_to_all(
            lambda id_: self._cancel(id_, statuses),
            statuses,
            {"type": type, "user_id": user_id, "queue": queue},
        )

    def _done_to_all(
        self,
        act: Callable[[str], bool],
        statuses: Iterable[JobStatus],
        filters: Mapping[str, Any],
    ) -> int:
        """Do it to every job that matches; to how many it was done.

        :raises JobHeld: to one it could not be; it was to the others.
        """
        found = [
            job.metadata.id
            for status in statuses
            for job in self.query_jobs(status=status, limit=None, **filters)
        ]
        done = 0
        held: JobHeld | None = None
        for each in dict.fromkeys(found):
            try:
                done += act(each)
            except JobHeld as error:
                held = held or error
        if held is not None:
            raise held
        return done

    def retry_job(self, id: str) -> PendingJob[Any]:  # noqa: A002
        """Move a failed or cancelled job back to pending with a fresh budget of retries.

        :raises InvalidJobId: `id` cannot be a job's.
        :raises InvalidTransition: it is pending, running or complete.
        :raises JobNotFound: there is no such job.
        :raises JobHeld: somebody else is moving it at this moment.
        """
        checked = job_id(id)
        hold = self._hold_finished(checked)
        try:
            job = hold.job
            lifecycle.require("retry", job)
            assert isinstance(job, FailedJob | CancelledJob)
            again = lifecycle.retry(job, run=new_run())
            hold.move(again)
        except ClaimLost:
            raise JobHeld(checked) from None
        finally:
            hold.let_go()
        self.emit("retried", again)
        return again

    def retry_jobs(
        self,
        *,
        status: Literal["failed", "cancelled"] = "failed",
        type: str | None = None,  # noqa: A002
        user_id: str | None = None,
        queue: str | None = None,
    ) -> int:
        """`retry_job` for every failed job that matches, or every cancelled one; how many wait
        again.

        :raises InvalidValue: another status, a filter that is no text. Nothing changed.
        :raises JobHeld: one of them could not be moved (see `retry_job`); the others were.
        """
        if not lifecycle.allows("retry", checked_status(status)):
            rule = "only failed and cancelled jobs are tried again"
            raise InvalidValue(rule, field="status", value=status)
        filters = {"type": type, "user_id": user_id, "queue": queue}
        return self._done_to_all(self._retried, (status,), filters)

    def _retried(self, id_: str) -> bool:
        try:
            self.retry_job(id_)
        except (InvalidTransition, JobNotFound):
            return False  # since it was looked for: somebody else has, or has removed it
        return True

    def cleanup_completed_jobs(
        self,
        older_than: datetime | timedelta,
        *,
        cancelled: bool = False,
        status: JobStatus | None = None,
        type: str | None = None,  # noqa: A002
    ) -> int:
        """Remove complete and failed jobs that ended before `older_than` (an instant, or a
        timedelta before now); with `cancelled` also cancelled ones; with `status` only those of
        that status, ``"cancelled"`` included; with `type` only those of that type. How many were
        removed.

        :raises InvalidValue: `older_than` is neither, `status` is not that of a finished job, or
            `type` is no text; nothing was removed.
        """
        checked_filter("type", type)
        statuses: tuple[JobStatus, ...] = FINISHED if cancelled else ("complete", "failed")
        if status is not None:
            if checked_status(status) not in FINISHED:
                raise InvalidValue("only finished jobs are removed", field="status", value=status)
            statuses = (status,)
        before = older_than
        if isinstance(older_than, timedelta):
            before = _instant_before(self.clock(), older_than)
        if not isinstance(before, datetime) or before.utcoffset() is None:
            raise InvalidValue(
                "an aware datetime or a timedelta is needed", field="older_than", value=older_than
            )
        self.committer.try_to_commit_all()  # what ended here a moment ago is held until then
        removed = self._run(self._store.remove, statuses, before, type)
        for job in removed:
            self.emit("removed", job)
        return len(removed)

    def remove_job(self, id: str) -> bool:  # noqa: A002
        """Remove a finished job for good. True: removed. False: there is none.

        :raises InvalidJobId: `id` cannot be a job's.
        :raises InvalidTransition: it waits or runs: cancel it first.
        :raises JobHeld: somebody else is moving it at this moment.
        """
        checked = job_id(id)
        try:
            removed = self._run(self._remove_soon, checked)
        except JobTimeout:
            raise JobHeld(checked) from None
        except JobNotFound:
            return False
        self.emit("removed", removed)
        return True

    # -- private -------------------------------------------------------------------------

    def _cancel(self, checked: str, statuses: tuple[JobStatus, ...]) -> bool:
        """Cancel a job if it has one of these statuses; see `cancel_job`."""
        try:
            return poll(lambda: self._try_cancel(checked, statuses), timeout=CANCEL_PATIENCE)
        except JobTimeout:
            reason = f"it waits, but somebody has held it for {CANCEL_PATIENCE:g} seconds"
            raise JobHeld(checked, reason) from None

    def _try_cancel(self, checked: str, statuses: tuple[JobStatus, ...]) -> bool | None:
        """One try: whether it was cancelled or asked, or None to look again."""
        try:
            hold = self._run(self._store.hold, checked)
        except JobNotFound:
            return False
        except JobHeld:
            return self._ask_to_cancel(checked, statuses)
        try:
            job = hold.job
            if not isinstance(job, PendingJob | RunningJob) or job.status not in statuses:
                return False
            cancelled = lifecycle.cancel(job, self.clock())
            hold.move(cancelled)
        except (ClaimLost, JobHeld):
            return None
        finally:
            hold.let_go()
        self.emit("cancelled", cancelled)
        return True

    def _ask_to_cancel(self, checked: str, statuses: tuple[JobStatus, ...]) -> bool | None:
        job = self._run(self._store.get, checked)
        if job is None or job.status in FINISHED:
            return False
        if job.status == "pending":
            return None  # being created or claimed at this moment
        if job.status not in statuses:
            return False
        asked = self._run(self._store.request_cancel, checked, job.metadata.life)
        if not asked:
            # Whoever held it may have obeyed before the store could look once more. Where that
            # life left no trace, being retried by hand or removed since, nobody can tell. It ran
            # when we looked, so to say that we asked is true; to say that we came too late is
            # not, if it was cancelled for our sake.
            left = self._run(self._store.get, checked)
            is_gone = left is None or left.metadata.life != job.metadata.life
            asked = is_gone or isinstance(left, CancelledJob)
        claim = self._claims.get(checked)
        if claim is not None:
            claim.watch()
        return asked

    def _remove_soon(self, checked: str) -> AnyJob:
        """Remove a finished job, which may be busy for a moment as below."""

        def remove() -> AnyJob | None:
            removed = self._store.remove_one(checked)
            if removed is None:
                left = self._store.get(checked)
                if left is None:
                    raise JobNotFound(checked)
                lifecycle.require("remove", left)
            return removed

        return cast("AnyJob", poll(remove, timeout=BUSY_PATIENCE))

    def _hold_finished(self, checked: str) -> Hold:
        """Hold a finished job, which may be busy for a moment, because somebody settles or
        removes it, or has yet to make it durable.

        :raises InvalidTransition: it is busy because it is not finished.
        """

        def take() -> Hold | None:
            try:
                return self._store.hold(checked)
            except JobHeld:
                job = self._store.get(checked)
                if job is not None:
                    lifecycle.require("retry", job)
                return None

        try:
            return self._run(lambda: poll(take, timeout=BUSY_PATIENCE))
        except JobTimeout:
            raise JobHeld(checked) from None


def _instant_before(now: datetime, age: timedelta) -> datetime:
    """That long before now, or the beginning of time, where nothing is old enough."""
    try:
        return now - age
    except OverflowError as error:
        if age > timedelta():
            return datetime.min.replace(tzinfo=UTC)
        raise InvalidValue("so late is no time", field="older_than", value=age) from error


def new_run() -> str:
    """The name of a new life of a job."""
    return secrets.token_hex(8)
