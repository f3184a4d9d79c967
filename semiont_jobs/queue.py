"""JobQueue: the verbs callers use.

It must not know how a store keeps jobs, or who runs them: what a job becomes is decided in
`lifecycle` and `retry`, where it goes is the store's.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, cast

from semiont_jobs import lifecycle, updates
from semiont_jobs.claim import AnyClaim, instant_after
from semiont_jobs.desk import QueueDesk
from semiont_jobs.errors import (
    ClaimLost,
    InvalidJob,
    InvalidTransition,
    InvalidValue,
    JobHeld,
    JobNotFound,
    JobTimeout,
)
from semiont_jobs.ids import UserId, job_id, new_job_id
from semiont_jobs.model import (
    DEFAULT_QUEUE,
    DEFAULT_USER,
    FINISHED,
    STATUSES,
    AnyJob,
    CancelledJob,
    FailedJob,
    JobMetadata,
    JobStats,
    JobStatus,
    P,
    PendingJob,
    RunningJob,
)
from semiont_jobs.retry import RetryPolicy, poll
from semiont_jobs.store import Accept, Hold, Wanted

DEFAULT_MAX_RETRIES: Final = 3
"""Three retries are four attempts: about seven seconds of back-off with the default policy."""


class JobQueue(QueueDesk):
    """A durable queue of jobs in a directory.

    Making one touches nothing: the first verb, or `initialize`, does. All methods may be
    called from any thread; several queues and processes may work on one directory.

    :param data_dir: the data directory; jobs stand in its ``jobs`` folder. ``"memory:"``
        keeps them in this process only. A `JobStore` of your own is taken as it is.
    :param fsync: what a call acknowledged survives a power cut (True), or only the death of
        any process (False; several times faster).
    :param retry_policy: when failed attempts are tried again; a job type's or a worker's own
        policy goes before it.
    :param job_types: your own job types, besides Semiont's six.
    :param max_crashes: a job whose workers died more often than this fails.
    :param foreign_stale_after: when a running job that the TypeScript package started counts
        as abandoned.
    :param hooks: called with every event, as `subscribe` does.
    :param store_options: ``dir_mode``, ``file_mode``, ``allow_network_fs`` of `FileStore`.
    """

    # -- creating ------------------------------------------------------------------------

    def create_job(self, job: PendingJob[P]) -> PendingJob[P]:
        """Store a new job; when this returns it is not lost any more.

        :raises JobExists: its id stands in some status already.
        :raises InvalidJob: a value no job may have; nothing was stored.
        :raises JobEncodeError: JSON cannot hold its params; names the path.
        :raises StoreError: the disk refused; nothing was stored.
        """
        self._check_new(job)
        self._run(self._store.create, job)
        self.emit("created", job)
        return job

    def create_jobs(self, jobs: Iterable[PendingJob[Any]]) -> list[PendingJob[Any]]:
        """Store new jobs in order, made durable together: far faster than one by one.

        All or nothing for what is invalid or exists; after a crash in the middle a prefix of
        them stands. Raises what `create_job` raises.
        """
        batch = list(jobs)
        for job in batch:
            self._check_new(job)
        if batch:
            self._run(self._store.create_many, batch)
        for job in batch:
            self.emit("created", job)
        return batch

    def enqueue(
        self,
        params: P,
        *,
        type: str | None = None,  # noqa: A002 - the name it has in the job's file
        id: str | None = None,  # noqa: A002
        user_id: str = DEFAULT_USER,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        run_after: datetime | timedelta | float | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
    ) -> PendingJob[P]:
        """Create a job for `params`; its type is that of their class.

        :param params: an object of a registered type's params class; a dict needs `type`.
        :param run_after: an aware datetime, a timedelta from now, or seconds from now.
        :param max_retries: default: the job type's, else 3.
        :param timeout: seconds an attempt may take; default: the job type's, else none.
        :raises: what `create_job` raises.
        """
        now = self.clock()
        kind = self.job_types.of_params(params) if type is None else self.job_types.get(type)
        if type is None and kind is None:
            raise InvalidJob(
                "of no registered job type: register one, or name the type of a dict with type=",
                field="params",
                value=params,
            )
        if max_retries is None:
            max_retries = kind.max_retries if kind else None
        metadata = JobMetadata(
            id=new_job_id() if id is None else job_id(id),
            type=type if type is not None else kind.name,  # type: ignore[union-attr]
            user_id=UserId(user_id),
            created=now,
            max_retries=DEFAULT_MAX_RETRIES if max_retries is None else max_retries,
            queue=queue,
            priority=priority,
            run_after=None if run_after is None else instant_after(run_after, now),
            timeout=timeout if timeout is not None or kind is None else kind.timeout,
        )
        return self.create_job(PendingJob(metadata=metadata, params=params))

    # -- reading -------------------------------------------------------------------------

    def get_job(self, id: str) -> AnyJob | None:  # noqa: A002
        """The job in whatever status, or None. Takes no lock.

        :raises InvalidJobId: `id` cannot be a job's.
        :raises JobDecodeError: what stands there is not a job.
        """
        checked = job_id(id)
        return self._run(self._store.get, checked)

    def query_jobs(
        self,
        *,
        status: JobStatus | None = None,
        type: str | None = None,  # noqa: A002
        user_id: str | None = None,
        queue: str | None = None,
        limit: int | None = 100,
        offset: int = 0,
    ) -> list[AnyJob]:
        """The jobs that match every filter given, newest first, ties by id.

        :param limit: at most so many; None: all.
        :param offset: leave out so many of the first.
        :raises InvalidValue: a status there is not, a negative limit or offset.
        """
        _check_page(limit, offset)
        statuses = STATUSES if status is None else (_checked_status(status),)
        found = [
            job
            for job in self._run(lambda: list(self._store.jobs(statuses)))
            if (type is None or job.metadata.type == type)
            and (user_id is None or job.metadata.user_id == user_id)
            and (queue is None or job.metadata.queue == queue)
        ]
        found.sort(key=lambda job: job.metadata.id)
        found.sort(key=lambda job: job.metadata.created, reverse=True)
        return found[offset:] if limit is None else found[offset : offset + limit]

    def get_stats(self) -> JobStats:
        """How many jobs stand in each status."""
        counts = self._run(self._store.counts)
        return JobStats(**{str(status): count for status, count in counts.items()})

    def poll_next_pending_job(
        self,
        types: Iterable[str] | None = None,
        queue: str | None = None,
        accept: Accept | None = None,
    ) -> PendingJob[Any] | None:
        """The job that `claim_next_job` would take next; claims nothing, changes nothing."""
        wanted = _wanted(types, queue, accept)
        return self._run(self._store.peek, wanted, self.clock())

    def wait_for(self, id: str, timeout: float | None = None) -> AnyJob:  # noqa: A002
        """The job once it is complete, failed or cancelled.

        :param timeout: seconds; None: for ever.
        :raises JobNotFound: there is no such job (any more).
        :raises JobTimeout: it has not finished in time; it goes on.
        """

        def look() -> AnyJob | None:
            job: AnyJob | None = self.get_job(id)
            if job is None:
                raise JobNotFound(id)
            if job.status in FINISHED:
                return job
            return None

        try:
            finished = cast("AnyJob", poll(look, timeout=timeout, wait=threading.Event().wait))
        except JobTimeout:
            raise JobTimeout(f"job {id} has not finished within {timeout} seconds") from None
        return finished

    # -- claiming ------------------------------------------------------------------------

    def claim_next_job(
        self,
        types: Iterable[str] | None = None,
        queue: str | None = None,
        accept: Accept | None = None,
        *,
        worker: str | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> AnyClaim | None:
        """Take the next due job and hold it, or return None.

        First: higher priority, then due time, creation, id.

        :param types: only jobs of these types; None: any.
        :param queue: only jobs of this named queue; None: any.
        :param accept: asked for each job in turn; one it refuses stays for others. It is asked
            once per revision of a job, so pass the same function every time.
        :param worker: the name to record; default: this process's id.
        :param retry_policy: goes before the job type's and the queue's.
        """
        wanted = _wanted(types, queue, accept)
        self._rescue_if_due()
        hold = self._run(self._store.claim, wanted, self._stamp(worker), self.clock())
        return None if hold is None else self._claimed(hold, retry_policy)

    def update_job(self, job: AnyJob, old_status: JobStatus | None = None) -> AnyJob:
        """Store a changed job, and return it as stored: the seed's generic verb, made safe.

        A job claimed through this queue is changed through its claim, whatever revision the
        given object has. ``update_job(running, "pending")`` claims; the queue then holds the
        job until it is moved on, or the process ends. For a job nobody holds, `old_status`
        and the revision must be those it has.

        :raises InvalidTransition: the lifecycle has no such step, or `old_status` is wrong.
        :raises StaleJob: the job has changed since it was read.
        :raises JobHeld: somebody else works on it.
        :raises JobNotFound: there is no such job.
        """
        if old_status is not None:
            _checked_status(old_status)
        id_ = job.metadata.id
        claim = self._open_claim(id_)
        if claim is not None and old_status not in (None, "running"):
            raise InvalidTransition(id_, f"expected to be {old_status}, it is running")
        if claim is not None:
            return claim.update(job)
        hold = self._run(self._store.hold, id_)
        try:
            updates.check_expected(hold.job, job, old_status)
            if hold.job.status == "running":
                raise ClaimLost(id_, "its worker is gone; rescue_orphans() gives it back")
            if hold.job.status == "pending" and job.status == "running":
                hold.move(lifecycle.claim(hold.job, self._stamp(None), self.clock()))
                return self._claimed(hold, None).job
            self.codec.check_update(job)
            update = updates.decide(hold.job, job, self.clock(), run=_new_run())
            if job.params != hold.job.params:
                self.codec.check_new(update.job)
                self.codec.check(job.params, "params", job_id=id_)
            hold.move(update.job)
        finally:
            if id_ not in self._claims:
                hold.let_go()
        if update.event is not None:
            self.emit(update.event, update.job)
        return update.job

    # -- by hand -------------------------------------------------------------------------

    def cancel_job(self, id: str) -> bool:  # noqa: A002
        """Cancel a job: at once if it waits; if it runs, its work is asked to stop.

        True: cancelled, or asked. False: it is finished already, or there is none. Work that
        ends with a result in spite of being asked is complete.
        """
        checked = job_id(id)
        return poll(lambda: self._try_cancel(checked), timeout=30.0, wait=threading.Event().wait)

    def cancel_jobs(
        self,
        *,
        status: JobStatus | None = None,
        type: str | None = None,  # noqa: A002
        user_id: str | None = None,
        queue: str | None = None,
    ) -> int:
        """Cancel every waiting or running job that matches; how many were cancelled or asked."""
        statuses: tuple[JobStatus, ...] = ("pending", "running")
        if status is not None:
            statuses = (_checked_status(status),)
        found = [
            job.metadata.id
            for each in statuses
            for job in self.query_jobs(
                status=each, type=type, user_id=user_id, queue=queue, limit=None
            )
        ]
        return sum(self.cancel_job(each) for each in dict.fromkeys(found))

    def retry_job(self, id: str) -> PendingJob[Any]:  # noqa: A002
        """Move a failed or cancelled job back to pending with a fresh budget of retries.

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
            again = lifecycle.retry(job, run=_new_run())
            hold.move(again)
        finally:
            hold.let_go()
        self.emit("retried", again)
        return again

    def cleanup_completed_jobs(
        self, older_than: datetime | timedelta, *, cancelled: bool = False
    ) -> int:
        """Remove complete and failed jobs that ended before `older_than` (an instant, or a
        timedelta before now); with `cancelled` also cancelled ones. How many were removed.
        """
        now = self.clock()
        before = now - older_than if isinstance(older_than, timedelta) else older_than
        if not isinstance(before, datetime) or before.utcoffset() is None:
            raise InvalidValue(
                "an aware datetime or a timedelta is needed", field="older_than", value=older_than
            )
        statuses: tuple[JobStatus, ...] = FINISHED if cancelled else ("complete", "failed")
        removed = self._run(self._store.remove, statuses, before)
        for job in removed:
            self.emit("removed", job)
        return len(removed)

    def wait_for_work(self, stop: threading.Event, timeout: float) -> None:
        """Return when there may be something to claim, after `timeout` seconds at the latest;
        at once when `stop` is set and `wake` called."""
        self._run(self._store.wait, stop, timeout, self.clock())

    def wake(self) -> None:
        """Make every `wait_for_work` of this queue object return."""
        self._store.wake()

    # -- private -------------------------------------------------------------------------

    def _open_claim(self, id_: str) -> AnyClaim | None:
        """This queue's claim on a job, unless the job was taken from it."""
        claim = self._claims.get(id_)
        if claim is not None:
            claim.watch()
        return claim if claim is not None and claim.is_open else None

    def _try_cancel(self, checked: str) -> bool | None:
        """One try: whether it was cancelled or asked, or None to look again."""
        try:
            hold = self._run(self._store.hold, checked)
        except JobNotFound:
            return False
        except JobHeld:
            return self._ask_to_cancel(checked)
        try:
            job = hold.job
            if not isinstance(job, PendingJob | RunningJob):
                return False
            cancelled = lifecycle.cancel(job, self.clock())
            hold.move(cancelled)
        except (ClaimLost, JobHeld):
            return None
        finally:
            hold.let_go()
        self.emit("cancelled", cancelled)
        return True

    def _ask_to_cancel(self, checked: str) -> bool | None:
        job = self._run(self._store.get, checked)
        if job is None or job.status in FINISHED:
            return False
        if job.status == "pending":
            return None  # being created or claimed at this moment
        asked = self._run(self._store.request_cancel, checked, job.metadata.life)
        if not asked:
            # Whoever held it may have obeyed before the store could look once more.
            left = self._run(self._store.get, checked)
            asked = isinstance(left, CancelledJob) and left.metadata.life == job.metadata.life
        claim = self._claims.get(checked)
        if claim is not None:
            claim.watch()
        return asked

    def _hold_finished(self, checked: str) -> Hold:
        """Hold a finished job, which may be busy for a moment, because somebody settles or
        removes it.

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
            return self._run(lambda: poll(take, timeout=1.0, wait=threading.Event().wait))
        except JobTimeout:
            raise JobHeld(checked) from None


_ANYTHING: Final = Wanted()


def _new_run() -> str:
    return secrets.token_hex(8)


def _wanted(types: Iterable[str] | None, queue: str | None, accept: Accept | None) -> Wanted:
    if types is None and queue is None and accept is None:
        return _ANYTHING
    if isinstance(types, str):
        raise InvalidValue("a list of type names is needed", field="types", value=types)
    return Wanted(types=None if types is None else frozenset(types), queue=queue, accept=accept)


def _checked_status(status: str) -> JobStatus:
    for known in STATUSES:
        if status == known:
            return known
    raise InvalidValue(f"one of {', '.join(STATUSES)}", field="status", value=status)


def _check_page(limit: int | None, offset: int) -> None:
    for name, value in (("limit", limit), ("offset", offset)):
        if value is None and name == "limit":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidValue("a whole number from 0 is needed", field=name, value=value)
