"""Reading a queue: one job, many, how many, and waiting for one to finish.

It must not change a job.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from datetime import datetime
from typing import Final

from semiont_jobs.desk import QueueDesk
from semiont_jobs.errors import InvalidValue, JobNotFound, JobTimeout
from semiont_jobs.fields import is_number
from semiont_jobs.ids import job_id
from semiont_jobs.listing import Filters, Listing
from semiont_jobs.metrics import ProcessMetrics, QueueMetrics
from semiont_jobs.model import FINISHED, STATUSES, AnyJob, JobStats, JobStatus
from semiont_jobs.tally import Survey

LOOK_AGAIN: Final = 1.0
"""Seconds after which a wait reads its job even without a notice of a change. The lookout is a
thread: a forked child does not have it, and it may have died. One reading a second costs little."""


class Reading(QueueDesk):
    """The methods of a `JobQueue` that read."""

    def reset_after_fork(self) -> None:
        """Also forget what was counted for the parent."""
        super().reset_after_fork()
        self._survey = Survey(self._store)

    def get_job(self, id: str) -> AnyJob | None:  # noqa: A002
        """Return the job, in whatever status, or None. Takes no lock.

        :raises InvalidJobId: `id` cannot be a job's.
        :raises JobDecodeError: what is stored is not a valid job.
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
        """Return the jobs that match every filter given, newest first, ties by id.

        :param limit: at most this many; None: all.
        :param offset: skip this many at the start.
        :raises InvalidValue: an unknown status, a filter that is not a string, a negative limit or
            offset.
        """
        for name, value in (("type", type), ("user_id", user_id), ("queue", queue)):
            checked_filter(name, value)
        _check_page(limit, offset)
        statuses = STATUSES if status is None else (checked_status(status),)
        filters = Filters(statuses, type, user_id, queue)
        end = None if limit is None else offset + limit
        store = self._store
        if end is not None and isinstance(store, Listing):
            found = self._run(store.newest, filters, end)
        else:
            found = filters.newest_of(self._run(lambda: list(store.jobs(statuses))))
        return found[offset:end]

    def get_stats(self) -> JobStats:
        """Return the number of jobs in each status."""
        counts = self._run(self._store.counts)
        return JobStats(**{str(status): count for status, count in counts.items()})

    def metrics(self) -> QueueMetrics:
        """Return the queue's figures: of what is stored, and of what this queue object has done.

        The first call reads every stored job, later calls only what has changed. With a hundred
        thousand jobs that takes seconds, then tenths of a second. You can call it as often as you
        need figures.
        """
        self.initialize()
        at = self.clock()
        stored, unreadable = self._run(self._survey.taken, at)
        return QueueMetrics(
            at=at, stored=stored, unreadable=unreadable, process=self.process_metrics()
        )

    def process_metrics(self) -> tuple[ProcessMetrics, ...]:
        """The part of `metrics` that does not read what is stored."""
        return self._meter.taken([claim.job for claim in self._claims.all()])

    def hear_of_process(
        self, process: Hashable, figures: tuple[ProcessMetrics, ...] | None
    ) -> None:
        """Add what another process has done so far to `metrics`; None: it has ended."""
        self._meter.hear_of(process, figures)

    def wait_for(self, id: str, timeout: float | None = None) -> AnyJob:  # noqa: A002
        """Return the job once it is complete, failed or cancelled.

        Changes by this queue object wake the wait at once, changes by other processes within about
        20 ms: one thread looks for all waiting threads. A wait that began before a fork continues
        in the child, where it is woken once a second.

        :param timeout: seconds; None: for ever.
        :raises InvalidJobId: `id` cannot be a job's.
        :raises ThreadRefused: the system gives no thread to look with.
        :raises JobNotFound: there is no such job (any more).
        :raises JobTimeout: the job has not finished in time; it goes on.
        :raises InvalidValue: `timeout` is not a number.
        """
        states = self.follow(id, timeout)
        finished = next(states)
        for later in states:
            finished = later
        return finished

    def follow(self, id: str, timeout: float | None = None) -> Iterator[AnyJob]:  # noqa: A002
        """Yield the job at once, and again whenever it has changed.

        This gives its states, and its progress while it runs; the last one is the finished job.
        Every revision is yielded at most once, and none after a later one. Changes that are faster
        than you look are left out, except the last: this is not a log.

        :param timeout: seconds for all of it; None: for ever.
        :raises InvalidJobId: `id` cannot be a job's.
        :raises ThreadRefused: the system gives no thread to look with.
        :raises JobNotFound: there is no such job (any more).
        :raises JobTimeout: the job has not finished in time; it goes on.
        :raises InvalidValue: `timeout` is not a number.
        """
        # NaN is neither before nor after any time: the wait would never end.
        if timeout is not None and (not is_number(timeout) or timeout != timeout):
            raise InvalidValue("a number of seconds is needed", field="timeout", value=timeout)
        return self._states(job_id(id), timeout)

    # -- private -------------------------------------------------------------------------

    def _states(self, checked: str, timeout: float | None) -> Iterator[AnyJob]:
        deadline = None if timeout is None else time.monotonic() + timeout
        self.initialize()
        seen: tuple[datetime, int] | None = None
        with self._lookout.watch(checked) as changed:
            while True:
                changed.clear()
                is_late = deadline is not None and time.monotonic() >= deadline
                job: AnyJob | None = self._run(self._store.get, checked)
                if job is None:
                    raise JobNotFound(checked)
                metadata = job.metadata
                # Of another creation: the job was removed and its id is used again.
                is_new = seen is None or seen[0] != metadata.created or seen[1] < metadata.revision
                # Only a durable end is yielded.
                is_put_off = job.status in FINISHED and self._is_put_off(checked)
                if is_new and not is_put_off:
                    seen = (metadata.created, metadata.revision)
                    yield job
                if job.status in FINISHED and not is_put_off:
                    return
                if is_late:
                    raise JobTimeout(f"job {checked} has not finished within {timeout} seconds")
                left = LOOK_AGAIN if deadline is None else deadline - time.monotonic()
                changed.wait(max(0.0, min(left, LOOK_AGAIN)))

    def _is_put_off(self, checked: str) -> bool:
        """Whether this queue has ended a job, but not yet made that durable."""
        claim = self._claims.get(checked)
        return claim is not None and claim.is_put_off


def checked_status(status: str) -> JobStatus:
    """The status of that name. Raises `InvalidValue` if there is none."""
    for known in STATUSES:
        if status == known:
            return known
    raise InvalidValue(f"one of {', '.join(STATUSES)}", field="status", value=status)


def checked_filter(name: str, value: str | None) -> str | None:
    """A string to compare with, or None. Anything else would silently match no job.

    :raises InvalidValue: it is neither.
    """
    if value is not None and not isinstance(value, str):
        raise InvalidValue("a text is needed", field=name, value=value)
    return value


def _check_page(limit: int | None, offset: int) -> None:
    for name, value in (("limit", limit), ("offset", offset)):
        if value is None and name == "limit":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InvalidValue("a whole number from 0 is needed", field=name, value=value)
