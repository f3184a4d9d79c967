"""A schema's identity, the lock for moving jobs there, and the tables that a move needs.

It must not know jobs.
"""

from __future__ import annotations

import errno
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from psycopg import errors

from semiont_jobs.errors import StoreError
from semiont_jobs.stores.postgres.address import quoted
from semiont_jobs.stores.postgres.sessions import Session, Sessions

PATIENCE: Final = "3s"
"""The server ends the session of a killed process within milliseconds: a user who runs an
interrupted transfer again at once must not be refused."""

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS {s}.place (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only), identity text NOT NULL);
CREATE TABLE IF NOT EXISTS {s}.arrivals (
    source text NOT NULL, id text COLLATE "C" NOT NULL, document bytea NOT NULL,
    PRIMARY KEY (source, id));
CREATE TABLE IF NOT EXISTS {s}.departures (
    target text NOT NULL, id text COLLATE "C" NOT NULL, document bytea NOT NULL,
    PRIMARY KEY (target, id));
"""
"""Created with the first move, not with the schema: an older version works beside them. Whether the
first of them exists is what is checked."""


class Place:
    """The identity of one schema, and the lock for moves."""

    def __init__(self, sessions: Sessions, schema: str) -> None:
        self._sessions = sessions
        self._schema = schema
        self._quoted = quoted(schema)

    def identity(self) -> str:
        """See `Moving.identity`."""
        with self._sessions.session() as session:
            self.make_ready(session)
            row = session.execute(f"SELECT identity FROM {self._quoted}.place".encode()).fetchone()
        assert row is not None
        return str(row[0])

    @contextmanager
    def turn(self) -> Iterator[None]:
        """See `Moving.turn`."""
        # On a session of its own: if the process ends, the server ends it and releases the lock.
        session = self._sessions.connect()
        try:
            with self._sessions.told(None):
                session.execute(f"SET lock_timeout = '{PATIENCE}'".encode())
                try:
                    session.execute("SELECT pg_advisory_lock(%s)", [self._key("turn")])
                except errors.LockNotAvailable as error:
                    reason = "another transfer to there is under way"
                    place = self._sessions.address.shown
                    raise StoreError(errno.EBUSY, reason, place) from error
            yield
        finally:
            session.close()

    def make_ready(self, session: Session) -> None:
        """Create the tables, and draw the identity, if they do not exist."""
        if self.has(session, "place"):
            return
        with session.transaction():
            # Two processes that made them at once would each find half.
            session.execute("SELECT pg_advisory_xact_lock(%s)", [self._key("tables")])
            session.execute(_TABLES.replace("{s}", self._quoted).encode())
            session.execute(
                f"INSERT INTO {self._quoted}.place (identity) VALUES (%s)"
                " ON CONFLICT DO NOTHING".encode(),
                [secrets.token_hex(16)],
            )

    def found(self, session: Session, table: str, query: str, values: list[Any]) -> list[Any]:
        """The rows that a query finds in one of the tables; none if the table does not exist.

        :param query: with ``{table}`` for the table.
        """
        if not self.has(session, table):
            return []
        statement = query.replace("{table}", f"{self._quoted}.{table}")
        return session.execute(statement.encode(), values).fetchall()

    def has(self, session: Session, table: str) -> bool:
        """Whether a table exists."""
        row = session.execute("SELECT to_regclass(%s)", [f"{self._quoted}.{table}"]).fetchone()
        return row is not None and row[0] is not None

    def _key(self, what: str) -> int:
        text = f"semiont_jobs.transfer.{what}.{self._schema}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)
