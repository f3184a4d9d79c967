"""Operations on jobs by hand: cancel, retry, clean up.

It must not know claims, except to notify this process's own of a request to cancel.
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
"""Seconds. A pending job is held only while it is created, claimed or moved, which takes a slow
disk a second or two: another program holds it if it is held for longer, and may hold it for
ever."""
BUSY_PATIENCE: Final = 1.0
"""Seconds. A finished job is held only while it is made durable, settled or removed."""


class ByHand(Reading):
    """The methods of a `JobQueue` for people and programs that look after jobs."""

    def cancel_job(self, id: str) -> bool:  # noqa: A002
        """Cancel a pending job at once, or ask a running one to stop.

        True: cancelled, or asked. False: the job is finished already, or there is none. If the
        job's code returns a result although it was asked, the job is complete. If the job is
        retried by hand during this call, the retry is not undone: what is cancelled, or asked to
        stop, is the life before.

        :raises InvalidJobId: `id` cannot be a job's.
        :raises JobHeld: the job is pending, and was held for half a minute without being claimed or
            moved: another program has a lock on its file. Nothing changed.
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
        """Cancel every pending or running job that matches.

        Returns how many were cancelled or asked to stop. If `status` is ``"pending"``, a pending
        job that a worker claims meanwhile is left alone.

        :raises InvalidValue: an unknown status, or a filter that is not a string.
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
        """Call `act` for every job that matches; return for how many it was done.

        :raises JobHeld: it failed for one of them; it was done for the others.
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
        :raises InvalidTransition: the job is pending, running or complete.
        :raises JobNotFound: there is no such job.
        :raises JobHeld: another process or thread is moving the job at this moment.
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
        """Retry every failed job that matches, or every cancelled one, as `retry_job` does.

        Returns how many are pending again.

        :raises InvalidValue: another status, or a filter that is not a string. Nothing changed.
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
            return False  # retried or removed by another process meanwhile
        return True

    def cleanup_completed_jobs(
        self,
        older_than: datetime | timedelta,
        *,
        cancelled: bool = False,
        status: JobStatus | None = None,
        type: str | None = None,  # noqa: A002
    ) -> int:
        """Remove finished jobs that ended before `older_than`; return how many.

        :param older_than: an instant, or a timedelta before now.
        :param cancelled: remove cancelled jobs, too, not only complete and failed ones.
        :param status: remove only jobs of this status, which may be ``"cancelled"``.
        :param type: remove only jobs of this type.
        :raises InvalidValue: `older_than` is neither, `status` is not that of a finished job, or
            `type` is not a string; nothing was removed.
        :raises StoreError: the disk refused to remove some. Hooks hear of those that are gone.
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
        self.committer.try_to_commit_all()  # jobs that ended here a moment ago are held until then
        removed: list[AnyJob] = []
        try:
            self._run(self._store.remove, statuses, before, removed.append, type)
        finally:
            for job in removed:
                self.emit("removed", job)
        return len(removed)

    def remove_job(self, id: str) -> bool:  # noqa: A002
        """Remove a finished job for good. True: removed. False: there is none.

        :raises InvalidJobId: `id` cannot be a job's.
        :raises InvalidTransition: the job is pending or running: cancel it first.
        :raises JobHeld: another process or thread is moving the job at this moment.
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
        """Try once: whether the job was cancelled or asked; None: try again."""
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
            # The holder may have obeyed before the store could look again. If that life left no
            # trace, because the job was retried by hand or removed since, we cannot know. It ran
            # when we looked, so True ("asked") is correct; False ("too late") would be wrong if
            # the job was cancelled because of our request.
            left = self._run(self._store.get, checked)
            is_gone = left is None or left.metadata.life != job.metadata.life
            asked = is_gone or isinstance(left, CancelledJob)
        claim = self._claims.get(checked)
        if claim is not None:
            claim.watch()
        return asked

    def _remove_soon(self, checked: str) -> AnyJob:
        """Remove a finished job, which may be held for a moment as below."""

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
        """Hold a finished job.

        It may be held for a moment, while it is settled, removed or made durable.

        :raises InvalidTransition: it is held because it is not finished.
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
    """That long before now, or the beginning of time, if no job is old enough."""
    try:
        return now - age
    except OverflowError as error:
        if age > timedelta():
            return datetime.min.replace(tzinfo=UTC)
        raise InvalidValue("so late is no time", field="older_than", value=age) from error


def new_run() -> str:
    """The name of a new life of a job."""
    return secrets.token_hex(8)
