"""The protocols of a store: what a queue needs of the place where jobs are kept.

It must not know workers, policies or retries: a store moves jobs and guards them; `lifecycle` and
`queue` decide what a job becomes.
"""

from __future__ import annotations

import threading
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias, runtime_checkable

from attrs import frozen

from semiont_jobs.codec import Codec
from semiont_jobs.events import Hook
from semiont_jobs.floor import Floor
from semiont_jobs.model import OF_RUNS, AnyJob, ClaimStamp, JobStatus, PendingJob
from semiont_jobs.outline import Outline

Accept: TypeAlias = Callable[[PendingJob[Any]], bool]


@frozen(kw_only=True, cache_hash=True)
class Wanted:
    """The jobs that a claim accepts."""

    types: frozenset[str] | None = None
    """None: any, except those of runs."""
    queue: str | None = None
    """None: any."""
    accept: Accept | None = None
    """Called once per revision of a job. A refusal is remembered under this callable, so pass the
    same one (a function or a bound method) every time."""
    runs: frozenset[str] = frozenset()
    """Types of runs that are wanted, too, if `types` is None."""

    def covers(self, type_name: str, queue: str) -> bool:
        """Whether a job of that type and queue may be offered to `accept`."""
        if self.queue is not None and queue != self.queue:
            return False
        if self.types is None:
            return not type_name.startswith(OF_RUNS) or type_name in self.runs
        return type_name in self.types


class Hold(Protocol):
    """Exclusive ownership of one job: only the holder changes or moves it."""

    @property
    def job(self) -> AnyJob:
        """The job as last stored through this hold."""
        ...

    def move(self, job: AnyJob) -> None:
        """Store `job` in place of what is held.

        The hold goes on while the job is running, and ends in every other status. If this raises,
        nothing was acknowledged, and the hold goes on, unless it is `ClaimLost`. The job is not
        lost; after a `StoreError` it may be stored as it was before, or as given.

        :raises ClaimLost: another program moved or removed the job.
        :raises StoreError: the disk refused; the call may be repeated.
        :raises JobEncodeError: the job cannot be written.
        """
        ...

    def let_go(self) -> None:
        """End the hold and change nothing. A second call does nothing."""
        ...

    def is_standing(self) -> bool:
        """Whether the job is still ours: no other program has moved or removed it."""
        ...

    def cancel_requested(self) -> bool:
        """Whether a cancel of this life of the job was requested."""
        ...


class JobStore(Protocol):
    """A place where jobs are kept. Every method may be called from any thread."""

    def open(self, codec: Codec, notify: Hook) -> None:
        """Make the place ready. `notify` gets the events of the store's own actions:
        ``quarantined``, and ``cancelled`` if a claim obeyed a request."""
        ...

    def close(self) -> None:
        """End every hold, and wake every thread that waits."""
        ...

    def create(self, job: PendingJob[Any]) -> None:
        """Store a new job. Raises `JobExists` if its id exists in any status."""
        ...

    def create_many(self, jobs: Iterable[PendingJob[Any]]) -> None:
        """Store new jobs in order; none of them if one is invalid or exists."""
        ...

    def get(self, job_id: str) -> AnyJob | None:
        """The job as it is now, or None. Raises `JobDecodeError` if it cannot be read."""
        ...

    def jobs(self, statuses: Iterable[JobStatus]) -> Iterator[AnyJob]:
        """The jobs in these statuses, each once, in no order; unreadable ones are left out."""
        ...

    def counts(self) -> Mapping[JobStatus, int]:
        """The number of jobs in each status."""
        ...

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> Hold | None:
        """Move the first due job that is wanted to running and hold it, or return None.

        The order is: higher priority first, then due time, creation, id.
        """
        ...

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        """The job that `claim` would take next; changes nothing."""
        ...

    def hold(self, job_id: str) -> Hold:
        """Hold a job, in whatever status.

        :raises JobNotFound: there is none.
        :raises JobHeld: another process or thread holds it.
        """
        ...

    def request_cancel(self, job_id: str, life: str) -> bool:
        """Ask the holder of that life of a job to stop; False: that life is over."""
        ...

    def orphans(self, now: datetime, foreign_stale_after: timedelta) -> Iterator[Hold]:
        """Hold, one after the other, the running jobs whose holder is gone."""
        ...

    def remove(
        self,
        statuses: Iterable[JobStatus],
        before: datetime,
        removed: Callable[[AnyJob], object],
        type_name: str | None = None,
    ) -> None:
        """Remove the jobs of these finished statuses that ended before that instant.

        If `type_name` is given, only jobs of that type. Calls `removed` with each that is gone for
        good, also if the rest is refused.
        """
        ...

    def remove_one(self, job_id: str) -> AnyJob | None:
        """Remove a job if it is finished and not held, and return it; else None."""
        ...

    def wait(self, stop: threading.Event, timeout: float, now: datetime) -> None:
        """Wait until there may be something new to claim, at most `timeout` seconds.

        Also returns if `stop` is set and `wake` called.
        """
        ...

    def wake(self) -> None:
        """Make every `wait` return."""
        ...


@runtime_checkable
class Marking(Protocol):
    """An optional part of a store: finding out at almost no cost whether jobs have changed.

    If a store does not have it, the jobs themselves are read instead, less often.
    """

    def marks(self, job_ids: Collection[str]) -> Mapping[str, Hashable]:
        """For each of these ids, a value that differs once the job has changed, moved or gone. It
        may also differ without that."""
        ...


