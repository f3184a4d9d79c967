"""The protocols a store keeps: what a queue asks of the place where jobs live.

It must not know workers, policies or retries: a store moves jobs and guards them; what a
job becomes is decided by `lifecycle` and `queue`.
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
    """What a claimer is willing to take."""

    types: frozenset[str] | None = None
    """None: any but those of runs."""
    queue: str | None = None
    """None: any."""
    accept: Accept | None = None
    """Asked once per revision of a job; a refusal is remembered under this callable, so pass
    the same one (a function or a bound method) every time."""
    runs: frozenset[str] = frozenset()
    """Types of runs that are wanted besides any other."""

    def covers(self, type_name: str, queue: str) -> bool:
        """Whether a job of that type and queue may be offered to `accept`."""
        if self.queue is not None and queue != self.queue:
            return False
        if self.types is None:
            return not type_name.startswith(OF_RUNS) or type_name in self.runs
        return type_name in self.types


class Hold(Protocol):
    """Exclusive ownership of one job: nobody but the holder changes or moves it."""

    @property
    def job(self) -> AnyJob:
        """The job as last stored through this hold."""
        ...

    def move(self, job: AnyJob) -> None:
        """Store `job` in place of what is held. The hold goes on while the job is running
        and ends in every other status.

        When it raises, nothing was acknowledged, what was stored before stands, and the
        hold goes on, unless it is `ClaimLost`: the job was taken away.

        :raises ClaimLost: somebody else moved or removed the job.
        :raises StoreError: the disk refused; the call may be made again.
        :raises JobEncodeError: the job cannot be written.
        """
        ...

    def let_go(self) -> None:
        """End the hold and change nothing. A second call does nothing."""
        ...

    def is_standing(self) -> bool:
        """Whether the job is still ours: no foreign hand has moved or removed it."""
        ...

    def cancel_requested(self) -> bool:
        """Whether somebody asked for this life of the job to be cancelled."""
        ...


class JobStore(Protocol):
    """A place where jobs live. Every method may be called from any thread."""

    def open(self, codec: Codec, notify: Hook) -> None:
        """Make the place ready. `notify` gets the events of what the store does by itself:
        ``quarantined``, and ``cancelled`` where a claim obeyed a request."""
        ...

    def close(self) -> None:
        """Let go of everything held and wake whoever waits."""
        ...

    def create(self, job: PendingJob[Any]) -> None:
        """Store a new job. Raises `JobExists` if its id stands in any status."""
        ...

    def create_many(self, jobs: Iterable[PendingJob[Any]]) -> None:
        """Store new jobs in order; none of them if one is invalid or exists."""
        ...

    def get(self, job_id: str) -> AnyJob | None:
        """The job as it stands, or None. Raises `JobDecodeError` if it cannot be read."""
        ...

    def jobs(self, statuses: Iterable[JobStatus]) -> Iterator[AnyJob]:
        """The jobs in these statuses, each once, in no order; unreadable ones are left out."""
        ...

    def counts(self) -> Mapping[JobStatus, int]:
        """How many jobs stand in each status."""
        ...

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> Hold | None:
        """Move the first due job that is wanted to running and hold it, or return None.

        First: by priority (higher first), then due time, creation and id.
        """
        ...

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        """The job that `claim` would take next; changes nothing."""
        ...

    def hold(self, job_id: str) -> Hold:
        """Take hold of a job in whatever status.

        :raises JobNotFound: there is none.
        :raises JobHeld: somebody else holds it.
        """
        ...

    def request_cancel(self, job_id: str, life: str) -> bool:
        """Ask the holder of that life of a job to stop; whether it still runs or waits."""
        ...

    def orphans(self, now: datetime, foreign_stale_after: timedelta) -> Iterator[Hold]:
        """Hold, one after the other, the running jobs whose holder is gone."""
        ...

    def remove(
        self, statuses: Iterable[JobStatus], before: datetime, type_name: str | None = None
    ) -> list[AnyJob]:
        """Remove the finished jobs of these statuses (and that type) that ended before that
        instant."""
        ...

    def remove_one(self, job_id: str) -> AnyJob | None:
        """Remove a job if it is finished and nobody holds it, and return it; else None."""
        ...

    def wait(self, stop: threading.Event, timeout: float, now: datetime) -> None:
        """Return when there may be something new to claim, `stop` is set and `wake` called,
        or `timeout` seconds are over."""
        ...

    def wake(self) -> None:
        """Make every `wait` return."""
        ...


@runtime_checkable
class Marking(Protocol):
    """What a store may have besides: telling for next to nothing whether jobs have changed.

    Of a store without it the jobs themselves are read instead, less often.
    """

    def marks(self, job_ids: Collection[str]) -> Mapping[str, Hashable]:
        """For each of these ids a value that is another one once the job has changed, moved or
        gone. It may be another one also without that."""
        ...


@frozen
class RollChanges:
    """What is another one since somebody looked last. A job that changed is in both."""

    gone: list[Outline]
    come: list[Outline]
    unreadable: int
    """How many entries stand there now that are no jobs."""


class Roll(Protocol):
    """The outlines of all jobs, remembered by whoever looks again and again."""

    def changes(self, *, sparing: bool = False) -> RollChanges:
        """Look; the first time everything has come.

        :param sparing: what was dear to look at is looked at again only after a while.
        """
        ...


@runtime_checkable
class Rolling(Protocol):
    """What a store may have besides: outlining its jobs without reading all of them each time.

    Of a store without it all jobs are read.
    """

    def roll(self) -> Roll:
        """A new roll, on which nothing stands yet."""
        ...


class Deferred(Protocol):
    """What one loop has put off: claims and outcomes that are made durable at once, a little later.
    Any thread may call any of this."""

    @property
    def since(self) -> float | None:
        """When the first of what is not durable yet was stored, by `time.monotonic`, or the first
        of what is not told yet became durable; None: there is nothing."""
        ...

    @property
    def is_refused(self) -> bool:
        """Whether the last `commit` was refused."""
        ...

    def __len__(self) -> int:
        """How many jobs have something that is not durable."""
        ...

    def may_claim(self, wanted: Wanted) -> bool:
        """Whether there seems to be more to claim: if not, there is nothing to wait for."""
        ...

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> Hold | None:
        """As `JobStore.claim`, but a power cut may undo it until the next `commit`, or until the
        hold has stored something else."""
        ...

    def end(
        self, hold: Hold, job: AnyJob, done: Callable[[], None], tell: Callable[[], None]
    ) -> None:
        """As `Hold.move` to one of the finished statuses, but it is not acknowledged yet.

        :param done: called by the `commit` that makes it durable. It must not take long.
        :param tell: called by a `tell` after that.
        """
        ...

    def commit(self) -> None:
        """Make durable all that is not.

        :raises StoreError: the disk refused; what it refused stands, and is tried again by the next
            call.
        """
        ...

    def tell(self) -> None:
        """Tell of the outcomes that have become durable."""
        ...


@runtime_checkable
class Deferring(Protocol):
    """What a store may have besides: making several changes durable for little more than the price
    of one."""

    def deferred(self) -> Deferred | None:
        """What makes the changes of one loop durable; None: none of them has to wait for that."""
        ...


@runtime_checkable
class HasFloor(Protocol):
    """What a store may have besides: verbs that are many short system calls, so that the loops of a
    process had better claim and end jobs one after the other."""

    @property
    def floor(self) -> Floor:
        """One and the same for all threads."""
        ...


@runtime_checkable
class Trusting(Protocol):
    """What a store may have besides: creating for less what nobody can have created."""

    def create_unseen(self, jobs: Sequence[PendingJob[Any]]) -> None:
        """As `JobStore.create_many`, of jobs whose ids were drawn at random a moment ago, and which
        nobody knows yet: it need not look whether they are taken. Not to be called a second time
        with one of them: what fails may leave something behind."""
        ...


@runtime_checkable
class Telling(Protocol):
    """A store that hears of what its holders should look at, sooner than they look by
    themselves."""

    def tell(self, news: Callable[[], None]) -> None:
        """Call `news`, from any thread, when somebody may have asked for a held job to be
        cancelled, or when holds may have ended."""
        ...


@runtime_checkable
class Transactional(Protocol):
    """A store that can create jobs in a transaction of the caller's."""

    def create_within(self, connection: Any, jobs: Iterable[PendingJob[Any]]) -> None:
        """Store new jobs in the transaction of `connection`: they are there when it commits,
        and never were when it rolls back.

        :raises InvalidValue: it is no connection of this store's kind.
        :raises JobExists: one of them stands already; the transaction can go on.
        """
        ...


