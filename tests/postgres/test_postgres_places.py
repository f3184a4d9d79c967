"""Where jobs would not be safe, or cannot be reached: one clear line, and nothing half done."""

from __future__ import annotations

import errno
import logging
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres.proxies import Pooler
from postgres.servers import sql

from semiont_jobs import (
    InvalidValue,
    JobQueue,
    StoreError,
    UnsafeStore,
    UnsupportedFormat,
    initialize_job_queue,
    singleton,
)
from semiont_jobs.stores.postgres import PostgresStore
from semiont_jobs.stores.postgres import schema as tables_of
from semiont_jobs.stores.postgres.address import address_of

Make = Callable[..., JobQueue]


def tables(server_url: str, schema: str) -> set[str]:
    found = sql(
        server_url,
        "SELECT relname FROM pg_class WHERE relnamespace::regnamespace = to_regnamespace(%s)",
        schema,
    )
    return {row[0] for row in found}


# -- URLs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/d?no_such_parameter=1",
        "postgresql://h:port/d?connect_timeout",
        "postgresql://h/d?schema=Jobs",
        "postgresql://h/d?schema=",
        "postgresql://h/d?schema=a;DROP TABLE b",
        f"postgresql://h/d?schema={'x' * 49}",
        "postgresql://[::1/d",
    ],
)
def test_a_url_that_is_none_is_refused_where_it_is_given(url: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        JobQueue(url)

    assert refusal.value.field in ("url", "schema")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@h/d?nonsense=1",
        "postgresql://me:hunter2@h/d?schema=NO",
        "postgresql://h/d?password=hunter2&nonsense=1",
        "mysql://me:hunter2@h/d",
    ],
)
def test_no_message_repeats_a_password(url: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        PostgresStore(url)

    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in repr(pickle.loads(pickle.dumps(refusal.value)).__dict__)


def test_a_place_is_shown_without_its_password() -> None:
    address = address_of("postgres://me:hunter2@host:5433/data?schema=mine&sslmode=disable")

    assert address.shown == "postgresql://me@host:5433/data (schema mine)"
    assert "password=hunter2" in address.conninfo
    assert "schema" not in address.conninfo


def test_a_schema_may_be_named_once_or_twice_alike() -> None:
    url = "postgresql://h/d?schema=mine"

    assert address_of(url, "mine").schema == "mine"
    assert address_of("postgresql://h/d").schema == "semiont_jobs"
    with pytest.raises(InvalidValue, match="two different"):
        address_of(url, "yours")


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "4"])
def test_a_pool_of_no_size_is_refused(size: Any) -> None:
    with pytest.raises(InvalidValue, match="pool_size"):
        JobQueue("postgresql://h/d", pool_size=size)


def test_an_option_of_directories_is_none_of_databases() -> None:
    with pytest.raises(TypeError, match="dir_mode"):
        JobQueue("postgresql://h/d", dir_mode=0o700)


# -- the application's queue -----------------------------------------------------------------


@pytest.mark.usefixtures("no_queue_yet")
def test_the_application_s_queue_is_made_by_url_and_is_the_same_for_the_same_url(url: str) -> None:
    queue = initialize_job_queue(url=url)

    assert initialize_job_queue(url=url, pool_size=8, fsync=True) is queue
    assert initialize_job_queue(url) is queue
    assert queue.enqueue({}, type="task") == queue.poll_next_pending_job()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"data_dir": "data", "url": "postgresql://h/d"},
        {"url": "data"},
        {"url": 7},
    ],
)
@pytest.mark.usefixtures("no_queue_yet")
def test_the_application_s_queue_has_one_place(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidValue):
        initialize_job_queue(**given)

    assert list(tmp_path.iterdir()) == []
    assert singleton._queue is None


# -- servers ---------------------------------------------------------------------------------


def refused(queue: JobQueue) -> StoreError:
    with pytest.raises(StoreError) as refusal:
        queue.initialize()
    assert "\n" not in str(refusal.value)
    return refusal.value


