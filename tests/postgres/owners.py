"""Queues that own jobs in a database: which session is theirs, and what it lets them do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import psycopg
from postgres.servers import sql

from semiont_jobs import JobQueue, StoreError
from semiont_jobs.stores.postgres import PostgresStore
from semiont_jobs.testing.suite import AnyClaim, eventually, some

Make = Callable[..., JobQueue]


def held(queue: JobQueue) -> AnyClaim:
    queue.enqueue({"page": 1}, type="task")
    return some(queue.claim_next_job())


def owner_backend(server_url: str, queue: JobQueue) -> int:
    """The server's process of the session that says that the queue's process lives."""
    store = queue.store
    assert isinstance(store, PostgresStore)
    found = eventually(
        lambda: sql(
            server_url,
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND (classid::bigint << 32) | objid::bigint = %s",
            store._opened.liveness.key,
        )
    )
    return int(found[0][0])


def is_owned_anew(server_url: str, queue: JobQueue, backend: int) -> bool:
    """Whether the queue's process has its lock on another session than that one."""
    with suppress(psycopg.OperationalError):  # the server recovers
        return owner_backend(server_url, queue) != backend
    return False


def asked(queue: JobQueue, claim: AnyClaim) -> bool:
    """Whether a job could be asked to stop; also while the server is not back yet."""
    with suppress(StoreError):
        return queue.cancel_job(claim.job.metadata.id)
    return False
