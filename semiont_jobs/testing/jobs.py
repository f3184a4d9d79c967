"""Jobs under test: what was enqueued, and the jobs' code run in the test's thread.

It must not know pytest: the plugin's fixture is one of these, and any test can create one.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

from semiont_jobs.claim import AnyClaim
from semiont_jobs.errors import JobNotFound
from semiont_jobs.events import Event
from semiont_jobs.fields import now
from semiont_jobs.handlers import Handler
from semiont_jobs.model import JOB_CLASSES, AnyJob, PendingJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.store import JobStore
from semiont_jobs.testing.clock import FakeClock
from semiont_jobs.testing.inline import claim_for, work_off, work_on
from semiont_jobs.testing.waiting import eventually
from semiont_jobs.worker import JobWorker

Workers = JobWorker | type[JobWorker] | Handler[..., Any] | Callable[[JobQueue], JobWorker]
"""A worker, a handler, or a callable that makes a worker for a queue, such as a worker class."""

MOST_ROUNDS: Final = 1000
"""Steps of the clock in one `drain`: a job that snoozes for ever must not make the test hang."""

_STATES: Final = tuple(JOB_CLASSES.values())


class Jobs:
    """A queue under test, on a clock that only the test moves, with methods for tests.

    :param data_dir: its place; ``"memory:"`` is allowed.
    :param clock: the clock of the queue; default: one that starts at the current time and does not
        run.
    :param settings: those of `JobQueue`; nothing is fsynced unless they say so.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | JobStore = "memory:",
        *,
        clock: FakeClock | None = None,
        **settings: Any,
    ) -> None:
        self.clock: FakeClock = clock or FakeClock(now())
        """`FakeClock.tick` moves it."""
        self.queue: JobQueue = JobQueue(
            data_dir, **{"fsync": False, **settings, "clock": self.clock}
        )
        """The queue, for the code under test."""

    def __enter__(self) -> Self:
        self.queue.initialize()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.queue.close()

    # -- what was enqueued ---------------------------------------------------------------

    def all(self, what: object = None, /, **fields: Any) -> list[AnyJob]:
        """The jobs enqueued, in whatever status they are now, oldest first.

        :param what: only those of a type (its name or its params class), or with equal params.
        :param fields: only those whose params have these values.
        """
        found = self.queue.query_jobs(limit=None)
        # Until the clock is moved, all have the same instant: their ids show the order.
        found.sort(key=lambda job: (job.metadata.created, job.metadata.id))
        return [job for job in found if self._is_of(job, what) and _has(job.params, fields)]

    def assert_enqueued(
        self, what: object, /, *, times: int | None = None, **fields: Any
    ) -> AnyJob:
        """Fail unless such a job was enqueued; return the last one.

        :param what: a type's name, a params class, or params to be equal to.
        :param times: how often, exactly; None: at least once.
        :param fields: values that its params have.
        """
        found = self.all(what, **fields)
        if not found or times not in (None, len(found)):
            often = "" if times is None else f" {times} times but {len(found)}"
            raise AssertionError(f"not enqueued{often}: {_told(what, fields)}\n{self._listed()}")
        return found[-1]

    def refute_enqueued(self, what: object, /, **fields: Any) -> None:
        """Fail if such a job was enqueued."""
        if self.all(what, **fields):
            raise AssertionError(f"enqueued: {_told(what, fields)}\n{self._listed()}")

    # -- work ----------------------------------------------------------------------------

    def perform(self, worker: Workers, job: object, /, **options: Any) -> AnyJob:
        """Let a worker do one job, here and now; return the job as it is afterwards.

        :param job: a job of this queue, its id, or params to enqueue with `options`.
        :raises AssertionError: the worker does not accept it, or it is not pending, or not due.
        """
        claim, by = self._claimed(worker, job, options)
        work_on(by, claim)
        return self._now(claim.job.metadata.id)

    def drain(self, *workers: Workers, delayed: bool = False) -> Counter[str]:
        """Let workers do all due jobs, including those that these enqueue.

        :param delayed: continue with jobs that are due later, moving the clock to them.
        :returns: how many attempts ended in which way: ``completed``, ``retrying``, ``failed``,
            ``snoozed``, ``cancelled``.
        """
        made = [self.worker(each) for each in workers]
        outcomes = work_off(*made)
        for _round in range(MOST_ROUNDS if delayed else 0):
            due = self._next_due(made)
            if due is None:
                return outcomes
            self.clock.advance((due - self.clock()).total_seconds())
            outcomes += work_off(*made)
        if delayed:
            raise AssertionError(f"still not drained after {MOST_ROUNDS} rounds: {self._listed()}")
        return outcomes

    @contextmanager
    def inline(self, *workers: Workers) -> Iterator[Counter[str]]:
        """In the block, a due job is done before the ``enqueue`` that creates it returns. Yields
        how many attempts ended in which way. Jobs that are due later, or are to be tried again,
        stay pending."""
        made = [self.worker(each) for each in workers]
        outcomes: Counter[str] = Counter()
        turn = threading.Lock()
        at_work: list[int] = []

        def work(event: Event) -> None:
            if event.name != "created" or threading.get_ident() in at_work:
                return  # what a job enqueues is done after it, by the same round
            with turn:
                at_work.append(threading.get_ident())
                try:
                    outcomes.update(work_off(*made))
                finally:
                    at_work.clear()

        stop = self.queue.subscribe(work)
        try:
            yield outcomes
        finally:
            stop()

    def crash(self, worker: Workers, job: object, /, *, after: int = 0, **options: Any) -> AnyJob:
        """Let a worker begin a job and die, and let the job be rescued; return the job as it is
        then.

        For the queue it looks as if the worker's process was killed. The job's code is left by an
        exception, so its ``finally`` blocks run, unlike those of a killed process.

        :param job: as for `perform`.
        :param after: die after that many checkpoints and progress reports; 0: before the job's code
            begins.
        :raises AssertionError: the job's code ended before that.
        """
        claim, by = self._claimed(worker, job, options)
        mine = claim.job.metadata.id
        if after:
            _die_after(claim, after)
            by._claim = claim
            try:
                by.execute_job(claim.job)
            except _Died:
                pass
            else:
                claim.release()
                raise AssertionError(f"the work ended before it had reported {after} times")
            finally:
                by._claim = None
        self._kill(claim)
        return self._now(mine)

    def worker(self, worker: Workers) -> JobWorker:
        """A worker of this queue: the one given, or a new one of that class or handler."""
        if isinstance(worker, Handler):
            # First: its params are enqueued by the class that the queue knows.
            worker.register(self.queue)
            return worker.make_worker(self.queue)
        made = worker if isinstance(worker, JobWorker) else worker(self.queue)
        if not isinstance(made, JobWorker) or made.queue is not self.queue:
            raise TypeError(f"{worker!r} is no worker of this queue: give its class")
        return made

    # -- private -------------------------------------------------------------------------

    def _is_of(self, job: AnyJob, what: object) -> bool:
        if what is None:
            return True
        if isinstance(what, str):
            return job.metadata.type == what
        return isinstance(job.params, what) if isinstance(what, type) else job.params == what

    def _claimed(
        self, worker: Workers, job: object, options: dict[str, Any]
    ) -> tuple[AnyClaim, JobWorker]:
        by = self.worker(worker)
        wanted = self._id_of(job, options)
        claim = claim_for(by, wanted)
        if claim is None:
            raise AssertionError(self._why_not(by, self._now(wanted)))
        return claim, by

    def _id_of(self, job: object, options: dict[str, Any]) -> str:
        if isinstance(job, _STATES):
            return job.metadata.id
        if isinstance(job, str):
            return job
        return self.queue.enqueue(job, **options).metadata.id

    def _why_not(self, worker: JobWorker, job: AnyJob) -> str:
        metadata = job.metadata
        if not isinstance(job, PendingJob):
            return f"job {metadata.id} is {job.status}, not pending"
        if not metadata.is_due(self.clock()):
            wait = metadata.due - self.clock()
            return f"job {metadata.id} is not due for {wait}: move the clock with tick()"
        name = worker.get_worker_name()
        return f"{name} does not take job {metadata.id} of type {metadata.type!r}"

    def _now(self, job_id: str) -> AnyJob:
        job: AnyJob | None = self.queue.get_job(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def _kill(self, claim: AnyClaim) -> None:
        mine = claim.job.metadata.id
        store: Any = self.queue.store  # every store without processes of its own has this method
        self.queue.forget(claim)
        store.kill_holder(mine)
        self.queue.rescue_orphans()
        # The queue's own thread may have been first, and not be done yet.
        eventually(lambda: self._now(mine).status != "running")

    def _next_due(self, workers: list[JobWorker]) -> Any:
        """When the next job is due that one of them accepts; None: there is none."""
        waiting = [
            job.metadata.due
            for job in self.queue.query_jobs(status="pending", limit=None)
            if any(_takes(worker, job) for worker in workers)
        ]
        later = [due for due in waiting if due > self.clock()]
        return min(later, default=None)

    def _listed(self) -> str:
        lines = [f"  {job.metadata.type} {job.status} {job.params!r}" for job in self.all()]
        return "\n".join(["there are:", *lines]) if lines else "there are no jobs"


class _Died(BaseException):
    """Ends the job's code as only a crash would: no `except Exception` stops it."""


def _die_after(claim: AnyClaim, times: int) -> None:
    left = times

    def dying(act: Callable[..., None]) -> Callable[..., None]:
        def acted(*args: Any, **kwargs: Any) -> None:
            nonlocal left
            act(*args, **kwargs)
            left -= 1
            if not left:
                raise _Died

        return acted

    claim.report = dying(claim.report)  # type: ignore[method-assign]
    claim.checkpoint = dying(claim.checkpoint)  # type: ignore[method-assign]


def _takes(worker: JobWorker, job: AnyJob) -> bool:
    return (
        (worker.job_types is None or job.metadata.type in tuple(worker.job_types))
        and worker.queue_name in (None, job.metadata.queue)
        and worker.can_process_job(job)
    )


def _has(params: object, fields: Mapping[str, Any]) -> bool:
    missing = object()
    if isinstance(params, Mapping):
        return all(params.get(name, missing) == value for name, value in fields.items())
    return all(getattr(params, name, missing) == value for name, value in fields.items())


def _told(what: object, fields: Mapping[str, Any]) -> str:
    name = what.__name__ if isinstance(what, type) else repr(what)
    return ", ".join([name, *(f"{key}={value!r}" for key, value in fields.items())])
