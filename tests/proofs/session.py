"""Verbs of a queue, each told to a ledger before and after: what every history is made of.

It must not know which verbs follow each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from files.places import AT_ONCE, Unattended, job
from proofs.ledger import Facts, Ledger
from proofs.states import MAX_CRASHES

from semiont_jobs import FileStore, SemiontJobsError, claimer, committing, desk, retry
from semiont_jobs.builtin import BUILTIN_JOB_TYPES
from semiont_jobs.claim import AnyClaim
from semiont_jobs.codec import Codec
from semiont_jobs.errors import JobExists
from semiont_jobs.events import Event, logger
from semiont_jobs.job_types import JobTypes
from semiont_jobs.keeper import Keeper
from semiont_jobs.stamps import Stamps
from semiont_jobs.stores.files import pending, reader
from semiont_jobs.stores.files.copies import Copies
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.stores.files.journal import by_journal, segment
from semiont_jobs.stores.files.journal.journal import Journal
from semiont_jobs.testing import FakeClock

T = TypeVar("T")

SMALL_JOURNAL: Final = 6 * 1024
"""Bytes of a journal's file: some eight records."""

HIGHEST_PID: Final = 4_194_304
"""No process of Linux has a higher number."""

ROUNDS: Final = 5
"""Looks at what is left to work off: each works off all it sees, so the second finds nothing,
unless the disk is at fault."""


class NoKeeper(Keeper):
    """No thread: a child that is forked has none either, and nothing happens by itself."""

    def start(self) -> None:
        """Leave it to the test."""


class AloneQueue(Unattended):
    """A queue with no thread of its own, so that the same verbs make the same calls."""

    def reset_after_fork(self) -> None:
        super().reset_after_fork()
        self._keeper = NoKeeper(self)
        self.committer.look = lambda: True  # type: ignore[method-assign]
        # As long in every process: claims tell it, and a journal is full after so many bytes.
        stamps = Stamps()
        stamps._pid = HIGHEST_PID + os.getpid()
        stamps._own_name = f"{stamps._host}-{stamps._pid}"
        self.stamp = stamps.new


_CODEC: Final = Codec(JobTypes(BUILTIN_JOB_TYPES))


