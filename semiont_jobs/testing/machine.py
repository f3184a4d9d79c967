"""Random histories of a queue, beside a plain model: a hypothesis state machine for any store.

It must not know any store. Subclass it, define the three hooks, and run ``YourMachine.TestCase``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)

from semiont_jobs.errors import (
    ClaimLost,
    InvalidTransition,
    JobCancelled,
    JobExists,
    PermanentError,
    StaleJob,
)
from semiont_jobs.ids import JobId
from semiont_jobs.model import AnyJob, JobMetadata, PendingJob, evolve
from semiont_jobs.queue import JobQueue
from semiont_jobs.testing.ground import Ground
from semiont_jobs.testing.laws import PlainJob
from semiont_jobs.testing.waiting import eventually

TYPES: Final = ("resize", "encode")
QUEUES: Final = ("default", "slow")
VERBS: Final = ("report", "checkpoint", "complete", "fail", "snooze", "release", "cancel")
"""Operations of a claim."""

_some_types = st.none() | st.sets(st.sampled_from(TYPES), min_size=1).map(frozenset)
_some_queue = st.none() | st.sampled_from(QUEUES)
_index = st.integers(0, 1_000)
"""Selects a job or claim, modulo their number."""


class JobQueueMachine(Ground):
    """Each rule is one operation, applied to the queue and to the laws; they must agree after
    each."""

    # -- creating ------------------------------------------------------------------------

    @rule(
        type_=st.sampled_from(TYPES),
        queue=st.sampled_from(QUEUES),
        priority=st.integers(-1, 1),
        delay=st.sampled_from((None, 0, 5)),
        max_retries=st.integers(0, 2),
    )
    def create(
        self, type_: str, queue: str, priority: int, delay: int | None, max_retries: int
    ) -> None:
        """Create one job."""
        plain = self._plain(type_, queue, priority, delay, max_retries)
        self.queue.create_job(_pending(plain))
        self.laws.create(plain)

    @rule(count=st.integers(1, 4), type_=st.sampled_from(TYPES))
    def create_batch(self, count: int, type_: str) -> None:
        """Create some jobs at once."""
        plains = [self._plain(type_, "default", 0, None, 1, n) for n in range(count)]
        self.queue.create_jobs([_pending(plain) for plain in plains])
        for plain in plains:
            self.laws.create(plain)

    @precondition(lambda self: self.laws.jobs)
    @rule(which=_index, batch=st.booleans())
    def create_again(self, which: int, batch: bool) -> None:
        """An id that exists is refused, in a batch too, which then creates nothing."""
        known = _pending(self._job(which))
        fresh = _pending(self._plain("resize", "default", 0, None, 0))
        _refused(
            JobExists,
            lambda: (
                self.queue.create_jobs([fresh, known]) if batch else self.queue.create_job(known)
            ),
        )

    # -- claiming ------------------------------------------------------------------------

    @rule(types=_some_types, queue=_some_queue, by_accept=st.booleans())
    def claim(self, types: frozenset[str] | None, queue: str | None, by_accept: bool) -> None:
        """Claim the first of the wanted jobs, if there is one."""
        wanted = self.laws.next(self.clock(), types, queue)
        filters: dict[str, Any] = {"queue": queue}
        if by_accept and types is not None:
            filters["accept"] = _ACCEPTS[types]
        else:
            filters["types"] = types
        if wanted is None:
            assert self.queue.claim_next_job(**filters) is None
            return
        # A store may need a moment to see what another queue object created.
        eventually(lambda: _id(self.queue.poll_next_pending_job(**filters)) == wanted.id)
        claim = self.queue.claim_next_job(**filters)
        assert claim is not None
        assert wanted.id == claim.job.metadata.id
        self.laws.claim(wanted)
        self.claims.append(claim)
        self.claimed_by[claim] = self.queue

    @precondition(lambda self: self.claims)
    @rule(which=_index, page=st.integers(0, 9))
    def report(self, which: int, page: int) -> None:
        """Report progress; refused with `JobCancelled` once the job was asked to stop."""
        claim, plain = self._claim(which)
        if plain.is_asked_to_stop:
            _refused(JobCancelled, lambda: claim.report({"page": page}))
            return
        claim.report({"page": page})
        assert {"page": page} == claim.job.progress
        # A report held back for half a second is written by the next checkpoint at the latest.
        claim.checkpoint()
        self.laws.report(plain, {"page": page})

    @precondition(lambda self: self.claims)
    @rule(which=_index, units=st.lists(st.sampled_from("abc"), max_size=3))
    def checkpoint(self, which: int, units: list[str]) -> None:
        """Store completed units."""
        claim, plain = self._claim(which)
        claim.checkpoint(units)
        self.laws.checkpoint(plain, units)

    @precondition(lambda self: self.claims)
    @rule(which=_index, result=st.none() | st.integers(0, 3) | st.just([1, {"two": 2}]))
    def complete(self, which: int, result: Any) -> None:
        """Complete the job, even if it was asked to stop."""
        claim, plain = self._claim(which, ends=True)
        claim.complete(result)
        self.laws.complete(plain, result, self.clock())

    @precondition(lambda self: self.claims)
    @rule(which=_index, permanent=st.booleans())
    def fail(self, which: int, permanent: bool) -> None:
        """Fail the attempt."""
        claim, plain = self._claim(which, ends=True)
        claim.fail(PermanentError("never") if permanent else ValueError("not now"))
        self.laws.fail(plain, self.clock(), permanent=permanent)

    @precondition(lambda self: self.claims)
    @rule(which=_index, seconds=st.integers(0, 20))
    def snooze(self, which: int, seconds: int) -> None:
        """Snooze the job."""
        claim, plain = self._claim(which, ends=True)
        claim.snooze(timedelta(seconds=seconds))
        self.laws.snooze(plain, self.clock() + timedelta(seconds=seconds))

    @precondition(lambda self: self.claims)
    @rule(which=_index)
    def release(self, which: int) -> None:
        """Release the job."""
        claim, plain = self._claim(which, ends=True)
        claim.release()
        self.laws.release(plain)

    @precondition(lambda self: self.claims)
    @rule(which=_index)
    def obey(self, which: int) -> None:
        """The job's code checks whether it should stop, and stops."""
        claim, plain = self._claim(which)
        if not plain.is_asked_to_stop:
            claim.raise_if_cancelled()
            return
        _refused(JobCancelled, claim.raise_if_cancelled)
        self.claims.remove(claim)
        claim.cancel()
        self.laws.stopped(plain, self.clock())

    # -- death ---------------------------------------------------------------------------

    @precondition(lambda self: self.claims)
    @rule(which=_index)
    def die(self, which: int) -> None:
        """The holder dies, and its job is rescued."""
        claim, plain = self._claim(which, ends=True)
        self.kill_holder(claim)
        self.queue.rescue_orphans()
        eventually(lambda: _status(self.queue.get_job(plain.id)) != "running")
        self.laws.died(plain, self.clock())
        self.superseded.append(claim)

    @precondition(lambda self: self.superseded)
    @rule(which=_index, verb=st.sampled_from(VERBS))
    def be_superseded(self, which: int, verb: str) -> None:
        """A holder that counts as dead can change nothing."""
        claim = self.superseded[which % len(self.superseded)]
        verbs: dict[str, Callable[[], object]] = {
            "report": lambda: claim.report({"late": True}),
            "checkpoint": lambda: claim.checkpoint(["late"]),
            "complete": lambda: claim.complete("late"),
            "fail": lambda: claim.fail("late"),
            "snooze": lambda: claim.snooze(1),
            "release": claim.release,
            "cancel": claim.cancel,
        }
        _refused((ClaimLost, JobCancelled), verbs[verb])

    # -- by hand -------------------------------------------------------------------------

    @precondition(lambda self: self.laws.jobs)
    @rule(which=_index)
    def cancel(self, which: int) -> None:
        """Cancel a job in any status."""
        plain = self._job(which)
        assert self.laws.cancel(plain, self.clock()) == self.queue.cancel_job(plain.id)

    @precondition(lambda self: self.laws.jobs)
    @rule(which=_index)
    def retry(self, which: int) -> None:
        """Retry a job in any status."""
        plain = self._job(which)
        if self.laws.retry(plain):
            self.queue.retry_job(plain.id)
        else:
            _refused(InvalidTransition, lambda: self.queue.retry_job(plain.id))

    @rule(age=st.integers(0, 30), cancelled=st.booleans())
    def clean(self, age: int, cancelled: bool) -> None:
        """Remove jobs that ended long ago."""
        statuses = frozenset({"complete", "failed", *(["cancelled"] if cancelled else [])})
        count = self.laws.remove(self.clock() - timedelta(seconds=age), statuses)
        assert count == self.queue.cleanup_completed_jobs(
            timedelta(seconds=age), cancelled=cancelled
        )

    @precondition(lambda self: self.claims)
    @rule(which=_index, page=st.integers(0, 9))
    def update_claimed(self, which: int, page: int) -> None:
        """`update_job` for a claim of the same queue object goes through the claim."""
        claim, plain = self._claim(which)
        if self.claimed_by[claim] is not self.queue:
            return
        base = claim.job
        for number in (page, page + 1):  # twice from one base object, as the seed does
            self.queue.update_job(evolve(base, progress={"page": number}))
        self.laws.report(plain, {"page": page + 1})

    @precondition(lambda self: self.laws.jobs)
    @rule(which=_index, priority=st.integers(-1, 1))
    def update_waiting(self, which: int, priority: int) -> None:
        """`update_job` changes the priority of a pending job that was read just before."""
        plain = self._job(which)
        job = self.queue.get_job(plain.id)
        if not isinstance(job, PendingJob):
            return
        self.queue.update_job(evolve(job, metadata=evolve(job.metadata, priority=priority)))
        plain.priority = priority
        self.read_before.append(job)

    @precondition(lambda self: self.read_before)
    @rule(which=_index)
    def update_stale(self, which: int) -> None:
        """`update_job` of a job read before its last change is refused."""
        job = self.read_before[which % len(self.read_before)]
        plain = self.laws.jobs.get(job.metadata.id)
        if plain is not None and plain.status == "pending":
            _refused(StaleJob, lambda: self.queue.update_job(job, "pending"))

    # -- time and place ------------------------------------------------------------------

    @rule(seconds=st.sampled_from((1, 5, 11)))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    @rule()
    def open_another(self) -> None:
        """Use another queue object from now on; claims on the old one continue."""
        self.queue: JobQueue = self.reopen()
        self.queues.append(self.queue)


def _pending(plain: PlainJob) -> PendingJob[Any]:
    metadata = JobMetadata(
        id=JobId(plain.id),
        type=plain.type,
        queue=plain.queue,
        priority=plain.priority,
        created=plain.created,
        max_retries=plain.max_retries,
        run_after=plain.run_after,
    )
    return PendingJob(metadata=metadata, params={"of": plain.id})


def _acceptor(types: frozenset[str]) -> Callable[[PendingJob[Any]], bool]:
    return lambda job: job.metadata.type in types


# The same callable every time: a store remembers refusals by it.
_ACCEPTS: Final = {
    types: _acceptor(types)
    for types in (frozenset({"resize"}), frozenset({"encode"}), frozenset(TYPES))
}


def _refused(
    error: type[BaseException] | tuple[type[BaseException], ...], act: Callable[[], object]
) -> None:
    try:
        act()
    except error:
        return
    raise AssertionError(f"{error} was not raised")


def _id(job: AnyJob | None) -> str | None:
    return None if job is None else job.metadata.id


def _status(job: AnyJob | None) -> str | None:
    return None if job is None else job.status
