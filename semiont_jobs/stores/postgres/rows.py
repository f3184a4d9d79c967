"""A job as a row, and every statement about rows.

It must not execute them.

The document is the job, exactly as the codec wrote it; columns repeat those parts of it that
statements use. The others: ``token`` marks the last writer of the row (a claim's token while the
job is held), ``owner`` is the key of the lock that shows that the holder lives, ``asked`` is
whether this life of the job is to be cancelled, and ``author`` is the store object that created it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from itertools import product
from operator import getitem
from typing import Any, Final

from attrs import frozen

from semiont_jobs.model import OF_RUNS, AnyJob, PendingJob, RunningJob
from semiont_jobs.stores.postgres.address import quoted

FOREVER: Final = "-infinity"
"""The ``not_before`` of a job that waits for no instant."""
COPIED: Final = (
    "id",
    "status",
    "type",
    "queue",
    "user_id",
    "priority",
    "due",
    "created",
    "not_before",
    "ended",
    "revision",
    "life",
    "author",
    "document",
)
"""The columns of a new row; the others begin empty."""
REPEATED: Final = tuple(
    name for name in COPIED if name not in ("id", "status", "author", "document")
)
"""Those that only repeat what the document says."""
LOCKS_SINCE: Final = (
    "greatest(pg_postmaster_start_time(), (SELECT stats_reset FROM pg_stat_bgwriter))"
)
"""When the server last released all locks: at its start, or when one of its processes was killed.
In the latter case it ends every session, starts again and discards its statistics, but keeps the
time of its start. Statistics that a person resets make this later than it is, which does no
harm."""
LOCKED_KEYS: Final = """
    SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
"""The keys of all owners that live: those whose lock a session has."""
LONGEST: Final = 1000
"""Bytes of a string in a column: two of them and an id go into an entry of an index, which may have
2704. Of a longer one the column has the beginning and a digest, the document all."""
_LARGEST: Final = 2**63 - 1
"""A number by another program that is too large for a column is sorted as the largest."""


def columns(job: AnyJob, document: bytes) -> dict[str, Any]:
    """What is written of a job, by column, whatever becomes of its holder."""
    metadata = job.metadata
    return {
        "id": metadata.id,
        "status": job.status,
        "type": text(metadata.type),
        "queue": text(metadata.queue),
        "user_id": text(metadata.user_id),
        "priority": max(-_LARGEST, min(metadata.priority, _LARGEST)),
        "due": metadata.due,
        "created": metadata.created,
        "not_before": metadata.run_after or FOREVER,
        "ended": ended_at(job),
        "revision": min(metadata.revision, _LARGEST),
        "life": text(metadata.life),
        "document": document,
    }


def ended_at(job: AnyJob) -> datetime | None:
    """When a finished job ended."""
    return None if isinstance(job, PendingJob | RunningJob) else job.completed_at


def text(given: str) -> str:
    """A string that a column and its indexes can hold, different for every different string."""
    given = printable(given)
    if len(given) <= LONGEST // 4 or len(data := given.encode()) <= LONGEST:
        return given
    # No escaped string has a backslash before an h.
    return f"{given[:100]}\\h{hashlib.blake2b(data, digest_size=32).hexdigest()}"


def printable(given: str) -> str:
    """A string that the server accepts, different for every different string.

    It accepts neither U+0000 nor lone surrogates, which JSON can represent.
    """
    if given.isprintable() and "\\" not in given:
        return given
    return given.encode("unicode_escape").decode("ascii")


@frozen(kw_only=True)
class Statements:
    """Every statement, for one schema."""

    create: bytes
    copy: bytes
    authors: bytes
    get: bytes
    jobs: bytes
    newest: bytes
    counts: bytes
    next: Mapping[tuple[bool, bool], bytes]
    page: Mapping[tuple[bool, bool], bytes]
    pick: bytes
    hold: bytes
    put: bytes
    look: bytes
    claimed: bytes
    ask: bytes
    orphans: bytes
    alone: bytes
    remove_finished: bytes
    remove: bytes
    set_aside: bytes
    set_right: bytes
    later: bytes
    notify: bytes


# With the index's own expression: a page that begins after a row is a range of the index.
_ORDER: Final = "ORDER BY (-priority), due, created, id"
_WAITING: Final = "status = 'pending' AND not_before <= %(now)s"
_FILTERS: Final = (
    (
        f" AND (type NOT LIKE '{OF_RUNS}%%' OR type = ANY(%(runs)s))",
        " AND type = ANY(%(types)s)",
    ),
    ("", " AND queue = %(queue)s"),
)
"""Each without a filter, and with one."""
_AFTER: Final = """
    AND ((-priority), due, created, id)
        > (%(priority)s::bigint, %(due)s::timestamptz, %(created)s::timestamptz, %(id)s)
"""

