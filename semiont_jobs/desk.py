"""What stands behind a queue's verbs: its store, its open claims, its events, its upkeep.

It must not know the verbs (`queue`), nor how a store keeps jobs.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, ParamSpec, Self, TypeVar

from semiont_jobs import fields, lifecycle
from semiont_jobs.builtin import BUILTIN_JOB_TYPES
from semiont_jobs.claim import AnyClaim, Claim
from semiont_jobs.codec import Codec
from semiont_jobs.errors import (
    ClaimLost,
    InvalidJob,
    InvalidValue,
    JobDecodeError,
    JobEncodeError,
    JobHeld,
    StoreError,
)
from semiont_jobs.events import Event, EventName, Hook, is_logged, log_event, logger
from semiont_jobs.forks import reset_in_child
from semiont_jobs.job_types import JobType, JobTypes
from semiont_jobs.keeper import Keeper
from semiont_jobs.model import AnyJob, ClaimStamp, PendingJob, made_of
from semiont_jobs.retry import RetryPolicy, is_transient, retry_transient
from semiont_jobs.store import Hold, JobStore, Telling
from semiont_jobs.stores import open_store

T = TypeVar("T")
A = ParamSpec("A")

DEFAULT_MAX_CRASHES: Final = 3
"""A job whose workers died four times kills its workers; it must not kill all of them."""
FOREIGN_STALE_AFTER: Final = timedelta(minutes=30)
"""A running file without a claim was started by a TypeScript worker, which takes no lock: its
age is all there is to go by, and half an hour is longer than its jobs run."""
RESCUE_INTERVAL: Final = 1.0
"""Seconds between two looks for dead workers' jobs; a look with nothing running costs a few
system calls."""
LONGEST_NAME: Final = 255
"""Characters of a worker's name, which every attempt on record repeats: as many as a file's or
a host's name may have, and few enough that a hundred fit in what a new job leaves free."""
_LOG_ONLY: Final[tuple[Hook, ...]] = (log_event,)


