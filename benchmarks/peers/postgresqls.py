"""semiont_jobs and Huey on the same PostgreSQL, as measured queues.

It must not know other queues. procrastinate has its own module, because it is asynchronous.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from peers import servers
from peers.hueys import HueyPeer
from peers.ours import Ours, new_job
from peers.peer import Kind, Payload

FILLED_AT_ONCE: Final = 100_000
"""Rows of one statement: a few seconds."""
FINISHED: Final = 0.2
"""As a share of the backlog, complete jobs that are kept beside it."""


class OursOnPostgres(Ours):
    """A `JobQueue` in a database."""

    def __init__(self, place: Path) -> None:
        address, _is_new = servers.database(place.name)
        parts = dict(part.split("=", 1) for part in address.split())
        url = f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"
        super().__init__(place, durability="fsync", url=url)

    def fill(self, payloads: Sequence[Payload]) -> None:
        """Have the server make rows as the queue would have written them; a fifth as many of
        complete jobs."""
        number = payloads[0]["n"]
        self.fill_finished(1 + int(FINISHED * len(payloads)))
        self.queue.create_job(example := new_job(payloads[0]))
        self._copies(example.metadata.id, number, len(payloads) - 1, "job")
        store: Any = self.queue.store
        with store._opened.sessions.session() as session:
            # As its own process does in time; a backlog that is seconds old has had no time.
            session.execute(f"VACUUM ANALYZE {store.address.schema}.jobs")
            # Or the disk would be busy with it for minutes; it is not if a backlog grew.
            session.execute("CHECKPOINT")

    def fill_finished(self, count: int) -> None:
        self._copies(self.run_first().metadata.id, 0, count - 1, "done")

    def _copies(self, example: str, first: int, count: int, prefix: str) -> None:
        store: Any = self.queue.store
        columns = (
            "status, type, queue, user_id, priority, due, created, not_before, ended, revision,"
            " life, asked, token, owner, author"
        )
        query = f"""
            INSERT INTO {store.address.schema}.jobs (id, {columns}, document)
            SELECT new, {columns}, convert_to(replace(replace(convert_from(document, 'UTF8'),
                id, new), '"n": {first},', '"n": ' || n || ','), 'UTF8')
            FROM {store.address.schema}.jobs,
                LATERAL (SELECT n, '{prefix}-' || lpad(n::text, 26, '0') AS new
                    FROM generate_series(%s::bigint, %s::bigint) AS n) AS numbers
            WHERE id = %s
        """
        with store._opened.sessions.session() as session:
            for start in range(first + 1, first + 1 + count, FILLED_AT_ONCE):
                end = min(start + FILLED_AT_ONCE, first + 1 + count) - 1
                session.execute(query.encode(), [start, end, example])


def _huey(place: Path) -> HueyPeer:
    from huey import PostgresHuey

    address, _is_new = servers.database(place.name)
    return HueyPeer(PostgresHuey(dsn=address))


KINDS: Final = (
    Kind(
        name="ours-postgres",
        label="semiont_jobs on PostgreSQL",
        durability="power",
        open=OursOnPostgres,
        missing=servers.why_no_postgres,
        threads=True,
        batches=True,
        wakes_within=True,
        lists="query_jobs()",
        counts="get_stats()",
    ),
    Kind(
        name="huey-postgres",
        label="Huey on PostgreSQL",
        durability="power",
        open=_huey,
        package="huey",
        wakes_within=True,
        missing=servers.why_no_postgres,
        backlog=False,
    ),
)
