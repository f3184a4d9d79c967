"""The operations that create jobs: from job objects, or from params.

It must not know what works on jobs, or how a store keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from semiont_jobs.by_hand import ByHand
from semiont_jobs.errors import InvalidJob, InvalidValue
from semiont_jobs.fields import instant_after
from semiont_jobs.ids import JobId, UserId, job_id, new_job_id
from semiont_jobs.model import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_QUEUE,
    DEFAULT_USER,
    JobMetadata,
    P,
    PendingJob,
)
from semiont_jobs.store import Transactional, Trusting


class Creating(ByHand):
    """The methods of a `JobQueue` that create jobs."""

    def create_job(self, job: PendingJob[P], *, connection: Any = None) -> PendingJob[P]:
        """Store a new job; once this returns, the job is not lost any more.

        :param connection: a psycopg connection to the queue's database. The job is written in its
            transaction: it exists once that commits (which wakes workers), and never if it rolls
            back. No event is sent, because the commit comes after this call.
        :raises JobExists: a job of this id exists already, in whatever status.
        :raises InvalidJob: a value that no job may have; nothing was stored.
        :raises JobEncodeError: JSON cannot hold the params; names the path.
        :raises StoreError: the disk refused; nothing was stored.
        :raises InvalidValue: `connection` is not one, or this queue's store has no transactions.
        """
        return self._create(job, connection, is_drawn=False)

    def create_jobs(
        self, jobs: Iterable[PendingJob[Any]], *, connection: Any = None
    ) -> list[PendingJob[Any]]:
        """Store new jobs in order, made durable together: far faster than one by one.

        If one of them is invalid or exists already, none is stored. After a crash in the middle,
        the first ones may be stored without the rest (in a database: none). Raises what
        `create_job` raises.

        :param connection: as for `create_job`.
        """
        _check_list("jobs", jobs)
        return self._create_all(list(jobs), connection, are_drawn=False)

    def enqueue(
        self,
        params: P,
        *,
        type: str | None = None,  # noqa: A002 - the name it has in the job's file
        id: str | None = None,  # noqa: A002
        user_id: str = DEFAULT_USER,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        run_after: datetime | timedelta | float | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
        connection: Any = None,
    ) -> PendingJob[P]:
        """Create a job from `params`; their class determines its type.

        :param params: an object of a registered type's params class; a dict needs `type`.
        :param id: default: a new one, which costs less, because the store need not look for it.
        :param run_after: an aware datetime, a timedelta from now, or seconds from now.
        :param max_retries: default: the job type's, else 3.
        :param timeout: seconds an attempt may take; default: the job type's, else none.
        :param connection: as for `create_job`.
        :raises InvalidJobId: `id` cannot be a job's.
        :raises InvalidValue: `run_after` is not a valid time.
        :raises: what `create_job` raises.
        """
        make = self._maker(type, user_id, queue, priority, run_after, max_retries, timeout)
        job = make(params, new_job_id() if id is None else job_id(id))
        return self._create(job, connection, is_drawn=id is None)

    def enqueue_many(
        self,
        params: Iterable[P],
        *,
        type: str | None = None,  # noqa: A002 - as above
        user_id: str = DEFAULT_USER,
        queue: str = DEFAULT_QUEUE,
        priority: int = 0,
        run_after: datetime | timedelta | float | None = None,
        max_retries: int | None = None,
        timeout: float | None = None,
        connection: Any = None,
    ) -> list[PendingJob[P]]:
        """Create a job from each of many `params`, in order: far faster than one by one.

        All or nothing, as in `create_jobs`. The other parameters are those of `enqueue`, and apply
        to every job.

        :raises: what `create_job` raises.
        """
        _check_list("params", params)
        make = self._maker(type, user_id, queue, priority, run_after, max_retries, timeout)
        return self._create_all(
            [make(each, new_job_id()) for each in params], connection, are_drawn=True
        )

    # -- private -------------------------------------------------------------------------

    def _maker(
        self,
        type_name: str | None,
        user_id: str,
        queue: str,
        priority: int,
        run_after: datetime | timedelta | float | None,
        max_retries: int | None,
        timeout: float | None,
    ) -> Callable[[P, JobId], PendingJob[P]]:
        """A function that makes jobs from params; all else is the same."""
        now = self.clock()
        due = None if run_after is None else instant_after(run_after, now, field="run_after")
        by_name = None if type_name is None else self.job_types.get(type_name)

        def make(params: P, id_: JobId) -> PendingJob[P]:
            kind = self.job_types.of_params(params) if type_name is None else by_name
            if type_name is None and kind is None:
                raise InvalidJob(
                    "of no registered job type: register one, or name the type of a dict with"
                    " type=",
                    field="params",
                    value=params,
                )
            retries = kind.max_retries if max_retries is None and kind else max_retries
            metadata = JobMetadata(
                id=id_,
                type=type_name if type_name is not None else kind.name,  # type: ignore[union-attr]
                user_id=UserId(user_id),
                created=now,
                max_retries=DEFAULT_MAX_RETRIES if retries is None else retries,
                queue=queue,
                priority=priority,
                run_after=due,
                timeout=timeout if timeout is not None or kind is None else kind.timeout,
            )
            return PendingJob(metadata=metadata, params=params)

        return make

    def _create(self, job: PendingJob[P], connection: Any, *, is_drawn: bool) -> PendingJob[P]:
        self._check_new(job)
        if connection is not None:
            self._create_within(connection, [job])
            return job
        if is_drawn and self._trusting is not None:
            self._run(self._unseen(self._trusting, [job]))
        else:
            self._run(self._store.create, job)
        self.emit("created", job)
        return job

    def _create_all(
        self, jobs: list[PendingJob[P]], connection: Any, *, are_drawn: bool
    ) -> list[PendingJob[P]]:
        for job in jobs:
            self._check_new(job)
        if connection is not None:
            self._create_within(connection, jobs)
            return jobs
        if jobs and are_drawn and self._trusting is not None:
            self._run(self._unseen(self._trusting, jobs))
        elif jobs:
            self._run(self._store.create_many, jobs)
        for job in jobs:
            self.emit("created", job)
        return jobs

    @cached_property
    def _trusting(self) -> Trusting | None:
        return self._store if isinstance(self._store, Trusting) else None

    def _unseen(self, store: Trusting, jobs: list[PendingJob[P]]) -> Callable[[], None]:
        """A function that creates jobs whose new ids cannot be in use.

        If called again, after an error, it checks the ids.
        """
        creators = iter([store.create_unseen])

        def create() -> None:
            next(creators, self._store.create_many)(jobs)

        return create

    def _check_new(self, job: PendingJob[Any]) -> None:
        if not isinstance(job, PendingJob):
            raise InvalidJob("only a PendingJob can be created", field="job", value=job)
        metadata = job.metadata
        for field, value, fresh in (
            ("revision", metadata.revision, 0),
            ("claim", metadata.claim, None),
        ):
            if value != fresh:
                raise InvalidJob(
                    f"a new job has {fresh} here: make fresh metadata",
                    field=f"metadata.{field}",
                    value=value,
                    job_id=metadata.id,
                )
        self.codec.check_new(job)

    def _create_within(self, connection: Any, jobs: list[PendingJob[Any]]) -> None:
        """Not through `_run`: a transaction that met an error must not be retried here."""
        store = self._store
        if not isinstance(store, Transactional):
            rule = f"a {type(store).__name__} has no transactions: jobs in PostgreSQL have"
            raise InvalidValue(rule, field="connection", value=connection)
        self.initialize()
        store.create_within(connection, jobs)


def _check_list(field: str, given: Iterable[Any]) -> None:
    # A dict is an Iterable, too: of its keys.
    if not isinstance(given, Iterable) or isinstance(given, Mapping | str | bytes):
        raise InvalidValue(f"a list or tuple of {field} is needed", field=field, value=given)