class QueueDesk:
    """The part of a `JobQueue` that its verbs and its claims share."""

    def __init__(
        self,
        data_dir: str | os.PathLike[str] | JobStore,
        *,
        fsync: bool = True,
        retry_policy: RetryPolicy | None = None,
        job_types: Iterable[JobType[Any, Any, Any]] = (),
        max_crashes: int = DEFAULT_MAX_CRASHES,
        foreign_stale_after: timedelta = FOREIGN_STALE_AFTER,
        hooks: Iterable[Hook] = (),
        clock: Callable[[], datetime] = fields.now,
        **store_options: Any,
    ) -> None:
        if not isinstance(max_crashes, int) or isinstance(max_crashes, bool) or max_crashes < 0:
            raise InvalidValue("a whole number from 0", field="max_crashes", value=max_crashes)
        if retry_policy is not None and not isinstance(retry_policy, RetryPolicy):
            raise InvalidValue("a RetryPolicy is needed", field="retry_policy", value=retry_policy)
        if not isinstance(foreign_stale_after, timedelta):
            raise InvalidValue(
                "a timedelta is needed", field="foreign_stale_after", value=foreign_stale_after
            )
        job_types = _checked_list(job_types, "job_types")
        hooks = tuple(map(_checked_hook, _checked_list(hooks, "hooks")))
        if not callable(clock):
            raise InvalidValue("a function is needed", field="clock", value=clock)
        self._store = _store_at(data_dir, fsync=fsync, **store_options)
        self.job_types = JobTypes((*BUILTIN_JOB_TYPES, *job_types))
        self.codec = Codec(self.job_types)
        self.retry_policy = retry_policy or RetryPolicy()
        self.clock = clock
        self._max_crashes = max_crashes
        self._foreign_stale_after = foreign_stale_after
        self._hooks: tuple[Hook, ...] = (*_LOG_ONLY, *hooks)
        self._broken_hooks: list[Hook] = []
        self._claims: dict[str, AnyClaim] = {}
        self._host = socket.gethostname()
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Start afresh in a forked child: the parent's claims are not the child's."""
        self._lock = threading.RLock()
        self._rescuing = threading.Lock()
        self._rescued_at = float("-inf")
        self._is_open = False
        self._claims = {}
        self._not_rescued: set[str] = set()
        self._pid = os.getpid()
        # Tokens of claims: unlike those of any other queue object, and of each other.
        self._token = os.urandom(8).hex()
        self._serial = itertools.count(1)
        self._keeper = Keeper(self)

    @property
    def store(self) -> JobStore:
        """Where the jobs live."""
        return self._store

    # -- life ----------------------------------------------------------------------------

    def initialize(self) -> Self:
        """Make the directory ready (with its parents) and check that its locks exclude.

        Idempotent; every verb does it on first use.

        :raises UnsafeStore: jobs would not be safe there.
        :raises StoreError: it cannot be made or written.
        """
        if not self._is_open:
            with self._lock:
                if not self._is_open:
                    self._store.open(self.codec, self._send)
                    if isinstance(self._store, Telling):
                        self._store.tell(self._keeper.poke)
                    self._is_open = True
        return self

    def close(self) -> None:
        """Give open claims back without using an attempt, and end the queue's thread.

        The queue can be used again afterwards.

        :raises StoreError: the disk refused to take one of them back. It is still held, the
            queue still open: call again.
        """
        self._keeper.stop()
        refused: StoreError | None = None
        for claim in list(self._claims.values()):
            try:
                claim.release()
            except ClaimLost:
                continue
            except StoreError as error:
                refused = refused or error  # the others are given back all the same
        if refused is not None:
            raise refused
        with self._lock:
            if self._is_open:
                self._store.close()
            self._is_open = False

    def __enter__(self) -> Self:
        return self.initialize()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- events --------------------------------------------------------------------------

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with every event of this queue object; returns what ends that.

        A hook that raises harms no job: its first failure is logged.

        :raises InvalidValue: `hook` cannot be called.
        """
        _checked_hook(hook)
        with self._lock:
            self._hooks = (*self._hooks, hook)

        def unsubscribe() -> None:
            with self._lock:
                self._hooks = tuple(each for each in self._hooks if each is not hook)

        return unsubscribe

    def emit(self, name: EventName, job: AnyJob) -> None:
        """Tell every hook what just happened to a job."""
        if self._hooks == _LOG_ONLY and not is_logged(name):
            return
        self._send(Event(name=name, at=self.clock(), job_id=job.metadata.id, job=job))

    def _send(self, event: Event) -> None:
        for hook in self._hooks:
            try:
                hook(event)
            except (Exception, SystemExit):  # noqa: BLE001 - user code; the job is stored
                self._report_broken(hook)

    def _report_broken(self, hook: Hook) -> None:
        # By identity: a hook may be an object without a hash.
        if not any(each is hook for each in self._broken_hooks):
            self._broken_hooks.append(hook)
            logger.exception("hook %r failed; its later failures are not logged", hook)

    # -- claims --------------------------------------------------------------------------

    def policy_of(self, job: AnyJob) -> RetryPolicy:
        """The retry policy of a job's type, else the queue's."""
        kind = self.job_types.get(job.metadata.type)
        return (kind.retry_policy if kind else None) or self.retry_policy

    def params_fault(self, job: AnyJob) -> JobDecodeError | None:
        """Why a job of a registered type has plain data for params; None if they fit."""
        return self.codec.params_fault(job)

    def forget(self, claim: AnyClaim) -> None:
        """A claim ended: it needs no more looking after."""
        job_id = claim.job.metadata.id
        # A superseded claim may end after another one of the same job began here.
        if self._claims.get(job_id) is claim:
            del self._claims[job_id]

    def _claimed(self, hold: Hold, policy: RetryPolicy | None) -> AnyClaim:
        claim: AnyClaim = Claim(self, hold, policy=policy)
        self._claims[hold.job.metadata.id] = claim
        self._keeper.start()
        self.emit("claimed", hold.job)
        return claim

    def _stamp(self, worker: str | None) -> ClaimStamp:
        return made_of(
            ClaimStamp,
            {
                "token": f"{self._token}{next(self._serial):08x}",
                "worker": f"{self._host}-{self._pid}" if worker is None else _checked_name(worker),
                "host": self._host,
                "pid": self._pid,
                "extra": {},
            },
        )

    # -- upkeep --------------------------------------------------------------------------

    def keep_house(self) -> None:
        """One round of the keeper: open claims, held-back progress, dead workers' jobs."""
        refused: StoreError | None = None
        for claim in list(self._claims.values()):
            try:
                claim.watch()
                claim.flush_if_due()
            except StoreError as error:
                # One job's file that the disk will not show must not keep the other claims
                # from being looked after, nor dead workers' jobs from rescue.
                refused = refused or error
        self._rescue_if_due()
        if refused is not None:
            raise refused

    def start_keeper(self) -> None:
        """Rescue and watch in the background from now on; claiming does this by itself."""
        self.initialize()
        self._keeper.start()

    def rescue_orphans(self) -> int:
        """Give running jobs whose worker died back to pending; how many there were.

        Workers and claims do this by themselves about once a second. A live worker, however
        slow or stopped, keeps its job.
        """
        rescued = 0
        with self._rescuing:
            self._rescued_at = time.monotonic()
            orphans = self._run(self._store.orphans, self.clock(), self._foreign_stale_after)
            for hold in orphans:
                rescued += self._rescue(hold)
        return rescued

    def _rescue_if_due(self) -> None:
        overdue = time.monotonic() - self._rescued_at >= RESCUE_INTERVAL
        if overdue and not self._rescuing.locked():
            self.rescue_orphans()

    def _rescue(self, hold: Hold) -> bool:
        job = hold.job
        assert job.status == "running"
        now = self.clock()
        name: EventName = "rescued"
        left: AnyJob
        try:
            # A request to cancel outlives the worker that was to obey it.
            if hold.cancel_requested():
                name, left = "cancelled", lifecycle.cancel(job, now)
            else:
                left = lifecycle.rescue(job, now, max_crashes=self._max_crashes)
            hold.move(left)
        except (ClaimLost, JobHeld):
            return False  # another rescuer, or a person, was first
        except (InvalidJob, JobEncodeError) as error:
            # With one attempt more its text is too large. It must not keep others from rescue.
            if job.metadata.id not in self._not_rescued:
                self._not_rescued.add(job.metadata.id)
                logger.error("cannot be rescued: %s", error)
            return False
        finally:
            hold.let_go()
        self.emit(name, left)
        return True

    # -- what verbs share ----------------------------------------------------------------

    def _run(self, action: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
        """Do something with the store, again if its file system met a passing error."""
        if not self._is_open:
            self.initialize()
        try:
            return action(*args, **kwargs)
        except OSError as error:
            if not is_transient(error):
                raise
        return retry_transient(partial(action, *args, **kwargs))

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


def _store_at(
    data_dir: str | os.PathLike[str] | JobStore, *, fsync: bool, **store_options: Any
) -> JobStore:
    """The store of a directory or a database, or the one given."""
    if isinstance(data_dir, str | os.PathLike):
        if not isinstance(os.fspath(data_dir), str):
            raise InvalidValue("a path of text is needed", field="data_dir", value=data_dir)
        return open_store(data_dir, fsync=fsync, **store_options)
    if not _is_store(data_dir):
        rule = "a data directory's path, a database's URL, 'memory:' or a JobStore is needed"
        raise InvalidValue(rule, field="data_dir", value=data_dir)
    if store_options:
        raise TypeError(f"a store has its own options: {', '.join(store_options)}")
    return data_dir


def _is_store(given: object) -> bool:
    """Whether it has every method of a `JobStore`."""
    methods = [name for name in vars(JobStore) if not name.startswith("_")]
    return not isinstance(given, type) and all(
        callable(getattr(given, name, None)) for name in methods
    )


def _checked_list(given: Iterable[T], field: str) -> tuple[T, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidValue("a list or tuple is needed", field=field, value=given)
    return tuple(given)


def _checked_hook(hook: Hook) -> Hook:
    if not callable(hook):
        raise InvalidValue("a function of an event is needed", field="hook", value=hook)
    return hook


def _checked_name(worker: str) -> str:
    """A worker's name, which goes into the job's file as it is."""
    if not isinstance(worker, str) or not 0 < len(worker) <= LONGEST_NAME:
        rule = f"a text of 1 to {LONGEST_NAME} characters is needed"
        raise InvalidValue(rule, field="worker", value=worker)
    try:
        str.encode(worker, "utf-8")
    except UnicodeEncodeError as error:
        raise InvalidValue("a lone surrogate is not text", field="worker", value=worker) from error
    return worker
