"""What is behind a queue's methods: its store, open claims, events and upkeep.

It must not know the methods (`queue`), or how a store keeps jobs.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar

from semiont_jobs import fields
from semiont_jobs.builtin import BUILTIN_JOB_TYPES
from semiont_jobs.claim import AnyClaim, Claim
from semiont_jobs.codec import Codec
from semiont_jobs.committing import Committer
from semiont_jobs.errors import (
    ClaimLost,
    InvalidValue,
    QueueClosed,
    StoreError,
)
from semiont_jobs.events import Event, EventName, Hook, log_trouble
from semiont_jobs.floor import OPEN, Floor
from semiont_jobs.forks import reset_in_child
from semiont_jobs.hooks import Hooks
from semiont_jobs.in_hand import AnyInHand
from semiont_jobs.interrupts import forget_frames
from semiont_jobs.job_types import JobType, JobTypes
from semiont_jobs.keeper import PERIOD, Keeper
from semiont_jobs.lookout import Lookout
from semiont_jobs.meter import Meter
from semiont_jobs.model import AnyJob, ClaimStamp, WorkerName
from semiont_jobs.open_claims import OpenClaims, give_back_hold
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
"""Crashes that a job may have: a job that has killed four workers must not kill all of them."""
FOREIGN_STALE_AFTER: Final = timedelta(minutes=30)
"""The age at which a running job without a claim counts as an orphan. A TypeScript worker started
it, and takes no lock: only the age is known, and its jobs run for less than half an hour."""
RESCUE_INTERVAL: Final = 1.0
"""Seconds between two looks for orphans, at least. A look costs a few system calls if nothing
runs."""

Take: TypeAlias = Callable[[Wanted, ClaimStamp, datetime], Hold | None]
"""A function that claims in a store: `JobStore.claim`, or another one."""


class QueueDesk(Openable):
    """The part of a `JobQueue` that its methods and its claims share."""

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
        """Loops take it between two jobs."""
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
        """Reset this in a forked child: the parent's claims are not the child's."""
        self._begin_closed()
        self._rescuing = threading.Lock()
        self._rescued_at = float("-inf")
        self._ailing: set[str] = set()
        """What fails, and was logged: a job's id, or else the message."""
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
        """Where the jobs are."""
        return self._store

    # -- life ----------------------------------------------------------------------------

    def open_for_work(self, stop: threading.Event) -> Opening:
        """Open the queue for a loop that claims, such as a worker's, and start its keeper.

        The loop claims in the opening that this returns. `stop` is set when a close ends it.
        """
        while True:
            self.start_keeper()
            with self._lock:
                if self._is_open:  # else it was closed at once
                    self._opening.stops(stop)
                    return self._opening

    # -- events --------------------------------------------------------------------------

    def subscribe(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` with every event of this queue object; returns a function that ends this.

        The hook runs in the thread that acted. Events of the queue's or a pool's own threads come
        from one more thread, in order, but perhaps later than other threads' events: of two events
        of one job the later one has the higher ``job.metadata.revision``. A hook that raises does
        not harm the job; its first failure is logged. A hook that blocks holds up its thread, and
        the job that this thread has just claimed.

        :raises InvalidValue: `hook` cannot be called.
        """
        return self._hooks.add(checked_hook(hook))

    def emit(
        self, name: EventName, job: AnyJob | None, reason: str = "", *, about: str = ""
    ) -> None:
        """Count an event of a job, or of what `about` names, and notify every hook and waiter."""
        if job is not None:
            self.note(name, job)
        self.tell(name, job, reason, about=about)

    def note(self, name: EventName, job: AnyJob) -> None:
        """Count an event before it is sent."""
        self._meter.note(name, job)

    def tell(
        self, name: EventName, job: AnyJob | None, reason: str = "", *, about: str = ""
    ) -> None:
        """Notify every hook and every waiter."""
        self._hooks.tell_noted()
        if self._hooks.hear(name):
            self.floor.leave()  # a hook may take its time
            id_ = about if job is None else job.metadata.id
            at = self.clock()
            self._hooks.tell(Event(name=name, at=at, job_id=id_, job=job, reason=reason))
        if job is not None:
            # Last: so a thread that waits finds what the hooks did. If a hook hangs, the lookout
            # notices the change by itself.
            self._lookout.tell(job.metadata.id)

    def tell_noted(self) -> None:
        """Notify every hook of what the store did by itself."""
        self._hooks.tell_noted()

    def finish_telling(self, patience: float = float("inf")) -> None:
        """Wait until hooks have heard the events of the queue's own threads, for `patience` seconds
        and for `hooks.PATIENCE` at most."""
        self._hooks.finish(patience)

    def _hear(self, event: Event) -> None:
        """Take an event from the store, inside its call; hooks are notified after the call."""
        self._lookout.tell(event.job_id)
        if event.job is not None:
            self._meter.note(event.name, event.job)
        self._hooks.note(event)

    # -- claims --------------------------------------------------------------------------

    def policy_of(self, job: AnyJob) -> RetryPolicy:
        """The retry policy of the job's type, or else the queue's."""
        kind = self.job_types.get(job.metadata.type)
        return (kind and kind.retry_policy) or self.retry_policy

    def timeout_of(self, job: AnyJob) -> float | None:
        """The time limit of an attempt at this job, in seconds, if its type has one."""
        kind = self.job_types.get(job.metadata.type)
        return kind.timeout if kind else None

    def check_params(self, job: AnyJob) -> None:
        """Raise `JobDecodeError` if the params do not fit the class of the job's type."""
        fault = self.codec.params_fault(job)
        if fault is not None:
            raise fault

    def forget(self, claim: AnyInHand) -> None:
        """Stop looking after a claim: it has ended."""
        self._claims.forget(claim)
        self._ailing.discard(claim.job_id)

    def commit_soon(self) -> bool:
        """Have what a loop put off made durable soon, even if the loop does not do it."""
        return self.committer.look()

    def dropped(self, claim: AnyInHand) -> None:
        """Note an open claim that is garbage; a finalizer calls this."""
        self._claims.drop(claim)

    def claim_one(
        self,
        wanted: Wanted,
        worker: WorkerName | None,
        policy: RetryPolicy | None,
        opening: Opening,
        claim: Take | None = None,
    ) -> AnyClaim | None:
        """Claim the next due job, or return None.

        :param claim: what claims in the store; None: `JobStore.claim`.
        """
        self._rescue_if_due()
        stamp, now = self.stamp(worker), self.clock()
        take = claim or self._store.claim
        return self.claimed(lambda: insist(take, wanted, stamp, now), policy, opening)

    def claimed(
        self, take: Callable[[], Hold | None], policy: RetryPolicy | None, opening: Opening
    ) -> AnyClaim | None:
        """Claim what `take` claims in the store, if it does."""
        taken: list[Hold] = []
        made: list[AnyClaim] = []

        def make() -> AnyClaim | None:
            opening.check()
            # First: without the keeper, nothing would look after the new claim.
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
            else:
                # Closed since the check, perhaps before the claim existed; or by a hook.
                if not opening.is_over:
                    self.emit("claimed", claim.job)
                if opening.is_over:
                    raise QueueClosed("the queue was closed meanwhile; the job was given back")
        except BaseException as error:
            # An interrupt, for example in a hook, or before there was a claim. The caller does not
            # get the claim, and a kept traceback would keep the job, too.
            forget_frames(error)
            for claim in made:
                if claim.is_open:
                    with suppress(ClaimLost):
                        claim.release()
            for hold in taken[len(made) :]:
                give_back_hold(hold)
            raise
        return claim

    def keep(self, claim: AnyClaim) -> None:
        """Keep a reference to an open claim to which there may be no other."""
        self._claims.keep(claim)

    # -- upkeep --------------------------------------------------------------------------

    def keep_house(self) -> float:
        """Do one round of the keeper: open claims, held-back progress, orphans."""
        if not self._is_open:
            return PERIOD
        self._try("dropped claims cannot be given back", self._claims.give_back_dropped)
        for claim in self._claims.all():
            job_id = claim.job.metadata.id
            self._try(f"job {job_id} cannot be looked after", claim.look_after, about=job_id)
        self._rescue_if_due()
        return PERIOD

    def _try(self, trouble: str, action: Callable[[], object], about: str = "") -> None:
        """Run `action`; log its failure once, until it succeeds.

        Trouble with one claim, such as a file that the disk refuses, must not delay anything else.
        """
        try:
            action()
        except Exception as error:  # noqa: BLE001
            if (about or trouble) not in self._ailing:
                self._ailing.add(about or trouble)
                log_trouble(error, "%s: %s", trouble, error)
        else:
            self._ailing.discard(about or trouble)

    def start_keeper(self) -> None:
        """Start to rescue and watch in the background; claiming starts this by itself.

        :raises ThreadRefused: the system gives no thread.
        """
        self.initialize()
        self._keeper.start()

    def rescue_orphans(self) -> int:
        """Rescue the running jobs whose worker died; returns how many.

        They become pending, failed or cancelled. Workers and claims do this by themselves about
        once a second. A live worker keeps its job, even if it is slow or stopped.
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
                now = self.clock()  # not within the loop: an interrupt would leave an orphan held
                for hold in orphans:
                    try:
                        happened = self._rescuer.rescue(hold, now)
                    except StoreError as error:
                        refused = refused or error  # the orphans behind it are rescued all the same
                        continue
                    except BaseException:
                        hold.let_go()  # an interrupt, before it was rescued
                        raise
                    if happened is not None:
                        told.append(happened)
                if refused is not None:
                    raise refused
        except BaseException as error:
            forget_frames(error)
            raise
        finally:
            # Not under the lock: while a hook takes its time, other threads can rescue.
            for name, job in told:
                self.emit(name, job)
            self._hooks.tell_noted()
        return len(told)

    def _rescue_if_due(self) -> None:
        if time.monotonic() - self._rescued_at >= RESCUE_INTERVAL and not self._rescuing.locked():
            self.floor.leave()  # there may be many orphans
            self._try("dead workers' jobs cannot be rescued", self._rescue_orphans)

    # -- what methods share --------------------------------------------------------------

    def _run(self, action: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
        """Do something with the store, and open it first if need be."""
        if not self._is_open:
            self.initialize()
        return self._act(action, *args, **kwargs)

    def _act(self, action: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
        """Do something with the store, then notify hooks of what it noted meanwhile."""
        try:
            return insist(action, *args, **kwargs)
        except BaseException as error:
            forget_frames(error)
            raise
        finally:
            self._hooks.tell_noted()
