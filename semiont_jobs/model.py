"""A job in its five states, and its metadata.

It must not know how a job is written down (`codec`), where it is kept (`stores`) or how it moves
from state to state (`lifecycle`).

A field that a state does not have cannot be read: neither at type-check time (``Job`` is a union
discriminated by ``status``) nor at run time (each state is a class of its own, frozen).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Generic, Literal, TypeAlias, TypeGuard, TypeVar

import attrs
from attrs import Attribute, field, frozen

from semiont_jobs.fields import (
    check_any_text,
    check_count,
    check_instant,
    check_integer,
    check_mapping,
    check_seconds,
    check_text,
    instance_of,
    now,
    to_instant,
    to_instant_or_none,
    tuple_of,
    whole,
)
from semiont_jobs.ids import JobId, UserId, job_id, new_job_id

JobStatus: TypeAlias = Literal["pending", "running", "complete", "failed", "cancelled"]
"""A job's state; also the name of the folder that its file is in."""

STATUSES: Final[tuple[JobStatus, ...]] = ("pending", "running", "complete", "failed", "cancelled")
"""All statuses in lifecycle order: the order in which readers look for a job."""

FINISHED: Final[tuple[JobStatus, ...]] = ("complete", "failed", "cancelled")
"""The statuses that a job leaves only by a retry by hand."""

UNFINISHED: Final[tuple[JobStatus, ...]] = ("pending", "running")
"""The other statuses: of jobs that wait, and of jobs that run."""

P = TypeVar("P")
"""The params of a job."""
PG = TypeVar("PG")
"""The progress that its code reports."""
R = TypeVar("R")
"""The result that its code returns."""

MIN_PRIORITY: Final = -100
MAX_PRIORITY: Final = 100
"""The highest priority. Two hundred steps are more than people distinguish, and few enough that
every program that reads the number agrees on its order."""

DEFAULT_QUEUE: Final = "default"
DEFAULT_USER: Final = UserId("local")
DEFAULT_MAX_RETRIES: Final = 3
"""Three retries are four attempts: 7 to 10 seconds of back-off with the default policy."""

OF_RUNS: Final = "map:"
"""Jobs of types that begin with this are the items of runs (`WorkerPool.map`). Only a claim that
names the type gets them: only it has the run's function, and the result of another one would be
taken for its result."""
OF_NAMELESS_RUNS: Final = f"{OF_RUNS}~"
"""Types of runs without a name begin with this; each run has its own."""

T = TypeVar("T")


def made_of(kind: type[T], values: dict[str, Any]) -> T:
    """Make an object of one of the classes below from values that were checked already.

    The values come from another such object, or from this library. Every field must be among them.

    The usual way checks each field again at every transition, which is a fifth of all the Python
    that a job costs. The classes have no slots, so that one assignment sets all of an object's
    fields.
    """
    one = object.__new__(kind)
    object.__setattr__(one, "__dict__", values)
    return one


def _check_id(_owner: Any, _attribute: Attribute[Any], value: Any) -> None:
    job_id(value)


@frozen(kw_only=True, slots=False)
class ClaimStamp:
    """The worker of a running job: written into the job, so that every process can see it."""

    token: str = field(validator=check_any_text)
    """Random, new at every claim: distinguishes this claim from any other of the same job."""
    worker: str = field(validator=check_any_text)
    host: str = field(validator=check_any_text)
    pid: int = field(validator=check_integer)
    extra: Mapping[str, Any] = field(factory=dict, validator=check_mapping)

    def on(self, _job: AnyJob) -> ClaimStamp:
        """What is written when that job is claimed."""
        return self


WorkerName: TypeAlias = "str | Callable[[AnyJob], str]"
"""A worker's name, or a function that returns it for the job that is claimed."""


@frozen(kw_only=True, slots=False)
class OpenStamp(ClaimStamp):
    """The stamp of a claimer for several workers: the job decides which of them it is."""

    worker_of: Callable[[AnyJob], str]

    def on(self, job: AnyJob) -> ClaimStamp:
        """What is written when that job is claimed."""
        values = {name: value for name, value in vars(self).items() if name != "worker_of"}
        return made_of(ClaimStamp, {**values, "worker": self.worker_of(job)})


