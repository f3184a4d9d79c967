"""JobWorker: one thread that claims jobs, runs their code and records the outcome.

It must not know how jobs are stored, nor when a failed one is retried.
"""

from __future__ import annotations

import atexit
import inspect
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final, Self

from semiont_jobs.claim import AnyClaim
from semiont_jobs.claimer import Claimer
from semiont_jobs.errors import ClaimLost, InvalidValue, JobHeld, QueueClosed, StoreError
from semiont_jobs.events import log_trouble, logger
from semiont_jobs.fields import checked_patience, is_limit
from semiont_jobs.iteration import (
    CHECKPOINT_INTERVAL,
    GivenBack,
    Iteration,
    is_meant,
    run_iteration,
)
from semiont_jobs.latch import Latch
from semiont_jobs.model import AnyJob, PendingJob, RunningJob
from semiont_jobs.open_claims import EXIT_PATIENCE
from semiont_jobs.opening import Opening
from semiont_jobs.queue import JobQueue
from semiont_jobs.reading import checked_filter
from semiont_jobs.recording import record
from semiont_jobs.retry import RetryPolicy, error_pace
from semiont_jobs.settings import checked_job_types, checked_name, checked_policy, checked_timeout
from semiont_jobs.signals import sigterm_interrupts
from semiont_jobs.singleton import get_job_queue
from semiont_jobs.starting import Start
from semiont_jobs.threads import Flag, begin

POLL_INTERVAL: Final = 1.0
"""Seconds an idle worker waits at most before it looks again. New jobs wake it sooner: this only
limits the delay of a job without a notice."""
ERROR_BACKOFF: Final = 5.0
"""Seconds between tries, at most, while the store refuses: no hot loop on a full disk."""
STOP_TIMEOUT: Final = 60.0
"""Seconds that `stop` waits for the running job."""

_CHECKS: Final[Mapping[str, Callable[[str, Any], object]]] = {
    "job_types": checked_job_types,
    "queue_name": checked_filter,
    "retry_policy": checked_policy,
    "timeout": checked_timeout,
}
"""Checks of the class and of a worker that starts; None is valid for each."""


