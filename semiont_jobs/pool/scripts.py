"""A pool's methods for scripts: a function mapped over an iterable, durably.

It must not know the pool's own workers: each run's jobs are done beside theirs, by the threads of
the pool, or by processes of the run's own.
"""

from __future__ import annotations

import atexit
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from attrs import evolve

from semiont_jobs.errors import InvalidValue, JobNotFound, StoreError
from semiont_jobs.events import logger
from semiont_jobs.model import JobMetadata
from semiont_jobs.pool.bars import bar
from semiont_jobs.pool.child import Assignment
from semiont_jobs.pool.crew import Crew
from semiont_jobs.pool.errand import Errand
from semiont_jobs.pool.mapping import Caller, Mapping, checked_function, name_of
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.results import Results
from semiont_jobs.pool.roster import Post
from semiont_jobs.pool.runs import Outcome, Run, type_of_any
from semiont_jobs.pool.staff import Staff, see_off
from semiont_jobs.pool.supervisor import Supervisor
from semiont_jobs.pool.travel import check_importable
from semiont_jobs.pool.watch import Watch
from semiont_jobs.queue import JobQueue

T = TypeVar("T")


class ForScripts(ABC):
    """The part of a `WorkerPool` that scripts use."""

    def __init__(self, assignment: Assignment) -> None:
        self.queue: JobQueue = assignment.queue
        self.orders: Orders = assignment.orders
        self._assignment = assignment
        self._lock = threading.RLock()  # a signal handler may stop the pool at any point
        self._borrowed: list[Staff] = []
        self._extra: list[Watch] = []
        """Crews of runs that the pool's own crew cannot do."""
        self._nameless: set[str] = set()
        """Types of runs without a name that have begun."""
        self._is_stopped = False
        self._staff: Staff | None = None
        """What does the jobs of the pool's own workers."""
        self._pid: int | None = None
        """The id of the process in which the pool works."""

    @abstractmethod
    def stop(self, timeout: float | None = None) -> bool:
        """Claim no more, and wait for the running jobs."""

    @property
    @abstractmethod
    def _own(self) -> Watch | None:
        """The watch over the pool's own crew, if there is one."""

    def map(
        self,
        fn: Callable[[Any], T],
        items: Iterable[Any],
        *,
        name: str | None = None,
        key: Callable[[Any], str | int] | None = None,
        retries: int = 0,
        timeout: float | None = None,
        progress: bool = False,
    ) -> Iterator[T]:
        """Call `fn` with every item, and yield what it returns in the order of the items.

        Each item is a job of type ``map:NAME``. If a script runs again with the same name, it
        continues: finished items are not done again, failed or cancelled ones are tried again. The
        run's jobs stay until `forget`; without a name they are removed when the iteration ends or
        the pool stops.

        `fn` gets the item as JSON returns it (a tuple becomes a list), and its return value comes
        back in the same way. Nothing begins before the first result is asked for. Items are taken
        from the iterable up to a thousand ahead. An error of the iterable is raised after the
        results of the items before.

        If the pool is running, its threads do the run's jobs too, in one order with the workers'
        jobs. Processes are started for each run. So are threads if the pool is not running, or if
        one of its own jobs maps and waits.

        :param fn: any function of one argument; with processes, one that they can import.
        :param name: 1 to 64 letters, digits, ``-`` and ``_``.
        :param key: returns what identifies an item within the run, also in a later run where the
            items come in another order; default: its index.
        :param retries: attempts at an item after the first, delayed by the queue's retry policy.
        :param timeout: seconds that an attempt may take.
        :param progress: show a bar on standard error, if that is a terminal and rich is installed.
        :raises InvalidValue: an argument is invalid; or, after the results of the items before, an
            item differs from the one that the run had before, or has the key of another.
        :raises JobEncodeError: likewise, if JSON cannot represent an item.
        :raises ItemFailed: in place of the item's result: `fn` raised, and no retry was left.
        :raises RuntimeError: the pool was stopped, its queue was closed (`QueueClosed`), or the
            pool is running in the process that forked this one.
        :raises ThreadRefused: the system gives no thread to look after the run.
        """
        outcomes = self._mapped(fn, items, name, key, retries, timeout, progress, in_order=True)
        return Results(outcomes, Outcome.result)

    def as_completed(
        self,
        fn: Callable[[Any], object],
        items: Iterable[Any],
        *,
        name: str | None = None,
        key: Callable[[Any], str | int] | None = None,
        retries: int = 0,
        timeout: float | None = None,
        progress: bool = False,
    ) -> Iterator[Outcome]:
        """Like `map`, but yield each item's `Outcome` as soon as there is one; its ``result()``
        returns or raises."""
        outcomes = self._mapped(fn, items, name, key, retries, timeout, progress, in_order=False)
        return Results(outcomes, _itself)

    def forget(self, name: str) -> int:
        """Remove the jobs of the run of that name, and return how many were removed.

        Pending jobs are cancelled first; running ones stay.

        :param name: the run's name. For a run without one whose process was killed: ``~`` and its
            number, as in its jobs' type; it is not checked whether that run still goes on.
        :raises InvalidValue: no run can have that name.
        """
        return self._forget(type_of_any(name))

    def _forget(self, type_name: str) -> int:
        self.queue.cancel_jobs(status="pending", type=type_name)
        later = self.queue.clock() + timedelta(days=1)  # than the end of any of them, by any clock
        return self.queue.cleanup_completed_jobs(later, cancelled=True, type=type_name)

    def _forget_nameless(self, type_name: str) -> None:
        """Remove the jobs of a run without a name, which cannot be continued. A closed queue stays
        closed."""
        if type_name in self._nameless and self.queue.is_open:
            self._forget(type_name)
            self._nameless.discard(type_name)

    def _forget_nameless_left(self) -> None:
        """The same for all such runs whose iterators still exist."""
        for type_name in list(self._nameless):
            try:
                self._forget_nameless(type_name)
            except StoreError as error:
                logger.warning("the jobs of run %s are left: %s", type_name, error)

    def _mapped(
        self,
        fn: Any,
        items: Iterable[Any],
        name: str | None,
        key: Any,
        retries: int,
        timeout: float | None,
        progress: bool,
        *,
        in_order: bool,
    ) -> Generator[Outcome, None, None]:
        """Check everything now; begin when the first outcome is asked for."""
        checked_function(fn)
        if key is not None and not callable(key):
            raise InvalidValue("a function of an item is needed", field="key", value=key)
        if not isinstance(items, Iterable):
            raise InvalidValue("an iterable is needed", field="items", value=items)
        if self.orders.needs_processes:
            check_importable(fn, field="fn")
        # Made for the check alone: invalid values are refused now, not with the first result.
        JobMetadata(type="map", max_retries=retries, timeout=timeout)
        run = Run(
            self.queue,
            name,
            items,
            key=key,
            retries=retries,
            timeout=timeout,
        )
        total = len(items) if isinstance(items, Sized) else None
        shown = bar(name_of(fn), total, is_wanted=progress)
        return self._iterated(run, fn, shown, in_order=in_order)

    def _iterated(
        self,
        run: Run,
        fn: Callable[[Any], object],
        shown: AbstractContextManager[Callable[[], object]],
        *,
        in_order: bool,
    ) -> Generator[Outcome, None, None]:
        with shown as advance:
            mapping = Mapping(self.queue, run, on_finished=advance)
            post = Post(partial(Caller, fn, run.type), name_of(fn), "fn")
            staff = self._staffed(post, run.type, mapping.hear)
            if self._is_parents:
                raise RuntimeError("this pool is at work in another process; make a new one")
            with self._lock:
                self._check_goes_on()
                is_first = self._staff is None and not self._borrowed
                self._borrowed.append(staff)
                self._pid = os.getpid()
                if run.is_nameless:
                    self._nameless.add(run.type)
            # At the exit of the process a job may not have ended, and may never end.
            if is_first:
                atexit.register(self.stop)
            try:
                with closing(mapping.outcomes(staff, in_order=in_order)) as outcomes:
                    for outcome in outcomes:
                        if run.is_nameless and outcome.job.status == "cancelled":
                            self._check_goes_on()  # a stop cancels pending jobs and removes them
                        yield outcome
            except JobNotFound:
                self._check_goes_on()  # as above
                raise
            finally:
                if not self._is_parents:
                    self._see_off(staff)
                    self._forget_nameless(run.type)

    def _see_off(self, staff: Staff) -> None:
        staff.leave("stopped", self.orders.grace)
        try:
            see_off([staff])
        finally:
            with self._lock:
                self._borrowed.remove(staff)
                if self._staff is None and not self._borrowed:
                    atexit.unregister(self.stop)
            self._dismiss_idle()

    def _staffed(self, post: Post, type_name: str, hear: Callable[[str], None]) -> Staff:
        """What does the jobs of one run."""
        if not self.orders.needs_processes:
            return Errand(post, type_name, self._host_of)
        orders = evolve(self.orders, burst=False, types=None, queues=None)
        assignment = evolve(
            self._assignment, posts=(post,), orders=orders, told_of=frozenset({type_name})
        )
        return Supervisor(assignment, orders.processes, on_outcome=hear)

    def _host_of(self, errand: Errand) -> Watch:
        """The watch over the crew that takes an errand on: the pool's own if it is running.

        A job of one of its crews may map as well. It then waits, and so may all jobs of all crews.
        Such an errand gets a new crew.
        """
        with self._lock:
            self._check_goes_on()
            crews = [*([] if self._own is None else [self._own]), *self._extra]
            if not any(watch.is_member() for watch in crews):
                for watch in crews:
                    if watch.take_on(errand):
                        return watch
            extra = Watch(Crew(self.queue, (), evolve(self.orders, burst=False)))
            # Before it starts: if the queue is closed at this moment, the crew ends at once, and
            # ends what it has taken on.
            extra.take_on(errand)
            extra.start()
            self._extra.append(extra)
            return extra

    def _dismiss_idle(self) -> None:
        """End extra crews that have no errands any more."""
        with self._lock:
            idle = [each for each in self._extra if not each.has_errands]
            self._extra = [each for each in self._extra if each not in idle]
            for each in idle:
                each.leave("stopped", self.orders.grace)
        see_off(idle)

    @property
    def _is_parents(self) -> bool:
        """Whether the pool runs in the process that forked this one. Here it has no threads, and a
        lock may stay locked for ever. So this is checked before any lock is taken."""
        return self._pid not in (None, os.getpid())

    def _check_goes_on(self) -> None:
        if self._is_stopped:
            raise RuntimeError("this pool was stopped; make a new one")


def _itself(outcome: Outcome) -> Outcome:
    return outcome
