"""Jobs on their way here from another store: whole and durable, and seen by nobody yet.

It must not know where they come from. They stand in a table of their own, made with the first of
them, which no claimer, reader or rescuer looks into, until they are admitted.
"""

from __future__ import annotations

from typing import Any

from semiont_jobs.errors import JobExists, JobNotFound
from semiont_jobs.stores.postgres.address import quoted
from semiont_jobs.stores.postgres.hold import Office
from semiont_jobs.stores.postgres.rows import columns


class Arriving:
    """The arrivals of one schema.

    :param author: of the rows that are admitted.
    """

    def __init__(self, office: Office, schema: str, author: int) -> None:
        self._office = office
        self._table = f"{quoted(schema)}.arriving"
        self._author = author

    def put(self, job_id: str, data: bytes) -> None:
        """See `Moving.arrive`."""
        with self._office.sessions.session(job_id) as session:
            session.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table}"
                ' (id text COLLATE "C" PRIMARY KEY, document bytea NOT NULL)'.encode()
            )
            session.execute(
                f"INSERT INTO {self._table} (id, document) VALUES (%s, %b)"
                " ON CONFLICT (id) DO UPDATE SET document = excluded.document".encode(),
                [job_id, data],
            )

    def ids(self) -> list[str]:
        """See `Moving.arrived`."""
        return [row[0] for row in self._found(f"SELECT id FROM {self._table}", [])]

    def text(self, job_id: str) -> bytes | None:
        """See `Moving.arrival`."""
        rows = self._found(f"SELECT document FROM {self._table} WHERE id = %s", [job_id])
        return bytes(rows[0][0]) if rows else None

    def admit(self, job_id: str) -> None:
        """See `Moving.admit`."""
        data = self.text(job_id)
        if data is None:
            raise JobNotFound(job_id)
        job = self._office.codec.decode(data, job_id=job_id)
        row = {**columns(job, data), "author": self._author}
        sessions = self._office.sessions
        with sessions.session(job_id) as session, session.transaction():
            if session.execute(self._office.statements.create, row).rowcount != 1:
                raise JobExists(job_id)
            session.execute(f"DELETE FROM {self._table} WHERE id = %s".encode(), [job_id])
            session.execute(self._office.statements.notify, [""])

    def dismiss(self, job_id: str) -> None:
        """See `Moving.dismiss`."""
        self._found(f"DELETE FROM {self._table} WHERE id = %s RETURNING id", [job_id])

    def _found(self, statement: str, values: list[Any]) -> list[Any]:
        with self._office.sessions.session() as session:
            row = session.execute("SELECT to_regclass(%s)", [self._table]).fetchone()
            if row is None or row[0] is None:
                return []  # nothing ever arrived
            return session.execute(statement.encode(), values).fetchall()
