"""Whatever is wrong with a URL, a server, a user or a schema: one line that says so, by the API and
by the command line, and nothing half done."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Run, runner
from postgres.servers import ELSEWHERE, sql

from semiont_jobs import InvalidValue, JobQueue, SemiontJobsError, StoreError, UnsafeStore
from semiont_jobs.testing.suite import eventually

Trouble = tuple[str, type[SemiontJobsError], str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("SEMIONT_JOBS_DIR", raising=False)
    return runner(capsys, monkeypatch)


@pytest.fixture
def role(server_url: str, schema: str) -> Iterator[str]:
    """A user of this test's own, who may log in, and nothing else."""
    name = f"r_{schema}"
    sql(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'right'")
    yield name
    sql(server_url, f"DROP OWNED BY {name} CASCADE")
    sql(server_url, f"DROP ROLE {name}")


def check(trouble: Trouble, run: Run) -> None:
    """Refused by both ways, in one line, by who writes and who only looks."""
    url, kind, said = trouble
    with pytest.raises(kind) as refusal, JobQueue(url) as queue:
        queue.enqueue({}, type="task")
    ran = [run(*each, "--url", url) for each in (("enqueue", "task"), ("list",), ("doctor",))]

    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
    usage = 2 if issubclass(kind, InvalidValue) else 1
    assert [each.code for each in ran] == [usage, usage, 2]  # the last: it cannot be looked at
    for each in ran:
        assert (each.out, each.err.count("\n")) == ("", 1)
        assert "hunter2" not in each.err
    assert said in ran[0].err


def things(server_url: str, schema: str) -> set[tuple[str, str]]:
    """What stands in a schema, tables and indexes and views."""
    query = (
        "SELECT relname, relkind::text FROM pg_class"
        " WHERE relnamespace::regnamespace = to_regnamespace(%s)"
    )
    return set(sql(server_url, query, schema))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hunter2@h/d?nonsense=1", "no URL of a database"),
        ("postgresql://h/d?nonsense=1", "invalid URI query parameter"),
        ("postgresql://me:hunter2@h:port/d", "its port is no number"),
        ("postgresql://h/d?schema=Jobs", "a lower-case name is needed"),
    ],
)
def test_a_wrong_url(run: Run, url: str, said: str) -> None:
    check((url, InvalidValue, said), run)


def test_no_server(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    check((f"postgresql://me:hunter2@127.0.0.1:{port}/d", StoreError, "no way to the server"), run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("postgres@", "stranger:hunter2@"), "there is no such database or user"),
        (("/postgres?", "/nowhere?"), "there is no such database or user"),
    ],
)
def test_no_such_user_or_database(
    run: Run, url: str, server_url: str, change: tuple[str, str], said: str
) -> None:
    check((url.replace(*change), StoreError, said), run)


@pytest.mark.skipif(ELSEWHERE is not None, reason="its pg_hba.conf is not ours to write")
@pytest.mark.parametrize("method", ["scram-sha-256", "reject"])
def test_a_wrong_password_and_a_refused_user(
    run: Run, url: str, server_url: str, role: str, method: str
) -> None:
    file = Path(sql(server_url, "SHOW hba_file")[0][0])
    before = file.read_text()
    wrong = url.replace("postgres@", f"{role}:hunter2@")
    try:
        file.write_text(f"local all {role} {method}\n{before}")
        eventually(lambda: _is_refused(server_url, wrong))
        check((wrong, StoreError, "the server does not let this user in"), run)
    finally:
        file.write_text(before)
        sql(server_url, "SELECT pg_reload_conf()")


def _is_refused(server_url: str, url: str) -> bool:
    """Once the server has read its file again."""
    sql(server_url, "SELECT pg_reload_conf()")
    try:
        with JobQueue(url, read_only=True) as queue:
            queue.initialize()
    except StoreError as error:
        return error.errno == errno.EACCES
    return True


