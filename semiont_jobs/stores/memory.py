"""Jobs in this process's memory: a reference for the tests, and a store for your own tests. Nothing
outlives the process. It must not know files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import define

from semiont_jobs import lifecycle
from semiont_jobs.codec import Codec, Written
from semiont_jobs.errors import (
    ClaimLost,
    InvalidValue,
    JobDecodeError,
    JobExists,
    JobHeld,
    JobNotFound,
)
from semiont_jobs.events import Event, Hook
from semiont_jobs.fields import now as clock
from semiont_jobs.forks import reset_in_child
from semiont_jobs.model import (
    FINISHED,
    STATUSES,
    UNFINISHED,
    AnyJob,
    ClaimStamp,
    JobStatus,
    PendingJob,
    RunningJob,
)
from semiont_jobs.store import Accept, Hold, Wanted
from semiont_jobs.threads import lock_and_condition


@define
class _Record:
    """One job: its JSON, as a file would contain it, and the job decoded from that."""

    text: bytes
    job: AnyJob
    holder: MemoryHold | None = None


class _Looked(threading.local):
    """When a thread last looked for a job: it must not wait for what came since."""

    changes: int | None = None
    at: datetime | None = None


class MemoryStore:
    """A store in memory. It keeps every promise of a `JobStore` except durability."""

    def __init__(self) -> None:
        self.reset_after_fork()
        self._records: dict[str, _Record] = {}
        self._bad: dict[str, bytes] = {}
        self._changes = 0
        self._cancel_requests: dict[str, str] = {}
        """By job id, the life to be stopped."""
        self._refused: dict[str, set[tuple[Accept, int]]] = {}
        """By job id, which `accept` has refused which revision."""
        self._codec: Codec
        self._notify: Hook
        self.quarantine: dict[str, tuple[bytes, str]] = {}
        """Invalid jobs by name: the content, and why it could not be read."""
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Give the child jobs of its own. Those that the parent works on stay held in the child:
        they are not run twice."""
        self._lock, self._changed = lock_and_condition()
        self._looked = _Looked()

    def __reduce__(self) -> Any:
        rule = "jobs in memory are in this process only: use a directory"
        raise InvalidValue(rule, field="store", value=self)

    def open(self, codec: Codec, notify: Hook) -> None:
        with self._lock:
            self._codec = codec
            self._notify = notify

    def close(self) -> None:
        # Not the holds: other queues may be open on this store. A queue ends its own first.
        self.wake()

    def plant(self, name: str, text: bytes) -> None:
        """Put content among the pending jobs that no codec wrote: for tests."""
        with self._lock:
            self._bad[name] = text
            self._tell_waiting()

    def kill_holder(self, job_id: str) -> None:
        """Make the holder of a job vanish as if its process had died: for tests."""
        with self._lock:
            holder = self._records[job_id].holder
            if holder is not None:
                holder.let_go()
            self._tell_waiting()

    # -- creating and reading ------------------------------------------------------------

    def create(self, job: PendingJob[Any]) -> None:
        self.create_many([job])

    def create_many(self, jobs: Iterable[PendingJob[Any]]) -> None:
        records: dict[str, _Record] = {}
        for job in jobs:
            if job.metadata.id in records:
                raise JobExists(job.metadata.id, "the batch has this id twice")
            records[job.metadata.id] = self._record(job, is_new=True)
        with self._lock:
            for job_id in records:
                if job_id in self._records:
                    raise JobExists(job_id)
            self._records.update(records)
            self._tell_waiting()

    def get(self, job_id: str) -> AnyJob | None:
        with self._lock:
            record = self._records.get(job_id)
        # Decoded again for every reader: params may be a dict that the reader changes.
        return self._codec.decode(record.text) if record else None

    def jobs(self, statuses: Iterable[JobStatus]) -> Iterator[AnyJob]:
        wanted = frozenset(statuses)
        with self._lock:
            records = list(self._records.values())
        return (self._codec.decode(each.text) for each in records if each.job.status in wanted)

    def counts(self) -> Mapping[JobStatus, int]:
        with self._lock:
            found = [record.job.status for record in self._records.values()]
        return {status: found.count(status) for status in STATUSES}

    def marks(self, job_ids: Collection[str]) -> Mapping[str, Hashable]:
        with self._lock:
            records = [(each, self._records.get(each)) for each in job_ids]
            return {each: record.text if record else None for each, record in records}

    # -- claiming ------------------------------------------------------------------------

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> Hold | None:
        with self._lock:
            self._looked.changes, self._looked.at = self._changes, now
            self._set_aside()
        has_lost = True
        while has_lost:
            has_lost = False
            for record, job in self._due(wanted, now):
                hold = MemoryHold(self, self._codec.decode(record.text))
                try:
                    if not self._is_held_by(hold, record):
                        has_lost = True  # to another thread, which may have added the next since
                    elif self._begins(hold, job, stamp, now):
                        return hold
                except BaseException:
                    hold.let_go()
                    raise
        return None

    def _begins(
        self, hold: MemoryHold, job: PendingJob[Any], stamp: ClaimStamp, now: datetime
    ) -> bool:
        if not hold.cancel_requested():
            hold.move(lifecycle.claim(job, stamp, now))
            return True
        hold.move(cancelled := lifecycle.cancel(job, now))
        self._notify(Event(name="cancelled", at=now, job_id=job.metadata.id, job=cancelled))
        return False

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        due = (job for _record, job in self._due(wanted, now))
        return next((job for job in due if not self._is_cancel_requested(job)), None)

    def _due(self, wanted: Wanted, now: datetime) -> Iterator[tuple[_Record, PendingJob[Any]]]:
        """The due jobs, in order. `accept` and a function that names the worker are called without
        the lock: they may wait for another thread that uses the store."""
        with self._lock:
            records = [
                record
                for record in self._records.values()
                if record.holder is None
                and record.job.status == "pending"
                and record.job.metadata.is_due(now)
                and wanted.covers(record.job.metadata.type, record.job.metadata.queue)
            ]
        for record in sorted(records, key=_claim_order):
            job = self._codec.decode(record.text)
            if isinstance(job, PendingJob) and self._accepted(job, wanted.accept):
                yield record, job

    def _is_held_by(self, hold: MemoryHold, record: _Record) -> bool:
        """Whether the hold has the job now: it is unchanged, and has no other holder."""
        with self._lock:
            stands = self._records.get(record.job.metadata.id) is record
            if stands and record.holder is None:
                record.holder = hold
            return record.holder is hold

    def _accepted(self, job: PendingJob[Any], accept: Accept | None) -> bool:
        if accept is None:
            return True
        key = (accept, job.metadata.revision)
        if key in self._refused.get(job.metadata.id, ()):
            return False
        accepted = bool(accept(job))
        if not accepted:
            with self._lock:
                if job.metadata.id in self._records:
                    self._refused.setdefault(job.metadata.id, set()).add(key)
        return accepted

    def _set_aside(self) -> None:
        for name, text in list(self._bad.items()):
            del self._bad[name]
            try:
                self._codec.decode(text)
                reason = "it is in no place for a job"
            except JobDecodeError as error:
                reason = str(error)
            self.quarantine[name] = (text, reason)
            event = Event(name="quarantined", at=clock(), job_id=name, job=None, reason=reason)
            self._notify(event)

    # -- holding -------------------------------------------------------------------------

    def hold(self, job_id: str) -> MemoryHold:
        with self._lock:
            record = self._records.get(job_id)
            if record is None:
                raise JobNotFound(job_id)
            if record.holder is not None:
                raise JobHeld(job_id)
            # A copy: the caller may change a dict in it.
            record.holder = MemoryHold(self, self._codec.decode(record.text))
            return record.holder

    def request_cancel(self, job_id: str, life: str) -> bool:
        with self._lock:
            record = self._records.get(job_id)
            alive = (
                record is not None
                and record.job.status in UNFINISHED
                and record.job.metadata.life == life
            )
            if alive:
                self._cancel_requests[job_id] = life
            return alive

    def orphans(self, now: datetime, foreign_stale_after: timedelta) -> Iterator[Hold]:
        with self._lock:
            running = [r.job.metadata.id for r in self._records.values() if _is_orphan(r)]
        for job_id in running:
            with self._lock:
                record = self._records.get(job_id)
                hold = self.hold(job_id) if record and _is_orphan(record) else None
            if hold is not None:
                yield hold

    def remove(
        self,
        statuses: Iterable[JobStatus],
        before: datetime,
        removed: Callable[[AnyJob], object],
        type_name: str | None = None,
    ) -> None:
        wanted = frozenset(statuses) & frozenset(FINISHED)
        with self._lock:
            spent = [
                record.job
                for record in self._records.values()
                if record.job.status in wanted
                and record.holder is None
                and _ended_before(record.job, before)
                and type_name in (None, record.job.metadata.type)
            ]
            for job in spent:
                removed(self._drop(job.metadata.id))

    def remove_one(self, job_id: str) -> AnyJob | None:
        with self._lock:
            record = self._records.get(job_id)
            if record is None or record.job.status not in FINISHED or record.holder is not None:
                return None
            return self._drop(job_id)

    def _drop(self, job_id: str) -> AnyJob:
        self._refused.pop(job_id, None)
        self._cancel_requests.pop(job_id, None)
        return self._records.pop(job_id).job

    # -- waiting -------------------------------------------------------------------------

    def wait(self, stop: threading.Event, timeout: float, now: datetime) -> None:
        with self._lock:
            changes, since = self._looked.changes, min(now, self._looked.at or now)
            self._looked.changes, self._looked.at = self._changes, now
            if stop.is_set() or changes not in (None, self._changes):
                return
            delays = [
                (due - now).total_seconds()
                for record in self._records.values()
                if record.job.status == "pending"
                and (due := record.job.metadata.run_after) is not None
                and due > since
            ]
            self._changed.wait(max(0.0, min([timeout, *delays])))

    def wake(self) -> None:
        with self._lock:
            self._tell_waiting()

    def _tell_waiting(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    # -- what the holds use --------------------------------------------------------------

    def _record(
        self,
        job: AnyJob,
        *,
        params: Written | None = None,
        is_new: bool = False,
        is_update: bool = False,
    ) -> _Record:
        text = self._codec.encode(job, params=params, is_new=is_new, is_update=is_update)
        return _Record(text, self._codec.decode(text))

    def _put(self, hold: MemoryHold, job: AnyJob) -> AnyJob:
        if hold.params is None or hold.job.status != "running":
            hold.params = self._codec.written_params(job)
        is_update = job.status == hold.job.status == "running"
        fresh = self._record(job, params=hold.params, is_update=is_update)
        with self._lock:
            if not self._holds(hold):
                raise ClaimLost(job.metadata.id)
            fresh.holder = hold if job.status == "running" else None
            self._records[job.metadata.id] = fresh
            self._refused.pop(job.metadata.id, None)
            if fresh.holder is None:
                self._tell_waiting()
        return self._codec.decode(fresh.text)

    def _let_go(self, hold: MemoryHold) -> None:
        with self._lock:
            if self._holds(hold):
                self._records[hold.job.metadata.id].holder = None
                self._tell_waiting()

    def _holds(self, hold: MemoryHold) -> bool:
        with self._lock:
            record = self._records.get(hold.job.metadata.id)
            return record is not None and record.holder is hold

    def _is_cancel_requested(self, job: AnyJob) -> bool:
        with self._lock:
            return self._cancel_requests.get(job.metadata.id) == job.metadata.life


class MemoryHold:
    """Ownership of one record; it ends when the record names another holder or none."""

    def __init__(self, store: MemoryStore, job: AnyJob) -> None:
        self._store = store
        self.job = job
        self.params: Written | None = None
        """The params as claimed, even if the job's code changes the object it was given."""

    def move(self, job: AnyJob) -> None:
        self.job = self._store._put(self, job)  # noqa: SLF001 - the two classes belong together

    def let_go(self) -> None:
        self._store._let_go(self)  # noqa: SLF001

    def is_standing(self) -> bool:
        return self._store._holds(self)  # noqa: SLF001

    def cancel_requested(self) -> bool:
        return self._store._is_cancel_requested(self.job)  # noqa: SLF001


def _claim_order(record: _Record) -> tuple[int, datetime, datetime, str]:
    metadata = record.job.metadata
    return (-metadata.priority, metadata.due, metadata.created, metadata.id)


def _ended_before(job: AnyJob, before: datetime) -> bool:
    return not isinstance(job, PendingJob | RunningJob) and job.completed_at < before


def _is_orphan(record: _Record) -> bool:
    return record.job.status == "running" and record.holder is None