@contextmanager
def at_once() -> Iterator[None]:
    """What waits for time to pass does not wait: bad entries are bad at the second look,
    what met a passing error is tried again at once, ``pending`` is listed whenever it has changed, and a folder counts as quiet. With a
    `SteadyDisk` the calls of a script then depend on nothing but the script.

    Journals are small, so that a history fills some, and are emptied by whoever fills them. A loop
    puts little off.

    And all queues share one codec: it writes the code that reads jobs when it is made, which
    takes as long as a whole history."""
    now: tuple[tuple[Any, str, Any], ...] = (
        (Copies, "grace", 0.0),
        (pending, "BUSY_SHARE", 0),
        (pending, "IDLE_SHARE", 0),
        (pending, "REST", 0.0),
        (pending, "MTIME_GRAIN", 0.0),
        (pending, "BAD_DELAY", 0.0),
        (reader, "QUIET", 0),
        (retry, "pause", lambda _seconds: None),
        (logger.logger, "disabled", True),  # thousands of warnings, all provoked
        (desk, "Codec", lambda _job_types: _CODEC),
        (Journal, "in_background", False),
        (segment, "MOST_BYTES", SMALL_JOURNAL),
        (segment, "FIRST_STEP", SMALL_JOURNAL // 4),
        (by_journal, "LARGEST", SMALL_JOURNAL // 3),
        # By number, not by time.
        (committing, "MOST", 2),
        (claimer, "SHORT", 3600.0),
    )
    was = [(owner, name, getattr(owner, name)) for owner, name, _value in now]
    for owner, name, value in now:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in was:
            setattr(owner, name, value)


def type_of(job_id: str) -> str:
    """Every job has a type of its own, so that a claim of one job is that of one type."""
    return f"of-{job_id}"


RESCUES = ("rescued", "failed", "cancelled")
"""What an event may call a rescue: one of these becomes of the job."""


class Session:
    """One process's verbs on one directory.

    :param disk: the door; None: the real disk.
    :param is_faulty: the disk may refuse. A job whose verb was refused is left alone from then
        on (`spoiled`), until `work_off`.
    """

    def __init__(
        self,
        data_dir: Path,
        ledger: Ledger,
        *,
        disk: Disk | None = None,
        durability: Durability = "process",
        clock: FakeClock | None = None,
        is_faulty: bool = False,
    ) -> None:
        self.data_dir = data_dir
        self.ledger = ledger
        self.disk = disk or Disk()
        self.durability = durability
        self.clock = clock or FakeClock()
        self.is_faulty = is_faulty
        self.spoiled: set[str] = set()
        self.claims: dict[str, AnyClaim] = {}
        self.known: list[str] = []
        self.errors: list[SemiontJobsError] = []
        self.after_verb: Callable[[], None] = lambda: None
        self._told: list[Event] = []
        self.queue = self._open()

    def _open(self) -> AloneQueue:
        store = FileStore(self.data_dir, durability=self.durability, disk=self.disk)
        queue = AloneQueue(store, retry_policy=AT_ONCE, clock=self.clock, max_crashes=MAX_CRASHES)
        queue.subscribe(self._told.append)
        return queue

    # -- one verb ------------------------------------------------------------------------

    def do(
        self, verb: str, job_ids: str | Sequence[str], call: Callable[[], T], **facts: Any
    ) -> T | None:
        """Do something to one job, or to some at once; None if it was refused, or left out
        because of what was refused before."""
        ids = [job_ids] if isinstance(job_ids, str) else job_ids
        return self._do(verb, dict.fromkeys(ids, facts), call)

    def _do(self, verb: str, jobs: dict[str, Facts], call: Callable[[], T]) -> T | None:
        if not self.spoiled.isdisjoint(jobs):
            return None
        self.clock.advance(1)
        for job_id, facts in jobs.items():
            self.ledger.begun(verb, job_id, facts)
        try:
            answer = call()
        except SemiontJobsError as error:
            if not self.is_faulty:
                raise
            self.refused(verb, jobs, error)
            return None
        finally:
            self.after_verb()
        if verb in ("claim", "take") and answer is None:
            # Found by nobody: only after an error that hid it. The caller looks whether.
            for job_id, facts in jobs.items():
                self.ledger.refused(verb, job_id, facts)
            return None
        for job_id, facts in jobs.items():
            self.ledger.acknowledged(verb, job_id, facts)
        return answer

    def refused(self, verb: str, jobs: dict[str, Facts], error: SemiontJobsError) -> None:
        """The disk refused a verb, which may have been done or not."""
        self.errors.append(error)
        self.spoiled.update(jobs)
        for job_id, facts in jobs.items():
            self.ledger.refused(verb, job_id, facts)

    # -- verbs with more to them ---------------------------------------------------------

    def create(self, job_id: str, max_retries: int = 3, *, is_drawn: bool = False) -> None:
        """One new job; its id may be one that nobody else can have, as `enqueue` draws it."""
        self.known.append(job_id)
        params = {"of": job_id}
        new = job(
            job_id, type_of(job_id), params=params, max_retries=max_retries, created=self.clock()
        )
        self.do(
            "create",
            job_id,
            lambda: self.queue._create(new, None, is_drawn=is_drawn),
            params=params,
            max_retries=max_retries,
        )

    def create_batch(
        self, job_ids: Sequence[str], max_retries: int = 1, *, are_drawn: bool = False
    ) -> None:
        """Some new jobs at once, as above. After a crash a prefix of them stands."""
        self.known.extend(job_ids)
        now = self.clock()
        params = {job_id: {"of": job_id} for job_id in job_ids}
        new = [
            job(each, type_of(each), params=params[each], max_retries=max_retries, created=now)
            for each in job_ids
        ]
        batch = list(job_ids)
        facts = {
            each: {"params": params[each], "max_retries": max_retries, "batch": batch}
            for each in job_ids
        }
        self._do("create", facts, lambda: self.queue._create_all(new, None, are_drawn=are_drawn))

    def create_again(self, job_ids: Sequence[str], *, as_batch: bool = False) -> None:
        """Jobs of which one exists: refused, and the first keeps its params."""
        others = [job(each, type_of(each), params={"of": "an impostor"}) for each in job_ids]

        def create() -> None:
            try:
                if as_batch:
                    self.queue.create_jobs(others)
                else:
                    self.queue.create_job(others[0])
            except JobExists:
                return
            raise AssertionError(f"{job_ids} were created, of which one exists")

        self.do("refuse", job_ids, create)

    def claim(self, job_id: str) -> AnyClaim | None:
        """The job, which must be there to be claimed."""
        claim = self.do("claim", job_id, lambda: self.try_to_claim(job_id))
        if claim is not None:
            self.claims[job_id] = claim
        elif job_id not in self.spoiled:
            assert self.is_faulty, f"{job_id} could not be claimed"
            self.spoiled.add(job_id)
        return claim

    def try_to_claim(self, job_id: str) -> AnyClaim | None:
        """The job, if it can be claimed."""
        return self.queue.claim_next_job(types=(type_of(job_id),))

    def end(self, verb: str, job_id: str, call: Callable[[AnyClaim], object], **facts: Any) -> None:
        """An outcome of a claimed job."""
        claim = self.claims.get(job_id)
        if claim is not None:
            self.do(verb, job_id, lambda: call(claim), **facts)
            if not claim.is_open:
                del self.claims[job_id]

    def lose_holder(self, job_id: str) -> None:
        """The process that works on the job dies, as far as this job can see."""
        if job_id in self.claims and job_id not in self.spoiled:
            self.ledger.begun("die", job_id, {})
            store: Any = self.queue.store
            store.kill_holder(job_id)
            del self.claims[job_id]

    def rescue(self, job_ids: Sequence[str]) -> int:
        """Look for dead workers' jobs, of which these are all there can be."""
        return self._sweep("rescue", job_ids, RESCUES, self.queue.rescue_orphans)

    def remove(self, job_ids: Sequence[str], before: datetime, *, cancelled: bool = False) -> int:
        """Remove finished jobs that ended before that instant, of which these are all."""
        return self._sweep(
            "remove",
            job_ids,
            ("removed",),
            lambda: self.queue.cleanup_completed_jobs(before, cancelled=cancelled),
        )

    def _sweep(
        self, verb: str, job_ids: Sequence[str], events: tuple[str, ...], call: Callable[[], int]
    ) -> int:
        """A verb that finds its jobs itself: an event tells of each that it was done to."""
        self.clock.advance(1)
        if self.is_faulty:
            # What was refused may have been done, so there may be more than the script thinks.
            known = dict.fromkeys([*job_ids, *self.known])
            job_ids = [each for each in known if each not in self.claims]
        for job_id in job_ids:
            self.ledger.begun(verb, job_id, {})
        self._told.clear()
        count = 0
        try:
            count = call()
        except SemiontJobsError as error:
            if not self.is_faulty:
                raise
            self.errors.append(error)
        finally:
            self.after_verb()
        done = {event.job_id for event in self._told if event.name in events}
        for job_id in job_ids:
            if job_id in done:
                self.ledger.acknowledged(verb, job_id, {})
            else:
                assert self.is_faulty, f"{job_id} was not met by {verb}"
                self.ledger.refused(verb, job_id, {})
        assert self.is_faulty or count == len(job_ids), f"{verb} met {count} of {job_ids}"
        return count

    def reopen(self) -> None:
        """Close the queue, which gives back what it holds, and open another."""
        refusals = len(self.errors)
        if not self.spoiled.isdisjoint(self.claims):
            return  # it goes on with what it could not store
        self.do("release", list(self.claims), self.queue.close)
        if len(self.errors) == refusals:
            self.claims = {}
            self.queue = self._open()
            self.do("open", [], self.queue.initialize)

    # -- recovery ------------------------------------------------------------------------

    def work_off(self) -> list[str]:
        """Rescue what is orphaned, and do all work that there is; whose work was done."""
        self.spoiled.clear()
        worked: list[str] = []
        for job_id in list(self.claims):
            self._finish(job_id, worked)
        for _ in range(ROUNDS):
            running = self.queue.query_jobs(status="running", limit=None)
            orphans = [each.metadata.id for each in running if each.metadata.id not in self.claims]
            if orphans:
                self.rescue(orphans)
            waiting = self.queue.query_jobs(status="pending", limit=None)
            for each in waiting:
                job_id = each.metadata.id
                claim = self._claim_if_possible(job_id)
                if claim is not None:
                    self.claims[job_id] = claim
                    self._finish(job_id, worked)
            if not waiting and not orphans:
                break
        return worked

    def _claim_if_possible(self, job_id: str) -> AnyClaim | None:
        self.clock.advance(1)
        self.ledger.begun("claim", job_id, {})
        claim = self.try_to_claim(job_id)
        if claim is None:
            # It was to be cancelled, or was debris of a move, and is so now.
            self.ledger.refused("claim", job_id, {})
        else:
            self.ledger.acknowledged("claim", job_id, {})
        return claim

    def _finish(self, job_id: str, worked: list[str]) -> None:
        worked.append(job_id)
        self.end("complete", job_id, lambda claim: claim.complete(DONE), result=DONE)


DONE: Final = {"by": "the one who worked it off"}
