"""PostgresStore: a `JobStore` that is a schema of a PostgreSQL database.

It must not know SQL (`rows`) or sessions: it leaves those to the parts.
"""

from __future__ import annotations

import errno
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from semiont_jobs.codec import Codec
from semiont_jobs.errors import InvalidValue, JobDecodeError, JobExists, StoreError
from semiont_jobs.events import Hook
from semiont_jobs.forks import reset_in_child
from semiont_jobs.listing import Filters
from semiont_jobs.model import STATUSES, AnyJob, ClaimStamp, JobStatus, PendingJob
from semiont_jobs.store import Hold, Wanted
from semiont_jobs.stores.postgres import taking, upkeep
from semiont_jobs.stores.postgres.address import Address, address_of, quoted
from semiont_jobs.stores.postgres.claiming import Claiming
from semiont_jobs.stores.postgres.creating import check_connection, insert
from semiont_jobs.stores.postgres.hold import Office, PostgresHold
from semiont_jobs.stores.postgres.house import MovingHouse
from semiont_jobs.stores.postgres.inspection import DatabaseInspection, inspect
from semiont_jobs.stores.postgres.liveness import Liveness, nobody
from semiont_jobs.stores.postgres.rows import columns, statements, text
from semiont_jobs.stores.postgres.schema import check_pooler, check_server, prepare
from semiont_jobs.stores.postgres.sessions import Sessions
from semiont_jobs.stores.postgres.told import LOST
from semiont_jobs.stores.postgres.waking import Looked, News
from semiont_jobs.weak import end_after, weakly

POOL_SIZE: Final = 8
"""Connections of one store object at most, besides the one that shows that its process lives. An
operation needs one for a few milliseconds, so these are enough for some dozens of busy threads."""
LISTED_AT_ONCE: Final = 500
"""Rows that a listing fetches together: usually a few megabytes of jobs."""
MOST_ROWS: Final = 2**63 - 1
CANCEL: Final = "cancel"