_TEXTS: Final = {
    "create": f"""
        INSERT INTO {{s}}.jobs ({", ".join(COPIED)})
        VALUES ({", ".join(f"%({name}){'b' if name == 'document' else 's'}" for name in COPIED)})
        ON CONFLICT (id) DO NOTHING
    """,
    "copy": f"COPY {{s}}.jobs ({', '.join(COPIED)}) FROM STDIN",
    "authors": "SELECT id, author FROM {s}.jobs WHERE id = ANY(%s)",
    "get": "SELECT document, status FROM {s}.jobs WHERE id = %s",
    "jobs": "SELECT id, status, document FROM {s}.jobs WHERE status = ANY(%s)",
    "newest": """
        SELECT id, status, document FROM {s}.jobs
        WHERE status = ANY(%(statuses)s)
            AND (%(type)s::text IS NULL OR type = %(type)s)
            AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
            AND (%(queue)s::text IS NULL OR queue = %(queue)s)
        ORDER BY created DESC, id LIMIT %(most)s
    """,
    "counts": "SELECT status, count(*) FROM {s}.jobs GROUP BY status",
    "pick": """
        SELECT id, revision, token, asked, document FROM {s}.jobs
        WHERE id = %(id)s AND status = 'pending' FOR UPDATE SKIP LOCKED
    """,
    "hold": """
        SELECT status, revision, token, owner, asked, document FROM {s}.jobs
        WHERE id = %s FOR UPDATE NOWAIT
    """,
    # The row as the holder knows it, or as the holder wrote it without getting an answer.
    "put": """
        UPDATE {s}.jobs SET status = %(status)s, queue = %(queue)s, priority = %(priority)s,
            due = %(due)s, not_before = %(not_before)s, ended = %(ended)s,
            revision = %(revision)s, life = %(life)s, token = %(token)s, owner = %(owner)s,
            asked = asked AND %(keeps_asked)s, document = %(document)b
        WHERE id = %(id)s AND (
            (revision = %(base)s AND token IS NOT DISTINCT FROM %(base_token)s)
            OR (token = %(token)s AND revision = ANY(%(tried)s::bigint[]))
        )
    """,
    "look": "SELECT asked, revision, token FROM {s}.jobs WHERE id = %s",
    "claimed": """
        SELECT id, revision, owner, document FROM {s}.jobs
        WHERE owner = %s AND token = %s AND status = 'running'
    """,
    "ask": """
        UPDATE {s}.jobs SET asked = true
        WHERE id = %s AND life = %s AND status IN ('pending', 'running') RETURNING status
    """,
    # Whose key is not locked. For a while after all locks were released no job counts as an orphan:
    # holders that the server cut off come back, and are alive.
    "orphans": f"""
        SELECT id, owner FROM {{s}}.jobs
        WHERE status = 'running' AND now() - {LOCKS_SINCE} > %(grace)s
        AND (
            owner IS NULL
            OR (owner = %(mine)s AND NOT id = ANY(%(held)s))
            OR owner NOT IN ({LOCKED_KEYS})
        )
    """,
    # In this order, or a lock would be taken in vain.
    "alone": f"""
        SELECT CASE WHEN now() - {LOCKS_SINCE} > %s THEN pg_try_advisory_xact_lock(%s) END
    """,
    "remove_finished": """
        DELETE FROM {s}.jobs WHERE id IN (
            SELECT id FROM {s}.jobs WHERE id = %(id)s AND status = ANY(%(statuses)s)
            FOR UPDATE SKIP LOCKED
        ) RETURNING document
    """,
    "remove": """
        DELETE FROM {s}.jobs WHERE id IN (
            SELECT id FROM {s}.jobs WHERE ended < %(before)s AND status = ANY(%(statuses)s)
                AND (%(type)s::text IS NULL OR type = %(type)s)
            LIMIT %(limit)s FOR UPDATE SKIP LOCKED
        ) RETURNING id, document
    """,
    "set_aside": """
        WITH gone AS (DELETE FROM {s}.jobs WHERE id = %(id)s RETURNING id, document)
        INSERT INTO {s}.quarantine (name, reason, document)
        SELECT id, %(reason)s, document FROM gone
    """,
    "set_right": f"""
        UPDATE {{s}}.jobs SET {", ".join(f"{name} = %({name})s" for name in REPEATED)}
        WHERE id = %(id)s AND ({", ".join(REPEATED)})
            IS DISTINCT FROM ({", ".join(f"%({name})s" for name in REPEATED)})
    """,
    "later": """
        SELECT min(not_before) FROM {s}.jobs
        WHERE status = 'pending' AND not_before > '-infinity' AND not_before > %s
    """,
    "notify": "SELECT pg_notify('{name}_news', %s)",
}


_FILTERED: Final = {
    "next": f"""
        SELECT id, revision, token, asked, document FROM {{s}}.jobs
        WHERE {_WAITING}{{filters}} {_ORDER} LIMIT 1 FOR UPDATE SKIP LOCKED
    """,
    "page": f"""
        SELECT id, revision, asked, -priority, due, created FROM {{s}}.jobs
        WHERE {_WAITING}{{filters}} {_AFTER} {_ORDER} LIMIT %(limit)s
    """,
}
"""One statement for each combination of filters: one that tested whether there is a filter would
have to look at every row to find out."""


def statements(schema: str) -> Statements:
    """The statements for a schema, whose name `address` has checked."""

    def written(query: str) -> str:
        # A channel's name is in a literal.
        return query.replace("{s}", quoted(schema)).replace("{name}", schema)

    filtered: dict[str, Any] = {
        name: {
            chosen: written(query)
            .replace("{filters}", "".join(map(getitem, _FILTERS, chosen)))
            .encode()
            for chosen in product((False, True), repeat=2)
        }
        for name, query in _FILTERED.items()
    }
    plain: dict[str, Any] = {name: written(query).encode() for name, query in _TEXTS.items()}
    return Statements(**plain, **filtered)
