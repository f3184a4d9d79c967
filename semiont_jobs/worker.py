"""JobWorker: one thread that claims jobs, runs its work on them and records the outcome.

It must not know how jobs are stored, nor when a failed one is tried again.
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
from semiont_jobs.errors import ClaimLost, InvalidValue, QueueClosed, StoreError
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
"""Seconds an idle worker waits at most before it looks again. New jobs wake it sooner: this
only bounds what no signal tells of."""
ERROR_BACKOFF: Final = 5.0
"""Seconds between tries, at most, while the store refuses: a full disk is not a hot loop."""
STOP_TIMEOUT: Final = 60.0
"""Seconds that `stop` waits for the job in hand."""

_CHECKS: Final[Mapping[str, Callable[[str, Any], object]]] = {
    "job_types": checked_job_types,
    "queue_name": checked_filter,
    "retry_policy": checked_policy,
    "timeout": checked_timeout,
}
"""What is asked of these, on the class and when a worker starts; None is right for each."""


class JobWorker(ABC):
    """Claims jobs one at a time and runs `execute_job` on each.

    What `execute_job` returns completes the job; an exception fails the attempt, to be tried
    again by the retry policy. `KeyboardInterrupt` and `SystemExit` raised by the work fail
    that attempt too: the worker lives on.

    :param queue: default: the queue of `initialize_job_queue`, looked up at `start`.
    :param poll_interval: seconds an idle worker waits at most before it looks again.
    :param error_backoff: seconds between tries, at most, while the store refuses.
    """

    job_types: ClassVar[Iterable[str] | None] = None
    """Names of the only types to be offered; None: all but runs', and `can_process_job` decides."""
    queue_name: ClassVar[str | None] = None
    """The only named queue to take jobs from; None: any."""
    retry_policy: ClassVar[RetryPolicy | None] = None
    """Goes before the job type's and the queue's policy."""
    timeout: ClassVar[float | None] = None
    """Seconds an attempt may take where neither the job nor its type says; None: no limit."""
    checkpoint_interval: float = CHECKPOINT_INTERVAL
    """Seconds between two cursors of `iterate_job` that are stored; 0: every one."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # What the class says by itself is refused where it is written. A property, or what an
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
        # takes the thread for ended, and the job in hand with it.
        self._ended = Latch()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._beginning = Start()
        self._claim: AnyClaim | None = None
        self._waited_out = False

    # -- what subclasses give ------------------------------------------------------------

    def get_worker_name(self) -> str:
        """The name recorded with every claim and attempt; default: the class's."""
        return type(self).__name__

    def can_process_job(self, job: AnyJob) -> bool:
        """Whether this worker takes that job; asked once per revision of a job. Default: yes.

        A refused job stays for other workers and blocks nobody behind it.
        """
        return True

    @abstractmethod
    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        """Do the work; what is returned becomes the job's result (None: nothing). No coroutine.

        Delivery is at least once: after a crash between an effect and its record the work
        runs again, so make effects idempotent, by the job's id for example.
        """

    def iterate_job(self, job: RunningJob[Any, Any], cursor: Any) -> Iteration:
        """Do the work unit by unit: what to give instead of `execute_job` where it is long.

        A generator. After each unit it yields a cursor, or a pair of a cursor and a progress; what
        it returns becomes the result. A cursor is a number, a text, or a list or object of such,
        and says how far the work has come. The latest is stored every `checkpoint_interval`
        seconds and whenever the attempt ends without a result; the next attempt gets it.

        Every yield is a stopping point, as `raise_if_cancelled` is; also for a worker that was
        asked to stop, which gives the job back there: a long job keeps nobody from a deploy.

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
        """Take jobs from that queue, unless it was given one: what a pool tells its workers.

        :raises InvalidValue: it was given another one, or its ``__init__`` is not a worker's.
        """
        if "_ended" not in vars(self):
            rule = "its __init__ has to call super().__init__()"
            raise InvalidValue(rule, field=type(self).__name__, value=type(self))
        if self._queue is not None and self._queue is not queue:
            rule = "this worker was made for another queue"
            raise InvalidValue(rule, field="queue", value=self._queue)
        self._queue = queue

    def check(self) -> None:
        """Raise `InvalidValue` for what the worker says of itself and cannot be."""
        for name, check in _CHECKS.items():
            check(f"{type(self).__name__}.{name}", getattr(self, name))
        meant = inspect.getattr_static(self, "job_type", None)
        takes_all = self.job_types is None and not self.is_choosy
        if takes_all and isinstance(meant, str | tuple | list):
            field = f"{type(self).__name__}.job_type"
            raise InvalidValue("job_types is what names the types", field=field, value=meant)
        checked_name(self.get_worker_name())

    def start(self) -> None:
        """Begin in a thread of its own, and return.

        At the exit of the process the worker is stopped as by `stop`. `JobQueue.close` stops
        it too, and gives the job in hand back. A signal's handler may call `stop` amid this.

        :raises RuntimeError: it was started, or stopped, before.
        :raises ThreadRefused: the system gives no thread; it may be started again.
        :raises InvalidValue: its types, queue, policy or name are none. Nothing has begun.
        :raises QueueNotInitialized: it was given no queue, and there is none for all.
        :raises StoreError: the queue cannot be opened.
        """
        self.check()
        with self._beginning.then(self.stop):
            if self._thread is not None and self._thread.ident is not None:
                raise RuntimeError(f"{self.get_worker_name()} was started already")
            if self._stop.is_set():
                raise RuntimeError(f"{self.get_worker_name()} was stopped; make a new one")
            # Within this opening: when the queue is closed, the loop must not open it again.
            opening = self.queue.open_for_work(self._stop)
            thread = threading.Thread(
                target=self._live, args=(opening,), name=self.get_worker_name(), daemon=True
            )
            # Before: its work may call `stop`, and it may have come to its end by then.
            self._thread, self._pid = thread, os.getpid()
            atexit.register(self._at_exit)
            begin(thread)

    def stop(self, timeout: float = STOP_TIMEOUT) -> bool:
        """Claim no more, cut every wait short, and wait for the job in hand.

        Legal before `start` and more than once. True: stopped. False: the job goes on after
        `timeout` seconds; when the process exits it is given back without using an attempt.
        False also where it cannot wait: in that job, and in a signal's handler amid `start`.

        :raises InvalidValue: `timeout` is no such number; nothing has stopped.
        """
        checked_patience("timeout", timeout)
        self._stop.set()
        if self._beginning.puts_off(timeout):
            return False
        thread = self._thread
        # Never begun, if something interrupted that; and a forked child has none of these threads.
        if thread is None or thread.ident is None or self._pid != os.getpid():
            return True
        self.queue.wake()
        if thread is threading.current_thread():
            return False  # asked for by the work itself: it cannot wait for itself
        self._waited_out = True  # also if somebody interrupts that
        deadline = time.monotonic() + timeout
        if not self._ended.wait(timeout):
            return False
        self._waited_out = False
        self.queue.finish_telling(deadline - time.monotonic())
        return True

    def run(self) -> None:
        """Start, and block until Ctrl-C, SIGTERM, `stop` or the queue's `JobQueue.close`; then wait
        for the job in hand, as `stop` does. A second of these signals raises `KeyboardInterrupt`.
        SIGTERM is left to the handler that the program has for it, if it has one, and in another
        thread than the main one."""
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
        # The time-out was waited out once; the exit of the process must not wait for it again.
        if not self.stop(timeout=0 if self._waited_out else STOP_TIMEOUT):
            claim = self._claim
            if claim is not None:
                try:
                    claim.release()
                except (ClaimLost, StoreError):
                    logger.warning("job %s could not be given back", claim.job.metadata.id)

    # -- inside execute_job --------------------------------------------------------------

    @property
    def claim(self) -> AnyClaim:
        """The claim on the job in hand.

        :raises RuntimeError: there is none.
        """
        if self._claim is None:
            raise RuntimeError(f"{self.get_worker_name()} has no job in hand")
        return self._claim

    def update_job_progress(self, job_or_progress: object) -> None:
        """Report progress: the progress itself, or a running job that has it (as the seed
        does). Raises what `Claim.report` raises."""
        if isinstance(job_or_progress, RunningJob):
            job_or_progress = job_or_progress.progress
        self.claim.report(job_or_progress)

    def checkpoint(
        self, units: Iterable[str] = (), cursors: Mapping[str, Any] | None = None
    ) -> None:
        """Store at once which units of the work are done: see `Claim.checkpoint`."""
        self.claim.checkpoint(units, cursors)

    def raise_if_cancelled(self) -> None:
        """Leave the work if somebody asked for it, or its time is up: see
        `Claim.raise_if_cancelled`."""
        self.claim.raise_if_cancelled()

    @property
    def cancelled(self) -> threading.Event:
        """Set within a second when the work in hand is to stop: see `Claim.cancelled`."""
        return self.claim.cancelled

    @property
    def is_stopping(self) -> bool:
        """Whether the worker was asked to stop, so that it takes no more jobs."""
        return self._stop.is_set()

    @property
    def deadline(self) -> datetime | None:
        """When the time of the job in hand is up; None: never."""
        return self.claim.deadline

    # -- the loop ------------------------------------------------------------------------

    def _live(self, opening: Opening) -> None:
        try:
            self._loop(opening)
        finally:
            atexit.unregister(self._at_exit)
            self._ended.set()

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
                    # It outlives whatever its store does. The pause grows: no hot loop.
                    errors += 1
                    log_trouble(error, "%s cannot claim: %s", self.get_worker_name(), error)
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
            worker=self.get_worker_name(),
            retry_policy=self.retry_policy,
            opening=opening,
        )

    @property
    def is_choosy(self) -> bool:
        """Whether it says of each job whether it takes it."""
        return type(self).can_process_job is not JobWorker.can_process_job

    def accepts(self, job: PendingJob[Any]) -> bool:
        """What `can_process_job` answers; no if it fails."""
        try:
            return self.can_process_job(job)
        except BaseException:  # noqa: BLE001 - the work's own code; also sys.exit() in it
            logger.exception("%s.can_process_job failed", self.get_worker_name())
            return False

    def work_on(self, claim: AnyClaim) -> None:
        """Run the work on a claimed job and record the outcome: for whoever claims instead of
        this worker's own loop, as a pool does. Raises nothing that the work raised."""
        self._claim = claim
        if self.timeout is not None:
            claim.terms.set(timeout=self.timeout)
        outcome: Callable[[], object]
        had_floor = self.queue.floor.leave()
        try:
            self.queue.check_params(claim.job)
            result = self.execute_job(claim.job)
        except GivenBack:
            outcome = claim.release
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
