"""The tables of a store: created, migrated, and checked before anything is trusted.

It must not know jobs.
"""

from __future__ import annotations

import errno
import hashlib
from typing import Final

from psycopg import errors

from semiont_jobs.errors import StoreError, UnsafeStore, UnsupportedFormat
from semiont_jobs.events import logger
from semiont_jobs.stores.postgres.address import quoted
from semiont_jobs.stores.postgres.rows import COPIED
from semiont_jobs.stores.postgres.sessions import Session, Sessions

OLDEST: Final = 12
"""The first server version that ends the session of a client whose network is down
(``tcp_user_timeout``): before it, a dead host's jobs would look alive for hours."""
TESTED: Final = range(15, 19)
"""Server versions from the oldest to the newest that the tests ran on."""

TRIES: Final = 5
"""A pooler may hand its sessions out in turn, or the one used last, and may be so slow that one or
two tries do not show it."""

MIGRATIONS: Final[tuple[str, ...]] = (
    """
CREATE TABLE {schema}.jobs (
    id text COLLATE "C" PRIMARY KEY,
    status text NOT NULL
        CHECK (status IN ('pending', 'running', 'complete', 'failed', 'cancelled')),
    type text NOT NULL,
    queue text NOT NULL,
    user_id text NOT NULL,
    priority bigint NOT NULL,
    due timestamptz NOT NULL,
    created timestamptz NOT NULL,
    not_before timestamptz NOT NULL,
    ended timestamptz,
    revision bigint NOT NULL,
    life text NOT NULL,
    asked boolean NOT NULL DEFAULT false,
    token text,
    owner bigint,
    author bigint NOT NULL,
    document bytea NOT NULL
) WITH (
    -- A table whose rows change a few times and then lie still for weeks: a fifth of it, as by
    -- default, would be millions of dead rows before anybody clears them away.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);
-- The order of claims. What stands behind the order decides within the index which entries are
-- not due or not wanted, without a look at their rows.
CREATE INDEX jobs_next ON {schema}.jobs
    ((-priority), due, created, id, not_before, type, queue) WHERE status = 'pending';
CREATE INDEX jobs_later ON {schema}.jobs (not_before)
    WHERE status = 'pending' AND not_before > '-infinity';
CREATE INDEX jobs_running ON {schema}.jobs (owner) WHERE status = 'running';
CREATE INDEX jobs_ended ON {schema}.jobs (ended) WHERE ended IS NOT NULL;
CREATE TABLE {schema}.quarantine (
    name text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    reason text NOT NULL,
    document bytea NOT NULL
);
-- For people: what a job's file would say.
CREATE VIEW {schema}.readable AS
    SELECT id, status, type, queue, user_id, priority, due, convert_from(document, 'UTF8') AS job
    FROM {schema}.jobs;
""",
)
"""Each migrates the schema from the version of its index to the next one."""

VERSION: Final = len(MIGRATIONS)

COLUMNS: Final = {
    **dict.fromkeys((*COPIED, "token"), "text"),
    **dict.fromkeys(("priority", "revision", "author", "owner"), "bigint"),
    **dict.fromkeys(("due", "created", "not_before", "ended"), "timestamp with time zone"),
    "asked": "boolean",
    "document": "bytea",
}
NEEDED: Final = frozenset({"jobs", "quarantine", "jobs_pkey"})
"""Without these no job would be safe; without one of the other indexes it is only slow."""


def check_server(session: Session, place: str) -> None:
    """Refuse a server that this store cannot rely on; warn of an untested one.

    :raises UnsafeStore: it is too old, or its encoding is not UTF-8.
    """
    major = session.info.server_version // 10000
    if major < OLDEST:
        raise UnsafeStore(
            errno.ENOTSUP, f"PostgreSQL {major} is too old: {OLDEST} is needed at least", place
        )
    if major not in TESTED:
        logger.warning(
            "PostgreSQL %d at %s is untested: this version was tested on %d to %d",
            major,
            place,
            TESTED[0],
            TESTED[-1],
        )
    encoding = session.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnsafeStore(
            errno.EILSEQ, f"the database's encoding is {encoding}: UTF8 is needed", place
        )


def check_pooler(sessions: Sessions, one: Session) -> None:
    """Refuse a pooler that gives each transaction another session of the server.

    The lock that shows that a process lives belongs to a session, and so do LISTEN and settings. So
    the connection is tested: two clients in turn, one of them in a transaction, get two backends of
    the server and keep them, or they share.

    :raises UnsafeStore: they share.
    """
    ones, others = {_backend(one) for _ in range(3)}, set[int]()
    other = sessions.connect()
    try:
        for _ in range(TRIES):
            ones.add(_backend(one))
            other.execute("BEGIN")
            others.add(_backend(other))
            if not ones & others:
                # If there is only one backend, it is busy with the other client's transaction, and
                # a query to it would wait.
                ones.add(_backend(one))
            other.execute("ROLLBACK")
            if len(ones) > 1 or len(others) > 1 or ones & others:
                raise UnsafeStore(
                    errno.ENOTSUP,
                    "a pooler (such as PgBouncer in transaction mode) stands between, and gives "
                    "each transaction another session: the lock that says that a worker lives "
                    "would belong to nobody. Connect directly, or pool in session mode",
                    sessions.address.shown,
                )
    finally:
        other.close()


