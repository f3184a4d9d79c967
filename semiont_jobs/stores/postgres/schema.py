"""The tables of a store: made, brought up to date, and looked at before anything is trusted.

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
"""The first server that ends the session of a client whose network fell silent
(``tcp_user_timeout``): before it, a dead host's jobs would look alive for hours."""
TESTED: Final = range(15, 19)
"""Servers that the tests ran on: the oldest and the newest of these."""

TRIES: Final = 5
"""A pooler may hand its sessions out in turn, or the one used last, and be as slow as to hide it
once or twice."""

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
"""Each brings the schema from the version of its index to the next one."""

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
    """Refuse a server that this store cannot rely on; warn of one that nobody tested.

    :raises UnsafeStore: too old, or texts in it are not UTF-8.
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

    A lock that says that a process lives belongs to a session, and so do LISTEN and settings.
    What stands between is tried: two clients in turn, one of them in a transaction, get two
    backends of the server and keep them, or they share.

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
                # Else, where there is but one backend, it is busy with the other client's
                # transaction, and a question to it would wait.
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
    """Make the schema's tables or bring them up to date, one process at a time.

    :raises UnsupportedFormat: a newer version of this library made them.
    :raises UnsafeStore: somebody else did.
    :raises StoreError: rights are missing; or it is not there, and nothing is to be made.
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
                # Only now: seen without the lock, they might be those of somebody who is making
                # them at this moment.
                _refuse_foreign(session, schema, place)
            _migrate(session, schema, found)
    _check_tables(session, schema, place)
    _check_rights(session, schema, place, read_only=read_only)


def _version(session: Session, schema: str, place: str) -> int | None:
    """The version of the tables that are there; None: there are none."""
    if "about" not in _relations(session, schema):
        return None
    try:
        row = session.execute(f"SELECT version FROM {quoted(schema)}.about".encode()).fetchone()
    except errors.UndefinedColumn:
        row = None
    # Below 1 is what a transaction that makes the tables says to itself.
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
    """What stands in the schema now.

    Read from the catalog itself: ``to_regclass`` answers from a cache of the session, which may
    not have heard yet of what another session made while this one waited for its turn.
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
        # A schema that a person made for us, with rights to it but none to make one, will do.
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
        wanted += [("quarantine", "INSERT")]  # else the first bad row would stop every worker
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
    """The number under which the makers of one schema take turns."""
    digest = hashlib.blake2b(f"semiont_jobs.schema.{schema}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
