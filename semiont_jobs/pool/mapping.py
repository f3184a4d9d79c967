"""Mapping: a function called with every item of an iterable, durably, by threads or processes.

It must not know how threads or processes are run: it is given the staff that runs them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final

from semiont_jobs.errors import InvalidValue
from semiont_jobs.events import ENDS, Event
from semiont_jobs.model import RunningJob
from semiont_jobs.opening import Opening
from semiont_jobs.pool.runs import BATCH, Item, Outcome, Run
from semiont_jobs.pool.staff import Staff
from semiont_jobs.queue import JobQueue
from semiont_jobs.settings import LONGEST_NAME
from semiont_jobs.worker import JobWorker

AHEAD: Final = 10 * BATCH
"""Items in the queue, or finished and not yet asked for: enough that no thread waits for the next
one, and few enough that an endless iterable does not fill the disk."""
LOOK_AGAIN: Final = 1.0
"""Seconds without news after which the jobs themselves are read: if another process dies, its news
may be lost."""


class Caller(JobWorker):
    """A worker that calls a function with the items of a run."""

    def __init__(self, function: Callable[[Any], object], type_name: str) -> None:
        super().__init__()
        self._function = function
        setattr(self, "job_types", (type_name,))  # noqa: B010 - for type checkers, the class's

    def get_worker_name(self) -> str:
        return name_of(self._function)[:LONGEST_NAME]

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return {"value": self._function(job.params["item"])}


class Mapping:
    """The outcomes of one run, in order or as they come, while its staff works."""

    def __init__(self, queue: JobQueue, run: Run, *, on_finished: Callable[[], object]) -> None:
        self._queue = queue
        self._run = run
        self._news: SimpleQueue[str] = SimpleQueue()
        self._on_finished = on_finished
        self._opening: Opening
        self._open: dict[str, Item] = {}
        """Items whose outcome was not yet yielded, in order."""
        self._finished: dict[str, Outcome] = {}

    def hear(self, job_id: str) -> None:
        """Take the news that a job of the run has an outcome. Any thread may call this."""
        self._news.put(job_id)

    def hear_event(self, event: Event) -> None:
        """The same for this process's own jobs: a hook."""
        job = event.job
        if job is not None and event.name in ENDS and job.metadata.type == self._run.type:
            self._news.put(event.job_id)

    def outcomes(self, staff: Staff, *, in_order: bool) -> Generator[Outcome, None, None]:
        """Yield every item's outcome. The first items' jobs are created before the staff starts.

        :raises: what `Run.check_complete` raises, after the outcomes of the items before.
        :raises RuntimeError: the staff has left.
        :raises QueueClosed: the queue was closed; it stays so.
        """
        self._opening = self._queue.within(None)
        unsubscribe = self._queue.subscribe(self.hear_event)
        try:
            self._fill()
            if self._open:
                staff.start()
            while self._open:
                first = next(iter(self._open)) if in_order else next(iter(self._finished), None)
                outcome = None if first is None else self._finished.pop(first, None)
                if outcome is not None:
                    del self._open[first]  # type: ignore[arg-type]
                    yield outcome
                self._fill()
                if self._open:
                    self._listen(staff, wait=outcome is None, in_order=in_order)
            self._run.check_complete()
        finally:
            unsubscribe()

    # -- private -------------------------------------------------------------------------

    def _fill(self) -> None:
        """Create one more batch of jobs, if there is room."""
        if self._run.is_exhausted or len(self._open) > AHEAD - BATCH:
            return
        self._opening.check()
        taken = self._run.take()
        self._open.update({item.id: item for item in taken})
        if self._run.is_continued:
            for item in taken:
                self._look_at(item.id)

    def _listen(self, staff: Staff, *, wait: bool, in_order: bool) -> None:
        """Take in the jobs that have ended; with `wait`, wait for one."""
        is_full = self._run.is_exhausted or len(self._open) > AHEAD - BATCH
        news: str | None = None
        with suppress(Empty):
            news = self._news.get(timeout=LOOK_AGAIN if wait and is_full else 0.0)
        if news is None and wait and is_full:
            self._look_over(staff, in_order=in_order)
        while news is not None:
            self._look_at(news)
            news = None if self._news.empty() else self._news.get()

    def _look_over(self, staff: Staff, *, in_order: bool) -> None:
        """Read the jobs themselves, since there was no news of any for a while."""
        is_over = staff.wait(0)
        unsure = list(self._open)
        for job_id in unsure:
            self._look_at(job_id)
            if in_order and job_id not in self._finished:
                break  # none behind it is yielded before it
        if is_over and not (unsure[0] in self._finished if in_order else self._finished):
            raise RuntimeError(
                "nobody works on the run any more: the pool was stopped, or its processes cannot"
                " begin (see the log)"
            )

    def _look_at(self, job_id: str) -> None:
        item = self._open.get(job_id)
        if item is None or job_id in self._finished:
            return
        self._opening.check()
        outcome = self._run.outcome(item)
        if outcome is not None:
            self._finished[job_id] = outcome
            self._on_finished()


def checked_function(function: Any) -> Callable[[Any], object]:
    """Return the function if it can be called with an item.

    :raises InvalidValue: it cannot.
    """
    if inspect.iscoroutinefunction(function):
        rule = "a plain function is needed; a coroutine's is lambda item: asyncio.run(fn(item))"
        raise InvalidValue(rule, field="fn", value=function)
    if not callable(function):
        raise InvalidValue("a function of an item is needed", field="fn", value=function)
    return function  # type: ignore[no-any-return]


def name_of(function: Any) -> str:
    """A function's name."""
    return getattr(function, "__qualname__", None) or type(function).__qualname__
