"""A store of your own: jobs in one SQLite file, ``JobQueue(SqliteStore("jobs.db"))``.

It serves one process. The open store keeps SQLite's lock on the file, so a second process is
refused. If a job is running but nothing in this process holds it, its holder has died. Open the
store after a fork, not before.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from semiont_jobs import (
    AnyJob,
    ClaimLost,
    ClaimStamp,
    Event,
    JobDecodeError,
    JobExists,
    JobHeld,
    JobNotFound,
    JobStatus,
    PendingJob,
    StoreError,
    lifecycle,
)
from semiont_jobs.codec import Codec, Written
from semiont_jobs.events import Hook
from semiont_jobs.model import FINISHED, STATUSES
from semiont_jobs.store import Wanted

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, status TEXT, text BLOB, type TEXT, queue TEXT,
    priority INT, due REAL, run_after REAL, created REAL, completed_at REAL
);
CREATE INDEX IF NOT EXISTS turns ON jobs (status, priority DESC, due, created, id);
CREATE TABLE IF NOT EXISTS cancels (id TEXT, life TEXT, PRIMARY KEY (id, life));
CREATE TABLE IF NOT EXISTS quarantine (id TEXT PRIMARY KEY, text BLOB, why TEXT);
"""


class SqliteStore:
    """A `semiont_jobs.store.JobStore`: the JSON of each job, and columns to find it by."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._database: sqlite3.Connection | None = None
        self._holds: dict[str, SqliteHold] = {}
        self._refused: set[tuple[Any, str, int]] = set()

    def open(self, codec: Codec, notify: Hook) -> None:
        with self._lock:
            self._codec, self._notify = codec, notify
            if self._database is not None:
                return
            database = sqlite3.connect(
                self._path, timeout=0, isolation_level=None, check_same_thread=False
            )
            try:
                database.execute("PRAGMA locking_mode = EXCLUSIVE")
                database.execute("PRAGMA synchronous = FULL")
                database.executescript(f"BEGIN EXCLUSIVE; {SCHEMA} COMMIT;")
            except sqlite3.Error as error:
                database.close()
                raise StoreError(errno.EBUSY, str(error), self._path) from error
            self._database = database

    def close(self) -> None:
        self.wake()  # no more: another queue may use this store, and has holds of its own

    def leave(self) -> None:
        """Release the file, as the death of this process would."""
        with self._changed:
            self._holds.clear()
            if self._database is not None:
                self._database.close()
            self._database = None

    # -- creating and reading ------------------------------------------------------------

    def create(self, job: PendingJob[Any]) -> None:
        self.create_many([job])

    def create_many(self, jobs: Iterable[PendingJob[Any]]) -> None:
        rows = [_row(job, self._codec.encode(job, is_new=True)) for job in jobs]
        with self._transaction() as database:
            for row in rows:
                try:
                    database.execute(f"INSERT INTO jobs VALUES ({_marks(row)})", row)
                except sqlite3.IntegrityError:
                    raise JobExists(row[0]) from None

    def get(self, job_id: str) -> AnyJob | None:
        rows = self._rows("id = ?", job_id)
        return self._decoded(*rows[0]) if rows else None

    def jobs(self, statuses: Iterable[JobStatus]) -> Iterator[AnyJob]:
        wanted = list(statuses)
        for row in self._rows(f"type IS NOT NULL AND status IN ({_marks(wanted)})", *wanted):
            yield self._decoded(*row)

    def counts(self) -> Mapping[JobStatus, int]:
        found = "SELECT status, count(*) FROM jobs WHERE type IS NOT NULL GROUP BY status"
        none: dict[JobStatus, int] = dict.fromkeys(STATUSES, 0)
        with self._transaction() as database:
            return none | dict(database.execute(found))

    # -- claiming ------------------------------------------------------------------------

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> SqliteHold | None:
        with self._lock:
            self._set_aside(now)
            for job in self._due(wanted, now):
                hold = self.hold(job.metadata.id)
                if not hold.cancel_requested():
                    hold.move(lifecycle.claim(job, stamp, now))
                    return hold
                ended = lifecycle.cancel(job, now)
                hold.move(ended)
                self._notify(Event(name="cancelled", at=now, job_id=ended.metadata.id, job=ended))
        return None

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        with self._lock:
            due = self._due(wanted, now)
            return next((job for job in due if not self.is_asked_to_stop(job)), None)

    def _due(self, wanted: Wanted, now: datetime) -> Iterator[PendingJob[Any]]:
        where = "status = 'pending' AND type IS NOT NULL AND (run_after IS NULL OR run_after <= ?)"
        values: list[Any] = [now.timestamp()]
        if wanted.types is not None:
            where += f" AND type IN ({_marks(wanted.types)})"
            values += wanted.types
        for row in self._rows(f"{where} ORDER BY priority DESC, due, created, id", *values):
            if row[0] not in self._holds:
                job = self._decoded(*row)
                if isinstance(job, PendingJob) and self._is_wanted(job, wanted):
                    yield job

    def _is_wanted(self, job: PendingJob[Any], wanted: Wanted) -> bool:
        if not wanted.covers(job.metadata.type, job.metadata.queue):
            return False
        if wanted.accept is None:
            return True
        key = (wanted.accept, job.metadata.id, job.metadata.revision)
        if key not in self._refused and not wanted.accept(job):
            self._refused.add(key)
        return key not in self._refused

    def _set_aside(self, now: datetime) -> None:
        # A row without a type was not written by this store, so a person must look at it.
        for name, status, text in self._rows("type IS NULL"):
            try:
                self._decoded(name, status, text)
                why = "it was not put here by this store"
            except JobDecodeError as error:
                why = str(error)
            with self._transaction() as database:
                database.execute("INSERT INTO quarantine VALUES (?, ?, ?)", (name, text, why))
                database.execute("DELETE FROM jobs WHERE id = ?", (name,))
            self._notify(Event(name="quarantined", at=now, job_id=name, job=None, reason=why))

    # -- holding -------------------------------------------------------------------------

    def hold(self, job_id: str) -> SqliteHold:
        with self._lock:
            job = self.get(job_id)
            if job is None:
                raise JobNotFound(job_id)
            if job_id in self._holds:
                raise JobHeld(job_id)
            self._holds[job_id] = SqliteHold(self, job)
            return self._holds[job_id]

    def request_cancel(self, job_id: str, life: str) -> bool:
        with self._transaction() as database:
            job = self.get(job_id)
            if job is None or job.status in FINISHED or job.metadata.life != life:
                return False
            database.execute("INSERT OR IGNORE INTO cancels VALUES (?, ?)", (job_id, life))
            return True

    def orphans(self, now: datetime, foreign_stale_after: timedelta) -> Iterator[SqliteHold]:
        for job_id, *_rest in self._rows("status = 'running'"):
            with self._lock:
                job = self.get(job_id)
                is_orphan = job is not None and job.status == "running"
                hold = self.hold(job_id) if is_orphan and job_id not in self._holds else None
            if hold is not None:
                yield hold

    # -- removing ------------------------------------------------------------------------

    def remove(
        self,
        statuses: Iterable[JobStatus],
        before: datetime,
        removed: Callable[[AnyJob], object],
        type_name: str | None = None,
    ) -> None:
        ended = [*statuses]
        where = f"status IN ({_marks(ended)}) AND completed_at < ? AND type = ifnull(?, type)"
        with self._lock:
            rows = self._rows(where, *ended, before.timestamp(), type_name)
            for row in rows:
                if (job := self.remove_one(row[0])) is not None:
                    removed(job)

    def remove_one(self, job_id: str) -> AnyJob | None:
        with self._transaction() as database:
            job = self.get(job_id)
            if job is None or job.status not in FINISHED or job_id in self._holds:
                return None
            database.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
            database.execute("DELETE FROM cancels WHERE id = ?", (job_id,))
            return job

    # -- waiting -------------------------------------------------------------------------

    def wait(self, stop: threading.Event, timeout: float, now: datetime) -> None:
        soonest = "SELECT min(run_after) FROM jobs WHERE status = 'pending' AND run_after > ?"
        with self._changed:
            if stop.is_set():
                return
            with self._transaction() as database:
                [at] = database.execute(soonest, (now.timestamp(),)).fetchone()
            self._changed.wait(timeout if at is None else min(timeout, at - now.timestamp()))

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # -- called by holds ----------------------------------------------------------------

    def put(self, hold: SqliteHold, job: AnyJob) -> AnyJob:
        if hold.params is None or hold.job.status != "running":
            hold.params = self._codec.written_params(job)
        is_update = job.status == hold.job.status == "running"
        text = self._codec.encode(job, params=hold.params, is_update=is_update)
        row = _row(job, text)
        with self._changed:
            if not self.is_held(hold):
                raise ClaimLost(job.metadata.id)
            with self._transaction() as database:
                database.execute(f"REPLACE INTO jobs VALUES ({_marks(row)})", row)
            if job.status != "running":
                self.let_go(hold)
        return self._codec.decode(text)

    def let_go(self, hold: SqliteHold) -> None:
        with self._changed:
            if self.is_held(hold):
                del self._holds[hold.job.metadata.id]
                self._changed.notify_all()

    def is_held(self, hold: SqliteHold) -> bool:
        return self._holds.get(hold.job.metadata.id) is hold

    def is_asked_to_stop(self, job: AnyJob) -> bool:
        asked = "SELECT 1 FROM cancels WHERE id = ? AND life = ?"
        with self._transaction() as database:
            found = database.execute(asked, (job.metadata.id, job.metadata.life)).fetchone()
            return found is not None

    # -- SQL -----------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction, one thread at a time; SQLite's errors become `StoreError`."""
        with self._changed:
            database = self._database
            if database is None:
                raise StoreError(errno.EBADF, "the store is not open", self._path)
            is_outermost = not database.in_transaction
            try:
                if is_outermost:
                    database.execute("BEGIN")
                yield database
                if is_outermost:
                    database.execute("COMMIT")
            except sqlite3.Error as error:
                raise StoreError(errno.EIO, str(error), self._path) from error
            finally:
                if is_outermost:
                    if database.in_transaction:
                        database.execute("ROLLBACK")
                    self._changed.notify_all()

    def _rows(self, where: str, *values: Any) -> list[tuple[str, JobStatus, bytes]]:
        with self._transaction() as database:
            found = database.execute(f"SELECT id, status, text FROM jobs WHERE {where}", values)
            return found.fetchall()

    def _decoded(self, job_id: str, status: JobStatus, text: bytes) -> AnyJob:
        return self._codec.decode(text, job_id=job_id, status=status)


class SqliteHold:
    """A `semiont_jobs.store.Hold`: ownership of one job, known to this process only."""

    def __init__(self, store: SqliteStore, job: AnyJob) -> None:
        self.job = job
        self.params: Written | None = None
        self._store = store

    def move(self, job: AnyJob) -> None:
        self.job = self._store.put(self, job)

    def let_go(self) -> None:
        self._store.let_go(self)

    def is_standing(self) -> bool:
        return self._store.is_held(self)

    def cancel_requested(self) -> bool:
        return self._store.is_asked_to_stop(self.job)


def _row(job: AnyJob, text: bytes) -> tuple[Any, ...]:
    metadata = job.metadata
    completed_at: datetime | None = getattr(job, "completed_at", None)
    instants = [metadata.due, metadata.run_after, metadata.created, completed_at]
    return (
        metadata.id,
        job.status,
        text,
        metadata.type,
        metadata.queue,
        metadata.priority,
        *(None if each is None else each.timestamp() for each in instants),
    )


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("?" for _ in values)