class JobWorker(ABC):
    """Claims jobs one at a time and runs `execute_job` on each.

    The value that `execute_job` returns completes the job. An exception fails the attempt; the
    retry policy decides whether there is another. `KeyboardInterrupt` and `SystemExit` from the
    job's code fail that attempt, too: the worker lives on.

    :param queue: default: the queue of `initialize_job_queue`, looked up at `start`.
    :param poll_interval: seconds an idle worker waits at most before it looks again.
    :param error_backoff: seconds between tries, at most, while the store refuses.
    """

    job_types: ClassVar[Iterable[str] | None] = None
    """Names of the only types to take; None: all except runs', and `can_process_job` decides."""
    queue_name: ClassVar[str | None] = None
    """The only named queue to take jobs from; None: any."""
    retry_policy: ClassVar[RetryPolicy | None] = None
    """Overrides the job type's and the queue's policy."""
    timeout: ClassVar[float | None] = None
    """Seconds an attempt may take if neither the job nor its type has a limit; None: no limit."""
    checkpoint_interval: float = CHECKPOINT_INTERVAL
    """Seconds between two cursors of `iterate_job` that are stored; 0: every one."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Invalid settings of the class are refused where they are written. A property, or what an
        # object sets, is known when the worker starts.
        for name, check in _CHECKS.items():
            value = cls.__dict__.get(name)
            if not hasattr(value, "__get__"):
                check(f"{cls.__name__}.{name}", value)
        if is_meant(cls, JobWorker):
            cls.execute_job = run_iteration  # type: ignore[method-assign,assignment]

    def __init__(
        self,
        queue: JobQueue | None = None,
        poll_interval: float = POLL_INTERVAL,
        error_backoff: float = ERROR_BACKOFF,
    ) -> None:
        for name, value in (("poll_interval", poll_interval), ("error_backoff", error_backoff)):
            if not is_limit(value):
                raise InvalidValue("a positive number of seconds", field=name, value=value)
        if queue is not None and not isinstance(queue, JobQueue):
            raise InvalidValue("a JobQueue is needed", field="queue", value=queue)
        checked_patience("checkpoint_interval", self.checkpoint_interval)
        self._queue = queue
        self.poll_interval = poll_interval
        self.error_backoff = error_backoff
        self._stop = Flag()
        # Waited for instead of the thread: up to Python 3.12 a join that Ctrl-C interrupts
        # takes the thread for ended, although its job still runs.
        self._ended = Latch()
        self._thread: threading.Thread | None = None
        self._name = type(self).__name__
        self._beginning = Start()
        self._claim: AnyClaim | None = None
        self._pid, self._waited_out = 0, False

    # -- what subclasses define ----------------------------------------------------------

    def get_worker_name(self) -> str:
        """Return the name recorded with every claim and attempt; default: the class's."""
        return type(self).__name__

    def can_process_job(self, job: AnyJob) -> bool:
        """Return whether to take that job; called once per revision of a job. Default: yes.

        A refused job stays for other workers and delays no other job.
        """
        return True

    @abstractmethod
    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        """Do the job, and return its result (None: nothing). Not a coroutine.

        A job runs at least once: after a crash between an effect and its record it runs again, so
        make effects idempotent, for example by the job's id.
        """

    def iterate_job(self, job: RunningJob[Any, Any], cursor: Any) -> Iteration:
        """Do the job unit by unit: define this instead of `execute_job` for long jobs.

        A generator. After each unit it yields a cursor, or a pair of a cursor and a progress; its
        return value is the result. A cursor is a number, a string, or a list or object of these,
        and says how far the code has come. The latest is stored every `checkpoint_interval` seconds
        and whenever the attempt ends without a result; the next attempt gets it.

        Every yield is a stopping point, like `raise_if_cancelled`. If the worker is asked to stop,
        it releases the job there, so that a long job does not delay a deploy.

        :param cursor: what the last attempt yielded, or None: begin at the beginning.
        """
        raise NotImplementedError(f"{type(self).__name__} has no iterate_job")

    # -- life ----------------------------------------------------------------------------

    @property
    def queue(self) -> JobQueue:
        """The queue this worker takes jobs from."""
        if self._queue is None:
            self._queue = get_job_queue()
        return self._queue

    def take_from(self, queue: JobQueue) -> None:
        """Take jobs from that queue, unless the worker has one: a pool calls this.

        :raises InvalidValue: it has another one, or its ``__init__`` does not call a worker's.
        """
        if "_ended" not in vars(self):
            rule = "its __init__ has to call super().__init__()"
            raise InvalidValue(rule, field=type(self).__name__, value=type(self))
        if self._queue is not None and self._queue is not queue:
            rule = "this worker was made for another queue"
            raise InvalidValue(rule, field="queue", value=self._queue)
        self._queue = queue

    def check(self) -> None:
        """Raise `InvalidValue` if a setting of the worker is invalid."""
        for name, check in _CHECKS.items():
            check(f"{type(self).__name__}.{name}", getattr(self, name))
        meant = inspect.getattr_static(self, "job_type", None)
        takes_all = self.job_types is None and not self.is_choosy
        if takes_all and isinstance(meant, str | tuple | list):
            field = f"{type(self).__name__}.job_type"
            raise InvalidValue("job_types is what names the types", field=field, value=meant)
        self._name = checked_name(self.get_worker_name())  # it may fail the next time

    def start(self) -> None:
        """Start the worker in a thread of its own, and return.

        When the process exits, the worker is stopped as by `stop`. `JobQueue.close` stops it, too,
        and releases the running job. A signal's handler may call `stop` during this call.

        :raises RuntimeError: it was started, or stopped, before.
        :raises ThreadRefused: the system gives no thread; it may be started again.
        :raises InvalidValue: its types, queue, policy or name are invalid. Nothing has begun.
        :raises QueueNotInitialized: it has no queue, and the application has none.
        :raises StoreError: the queue cannot be opened.
        """
        self.check()
        with self._beginning.then(self.stop):
            if self._thread is not None and self._thread.ident is not None:
                raise RuntimeError(f"{self._name} was started already")
            if self._stop.is_set():
                raise RuntimeError(f"{self._name} was stopped; make a new one")
            # Within this opening: if the queue is closed, the loop must not open it again.
            opening = self.queue.open_for_work(self._stop)
            thread = threading.Thread(
                target=self._live, args=(opening,), name=self._name, daemon=True
            )
            # Before it begins: the job's code may call `stop`, and the thread may end first.
            self._thread, self._pid = thread, os.getpid()
            atexit.register(self._at_exit)
            begin(thread)

    def stop(self, timeout: float = STOP_TIMEOUT) -> bool:
        """Claim no more, cut every wait short, and wait for the running job.

        Allowed before `start` and more than once. True: stopped. False: the job still runs after
        `timeout` seconds; when the process exits it is released without using an attempt. Also
        False if it cannot wait: in that job's code, and in a signal's handler during `start`.

        :raises InvalidValue: `timeout` is not a number from 0; nothing has stopped.
        """
        checked_patience("timeout", timeout)
        self._stop.set()
        if self._beginning.puts_off(timeout):
            return False
        thread = self._thread
        # An interrupted `start` has begun none; and a forked child has none of these threads.
        if thread is None or thread.ident is None or self._pid != os.getpid():
            return True
        self.queue.wake()
        if thread is threading.current_thread():
            return False  # called by the job's code: it cannot wait for itself
        self._waited_out = True  # also if the wait is interrupted
        deadline = time.monotonic() + timeout
        if not self._ended.wait(timeout):
            return False
        self._waited_out = False
        self.queue.finish_telling(deadline - time.monotonic())
        return True

    def run(self) -> None:
        """Start, block until Ctrl-C, SIGTERM, `stop` or `JobQueue.close`, then wait as in `stop`.

        A second of these signals raises `KeyboardInterrupt`. SIGTERM is handled only in the main
        thread, and only if the program has no handler of its own.
        """
        with sigterm_interrupts():
            try:
                self.start()
                self._ended.wait()
            except KeyboardInterrupt:
                self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _at_exit(self) -> None:
        # If `stop` has waited for all of its time-out, the exit must not wait again.
        has_stopped = self.stop(timeout=0 if self._waited_out else STOP_TIMEOUT)
        if not has_stopped and (claim := self._claim) is not None:
            try:
                claim.soon(claim.release, EXIT_PATIENCE)
            except (ClaimLost, JobHeld, StoreError):
                logger.warning("job %s could not be given back", claim.job.metadata.id)

    # -- inside execute_job --------------------------------------------------------------

    @property
    def claim(self) -> AnyClaim:
        """The claim on the running job.

        :raises RuntimeError: there is none.
        """
        if (claim := self._claim) is None:
            raise RuntimeError(f"{self.get_worker_name()} has no job in hand")
        return claim

    def update_job_progress(self, job_or_progress: object) -> None:
        """Report progress: the progress itself, or a running job that has it (as in TypeScript).
        Raises what `Claim.report` raises."""
        if isinstance(job_or_progress, RunningJob):
            job_or_progress = job_or_progress.progress
        self.claim.report(job_or_progress)

    def checkpoint(
        self, units: Iterable[str] = (), cursors: Mapping[str, Any] | None = None
    ) -> None:
        """Store at once which units of the job are done: see `Claim.checkpoint`."""
        self.claim.checkpoint(units, cursors)

    def raise_if_cancelled(self) -> None:
        """Raise an error if the job's code is to stop: see `Claim.raise_if_cancelled`."""
        self.claim.raise_if_cancelled()

    @property
    def cancelled(self) -> threading.Event:
        """Set within a second when the job's code is to stop: see `Claim.cancelled`."""
        return self.claim.cancelled

    @property
    def is_stopping(self) -> bool:
        """Whether the worker was asked to stop, so that it takes no more jobs."""
        return self._stop.is_set()

    @property
    def deadline(self) -> datetime | None:
        """When the time of the running job is up; None: never."""
        return self.claim.deadline

    # -- the loop ------------------------------------------------------------------------

    def _live(self, opening: Opening) -> None:
        try:
            self._loop(opening)
        finally:
            self._ended.set()
            atexit.unregister(self._at_exit)

    def _loop(self, opening: Opening) -> None:
        pace = error_pace(self.error_backoff)
        errors = 0
        with self._claimer(opening) as claimer:
            while not self._stop.is_set():
                try:
                    claim = claimer()
                    if claim is None:
                        self.queue.wait_for_work(self._stop, self.poll_interval, opening=opening)
                except QueueClosed:
                    return
                except Exception as error:  # noqa: BLE001
                    # No error of the store ends the worker. The pause grows: no hot loop.
                    errors += 1
                    log_trouble(error, "%s cannot claim: %s", self._name, error)
                    self._stop.wait(pace(errors))
                    continue
                errors = 0
                if claim is not None:
                    self.work_on(claim)
                    claimer.commit_if_due()

    def _claimer(self, opening: Opening) -> Claimer:
        types = self.job_types
        return self.queue.claimer(
            types=None if types is None else tuple(types),
            queue=self.queue_name,
            accept=self.accepts if self.is_choosy else None,
            worker=self._name,
            retry_policy=self.retry_policy,
            opening=opening,
        )

    @property
    def is_choosy(self) -> bool:
        """Whether its class overrides `can_process_job`."""
        return type(self).can_process_job is not JobWorker.can_process_job

    def accepts(self, job: PendingJob[Any]) -> bool:
        """What `can_process_job` returns; False if it fails."""
        try:
            return bool(self.can_process_job(job))
        except BaseException:  # noqa: BLE001 - user code; also sys.exit() in it
            logger.exception("%s.can_process_job failed", self._name)
            return False

    def work_on(self, claim: AnyClaim) -> None:
        """Run a claimed job's code and record the outcome. For a pool, which claims instead of this
        worker's own loop. Raises nothing that the job's code raised."""
        self._claim = claim
        had_floor = self.queue.floor.leave()
        try:
            if self.timeout is not None:
                claim.terms.set(timeout=self.timeout)
            claim.require_open()
            self.queue.check_params(claim.job)
            result = self.execute_job(claim.job)
        except GivenBack:
            outcome: Callable[[], object] = claim.release
        except BaseException as error:  # noqa: BLE001 - the one place that runs the work
            outcome = partial(claim.settle, error)
        else:
            outcome = partial(claim.complete, result)
        try:
            claim.put_off()
            if had_floor:
                self.queue.floor.take()
            self._record(claim, outcome)
        finally:
            self._claim = None

    def _record(self, claim: AnyClaim, outcome: Callable[[], object]) -> None:
        record(claim, outcome, error_backoff=self.error_backoff, floor=self.queue.floor)