AttemptOutcome: TypeAlias = Literal["completed", "failed", "timeout", "crashed", "cancelled"]


@frozen(kw_only=True, slots=False)
class Attempt:
    """One attempt that ended; snoozed and released ones are not attempts."""

    number: int = field(validator=check_integer)
    started_at: datetime = field(converter=to_instant, validator=check_instant)
    ended_at: datetime = field(converter=to_instant, validator=check_instant)
    worker: str = field(validator=check_any_text)
    outcome: AttemptOutcome = field(validator=check_any_text)
    error_type: str | None = field(default=None, validator=check_any_text)
    error_module: str | None = field(default=None, validator=check_any_text)
    """Where the error's class is defined; None: it is a builtin, or not recorded."""
    message: str | None = field(default=None, validator=check_any_text)
    traceback: str | None = field(default=None, validator=check_any_text)
    extra: Mapping[str, Any] = field(factory=dict, validator=check_mapping)

    @property
    def error(self) -> str | None:
        """What went wrong, as a traceback ends: ``KeyError: 'name'``; None: nothing did."""
        return ": ".join(filter(None, (self.error_type, self.message))) or None


@frozen(kw_only=True, slots=False)
class JobMetadata:
    """What every job has, whatever its type. Only ``type`` must be given."""

    id: JobId = field(factory=new_job_id, validator=_check_id)
    type: str = field(validator=check_text)
    user_id: UserId = field(default=DEFAULT_USER, validator=check_text)
    created: datetime = field(factory=now, converter=to_instant, validator=check_instant)
    retry_count: int = field(default=0, validator=check_count)
    max_retries: int = field(default=DEFAULT_MAX_RETRIES, validator=check_count)
    revision: int = field(default=0, validator=check_count)
    """0 at creation, one more at every change; of two copies the higher counts."""
    queue: str = field(default=DEFAULT_QUEUE, validator=check_text)
    priority: int = field(default=0, validator=whole(MIN_PRIORITY, MAX_PRIORITY))
    run_after: datetime | None = field(
        default=None, converter=to_instant_or_none, validator=check_instant
    )
    """Not before this instant: a delay, a schedule, a back-off or a snooze."""
    timeout: float | None = field(default=None, validator=check_seconds)
    """Seconds an attempt may take."""
    claim: ClaimStamp | None = None
    """The holder, while the job runs."""
    run: str | None = field(default=None, validator=check_any_text)
    """The name of a life of the job, set by a retry by hand; the first has none: see `life`."""
    attempts: tuple[Attempt, ...] = field(default=(), validator=tuple_of(Attempt, "attempts"))
    attempt_count: int = field(default=0, validator=check_count)
    crash_count: int = field(default=0, validator=check_count)
    completed_units: tuple[str, ...] = field(default=(), validator=tuple_of(str, "texts"))
    unit_cursors: Mapping[str, Any] = field(factory=dict, validator=check_mapping)
    extra: Mapping[str, Any] = field(factory=dict, validator=check_mapping)
    """Keys that this library does not know, carried along and written back."""

    @property
    def due(self) -> datetime:
        """The job's place in its queue: ``run_after`` if set, else ``created``."""
        return self.run_after or self.created

    def is_due(self, at: datetime) -> bool:
        """Whether the job may run at that instant; a ``created`` in the future delays nothing."""
        return self.run_after is None or self.run_after <= at

    @property
    def life(self) -> str:
        """The name of this life of the job, from creation or a retry by hand to its end.

        A request to cancel is meant for one life (see the protocol page of the documentation). If
        no ``run`` is recorded, the name is the creation in milliseconds.
        """
        return self.run or f"{int(self.created.timestamp() * 1000)}"


# -- the five states ---------------------------------------------------------------------


@frozen(kw_only=True, slots=False)
class PendingJob(Generic[P]):
    """Waiting to be claimed, now or once it is due."""

    status: ClassVar[Literal["pending"]] = "pending"
    metadata: JobMetadata = field(validator=instance_of(JobMetadata))
    params: P
    extra: Mapping[str, Any] = field(factory=dict, validator=check_mapping)
    """Keys of the job's JSON that this library or the params class does not know."""


