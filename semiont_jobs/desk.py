"""What stands behind a queue's verbs: its store, its open claims, its events, its upkeep.

It must not know the verbs (`queue`), nor how a store keeps jobs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar

from semiont_jobs import fields, lifecycle
from semiont_jobs.builtin import BUILTIN_JOB_TYPES
from semiont_jobs.claim import AnyClaim, Claim
from semiont_jobs.codec import Codec
from semiont_jobs.committing import Committer
from semiont_jobs.errors import (
    ClaimLost,
    InvalidValue,
    QueueClosed,
    SemiontJobsError,
    StoreError,
)
from semiont_jobs.events import Event, EventName, Hook, log_trouble, logger
from semiont_jobs.floor import OPEN, Floor
from semiont_jobs.forks import reset_in_child
from semiont_jobs.hooks import Hooks
from semiont_jobs.in_hand import AnyInHand
from semiont_jobs.job_types import JobType, JobTypes
from semiont_jobs.keeper import PERIOD, Keeper
from semiont_jobs.lookout import Lookout
from semiont_jobs.meter import Meter
from semiont_jobs.model import AnyJob, ClaimStamp, WorkerName
from semiont_jobs.open_claims import OpenClaims
from semiont_jobs.openable import Openable
from semiont_jobs.opening import Opening
from semiont_jobs.rescuing import Rescuer
from semiont_jobs.retry import RetryPolicy, insist
from semiont_jobs.settings import checked_hook, checked_list, checked_policy, store_at
from semiont_jobs.stamps import Stamps
from semiont_jobs.store import HasFloor, Hold, JobStore, Wanted

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

Take: TypeAlias = Callable[[Wanted, ClaimStamp, datetime], Hold | None]
"""What claims in a store: `JobStore.claim`, or another way to."""


class QueueDesk(Openable):
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
        checked_policy("retry_policy", retry_policy)
        if not isinstance(foreign_stale_after, timedelta):
            raise InvalidValue(
                "a timedelta is needed", field="foreign_stale_after", value=foreign_stale_after
            )
        job_types = checked_list(job_types, "job_types")
        hooks = tuple(map(checked_hook, checked_list(hooks, "hooks")))
        if not callable(clock):
            raise InvalidValue("a function is needed", field="clock", value=clock)
        self._store = store = store_at(data_dir, fsync=fsync, **store_options)
        self.floor: Floor = store.floor if isinstance(store, HasFloor) else OPEN
        """For loops, between one work and the next."""
        self.job_types: JobTypes = JobTypes((*BUILTIN_JOB_TYPES, *job_types))
        self.codec: Codec = Codec(self.job_types)
        self.retry_policy: RetryPolicy = retry_policy or RetryPolicy()
        self.clock = clock
        self.monotonic: Callable[[], float] = fields.stopwatch(clock)
        self._max_crashes = max_crashes
        self._foreign_stale_after = foreign_stale_after
        self._given_hooks = hooks
        self._hooks = Hooks(hooks)
        self._claims = OpenClaims()
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Start afresh in a forked child: the parent's claims are not the child's."""
        self._begin_closed()
        self._rescuing = threading.Lock()
        self._rescued_at = float("-inf")
        self._ailing: set[str] = set()
        """Jobs in hand of which it was told that they cannot be looked after."""
        for claim in self._claims.all():
            claim.reset_after_fork()
        self._claims = OpenClaims()
        self._rescuer = Rescuer(self._max_crashes)
        self.stamp: Callable[[WorkerName | None], ClaimStamp] = Stamps().new
        self._keeper = Keeper(self)
        self.committer: Committer = Committer()
        self._hooks.reset_after_fork()
        self._lookout = Lookout(self._store)
        self._meter = Meter()

    @property
    def store(self) -> JobStore:
        """Where the jobs live."""
        return self._store

    # -- life ----------------------------------------------------------------------------

    def open_for_work(self, stop: threading.Event) -> Opening:
        """Open the queue for a loop that claims, as a worker's, and look after it in the
        background. The loop claims within the opening that is returned; `stop` is set when that
        is over, because somebody closed the queue."""
        while True:
            self.start_keeper()
            with self._lock:
                if self._is_open:  # else somebody closed it at once
                    self._opening.stops(stop)
                    return self._opening

    # -- events --------------------------------------------------------------------------

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with every event of this queue object; returns what ends that.

        It is called in the thread that acted; for what a queue's or a pool's own thread did, in one
        more, in order but perhaps later than what others did since: of two events of one job the
        later has the higher ``job.metadata.revision``. A hook that raises harms no job: its first
        failure is logged. One that blocks holds up that thread, and the job that it has just
        claimed.

        :raises InvalidValue: `hook` cannot be called.
        """
        return self._hooks.add(checked_hook(hook))

    def emit(
        self, name: EventName, job: AnyJob | None, reason: str = "", *, about: str = ""
    ) -> None:
        """Tell who waits for a job, and every hook, what just happened to it, or to what `about`
        names."""
        if job is not None:
            self.note(name, job)
        self.tell(name, job, reason, about=about)

    def note(self, name: EventName, job: AnyJob) -> None:
        """Count that, before anybody hears of it."""
        self._meter.note(name, job)

    def tell(
        self, name: EventName, job: AnyJob | None, reason: str = "", *, about: str = ""
    ) -> None:
        """Tell every hook, and who waits for the job."""
        self._hooks.tell_noted()
        if self._hooks.hear(name):
            self.floor.leave()  # a hook may take its time
            id_ = about if job is None else job.metadata.id
            at = self.clock()
            self._hooks.tell(Event(name=name, at=at, job_id=id_, job=job, reason=reason))
        if job is not None:
            # Afterwards: who waits finds what hooks did. A hook that hangs keeps nobody from the
            # lookout's own notice.
            self._lookout.tell(job.metadata.id)

    def tell_noted(self) -> None:
        """Tell every hook what the store did by itself meanwhile."""
        self._hooks.tell_noted()

    def finish_telling(self, patience: float = float("inf")) -> None:
        """Let hooks hear what the queue's own threads did: what ends waits for that, so many
        seconds at most, and no longer than `hooks.PATIENCE`."""
        self._hooks.finish(patience)

    def _hear(self, event: Event) -> None:
        """What the store does by itself, in the midst of it: hooks are told afterwards."""
        self._lookout.tell(event.job_id)
        if event.job is not None:
            self._meter.note(event.name, event.job)
        self._hooks.note(event)

    # -- claims --------------------------------------------------------------------------

    def policy_of(self, job: AnyJob) -> RetryPolicy:
        """The retry policy of a job's type, else the queue's."""
        kind = self.job_types.get(job.metadata.type)
        return (kind and kind.retry_policy) or self.retry_policy

    def timeout_of(self, job: AnyJob) -> float | None:
        """The seconds that an attempt at a job of this type may take, if its type says."""
        kind = self.job_types.get(job.metadata.type)
        return kind.timeout if kind else None

    def check_params(self, job: AnyJob) -> None:
        """Raise `JobDecodeError` if a job of a registered type has plain data for params."""
        fault = self.codec.params_fault(job)
        if fault is not None:
            raise fault

    def forget(self, claim: AnyInHand) -> None:
        """A claim ended: it needs no more looking after."""
        self._claims.forget(claim)
        self._ailing.discard(claim.job_id)

    def commit_soon(self) -> None:
        """Something was put off: should its loop leave it, it is made durable all the same."""
        self.committer.look()

    def dropped(self, claim: AnyInHand) -> None:
        """An open claim that nobody has any more; a finalizer calls this."""
        self._claims.drop(claim)

    def claim_one(
        self,
        wanted: Wanted,
        worker: WorkerName | None,
        policy: RetryPolicy | None,
        opening: Opening,
        claim: Take | None = None,
    ) -> AnyClaim | None:
        """Take the next due job and hold it, or return None.

        :param claim: what claims in the store; None: `JobStore.claim`.
        """
        self._rescue_if_due()
        stamp, now = self.stamp(worker), self.clock()
        take = claim or self._store.claim
        return self.claimed(lambda: insist(take, wanted, stamp, now), policy, opening)

    def claimed(
        self, take: Callable[[], Hold | None], policy: RetryPolicy | None, opening: Opening
    ) -> AnyClaim | None:
        """A claim of what `take` claims in the store, if anything."""
        taken: list[Hold] = []
        made: list[AnyClaim] = []

        def make() -> AnyClaim | None:
            opening.check()
            # First: nobody would look after a claim that was made without it.
            self._keeper.start()
            hold = take()
            if hold is None:
                return None
            taken.append(hold)
            claim: AnyClaim = Claim(self, hold, policy=policy)
            made.append(claim)
            return claim

        try:
            try:
                claim = self._claims.made(make)
            finally:
                if self._opening.is_owed:
                    self.close()
            if claim is None:
                self._hooks.tell_noted()
            elif opening.is_over:  # since it was looked at, perhaps before the claim stood there
                raise QueueClosed("the queue was closed meanwhile; the job was given back")
            else:
                self.emit("claimed", claim.job)
        except BaseException:
            # An interrupt, in a hook, say, or before there was a claim. Nobody gets it, and whoever
            # keeps the traceback would keep the job with it.
            for claim in made:
                if claim.is_open:
                    with suppress(ClaimLost):
                        claim.release()
            for hold in taken[len(made) :]:
                _give_back(hold)
            raise
        return claim

    def keep(self, claim: AnyClaim) -> None:
        """Hold on to an open claim that nobody else may have any more."""
        self._claims.keep(claim)

    # -- upkeep --------------------------------------------------------------------------

    def keep_house(self) -> float:
        """One round of the keeper: open claims, held-back progress, dead workers' jobs."""
        if not self._is_open:
            return PERIOD
        self._try("dropped claims cannot be given back", self._claims.give_back_dropped)
        for claim in self._claims.all():
            job_id = claim.job.metadata.id
            self._try(f"job {job_id} cannot be looked after", claim.look_after, about=job_id)
        self._rescue_if_due()
        return PERIOD

    def _try(self, trouble: str, action: Callable[[], object], about: str = "") -> None:
        """Do it, and log it once if it fails until it succeeds. One file that the disk refuses,
        or whatever else ails one claim, must keep nothing else from being done in time."""
        try:
            action()
        except Exception as error:  # noqa: BLE001
            if (about or trouble) not in self._ailing:
                self._ailing.add(about or trouble)
                log_trouble(error, "%s: %s", trouble, error)
        else:
            self._ailing.discard(about or trouble)

    def start_keeper(self) -> None:
        """Rescue and watch in the background from now on; claiming does this by itself.

        :raises ThreadRefused: the system gives no thread.
        """
        self.initialize()
        self._keeper.start()

    def rescue_orphans(self) -> int:
        """Give running jobs whose worker died back to pending; how many there were.

        Workers and claims do this by themselves about once a second. A live worker, however
        slow or stopped, keeps its job.
        """
        self.initialize()
        return self._rescue_orphans()

    def _rescue_orphans(self) -> int:
        told: list[tuple[EventName, AnyJob]] = []
        refused: StoreError | None = None
        try:
            with self._rescuing:
                self._rescued_at = time.monotonic()
                orphans = self._act(self._store.orphans, self.clock(), self._foreign_stale_after)
                for hold in orphans:
                    try:
                        happened = self._rescuer.rescue(hold, self.clock())
                    except StoreError as error:
                        refused = refused or error  # the others behind it are rescued all the same
                        continue
                    if happened is not None:
                        told.append(happened)
                if refused is not None:
                    raise refused
        finally:
            # Not before: while a hook takes its time, others are to rescue.
            for name, job in told:
                self.emit(name, job)
            self._hooks.tell_noted()
        return len(told)

    def _rescue_if_due(self) -> None:
        if time.monotonic() - self._rescued_at >= RESCUE_INTERVAL and not self._rescuing.locked():
            self.floor.leave()  # the dead may have left many
            self._try("dead workers' jobs cannot be rescued", self._rescue_orphans)

    # -- what verbs share ----------------------------------------------------------------

    def _run(self, action: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
        """Do something with the store, which is opened for it."""
        if not self._is_open:
            self.initialize()
        return self._act(action, *args, **kwargs)

    def _act(self, action: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
        """Do something with the store, and tell what it noted in the midst of that."""
        try:
            return insist(action, *args, **kwargs)
        finally:
            self._hooks.tell_noted()


def _give_back(hold: Hold) -> None:
    """Undo a claim in the store that nobody has."""
    job = hold.job
    try:
        if job.status == "running":
            hold.move(lifecycle.release(job))
    except SemiontJobsError as error:
        # As if its worker had died: whoever rescues orphans counts that.
        logger.error("job %s is not given back: %s", job.metadata.id, error)
    finally:
        hold.let_go()
