"""JobQueue: the verbs callers use.

It must not know how a store keeps jobs, or who runs them: what a job becomes is decided in
`lifecycle` and `retry`, where it goes is the store's.
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

    Making one touches nothing: the first verb, or `initialize`, does. All methods may be
    called from any thread; several queues and processes may work on one directory. Each may raise
    `StoreError`: the disk, or the server, refuses; and one that is given a job's id
    `JobDecodeError`: what stands there cannot be read as a job.

    :param data_dir: the data directory; jobs stand in its ``jobs`` folder. A ``postgresql://``
        URL keeps them in a schema of that database, ``"memory:"`` in this process only. A
        `JobStore` of your own is taken as it is.
    :param fsync: what a call acknowledged survives a power cut (True), or only the death of
        any process (False; several times faster).
    :param retry_policy: when failed attempts are tried again; a job type's or a worker's own
        policy goes before it.
    :param job_types: your own job types, besides Semiont's six.
    :param max_crashes: a job whose workers died more often than this fails.
    :param foreign_stale_after: when a running job that the TypeScript package started counts
        as abandoned.
    :param hooks: called with every event, as `subscribe` does.
    :param store_options: ``durability``, ``dir_mode``, ``file_mode``, ``allow_network_fs``,
        ``read_only`` of `FileStore`; ``schema``, ``pool_size``, ``read_only`` of `PostgresStore`.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, a queue is where its jobs live and what it was made with: read in another
        process, it is that one's queue. What `subscribe` added stays here."""
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
        """Take the next due job and hold it, or return None.

        First: higher priority, then due time, creation, id. The claim holds the job for as long
        as you keep it: one that is dropped without an outcome is given back within a second, and
        so are those still open when the process ends in order. Neither uses an attempt.

        :param types: only jobs of these types; None: any, but for the items of runs (`map
            <WorkerPool.map>`), of which only those are taken whose type is named.
        :param queue: only jobs of this named queue; None: any.
        :param accept: asked for each job in turn; one it refuses stays for others. It is asked
            once per revision of a job, so pass the same function every time.
        :param worker: the name to record, or a function that returns it for the job that is
            claimed; default: this process's id.
        :param retry_policy: goes before the job type's and the queue's.
        :raises InvalidValue: one of these is something else; nothing was claimed.
        :raises ThreadRefused: the queue needs a thread to look after claims, and the system gives
            none; nothing was claimed.
        :raises QueueClosed: another thread closed the queue in the midst of this; nothing was
            claimed.
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
        """One claim after the other, until no job is due: for scripts that work off what there is.

        Parameters and errors are those of `claim_next_job`.
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
        """What claims for a loop, one job after the other, with the parameters of `claim_next_job`.

        :param runs: types of runs to be offered besides, where `types` is None.
        :param opening: claim only while that opening of the queue lasts (see `open_for_work`);
            None: a closed queue is opened.
        """
        checked_policy("retry_policy", retry_policy)
        wanted = evolve(_wanted(types, queue, accept), runs=frozenset(runs))
        return Claimer(self, wanted, worker=worker, policy=retry_policy, opening=opening)

    def update_job(self, job: AnyJob, old_status: JobStatus | None = None) -> AnyJob:
        """Store a changed job, and return it as stored: the seed's generic verb, made safe.

        A job claimed through this queue is changed through its claim, whatever revision the
        given object has. ``update_job(running, "pending")`` claims; the queue then holds the
        job until it is moved on, or until the process ends, which gives it back. For a job
        nobody holds, `old_status` and the revision must be those it has.

        :raises InvalidJob: `job` is no job, or has what no job may have; nothing changed.
        :raises InvalidTransition: the lifecycle has no such step, or `old_status` is wrong.
        :raises StaleJob: the job has changed since it was read.
        :raises JobHeld: somebody else works on it, or did and is gone: then it waits for a rescue.
        :raises JobNotFound: there is no such job.
        :raises ClaimLost: somebody who keeps no rules moved or removed it meanwhile.
        :raises QueueClosed: another thread closed the queue in the midst of claiming it.
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
            self._claims.keep(claim)  # also one that was just dropped: its job is in use
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
        """The job that `claim_next_job` would take next; claims nothing, changes nothing.

        :raises InvalidValue: a parameter, one of those of `claim_next_job`, is something else.
        """
        wanted = _wanted(types, queue, accept)
        return self._run(self._store.peek, wanted, self.clock())

    def wait_for_work(
        self, stop: threading.Event, timeout: float, *, opening: Opening | None = None
    ) -> None:
        """Return when there may be something to claim, after `timeout` seconds at the latest;
        at once when `stop` is set and `wake` called, or `opening` is over."""
        self.floor.leave()
        with suppress(QueueClosed):
            self.within(opening)
            self._act(self._store.wait, stop, timeout, self.clock())

    def wake(self) -> None:
        """Make every `wait_for_work` of this queue object return."""
        if self._is_open:  # else nobody waits, and a store has nothing to wake yet
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