def test_where_there_is_no_server_the_error_says_so(make_queue: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    error = refused(make_queue(f"postgresql://127.0.0.1:{port}/d"))

    assert error.errno == errno.ECONNREFUSED
    assert f"127.0.0.1:{port}" in str(error)


def test_where_there_is_no_such_database_the_error_says_so(
    make_queue: Make, server_url: str
) -> None:
    error = refused(make_queue(server_url.replace("/postgres?", "/nowhere?")))

    assert error.errno == errno.ENOENT
    assert "nowhere" in str(error)


def test_without_rights_nothing_is_made(make_queue: Make, server_url: str, schema: str) -> None:
    role = f"r_{schema}"
    sql(server_url, f"CREATE ROLE {role} LOGIN")
    try:
        error = refused(
            make_queue(server_url.replace("postgres@", f"{role}@") + f"&schema={schema}")
        )
    finally:
        sql(server_url, f"DROP ROLE {role}")

    assert error.errno == errno.EACCES
    assert "rights are missing" in str(error)
    assert tables(server_url, schema) == set()


def test_with_too_few_rights_to_what_is_there_the_error_names_them(
    make_queue: Make, server_url: str, schema: str, url: str
) -> None:
    make_queue().initialize()
    role = f"r_{schema}"
    sql(server_url, f"CREATE ROLE {role} LOGIN")
    sql(server_url, f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    sql(server_url, f"GRANT SELECT, INSERT ON {schema}.jobs, {schema}.about TO {role}")
    try:
        error = refused(make_queue(url.replace("postgres@", f"{role}@")))
    finally:
        sql(server_url, f"DROP OWNED BY {role}")
        sql(server_url, f"DROP ROLE {role}")

    assert error.errno == errno.EACCES
    assert "no right to UPDATE, DELETE, INSERT into quarantine" in str(error)


def test_a_schema_that_a_person_made_for_it_will_do(
    make_queue: Make, server_url: str, schema: str
) -> None:
    sql(server_url, f"CREATE SCHEMA {schema}")

    assert make_queue().get_stats().total == 0


def test_a_schema_with_other_tables_is_refused_and_left_alone(
    make_queue: Make, server_url: str, schema: str
) -> None:
    sql(server_url, f"CREATE SCHEMA {schema}")
    sql(server_url, f"CREATE TABLE {schema}.jobs (id integer)")

    error = refused(make_queue())

    assert isinstance(error, UnsafeStore)
    assert "did not make" in str(error)
    assert tables(server_url, schema) == {"jobs"}


def test_tables_that_were_changed_by_hand_are_refused(
    make_queue: Make, server_url: str, schema: str
) -> None:
    make_queue().initialize()
    sql(server_url, f"ALTER TABLE {schema}.jobs ADD COLUMN mine integer, DROP COLUMN author")

    error = refused(make_queue())

    assert isinstance(error, UnsafeStore)
    assert "author, mine" in str(error)


def test_a_newer_version_s_schema_is_refused_and_left_alone(
    make_queue: Make, server_url: str, schema: str
) -> None:
    make_queue().initialize()
    sql(server_url, f"UPDATE {schema}.about SET version = 99")

    error = refused(make_queue())

    assert isinstance(error, UnsupportedFormat)
    assert "99" in str(error)
    assert sql(server_url, f"SELECT version FROM {schema}.about") == [(99,)]


def test_an_older_version_s_schema_is_brought_up_to_date_with_its_jobs(
    make_queue: Make, server_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_queue().enqueue({"page": 1}, type="task")
    newer = (*tables_of.MIGRATIONS, "CREATE TABLE {schema}.more (n integer)")
    monkeypatch.setattr("semiont_jobs.stores.postgres.schema.MIGRATIONS", newer)
    monkeypatch.setattr("semiont_jobs.stores.postgres.schema.VERSION", 2)

    queue = make_queue().initialize()

    assert queue.query_jobs() == [job]
    assert sql(server_url, f"SELECT version FROM {schema}.about") == [(2,)]
    assert "more" in tables(server_url, schema)


def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    make_queue: Make, server_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_queue().initialize()
    before = tables(server_url, schema)
    newer = (
        *tables_of.MIGRATIONS,
        "CREATE TABLE {schema}.more (n integer); SELECT 1 / 0",
    )
    monkeypatch.setattr("semiont_jobs.stores.postgres.schema.MIGRATIONS", newer)
    monkeypatch.setattr("semiont_jobs.stores.postgres.schema.VERSION", 2)

    refused(make_queue())

    assert tables(server_url, schema) == before
    assert sql(server_url, f"SELECT version FROM {schema}.about") == [(1,)]


def test_many_that_open_it_at_once_make_it_once(
    make_queue: Make, server_url: str, schema: str
) -> None:
    from semiont_jobs.testing.suite import at_once

    queues = [make_queue() for _ in range(6)]

    at_once([queue.initialize for queue in queues])

    assert sql(server_url, f"SELECT count(*), max(version) FROM {schema}.about") == [(1, 1)]
    assert [queue.get_stats().total for queue in queues] == [0] * 6


def test_an_old_server_is_refused_and_an_untested_one_is_told_of(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("semiont_jobs.stores.postgres.schema.OLDEST", 99)
    old = refused(make_queue())
    monkeypatch.setattr("semiont_jobs.stores.postgres.schema.OLDEST", 12)
    monkeypatch.setattr("semiont_jobs.stores.postgres.schema.TESTED", range(98, 99))
    caplog.set_level(logging.WARNING, "semiont_jobs")

    make_queue().initialize()

    assert isinstance(old, UnsafeStore)
    assert "too old" in str(old)
    assert "untested" in caplog.text


@pytest.mark.parametrize("in_turn", [True, False])
@pytest.mark.parametrize("sessions", [1, 2, 3])
def test_a_pooler_that_shares_sessions_is_refused_with_the_reason(
    make_queue: Make, server_url: str, schema: str, sessions: int, in_turn: bool
) -> None:
    socket_ = Path(server_url.partition("host=")[2], ".s.PGSQL.5432")
    pooler = Pooler(socket_, sessions=sessions, in_turn=in_turn)
    try:
        error = refused(make_queue(f"{pooler.url}&schema={schema}"))
    finally:
        pooler.end()

    assert isinstance(error, UnsafeStore)
    assert "PgBouncer" in str(error)
    assert tables(server_url, schema) == set()


# -- looking ---------------------------------------------------------------------------------


def test_to_look_makes_nothing_and_changes_nothing(
    make_queue: Make, server_url: str, schema: str
) -> None:
    missing = refused(make_queue(read_only=True))
    job = make_queue().enqueue({}, type="task")

    looking = make_queue(read_only=True)

    assert missing.errno == errno.ENOENT
    assert looking.query_jobs() == [job]
    for verb in (
        lambda: looking.enqueue({}, type="task"),
        lambda: looking.cancel_job(job.metadata.id),
    ):
        with pytest.raises(StoreError, match="nothing may be changed"):
            verb()
    assert make_queue().query_jobs() == [job]


@pytest.mark.parametrize("count", [1, 5])
def test_to_look_creates_nothing_in_a_transaction_of_the_caller_s(
    make_queue: Make, server_url: str, count: int
) -> None:
    queue = make_queue().initialize()
    looking = make_queue(read_only=True)

    with psycopg.connect(server_url) as connection:
        with pytest.raises(StoreError, match="nothing may be changed") as refusal:
            looking.enqueue_many([{}] * count, type="task", connection=connection)
        connection.execute("SELECT 1")

    assert refusal.value.errno == errno.EROFS
    assert queue.get_stats().total == 0


def test_queues_in_two_schemas_do_not_see_each_other(make_queue: Make, server_url: str) -> None:
    from postgres.servers import a_schema

    with a_schema(server_url) as second:
        here, there = make_queue(), make_queue(server_url, schema=second)
        here.enqueue({}, type="task")

        assert there.claim_next_job() is None
        assert (here.get_stats().total, there.get_stats().total) == (1, 0)
        there.close()