@frozen(kw_only=True, slots=False)
class RunningJob(Generic[P, PG]):
    """Held by a worker. ``progress`` is None (with plain params ``{}``) until the job's code
    reports."""

    status: ClassVar[Literal["running"]] = "running"
    metadata: JobMetadata = field(validator=instance_of(JobMetadata))
    params: P
    started_at: datetime = field(converter=to_instant, validator=check_instant)
    progress: PG | None = None
    extra: Mapping[str, Any] = field(factory=dict, validator=check_mapping)


@frozen(kw_only=True, slots=False)
class CompleteJob(Generic[P, R]):
    """Done. ``result`` is None (with plain params ``{}``) if its code returned nothing."""

    status: ClassVar[Literal["complete"]] = "complete"
    metadata: JobMetadata = field(validator=instance_of(JobMetadata))
    params: P
    started_at: datetime = field(converter=to_instant, validator=check_instant)
    completed_at: datetime = field(converter=to_instant, validator=check_instant)
    result: R | None = None
    extra: Mapping[str, Any] = field(factory=dict, validator=check_mapping)


@frozen(kw_only=True, slots=False)
class FailedJob(Generic[P]):
    """Given up: ``error`` says why; ``metadata.attempts`` has the details of each attempt."""

    status: ClassVar[Literal["failed"]] = "failed"
    metadata: JobMetadata = field(validator=instance_of(JobMetadata))
    params: P
    started_at: datetime | None = field(
        default=None, converter=to_instant_or_none, validator=check_instant
    )
    completed_at: datetime = field(converter=to_instant, validator=check_instant)
    error: str = field(validator=check_any_text)
    extra: Mapping[str, Any] = field(factory=dict, validator=check_mapping)


@frozen(kw_only=True, slots=False)
class CancelledJob(Generic[P]):
    """Cancelled before or while it ran: on request, or by its own code."""

    status: ClassVar[Literal["cancelled"]] = "cancelled"
    metadata: JobMetadata = field(validator=instance_of(JobMetadata))
    params: P
    started_at: datetime | None = field(
        default=None, converter=to_instant_or_none, validator=check_instant
    )
    completed_at: datetime = field(converter=to_instant, validator=check_instant)
    extra: Mapping[str, Any] = field(factory=dict, validator=check_mapping)


Job: TypeAlias = (
    PendingJob[P] | RunningJob[P, PG] | CompleteJob[P, R] | FailedJob[P] | CancelledJob[P]
)
"""A job in any state, with typed params, progress and result."""

AnyJob: TypeAlias = (
    PendingJob[Any]
    | RunningJob[Any, Any]
    | CompleteJob[Any, Any]
    | FailedJob[Any]
    | CancelledJob[Any]
)
"""A job in any state and of any type."""

JOB_CLASSES: Final[Mapping[JobStatus, type[AnyJob]]] = {
    "pending": PendingJob,
    "running": RunningJob,
    "complete": CompleteJob,
    "failed": FailedJob,
    "cancelled": CancelledJob,
}
"""The class of each status."""

evolve: Final = attrs.evolve
"""A copy of a frozen object with some fields changed."""


@frozen(kw_only=True)
class JobStats:
    """The number of jobs in each status."""

    pending: int = 0
    running: int = 0
    complete: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.pending + self.running + self.complete + self.failed + self.cancelled


def is_pending_job(job: AnyJob) -> TypeGuard[PendingJob[Any]]:
    """Whether the job waits to be claimed."""
    return job.status == "pending"


def is_running_job(job: AnyJob) -> TypeGuard[RunningJob[Any, Any]]:
    """Whether a worker holds the job."""
    return job.status == "running"


def is_complete_job(job: AnyJob) -> TypeGuard[CompleteJob[Any, Any]]:
    """Whether the job is done."""
    return job.status == "complete"


def is_failed_job(job: AnyJob) -> TypeGuard[FailedJob[Any]]:
    """Whether the job was given up."""
    return job.status == "failed"


def is_cancelled_job(job: AnyJob) -> TypeGuard[CancelledJob[Any]]:
    """Whether the job was cancelled."""
    return job.status == "cancelled"