def _backend(session: Session) -> int:
    row = session.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(row[0])


def prepare(session: Session, schema: str, place: str, *, read_only: bool) -> None:
    """Create the schema's tables or migrate them, one process at a time.

    :raises UnsupportedFormat: a newer version of this library made them.
    :raises UnsafeStore: another program made them.
    :raises StoreError: rights are missing; or the schema does not exist, and nothing may be made.
    """
    found = _version(session, schema, place)
    if found is None and read_only:
        if _relations(session, schema) and _version(session, schema, place) is None:
            _refuse_foreign(session, schema, place)
        raise StoreError(errno.ENOENT, "there are no jobs: the schema is not there", place)
    if found != VERSION and not read_only:
        with session.transaction():
            session.execute("SELECT pg_advisory_xact_lock(%s)", [_lock_key(schema)])
            found = _version(session, schema, place)
            if found is None:
                # Only now: without the lock, another process might be making these tables at this
                # moment.
                _refuse_foreign(session, schema, place)
            _migrate(session, schema, found)
    _check_tables(session, schema, place)
    _check_rights(session, schema, place, read_only=read_only)


def _version(session: Session, schema: str, place: str) -> int | None:
    """The version of the existing tables; None: there are none."""
    if "about" not in _relations(session, schema):
        return None
    try:
        row = session.execute(f"SELECT version FROM {quoted(schema)}.about".encode()).fetchone()
    except errors.UndefinedColumn:
        row = None
    # Below 1 is what a transaction that makes the tables sees itself.
    if row is None or not isinstance(row[0], int) or row[0] < 1:
        raise UnsafeStore(errno.EINVAL, f"{schema}.about does not tell a version", place)
    if row[0] > VERSION:
        raise UnsupportedFormat(
            errno.ENOTSUP,
            f"a newer version of semiont_jobs made the schema (format {row[0]}, known: {VERSION})",
            place,
        )
    return row[0]


def _relations(session: Session, schema: str) -> set[str]:
    """The names of the relations that the schema has now.

    Read from the catalog itself: ``to_regclass`` answers from a cache of the session, which may not
    yet know what another session made while this one waited for its turn.
    """
    query = (
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = %s"
    )
    return {row[0] for row in session.execute(query, [schema])}


def _refuse_foreign(session: Session, schema: str, place: str) -> None:
    if _relations(session, schema):
        raise UnsafeStore(
            errno.EEXIST,
            f"the schema {schema} has tables that this library did not make: "
            "name another one with schema=",
            place,
        )


def _migrate(session: Session, schema: str, found: int | None) -> None:
    name = quoted(schema)
    if found is None:
        # A schema that an administrator made is enough, if this user may use it.
        query = "SELECT count(*) FROM pg_namespace WHERE nspname = %s"
        if session.execute(query, [schema]).fetchone() == (0,):
            session.execute(f"CREATE SCHEMA {name}".encode())
        session.execute(f"CREATE TABLE {name}.about (version integer NOT NULL)".encode())
        session.execute(f"INSERT INTO {name}.about VALUES (0)".encode())
    for statements in MIGRATIONS[found or 0 :]:
        session.execute(statements.replace("{schema}", name).encode())
    session.execute(f"UPDATE {name}.about SET version = {VERSION}".encode())


def _check_tables(session: Session, schema: str, place: str) -> None:
    missing = NEEDED - _relations(session, schema)
    if missing:
        names = ", ".join(sorted(missing))
        raise UnsafeStore(
            errno.EINVAL, f"the schema {schema} was made or changed by hand: no {names}", place
        )
    query = (
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
    )
    found: dict[str, str] = dict(session.execute(query, [f"{quoted(schema)}.jobs"]).fetchall())
    if found != COLUMNS:
        odd = ", ".join(sorted({name for name, _type in found.items() ^ COLUMNS.items()}))
        raise UnsafeStore(
            errno.EINVAL, f"the table {schema}.jobs was changed by hand (columns: {odd})", place
        )


def _check_rights(session: Session, schema: str, place: str, *, read_only: bool) -> None:
    wanted = [("jobs", "SELECT")]
    if not read_only:
        wanted += [("jobs", right) for right in ("INSERT", "UPDATE", "DELETE")]
        wanted += [("quarantine", "INSERT")]  # else the first invalid row would stop every worker
    query = "SELECT " + ", ".join(["has_table_privilege(%s, %s)"] * len(wanted))
    names = [text for table, right in wanted for text in (f"{quoted(schema)}.{table}", right)]
    row = session.execute(query.encode(), names).fetchone()
    assert row is not None
    missing = [
        right if table == "jobs" else f"{right} into {table}"
        for (table, right), has in zip(wanted, row, strict=True)
        if not has
    ]
    if missing:
        user = session.info.user
        raise StoreError(
            errno.EACCES, f"user {user} has no right to {', '.join(missing)} in {schema}", place
        )


def _lock_key(schema: str) -> int:
    """The key of the lock for creating and migrating one schema."""
    digest = hashlib.blake2b(f"semiont_jobs.schema.{schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