@frozen
class RollChanges:
    """What has changed since the last look. A job that changed is in both lists."""

    gone: list[Outline]
    come: list[Outline]
    unreadable: int
    """How many entries there are now that are not valid jobs."""


class Roll(Protocol):
    """The outlines of all jobs, remembered between one look and the next."""

    def changes(self, *, sparing: bool = False) -> RollChanges:
        """Return what has changed; the first time, every job has come.

        :param sparing: check what is expensive to check only after a while.
        """
        ...


@runtime_checkable
class Rolling(Protocol):
    """An optional part of a store: outlining its jobs without reading all of them each time.

    If a store does not have it, all jobs are read.
    """

    def roll(self) -> Roll:
        """A new roll, which has no jobs yet."""
        ...


class Deferred(Protocol):
    """The claims and outcomes of one loop that are made durable together, a little later. Any
    thread may call any method."""

    @property
    def since(self) -> float | None:
        """Since when something has waited, by `time.monotonic`; None: there is nothing.

        That is when the first change that is not durable was stored, or the first outcome that is
        not reported became durable.
        """
        ...

    @property
    def is_refused(self) -> bool:
        """Whether the last `commit` was refused."""
        ...

    def __len__(self) -> int:
        """How many jobs have a change that is not durable."""
        ...

    def may_claim(self, wanted: Wanted) -> bool:
        """Whether there seems to be more to claim: if not, there is nothing to wait for."""
        ...

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> Hold | None:
        """Like `JobStore.claim`, but not durable yet.

        A power cut may undo it until the next `commit`, or until the hold has stored another
        change.
        """
        ...

    def end(
        self, hold: Hold, job: AnyJob, done: Callable[[], None], tell: Callable[[], None]
    ) -> None:
        """Like `Hold.move` to one of the finished statuses, but not acknowledged yet.

        :param done: called by the `commit` that makes it durable. It must not take long.
        :param tell: called by a `tell` after that.
        """
        ...

    def commit(self) -> None:
        """Make every change durable that is not.

        :raises StoreError: the disk refused; the changes are stored, and the next call tries again
            to make them durable.
        """
        ...

    def tell(self) -> None:
        """Report the outcomes that have become durable."""
        ...


@runtime_checkable
class Deferring(Protocol):
    """An optional part of a store: making several changes durable for little more than the cost of
    one."""

    def deferred(self) -> Deferred | None:
        """What makes the changes of one loop durable; None: no change has to wait for that."""
        ...


@runtime_checkable
class HasFloor(Protocol):
    """An optional part of a store: a floor, for operations that are many short system calls. The
    loops of a process then claim and end jobs one at a time, which is faster."""

    @property
    def floor(self) -> Floor:
        """The same object for all threads."""
        ...


@runtime_checkable
class Trusting(Protocol):
    """An optional part of a store: creating jobs for less if their ids cannot exist."""

    def create_unseen(self, jobs: Sequence[PendingJob[Any]]) -> None:
        """Like `JobStore.create_many`, for jobs whose ids were drawn at random a moment ago.

        No other process knows these ids, so they need not be checked. Do not call it twice with one
        of them: a call that fails may leave something behind.
        """
        ...


@runtime_checkable
class Telling(Protocol):
    """A store that notifies holders when to check, sooner than they check by themselves."""

    def tell(self, news: Callable[[], None]) -> None:
        """Call `news`, from any thread, when there may be something to check.

        That is a request to cancel a held job, or an end of holds.
        """
        ...


@runtime_checkable
class Transactional(Protocol):
    """A store that can create jobs in a transaction of the caller's."""

    def create_within(self, connection: Any, jobs: Iterable[PendingJob[Any]]) -> None:
        """Store new jobs in the transaction of `connection`.

        They exist once it commits, and never if it rolls back.

        :raises InvalidValue: it is not a connection of this store's kind.
        :raises JobExists: one of them exists already; the transaction can go on.
        """
        ...


@runtime_checkable
class Moving(Protocol):
    """A store whose jobs can be moved to another store, and from another one, unchanged. `source`
    and `target` are the `identity` of the other one."""

    def identity(self) -> str:
        """What distinguishes this place from all others, wherever it is mounted or moved.

        32 digits of `[0-9a-f]`, drawn at random at the first call, durably.
        """
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Within the block no other process, and no other thread, has this place's turn. It ends
        with the process, too.

        :raises StoreError: another one has it (``EBUSY``).
        """
        ...

    def arrive(self, job_id: str, data: bytes, source: str) -> None:
        """Keep the JSON of a job, durably, where no reader sees it. It replaces what arrived from
        there under that id before."""
        ...

    def arrived(self) -> list[tuple[str, str]]:
        """The source and the id of each that is kept so. No source: an older version kept it."""
        ...

    def arrival(self, job_id: str, source: str) -> bytes | None:
        """The JSON that is kept so; None: nothing."""
        ...

    def admit(self, job_id: str, source: str) -> None:
        """Put what arrived among the jobs, unchanged, and keep it so no longer.

        :raises JobExists: a job of that id exists there.
        :raises JobNotFound: nothing arrived so.
        """
        ...

    def dismiss(self, job_id: str, source: str) -> None:
        """Delete what is kept so."""
        ...

    def leave(self, hold: Hold, target: str) -> None:
        """Remove a held job, durably, whatever its status, and record where it went. Both happen in
        one step, or neither. The hold ends."""
        ...

    def departed(self) -> list[tuple[str, str]]:
        """The target and the id of each that is recorded so."""
        ...

    def forget(self, job_id: str, target: str) -> None:
        """Delete that record."""
        ...