class PostgresStore(MovingHouse):
    """Jobs in one schema of a PostgreSQL database.

    :param url: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``, as libpq accepts it;
        ``?schema=NAME`` also names the schema.
    :param schema: the schema of the jobs; default ``semiont_jobs``. It is created if the user may
        do so. Several queues can share a database, with a schema each.
    :param fsync: True: an acknowledged write survives a crash of the server, if the server is set
        up so. False: only a crash of clients (``synchronous_commit`` is off).
    :param pool_size: connections at most, besides the one that a working process keeps.
    :param read_only: read only: nothing is created, and every operation that would change a job
        raises `StoreError`.
    :raises InvalidValue: an argument is invalid.
    """

    def __init__(
        self,
        url: str,
        *,
        schema: str | None = None,
        fsync: bool = True,
        pool_size: int = POOL_SIZE,
        read_only: bool = False,
    ) -> None:
        if isinstance(pool_size, bool) or not isinstance(pool_size, int) or pool_size < 1:
            raise InvalidValue("a whole number from 1", field="pool_size", value=pool_size)
        self._url = url
        self._options: dict[str, Any] = {
            "schema": schema,
            "fsync": fsync,
            "pool_size": pool_size,
            "read_only": read_only,
        }
        self.address: Address = address_of(url, schema)
        self._statements = statements(self.address.schema)
        self._new_sessions = partial(
            Sessions, self.address, fsync=fsync, read_only=read_only, size=pool_size
        )
        self._read_only = read_only
        self._tell: Callable[[], None] = _nobody
        self._begin_afresh()
        reset_in_child(self)

    def _begin_afresh(self) -> None:
        self._office: Office | None = None
        self._news = News()
        self._looked = Looked()
        self._author = secrets.randbits(62)
        self._in_doubt: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the location and options; the copy opens the same schema in its process."""
        return (partial(type(self), **self._options), (self._url,))

    def reset_after_fork(self) -> None:
        """Leave the sessions and the holds to the parent."""
        office = self._office
        self._begin_afresh()
        if office is not None:
            office.sessions.abandon()
            for hold in list(office.holds.values()):
                hold.abandon()
            office.holds.clear()

    # -- life ----------------------------------------------------------------------------

    def open(self, codec: Codec, notify: Hook) -> None:
        """Prepare the schema, refuse what is unsafe, and begin with nothing held.

        :raises UnsafeStore: jobs would not be safe there.
        :raises UnsupportedFormat: a newer version of this library made the schema.
        :raises StoreError: the server cannot be reached, or rights are missing.
        """
        place = self.address.shown
        # New ones: threads may still be using those of the last opening.
        sessions = self._new_sessions()
        session = sessions.connect()
        try:
            with sessions.told(None):
                check_server(session, place)
                check_pooler(sessions, session)
                prepare(session, self.address.schema, place, read_only=self._read_only)
        finally:
            session.close()
        sessions.open()
        self._notify = notify
        office = Office(
            sessions=sessions,
            statements=self._statements,
            codec=codec,
            # Weakly: its thread would keep alive a store that is no longer used.
            liveness=Liveness(sessions, hear=weakly(self._hear), changed=weakly(self._changed)),
            holds={},
            news=self._news,
        )
        self._claiming = Claiming(office, notify)
        self._office = office
        self._leave = end_after(self, office.close)

    def close(self) -> None:
        """Let go of everything held, end the sessions, and wake waiting threads. A job that a
        thread is storing at this moment stays held until that is done."""
        if self._office is not None:
            self._office.close()
            self._leave.detach()
            self._news()

    def tell(self, news: Callable[[], None]) -> None:
        """Call `news` when holders should look again: a cancellation was requested, or the lock
        that shows that this process lives was lost, regained or given up."""
        self._tell = news

    def kill_holder(self, job_id: str) -> None:
        """Make the holder of a job vanish as if its process had died: for tests.

        :raises KeyError: no claim of this store object holds it.
        """
        if self._office is None:
            raise KeyError(job_id)
        del self._office.holds[job_id]
        # As if its key were no process's: the other jobs of this process go on.
        query = f"UPDATE {quoted(self.address.schema)}.jobs SET owner = %s WHERE id = %s"
        with self._office.sessions.session(job_id) as session:
            session.execute(query.encode(), [nobody(), job_id])

    # -- creating and reading ------------------------------------------------------------

    def create(self, job: PendingJob[Any]) -> None:
        """See `JobStore.create`."""
        self._create({job.metadata.id: self._row(job)})

    def create_many(self, jobs: Iterable[PendingJob[Any]]) -> None:
        """See `JobStore.create_many`."""
        self._create(self._batch(jobs))

    def create_within(self, connection: Any, jobs: Iterable[PendingJob[Any]]) -> None:
        """See `Transactional.create_within`. Idle workers are notified at the commit.

        :raises StoreError: the server refused, or the connection is to another database; or this
            store is read-only, which a caller's connection does not enforce.
        """
        check_connection(connection)
        if self._read_only:
            raise StoreError(errno.EROFS, "nothing may be changed here", self.address.shown)
        is_idle = connection.info.transaction_status == TransactionStatus.IDLE
        cursor = psycopg.Cursor(connection)
        with self._opened.sessions.told(None, renews=False):
            if connection.autocommit and is_idle:
                insert(connection, self._statements, self._batch(jobs))
                cursor.execute(self._statements.notify, [""])
            else:
                # First: this begins the transaction if none has begun; `insert` would end one that
                # it began. Notifications are sent at the commit, whatever the order.
                cursor.execute(self._statements.notify, [""])
                insert(connection, self._statements, self._batch(jobs))

    def get(self, job_id: str) -> AnyJob | None:
        """See `JobStore.get`."""
        office = self._opened
        with office.sessions.session(job_id) as session:
            row = session.execute(self._statements.get, [job_id], binary=True).fetchone()
        return None if row is None else office.codec.decode(row[0], job_id=job_id, status=row[1])

    def jobs(self, statuses: Iterable[JobStatus]) -> Iterator[AnyJob]:
        """See `JobStore.jobs`. All as they were at one instant."""
        with (
            self._opened.sessions.session() as session,
            session.transaction(),
            session.cursor(name="listing", binary=True) as cursor,
        ):
            cursor.itersize = LISTED_AT_ONCE
            cursor.execute(self._statements.jobs, [list(statuses)])
            for row in cursor:
                job = self._listed(*row)
                if job is not None:
                    yield job

    def newest(self, filters: Filters, most: int) -> list[AnyJob]:
        """See `Listing.newest`."""
        asked = most
        while True:
            # No database has as many rows as a bigint can count.
            rows = self._newest_rows(filters, min(asked, MOST_ROWS))
            found = [job for row in rows if (job := self._listed(*row)) and filters.match(job)]
            if len(found) >= most or len(rows) < asked:
                return found[:most]
            asked = most + len(rows) - len(found)  # in place of those that are no jobs

    def _newest_rows(self, filters: Filters, most: int) -> list[tuple[Any, ...]]:
        columns = {name: getattr(filters, name) for name in ("type", "user_id", "queue")}
        texts = {name: value and text(value) for name, value in columns.items()}
        wanted = {**texts, "statuses": list(filters.statuses), "most": most}
        with self._opened.sessions.session() as session:
            return session.execute(self._statements.newest, wanted, binary=True).fetchall()

    def _listed(self, job_id: str, status: JobStatus, document: bytes) -> AnyJob | None:
        try:
            return self._opened.codec.decode(document, job_id=job_id, status=status)
        except JobDecodeError:
            return None  # a claimer that finds it moves it to quarantine

    def counts(self) -> Mapping[JobStatus, int]:
        """See `JobStore.counts`."""
        with self._opened.sessions.session() as session:
            found: dict[JobStatus, int] = dict(session.execute(self._statements.counts).fetchall())
        return {status: found.get(status, 0) for status in STATUSES}

    # -- claiming and holding ------------------------------------------------------------

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> Hold | None:
        """See `JobStore.claim`."""
        _ = self._opened
        self._news.look()
        self._looked.at = now
        return self._claiming.claim(wanted, stamp, now)

    def peek(self, wanted: Wanted, now: datetime) -> PendingJob[Any] | None:
        """See `JobStore.peek`."""
        _ = self._opened
        return self._claiming.peek(wanted, now)

    def hold(self, job_id: str) -> PostgresHold:
        """See `JobStore.hold`."""
        return taking.hold(self._opened, job_id)

    def request_cancel(self, job_id: str, life: str) -> bool:
        """See `JobStore.request_cancel`."""
        with self._opened.sessions.session(job_id) as session:
            asked = session.execute(self._statements.ask, [job_id, text(life)]).fetchone()
            if asked == ("running",):
                session.execute(self._statements.notify, [CANCEL])
        return asked is not None

    # -- upkeep --------------------------------------------------------------------------

    def orphans(self, now: datetime, foreign_stale_after: timedelta) -> Iterator[Hold]:
        """See `JobStore.orphans`."""
        return upkeep.orphans(self._opened, self._notify)

    def remove(
        self,
        statuses: Iterable[JobStatus],
        before: datetime,
        removed: Callable[[AnyJob], object],
        type_name: str | None = None,
    ) -> None:
        """See `JobStore.remove`."""
        upkeep.remove(self._opened, statuses, before, removed, type_name)

    def remove_one(self, job_id: str) -> AnyJob | None:
        """See `JobStore.remove_one`."""
        return upkeep.remove_one(self._opened, job_id)

    def inspect(self) -> DatabaseInspection:
        """Inspect the schema and its server without changing anything: for the doctor."""
        return inspect(self._opened, self.address.schema)

    # -- waiting -------------------------------------------------------------------------

    def wait(self, stop: threading.Event, timeout: float, now: datetime) -> None:
        """See `JobStore.wait`."""
        office = self._opened
        office.liveness.begin()  # its session receives the news
        with office.sessions.session() as session:
            row = session.execute(self._statements.later, [min(now, self._looked.at)]).fetchone()
        self._looked.at = now
        if row is not None and row[0] is not None:
            # What has become due since the last look is not waited for.
            timeout = max(0.0, min(timeout, (row[0] - now).total_seconds()))
        self._news.wait(stop, timeout)

    def wake(self) -> None:
        """See `JobStore.wake`."""
        if self._office is not None:
            self._news()

    # -- private -------------------------------------------------------------------------

    @property
    def _opened(self) -> Office:
        office = self._office
        assert office is not None, "the store is not open"
        return office

    def _row(self, job: PendingJob[Any]) -> dict[str, Any]:
        return columns(job, self._opened.codec.encode(job, is_new=True)) | {"author": self._author}

    def _batch(self, jobs: Iterable[PendingJob[Any]]) -> dict[str, dict[str, Any]]:
        batch: dict[str, dict[str, Any]] = {}
        for job in jobs:
            if job.metadata.id in batch:
                raise JobExists(job.metadata.id, "the batch has this id twice")
            batch[job.metadata.id] = self._row(job)
        return batch

    def _create(self, batch: dict[str, dict[str, Any]]) -> None:
        only = next(iter(batch)) if len(batch) == 1 else None
        try:
            with self._opened.sessions.session(only) as session:
                if only is None:
                    insert(session, self._statements, batch)
                elif session.execute(self._statements.create, batch[only]).rowcount != 1:
                    raise JobExists(only)
                # Separately, after it is stored: transactions that notify are committed one at a
                # time, each for as long as it writes to the disk.
                with suppress(psycopg.Error):
                    session.execute(self._statements.notify, [""])
        except StoreError as error:
            if error.errno == LOST:
                self._in_doubt.update(batch)
            raise
        except JobExists:
            if not self._was_stored_in_doubt(batch):
                raise
        self._in_doubt.difference_update(batch)
        self._news()

    def _was_stored_in_doubt(self, batch: dict[str, dict[str, Any]]) -> bool:
        """Whether these exist because an earlier call stored them, whose answer was lost."""
        if not self._in_doubt.issuperset(batch):
            return False
        with self._opened.sessions.session() as session:
            found = session.execute(self._statements.authors, [list(batch)]).fetchall()
        return dict(found) == dict.fromkeys(batch, self._author)

    def _hear(self, word: str) -> None:
        if word == CANCEL:
            self._tell()
        else:
            self._news()

    def _changed(self) -> None:
        self._tell()
        self._news()


def _nobody() -> None:
    """Do nothing: no callback is set."""
