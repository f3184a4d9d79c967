"""Jobs on their way here from another store: complete and durable, but not visible yet.

It must not know what their source is. They are in a table of their own until they are admitted. No
claimer, reader or rescuer looks into it.
"""

from __future__ import annotations

from typing import Final

from semiont_jobs.errors import JobExists, JobNotFound
from semiont_jobs.stores.postgres.address import quoted
from semiont_jobs.stores.postgres.hold import Office
from semiont_jobs.stores.postgres.place import Place
from semiont_jobs.stores.postgres.rows import columns

OF_OLDER_VERSIONS: Final = "arriving"
"""Their table, which does not record a source."""


class Arriving:
    """The arrivals of one schema.

    :param author: written into the rows that are admitted.
    """

    def __init__(self, office: Office, schema: str, author: int) -> None:
        self._office = office
        self._place = Place(office.sessions, schema)
        self._table = f"{quoted(schema)}.arrivals"
        self._author = author

    def put(self, job_id: str, data: bytes, source: str) -> None:
        """See `Moving.arrive`."""
        with self._office.sessions.session(job_id) as session:
            self._place.make_ready(session)
            session.execute(
                f"INSERT INTO {self._table} (source, id, document) VALUES (%s, %s, %b)"
                " ON CONFLICT (source, id) DO UPDATE SET document = excluded.document".encode(),
                [source, job_id, data],
            )

    def arrived(self) -> list[tuple[str, str]]:
        """See `Moving.arrived`."""
        with self._office.sessions.session() as session:
            query = "SELECT '', id FROM {table} ORDER BY id"
            older = self._place.found(session, OF_OLDER_VERSIONS, query, [])
            query = "SELECT source, id FROM {table} ORDER BY source, id"
            return older + self._place.found(session, "arrivals", query, [])

    def text(self, job_id: str, source: str) -> bytes | None:
        """See `Moving.arrival`."""
        query = "SELECT document FROM {table} WHERE source = %s AND id = %s"
        with self._office.sessions.session(job_id) as session:
            rows = self._place.found(session, "arrivals", query, [source, job_id])
        return bytes(rows[0][0]) if rows else None

    def admit(self, job_id: str, source: str) -> None:
        """See `Moving.admit`."""
        data = self.text(job_id, source)
        if data is None:
            raise JobNotFound(job_id)
        job = self._office.codec.decode(data, job_id=job_id)
        row = {**columns(job, data), "author": self._author}
        sessions = self._office.sessions
        delete = f"DELETE FROM {self._table} WHERE source = %s AND id = %s AND document = %s"
        with sessions.session(job_id) as session, session.transaction():
            # First, and counted: if another process admitted it meanwhile, the job may be finished
            # and removed already, so that the jobs' table no longer has it.
            if session.execute(delete.encode(), [source, job_id, data]).rowcount != 1:
                raise JobNotFound(job_id)
            if session.execute(self._office.statements.create, row).rowcount != 1:
                raise JobExists(job_id)
            session.execute(self._office.statements.notify, [""])

    def dismiss(self, job_id: str, source: str) -> None:
        """See `Moving.dismiss`."""
        query = "DELETE FROM {table} WHERE source = %s AND id = %s RETURNING id"
        with self._office.sessions.session(job_id) as session:
            self._place.found(session, "arrivals", query, [source, job_id])
