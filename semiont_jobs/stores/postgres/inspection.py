"""What a doctor asks about a schema and its server. Nothing is changed.

It must not know what is healthy.
"""

from __future__ import annotations

import secrets
from contextlib import closing
from datetime import datetime
from typing import Any, Final

from attrs import frozen

from semiont_jobs import fields
from semiont_jobs.errors import JobDecodeError
from semiont_jobs.stores.postgres.address import quoted
from semiont_jobs.stores.postgres.arriving import OF_OLDER_VERSIONS
from semiont_jobs.stores.postgres.hold import Office
from semiont_jobs.stores.postgres.rows import LOCKED_KEYS
from semiont_jobs.stores.postgres.schema import TESTED
from semiont_jobs.stores.postgres.sessions import Session

PATIENCE: Final = 5.0
"""Seconds to wait for a notification, which takes a few milliseconds."""
LONG: Final = "5 minutes"
"""A transaction that is idle for so long prevents dead rows of all tables from being cleared."""


@frozen
class DatabaseInspection:
    """What was found."""

    server: int
    """The server's major version."""
    is_tested: bool
    schema_version: int
    locks_exclude: bool
    """Whether a lock of one session excludes another one."""
    is_notified: bool
    """Whether a notification of one session arrives at another."""
    bad: tuple[tuple[str, str], ...]
    """Ids of rows that are not valid jobs, and why."""
    orphans: tuple[str, ...]
    """Ids of running jobs whose worker's lock was released."""
    quarantined: tuple[str, ...]
    arriving: int
    """Jobs of an interrupted transfer."""
    oldest_due: tuple[str, datetime] | None
    """The due job that has waited longest, and since when."""
    idle_transactions: int
    """Sessions of this database that have been idle within a transaction for `LONG`."""
    clock_ahead: float
    """Seconds that the server's clock is ahead of this machine's."""
    bytes_used: int
    """Size of the jobs' table with its indexes."""


def inspect(office: Office, schema: str) -> DatabaseInspection:
    """Inspect the schema."""
    sessions, schema = office.sessions, quoted(schema)
    # The second is not from the pool, which may have only one.
    with sessions.session() as one, closing(sessions.connect()) as other:
        sent = fields.now()
        now = _one(one, "SELECT clock_timestamp()")
        received = fields.now()
        halfway = sent + (received - sent) / 2
        bad = []
        query = f"SELECT id, status, document FROM {schema}.jobs".encode()
        with one.transaction(), one.cursor(name="inspection", binary=True) as cursor:
            for job_id, status, document in cursor.execute(query):
                try:
                    office.codec.decode(document, job_id=job_id, status=status)
                except JobDecodeError as error:
                    bad.append((job_id, error.reason))
        return DatabaseInspection(
            server=one.info.server_version // 10000,
            is_tested=one.info.server_version // 10000 in TESTED,
            schema_version=_one(one, f"SELECT version FROM {schema}.about"),
            locks_exclude=_exclude(one, other),
            is_notified=_hears(one, other),
            bad=tuple(bad),
            orphans=_column(one, _ORPHANS.format(s=schema)),
            quarantined=_column(one, f"SELECT name FROM {schema}.quarantine ORDER BY at"),
            arriving=_arriving(one, schema),
            oldest_due=one.execute(_OLDEST.format(s=schema).encode()).fetchone(),
            idle_transactions=_one(one, _IDLE),
            clock_ahead=(now - halfway).total_seconds(),
            bytes_used=_one(one, f"SELECT pg_total_relation_size('{schema}.jobs')"),
        )


_ORPHANS: Final = f"""
SELECT id FROM {{s}}.jobs
WHERE status = 'running' AND (owner IS NULL OR owner NOT IN ({LOCKED_KEYS})) ORDER BY id
"""
_OLDEST: Final = """
SELECT id, due FROM {s}.jobs WHERE status = 'pending' AND not_before <= now()
ORDER BY due LIMIT 1
"""
_IDLE: Final = f"""
SELECT count(*) FROM pg_stat_activity
WHERE state LIKE 'idle in transaction%' AND datname = current_database()
    AND xact_start < now() - interval '{LONG}'
"""


def _one(session: Session, statement: str) -> Any:
    row = session.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def _column(session: Session, statement: str) -> tuple[str, ...]:
    return tuple(row[0] for row in session.execute(statement.encode()))


def _arriving(session: Session, schema: str) -> int:
    found = 0
    for table in ("arrivals", OF_OLDER_VERSIONS):
        if _one(session, f"SELECT to_regclass('{schema}.{table}')") is not None:
            found += int(_one(session, f"SELECT count(*) FROM {schema}.{table}"))
    return found


def _exclude(one: Session, other: Session) -> bool:
    key = [secrets.randbits(62)]
    one.execute("SELECT pg_advisory_lock(%s)", key)
    try:
        row = other.execute("SELECT pg_try_advisory_lock(%s)", key).fetchone()
        was_had = row is None or bool(row[0])
        if was_had:
            other.execute("SELECT pg_advisory_unlock(%s)", key)
        return not was_had
    finally:
        one.execute("SELECT pg_advisory_unlock(%s)", key)


def _hears(one: Session, other: Session) -> bool:
    channel = f"doctor_{secrets.token_hex(8)}"
    one.execute(f"LISTEN {channel}".encode())
    try:
        other.execute("SELECT pg_notify(%s, '')", [channel])
        return any(news.channel == channel for news in one.notifies(timeout=PATIENCE, stop_after=1))
    finally:
        one.execute(f"UNLISTEN {channel}".encode())