@runtime_checkable
class Moving(Protocol):
    """A store that jobs can be moved to from another one, and away from, with every document as
    it stands. `source` and `target` are the `identity` of the other one."""

    def identity(self) -> str:
        """What tells this place from all others, wherever it is mounted or moved: 32 digits of
        `[0-9a-f]`, drawn at random when somebody first asks, durably."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Within the block no other process, and no other thread, has this place's turn. It ends
        with the process, too.

        :raises StoreError: another one has it (``EBUSY``).
        """
        ...

    def arrive(self, job_id: str, data: bytes, source: str) -> None:
        """Keep the document of a job, durably, where nobody sees it, in place of what arrived
        from there under that id before."""
        ...

    def arrived(self) -> list[tuple[str, str]]:
        """The source and the id of each that is kept so. No source: an older version kept it."""
        ...

    def arrival(self, job_id: str, source: str) -> bytes | None:
        """What is kept so; None: nothing."""
        ...

    def admit(self, job_id: str, source: str) -> None:
        """Have what arrived stand among the jobs, exactly as it is, and be kept so no longer.

        :raises JobExists: a job of that id stands there.
        :raises JobNotFound: nothing arrived so.
        """
        ...

    def dismiss(self, job_id: str, source: str) -> None:
        """Keep it no longer."""
        ...

    def leave(self, hold: Hold, target: str) -> None:
        """Remove a job that is held, durably, whatever its status, and note in the same step, which
        happens or does not, where it went. The hold ends."""
        ...

    def departed(self) -> list[tuple[str, str]]:
        """The target and the id of each that is noted so."""
        ...

    def forget(self, job_id: str, target: str) -> None:
        """Note it no longer."""
        ...