@pytest.mark.parametrize("granted", ["nothing", "usage", "reading"])
def test_missing_rights(
    run: Run, url: str, server_url: str, schema: str, role: str, granted: str
) -> None:
    with JobQueue(url) as queue:
        queue.initialize()
    if granted != "nothing":
        sql(server_url, f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    if granted == "reading":
        sql(server_url, f"GRANT SELECT ON {schema}.about TO {role}")
    before = things(server_url, schema)

    said = "has no right to SELECT, INSERT" if granted == "reading" else "rights are missing"
    check((url.replace("postgres@", f"{role}@"), StoreError, said), run)

    assert things(server_url, schema) == before


def test_a_user_who_may_make_no_schema(
    run: Run, url: str, server_url: str, schema: str, role: str
) -> None:
    check((url.replace("postgres@", f"{role}@"), StoreError, "rights are missing"), run)

    assert sql(server_url, "SELECT to_regnamespace(%s)::text", schema) == [(None,)]


def test_an_old_server(
    run: Run, url: str, server_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.stores.postgres.schema.OLDEST", 99)

    check((url, UnsafeStore, "is too old: 99 is needed"), run)

    assert things(server_url, schema) == set()


FOREIGN = "CREATE TABLE {s}.jobs (id integer)"
ABOUT = "CREATE TABLE {s}.about (version integer)"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ([FOREIGN], "has tables that this library did not make"),
        (["CREATE TABLE {s}.about (x integer)"], "does not tell a version"),
        (["CREATE TABLE {s}.about (version text)"], "does not tell a version"),
        ([ABOUT], "does not tell a version"),
        ([ABOUT, "INSERT INTO {s}.about VALUES (0)", FOREIGN], "does not tell a version"),
        ([ABOUT, "INSERT INTO {s}.about VALUES (-3)"], "does not tell a version"),
        ([ABOUT, "INSERT INTO {s}.about VALUES (1)"], "no jobs, jobs_pkey, quarantine"),
    ],
)
def test_a_schema_made_by_hand(
    run: Run, url: str, server_url: str, schema: str, statements: list[str], said: str
) -> None:
    sql(server_url, f"CREATE SCHEMA {schema}")
    for statement in statements:
        sql(server_url, statement.replace("{s}", schema))
    before = things(server_url, schema)

    check((url, UnsafeStore, said), run)

    assert said in run("list", "--url", url).err  # also to who only looks
    assert things(server_url, schema) == before


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP TABLE {s}.quarantine", "made or changed by hand: no quarantine"),
        ("ALTER TABLE {s}.jobs DROP CONSTRAINT jobs_pkey", "made or changed by hand: no jobs_pkey"),
        ("ALTER TABLE {s}.jobs ALTER COLUMN author TYPE text", "changed by hand (columns: author)"),
    ],
)
def test_a_schema_changed_by_hand(
    run: Run, url: str, server_url: str, schema: str, statement: str, said: str
) -> None:
    with JobQueue(url) as queue:
        queue.enqueue({}, type="task")
    sql(server_url, statement.replace("{s}", schema))

    check((url, UnsafeStore, said), run)

    assert sql(server_url, f"SELECT count(*) FROM {schema}.jobs") == [(1,)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with a job."""
    with JobQueue(tmp_path / "source", fsync=False) as queue:
        queue.enqueue({}, type="task", id="j")
    return tmp_path / "source"


@pytest.mark.parametrize("wrong", ["server", "user", "schema", "URL"])
def test_nothing_moves_to_a_place_that_is_wrong(
    run: Run, url: str, server_url: str, schema: str, source: Path, wrong: str
) -> None:
    sql(server_url, f"CREATE SCHEMA {schema}")
    sql(server_url, FOREIGN.replace("{s}", schema))
    to = {
        "server": "postgresql://127.0.0.1:1/d",
        "user": url.replace("postgres@", "stranger@"),
        "schema": url,
        "URL": "postgresql://h/d?nonsense=1",
    }[wrong]

    ran = run("transfer", str(source), to)
    back = run("transfer", to, str(source.parent / "new"))

    code = 2 if wrong == "URL" else 1
    for each in (ran, back):
        assert (each.code, each.out, each.err.count("\n")) == (code, "", 1)
    assert (source / "jobs/pending/j.json").is_file()
    assert [each.name for each in source.parent.iterdir()] == ["source"]
