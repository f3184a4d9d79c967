"""WorkerPool: threads, and processes if wanted, that do the jobs of a queue until told to stop.

It must not know how threads claim, or how processes are kept: it starts them and says when to
leave.
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
"""Exit code: told to stop, or nothing left to do; every job in hand was finished."""
GIVEN_BACK: Final = 3
"""Exit code: a job in hand was given back because it did not end within the grace time."""
CRASH_LOOP: Final = 4
"""Exit code: processes of the pool died again and again."""


class WorkerPool(ForScripts):
    """Runs workers in threads, until told to stop.

    Every thread has one worker of each kind and takes the next job that any of them wants: the
    jobs of all types in one order, highest priority first.

    :param queue: the queue to take jobs from.
    :param workers: `JobWorker` classes, functions without arguments that make a worker, and
        handlers (see `job_handler`).
    :param threads: jobs at a time in each process.
    :param processes: 1 is this process.
    :param grace: seconds that jobs in hand have to finish once the pool is to stop; then their
        work is asked to stop (`WorkerStopping`), and two seconds later the jobs are given back
        without using an attempt.
    :param timeout: seconds an attempt may take where neither job, type nor worker says.
    :param stuck_after: seconds beyond its time limit after which work that ignores it is given
        up: the attempt fails as a timeout, and another thread takes its place.
    :param max_jobs: replace a process after so many jobs. With this, or `max_rss`, jobs run in
        child processes also with ``processes=1``.
    :param max_rss: replace a process that has more bytes than this in memory after a job.
    :param burst: leave when there is nothing to do. Jobs that are not due yet stay.
    :param poll_interval: seconds an idle thread waits at most before it looks again.
    :param types: do only these of the workers' types.
    :param queues: take jobs only from these named queues.
    :param initializer: called at the start of every child process, to set up logging, say;
        without it, what the children log is logged by this process.
    :raises InvalidValue: one of these is something else, or cannot be taken to another process
        where that is needed; nothing has started.
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
        """Begin, and return. At the exit of the process the pool is stopped as by `stop`.

        A pool without workers, which is for `map`, has nothing to begin. Where a signal's handler
        calls `stop` in the midst of this, it is stopped in the end of this.

        :raises RuntimeError: it was started, or stopped, before.
        :raises ThreadRefused: the system gives no thread.
        :raises InvalidValue: a worker cannot be made any more, or is none.
        :raises StoreError: the queue cannot be opened.
        """
        # The stop after that not under the lock: jobs that it waits for may need that, to map.
        with self._beginning.then(self.stop), self._lock:
            if self._is_stopped:
                raise RuntimeError("this pool was stopped; make a new one")
            if self._staff is not None:
                raise RuntimeError("this pool was started already")
            if self._posts:
                self._begin()

    def stop(self, timeout: float | None = None) -> bool:
        """Claim no more, and wait for the jobs in hand; legal before `start` and more than once.

        :param timeout: seconds that they have; default: the pool's grace. Then their work is
            asked to stop, and at last they are given back without using an attempt: what their
            threads do afterwards changes nothing. Ctrl-C in the midst of it does the same at once.
        :returns: whether all of them were finished; False: some were given back, or in the hands of
            a process that did not even leave and was killed, which makes them crashed. Also False
            where this cannot wait: in a job of the pool, and in a signal's handler that interrupts
            `start`, which waits then.
        :raises InvalidValue: `timeout` is no such number; nothing has stopped.
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
            return False  # asked for by a job: it cannot wait for itself
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
        nothing to do; then leave as `stop` does. A second signal skips the waiting.

        Signals are caught only in the main thread. SIGHUP is one of them where it would
        end the process; a second one of it skips nothing.

        :param on_start: called when signals are obeyed already and no job has begun.
        :returns: an exit code: 0 all jobs in hand were finished; 3 some were given back; 4
            processes died again and again.
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
        """How many jobs in hand went back to pending because the pool stopped."""
        return 0 if self._staff is None else self._staff.given_back

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
            # What has begun all the same, when a signal's handler raises, is to end.
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
