"""JobQueue: the operations that programs call.

It must not know how a store keeps jobs, or what runs them: `lifecycle` and `retry` decide what a
job becomes, and the store decides where it is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

from attrs import evolve

from semiont_jobs import lifecycle, updates
from semiont_jobs.builtin import BUILTIN_JOB_TYPES
from semiont_jobs.by_hand import new_run
from semiont_jobs.claim import AnyClaim
from semiont_jobs.claimer import Claimer
from semiont_jobs.creating import Creating
from semiont_jobs.errors import (
    InvalidJob,
    InvalidTransition,
    JobHeld,
    QueueClosed,
)
from semiont_jobs.model import (
    JOB_CLASSES,
    AnyJob,
    JobStatus,
    PendingJob,
    WorkerName,
)
from semiont_jobs.opening import Opening
from semiont_jobs.reading import checked_filter, checked_status
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.settings import checked_accept, checked_policy, checked_types
from semiont_jobs.store import Accept, Hold, Wanted


class JobQueue(Creating):
    """A durable queue of jobs in a directory, or in a PostgreSQL database.

    Creating the object touches nothing: the first operation, or `initialize`, does. You can call
    every method from any thread, and use several queues and processes on one directory. Every
    method may raise `StoreError` (the disk, or the server, refused). A method that takes a job's id
    may also raise `JobDecodeError` (what is stored cannot be read as a job).

    :param data_dir: the data directory; jobs are in its ``jobs`` folder. A ``postgresql://`` URL
        keeps them in a schema of that database, ``"memory:"`` in this process only. A `JobStore` of
        your own is used as it is.
    :param fsync: True: an acknowledged call survives a power cut. False: it survives only the death
        of any process, and is several times faster.
    :param retry_policy: decides when failed attempts are retried; a worker's or a job type's own
        policy overrides it.
    :param job_types: your own job types, in addition to Semiont's six.
    :param max_crashes: a job fails if its workers died more often than this.
    :param foreign_stale_after: when a running job that the TypeScript package started counts as
        abandoned.
    :param hooks: called with every event, as with `subscribe`.
    :param store_options: ``durability``, ``dir_mode``, ``file_mode``, ``allow_network_fs``,
        ``read_only`` of `FileStore`; ``schema``, ``pool_size``, ``read_only`` of `PostgresStore`.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the place of the jobs and the settings, not the state.

        In another process, the unpickled queue is that process's own. Hooks added by `subscribe`
        are not included.
        """
        made_with = partial(
            type(self),
            retry_policy=self.retry_policy,
            job_types=tuple(each for each in self.job_types if each not in BUILTIN_JOB_TYPES),
            max_crashes=self._max_crashes,
            foreign_stale_after=self._foreign_stale_after,
            hooks=self._given_hooks,
            clock=self.clock,
        )
        return (made_with, (self._store,))

    # -- claiming ------------------------------------------------------------------------

    def claim_next_job(
        self,
        types: Iterable[str] | None = None,
        queue: str | None = None,
        accept: Accept | None = None,
        *,
        worker: WorkerName | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> AnyClaim | None:
        """Claim the next due job, or return None.

        The order is: higher priority first, then due time, creation, id. The claim holds the job
        for as long as you keep the claim object. A claim that is dropped without an outcome is
        released within a second; claims that are open when the process ends normally are released,
        too. Neither uses an attempt.

        :param types: only jobs of these types. None: any type; but items of runs (`map
            <WorkerPool.map>`) are claimed only if their type is named.
        :param queue: only jobs of this named queue; None: any.
        :param accept: called with each candidate job; a job that it refuses stays for other claims.
            It is called once per revision of a job, so pass the same function every time.
        :param worker: the name to record, or a function that returns it for the claimed job;
            default: the host's name and this process's id.
        :param retry_policy: overrides the job type's and the queue's.
        :raises InvalidValue: an argument is invalid; nothing was claimed.
        :raises ThreadRefused: the system gives no thread, which the queue needs to look after
            claims; nothing was claimed.
        :raises QueueClosed: another thread closed the queue during the call; nothing was claimed.
        """
        checked_policy("retry_policy", retry_policy)
        wanted = _wanted(types, queue, accept)
        return self.claim_one(wanted, worker, retry_policy, self.within(None))

    def claims(
        self,
        types: Iterable[str] | None = None,
        queue: str | None = None,
        accept: Accept | None = None,
        *,
        worker: WorkerName | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> Iterator[AnyClaim]:
        """Yield one claim after the other, until no job is due.

        For scripts that process all due jobs. Parameters and errors are those of `claim_next_job`.
        """
        claimer = self.claimer(types, queue, accept, worker=worker, retry_policy=retry_policy)
        return claimer.claims()

    def claimer(
        self,
        types: Iterable[str] | None = None,
        queue: str | None = None,
        accept: Accept | None = None,
        *,
        runs: Iterable[str] = (),
        worker: WorkerName | None = None,
        retry_policy: RetryPolicy | None = None,
        opening: Opening | None = None,
    ) -> Claimer:
        """Return an object that claims one job after the other for a loop.

        Other parameters are those of `claim_next_job`.

        :param runs: types of runs to claim from as well, if `types` is None.
        :param opening: claim only while this opening of the queue lasts (see `open_for_work`);
            None: a closed queue is opened.
        """
        checked_policy("retry_policy", retry_policy)
        wanted = evolve(_wanted(types, queue, accept), runs=frozenset(runs))
        return Claimer(self, wanted, worker=worker, policy=retry_policy, opening=opening)

    def update_job(self, job: AnyJob, old_status: JobStatus | None = None) -> AnyJob:
        """Store a changed job, and return it as stored.

        This is the generic update of the TypeScript package, made safe. A job claimed through this
        queue is changed through its claim, whatever revision the given object has.
        ``update_job(running, "pending")`` claims; the queue then holds the job until it leaves
        running, or until the process ends, which releases it. For a job that no claim holds,
        `old_status` and the revision must be the job's own.

        :raises InvalidJob: `job` is not a job, or has a value that no job may have; nothing
            changed.
        :raises InvalidTransition: the lifecycle has no such step, or `old_status` is wrong.
        :raises StaleJob: the job has changed since it was read.
        :raises JobHeld: another process or thread holds the job, or its worker died: then it waits
            for a rescue.
        :raises JobNotFound: there is no such job.
        :raises ClaimLost: a program that ignores locks moved or removed the job meanwhile.
        :raises QueueClosed: another thread closed the queue while this call claimed the job.
        """
        if old_status is not None:
            checked_status(old_status)
        if not isinstance(job, _ANY_STATE):
            raise InvalidJob("a job in one of its five states is needed", field="job", value=job)
        id_ = job.metadata.id
        claim = self._open_claim(id_)
        if claim is not None and old_status not in (None, "running"):
            raise InvalidTransition(id_, f"expected to be {old_status}, it is running")
        if claim is not None:
            self._claims.keep(claim)  # even if just dropped: its job is in use
            return claim.update(job)
        opening = self.within(None)
        hold = self._act(self._store.hold, id_)
        try:
            updates.check_expected(hold.job, job, old_status)
            if hold.job.status == "running":
                raise JobHeld(id_, "its worker is gone; rescue_orphans() gives it back")
            if hold.job.status == "pending" and job.status == "running":
                running = lifecycle.claim(hold.job, self.stamp(None), self.clock())
                claim = self.claimed(partial(_moved, hold, running), None, opening)
                assert claim is not None
                self._claims.keep(claim)
                return claim.job
            self.codec.check_update(job)
            update = updates.decide(hold.job, job, self.clock(), run=new_run())
            if job.params != hold.job.params:
                self.codec.check_new(update.job)
                self.codec.check(job.params, "params", job_id=id_)
            hold.move(update.job)
        finally:
            claim = self._claims.get(id_)
            if claim is None or not claim.is_open:
                hold.let_go()
        if update.event is not None:
            self.emit(update.event, update.job)
        return update.job

    def poll_next_pending_job(
        self,
        types: Iterable[str] | None = None,
        queue: str | None = None,
        accept: Accept | None = None,
    ) -> PendingJob[Any] | None:
        """Return the job that `claim_next_job` would take next, and change nothing.

        :raises InvalidValue: a parameter is invalid, as for `claim_next_job`.
        """
        wanted = _wanted(types, queue, accept)
        return self._run(self._store.peek, wanted, self.clock())

    def wait_for_work(
        self, stop: threading.Event, timeout: float, *, opening: Opening | None = None
    ) -> None:
        """Wait until there may be something to claim, at most `timeout` seconds.

        Returns at once if `stop` is set and `wake` called, or if `opening` is over.
        """
        self.floor.leave()
        with suppress(QueueClosed):
            self.within(opening)
            self._act(self._store.wait, stop, timeout, self.clock())

    def wake(self) -> None:
        """Make every `wait_for_work` of this queue object return."""
        if self._is_open:  # else no thread waits, and the store has nothing to wake
            self._store.wake()

    # -- private -------------------------------------------------------------------------

    def _open_claim(self, id_: str) -> AnyClaim | None:
        """This queue's claim on a job, unless the job was taken from it."""
        claim = self._claims.get(id_)
        if claim is not None:
            claim.watch()
        return claim if claim is not None and claim.is_open else None


_ANYTHING: Final = Wanted()
_ANY_STATE: Final = tuple(JOB_CLASSES.values())


def _wanted(types: Iterable[str] | None, queue: str | None, accept: Accept | None) -> Wanted:
    if types is None and queue is None and accept is None:
        return _ANYTHING
    return Wanted(
        types=checked_types("types", types),
        queue=checked_filter("queue", queue),
        accept=checked_accept(accept),
    )


def _moved(hold: Hold, job: AnyJob) -> Hold:
    hold.move(job)
    return hold
