"""Jobs that left for another store, and may not have been admitted there yet.

It must not know what that store is. A job leaves in one transaction, which records where it went.
So either it is here or it left for there; a crash in between leaves no doubt.
"""

from __future__ import annotations

from typing import Final

from semiont_jobs.stores.postgres.address import quoted
from semiont_jobs.stores.postgres.hold import Office, PostgresHold
from semiont_jobs.stores.postgres.place import Place


class Leaving:
    """The departures of one schema."""

    def __init__(self, office: Office, schema: str) -> None:
        self._sessions = office.sessions
        self._place = Place(office.sessions, schema)
        self._statement = _LEAVE.replace("{s}", quoted(schema)).encode()

    def leave(self, hold: PostgresHold, target: str) -> None:
        """See `Moving.leave`."""
        with self._sessions.session(hold.job.metadata.id) as session:
            self._place.make_ready(session)
        hold.leave(self._statement, target)

    def departed(self) -> list[tuple[str, str]]:
        """See `Moving.departed`."""
        query = "SELECT target, id FROM {table} ORDER BY target, id"
        with self._sessions.session() as session:
            return self._place.found(session, "departures", query, [])

    def forget(self, job_id: str, target: str) -> None:
        """See `Moving.forget`."""
        query = "DELETE FROM {table} WHERE target = %s AND id = %s RETURNING id"
        with self._sessions.session(job_id) as session:
            self._place.found(session, "departures", query, [target, job_id])


_LEAVE: Final = """
WITH gone AS (DELETE FROM {s}.jobs WHERE id = %(id)s RETURNING id, document)
INSERT INTO {s}.departures (target, id, document) SELECT %(target)s, id, document FROM gone
ON CONFLICT (target, id) DO UPDATE SET document = excluded.document
"""
