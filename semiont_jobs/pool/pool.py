"""WorkerPool: threads, and processes if wanted, that do the jobs of a queue until stopped.

It must not know how threads claim, or how processes are kept: it starts them and stops them.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Final, Self

from semiont_jobs.errors import InvalidValue
from semiont_jobs.events import logger
from semiont_jobs.fields import checked_patience
from semiont_jobs.latch import taken_from
from semiont_jobs.pool.child import Assignment
from semiont_jobs.pool.crew import Crew
from semiont_jobs.pool.orders import GRACE, STUCK_AFTER, Orders
from semiont_jobs.pool.roster import checked_roster
from semiont_jobs.pool.routing import Routing
from semiont_jobs.pool.scripts import ForScripts
from semiont_jobs.pool.signals import Mailbox, caught
from semiont_jobs.pool.staff import Staff, see_off
from semiont_jobs.pool.supervisor import Supervisor
from semiont_jobs.pool.travel import check_can_travel
from semiont_jobs.pool.watch import Watch
from semiont_jobs.queue import JobQueue
from semiont_jobs.starting import Start
from semiont_jobs.worker import POLL_INTERVAL

CLEAN: Final = 0
"""Exit code: stopped, or nothing left to do; every running job was finished."""
GIVEN_BACK: Final = 3
"""Exit code: a running job was released because it did not end within the grace time."""
CRASH_LOOP: Final = 4
"""Exit code: processes of the pool died again and again."""


class WorkerPool(ForScripts):
    """Runs workers in threads until it is stopped.

    Every thread has one worker of each kind and takes the next job that any of them wants. So the
    jobs of all types come in one order, highest priority first.

    :param queue: the queue to take jobs from.
    :param workers: `JobWorker` classes, functions without arguments that return a worker, and
        handlers (see `job_handler`).
    :param threads: how many jobs run at a time in each process.
    :param processes: how many processes run jobs; 1 is this process.
    :param grace: seconds that running jobs have to finish once the pool is to stop. Then their code
        is asked to stop (`WorkerStopping`); two seconds later the jobs are released without using
        an attempt.
    :param timeout: seconds an attempt may take if the job, its type and the worker set no limit.
    :param stuck_after: seconds beyond the time limit after which code that ignores it counts as
        stuck: the attempt fails as a timeout, and another thread takes its place.
    :param max_jobs: replace a process after so many jobs. With this, or with `max_rss`, jobs run in
        child processes even if ``processes=1``.
    :param max_rss: replace a process that has more bytes than this in memory after a job.
    :param burst: leave when there is nothing to do. Jobs that are not due yet stay.
    :param poll_interval: seconds after which an idle thread looks again at the latest.
    :param types: do only these of the workers' types.
    :param queues: take jobs only from these named queues.
    :param initializer: called at the start of every child process, for example to set up logging.
        Without it, this process logs what the children log.
    :raises InvalidValue: an argument is invalid, or cannot be sent to another process where that is
        needed; nothing has started.
    """

    def __init__(
        self,
        queue: JobQueue,
        workers: Iterable[object] = (),
        threads: int = 4,
        processes: int = 1,
        *,
        grace: float = GRACE,
        timeout: float | None = None,
        stuck_after: float = STUCK_AFTER,
        max_jobs: int | None = None,
        max_rss: int | None = None,
        burst: bool = False,
        poll_interval: float = POLL_INTERVAL,
        types: Iterable[str] | None = None,
        queues: Iterable[str] | None = None,
        initializer: Callable[[], object] | None = None,
    ) -> None:
        if not isinstance(queue, JobQueue):
            raise InvalidValue("a JobQueue is needed", field="queue", value=queue)
        orders = Orders(
            threads=threads,
            processes=processes,
            grace=grace,
            timeout=timeout,
            stuck_after=stuck_after,
            max_jobs=max_jobs,
            max_rss=max_rss,
            burst=burst,
            poll_interval=poll_interval,
            types=types,
            queues=queues,
        )
        self._posts = checked_roster(workers, queue)
        if self._posts:
            routing = Routing([post.tried(queue) for post in self._posts], orders)
            if routing.types is not None and not routing.types:
                rule = "none of the workers does jobs of these types"
                raise InvalidValue(rule, field="types", value=types)
        assignment = Assignment(
            queue=queue, posts=self._posts, orders=orders, initializer=initializer
        )
        if orders.needs_processes:
            check_can_travel(assignment)
            for post in self._posts:
                post.forget_tried()
        super().__init__(assignment)
        self._mailbox: Mailbox = SimpleQueue()
        self._beginning = Start()

    # -- life ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the pool and return. When the process exits, the pool is stopped as by `stop`.

        A pool without workers, which is for `map`, has nothing to start. If a signal handler calls
        `stop` during this call, the pool stops at the end of it.

        :raises RuntimeError: the pool was started or stopped before.
        :raises ThreadRefused: the system gives no thread.
        :raises InvalidValue: a worker can no longer be made, or is not a worker.
        :raises StoreError: the queue cannot be opened.
        """
        # A stop that was put off comes after the lock: jobs that it waits for may need that, to
        # map.
        with self._beginning.then(self.stop), self._lock:
            if self._is_stopped:
                raise RuntimeError("this pool was stopped; make a new one")
            if self._staff is not None:
                raise RuntimeError("this pool was started already")
            if self._posts:
                self._begin()

    def stop(self, timeout: float | None = None) -> bool:
        """Claim no more jobs, and wait for the running ones.

        It may be called before `start`, and more than once.

        :param timeout: seconds that running jobs have; default: the pool's grace. Then their code
            is asked to stop; finally they are released without using an attempt, and what their
            threads do afterwards changes nothing. Ctrl-C during this call does the same at once.
        :returns: whether all of them finished. False: some were released, or their process did not
            leave and was killed, which counts as their crash. Also False where this call cannot
            wait: in a job of the pool, and in a signal handler that interrupts `start`, which then
            waits.
        :raises InvalidValue: `timeout` is not such a number; nothing was stopped.
        """
        if timeout is not None:
            checked_patience("timeout", timeout)
        if self._is_parents:
            return True
        patience = self.orders.grace if timeout is None else timeout
        with self._lock:
            self._is_stopped = True
            if self._beginning.puts_off(patience):
                return False
            own = [] if self._staff is None else [self._staff]
            everybody = [*self._borrowed, *own, *self._extra]
        for staff in everybody:
            staff.leave("stopped", patience)
        if any(staff.is_member() for staff in everybody):
            return False  # called by a job, which cannot wait for itself
        try:
            see_off(everybody)
        finally:
            if all(staff.wait(0) for staff in everybody):
                atexit.unregister(self.stop)
                self._forget_nameless_left()
        self.queue.finish_telling()
        return not any(staff.given_back for staff in everybody)

    def run(self, *, on_start: Callable[[], object] | None = None) -> int:
        """Start, and block until SIGTERM, SIGINT or `stop`, or, with `burst`, until there is
        nothing to do; then stop as `stop` does.

        A second signal skips the waiting. Signals are caught only in the main thread. SIGHUP counts
        too, where it would end the process; a second SIGHUP skips nothing.

        :param on_start: called when signals are already caught and no job has begun.
        :returns: an exit code: 0 all running jobs finished; 3 some were released; 4 processes died
            again and again.
        :raises InvalidValue: the pool has no workers.
        """
        if not self._posts:
            raise InvalidValue("at least one worker is needed", field="workers", value=[])
        with caught(self._mailbox):
            if on_start is not None:
                on_start()
            self.start()
            staff = self._staff
            assert staff is not None
            signals = 0
            while taken_from(self._mailbox) == "signal":
                signals += 1
                if signals == 1:
                    logger.info("stopping: jobs in hand have %g seconds", self.orders.grace)
                    staff.leave("stopped", self.orders.grace)
                else:
                    logger.info("stopping now: jobs in hand are given back")
                    staff.hurry()
        self.stop()
        if staff.is_crash_looping:
            return CRASH_LOOP
        return GIVEN_BACK if staff.given_back else CLEAN

    @property
    def given_back(self) -> int:
        """How many running jobs became pending again because the pool stopped."""
        staff = self._staff  # read once: a start in another thread may fail
        return 0 if staff is None else staff.given_back

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    # -- private -------------------------------------------------------------------------

    @property
    def _own(self) -> Watch | None:
        return self._staff if isinstance(self._staff, Watch) else None

    def _begin(self) -> None:
        staff = self._staff = self._engaged()
        self._pid = os.getpid()
        atexit.register(self.stop)
        try:
            staff.start()
        except BaseException:
            # Threads that began although a signal handler raised must end.
            staff.leave("stopped", self.orders.grace)
            if staff.wait(0):
                self._staff = None
                atexit.unregister(self.stop)
            raise

    def _engaged(self) -> Staff:
        def tell() -> None:
            self._mailbox.put("ended")

        if not self.orders.needs_processes:
            return Watch(Crew(self.queue, self._posts, self.orders), on_end=tell)
        return Supervisor(self._assignment, self.orders.processes, on_end=tell)
