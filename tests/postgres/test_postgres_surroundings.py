"""What a role, a database, the environment or a caller may be set to, which must not matter."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from postgres.servers import sql

from semiont_jobs import InvalidValue, JobMetadata, JobQueue, PendingJob
from semiont_jobs.testing.suite import PATIENCE, AnyClaim, some

Make = Callable[..., JobQueue]

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)

SOURCE = "0" * 32
"""Another place's identity."""


def task(**metadata: Any) -> PendingJob[Any]:
    return PendingJob(metadata=JobMetadata(**{"type": "task", **metadata}), params={})


def with_setting(url: str, setting: str) -> str:
    """A place whose sessions begin with a setting of the server, as a role may have it."""
    return f"{url}&options={quote(f'-c {setting}')}"


def yes(_job: PendingJob[Any]) -> bool:
    return True


# -- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        "datestyle=German",
        "timezone=America/New_York",
        "timezone=Pacific/Auckland",
        "bytea_output=escape",
        "intervalstyle=sql_standard",
    ],
)
def test_instants_are_read_whatever_the_role_is_set_to(
    make_queue: Make, url: str, setting: str
) -> None:
    queue = make_queue(with_setting(url, setting))
    first = task(created=FIRST)
    queue.create_jobs([task(created=LAST), task(run_after=LAST), task(priority=-1), first])

    queue.wait_for_work(threading.Event(), 0.01)
    claim = some(queue.claim_next_job(accept=yes))

    assert claim.job.metadata.id == first.metadata.id
    assert claim.job.metadata.created == FIRST


@pytest.mark.parametrize("how", ["alone", "batch", "within"])
def test_names_are_written_whatever_the_encoding_of_the_environment(
    make_queue: Make, server_url: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    jobs = [PendingJob(metadata=JobMetadata(type="日本", queue="日"), params={}) for _ in range(5)]
    with psycopg.connect(server_url, autocommit=True) as connection:
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        queue = make_queue().initialize()
        if how == "alone":
            queue.create_job(jobs[0])
        else:
            queue.create_jobs(jobs, connection=connection if how == "within" else None)

        claim = some(queue.claim_next_job(types=["日本"], queue="日"))

    assert claim.job.metadata.type == "日本"


@pytest.mark.parametrize("level", ["serializable", "repeatable\\ read"])
def test_claimers_who_meet_do_not_fail_whatever_isolation_is_the_default(
    make_queue: Make, url: str, level: str
) -> None:
    place = with_setting(url, f"default_transaction_isolation={level}")
    queues = [make_queue(place), make_queue(place)]
    queues[0].create_jobs([task() for _ in range(60)])
    failures: list[BaseException] = []

    def work(queue: JobQueue) -> None:
        try:
            while (claim := queue.claim_next_job()) is not None:
                claim.complete()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[queue]) for queue in queues * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert not failures
    assert queues[0].get_stats().complete == 60


@pytest.mark.parametrize("count", [1, 3, 5])
@pytest.mark.parametrize("whose", ["role", "caller"])
def test_documents_are_written_whatever_backslashes_mean(
    make_queue: Make, server_url: str, url: str, whose: str, count: int
) -> None:
    setting = "standard_conforming_strings=off"
    queue = make_queue(with_setting(url, setting) if whose == "role" else url).initialize()
    names = [f"{number}\\x\n" for number in range(count)]

    with psycopg.connect(server_url, options=f"-c {setting}") as connection:
        given = connection if whose == "caller" else None
        queue.enqueue_many([{"n": name} for name in names], type="a\\b", connection=given)

    assert sorted(job.params["n"] for job in queue.query_jobs()) == names
    assert all(queue.claim_next_job(types=["a\\b"]) for _ in names)


def test_what_arrives_is_written_whatever_backslashes_mean(make_queue: Make, url: str) -> None:
    queue = make_queue(with_setting(url, "standard_conforming_strings=off")).initialize()
    store: Any = queue.store
    data = queue.codec.encode(task(id="j"))

    store.arrive("j", data, SOURCE)

    assert data == store.arrival("j", SOURCE)


def test_the_tables_are_known_whatever_names_the_role_has_quoted(
    make_queue: Make, url: str
) -> None:
    job = make_queue().create_job(task())

    queue = make_queue(with_setting(url, "quote_all_identifiers=on"))

    assert queue.query_jobs() == [job]


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("letters", ["abcdefghijklmnopqrstuvwxyz", "äöü日本", "\0\1\2", "\\h0"])
def test_names_too_long_for_an_index_are_told_apart(make_queue: Make, letters: str) -> None:
    queue = make_queue()
    # Of no order: the server packs what it can.
    name = "".join(random.Random(1).choices(letters, k=9000))
    names = [name + end for end in ("", "a", "b")]
    jobs = [task(queue=name) for name in names]
    queue.create_jobs(jobs)

    found = [some(queue.claim_next_job(queue=name)).job.metadata for name in names]

    assert [job.metadata.id for job in jobs] == [metadata.id for metadata in found]
    assert names == [metadata.queue for metadata in found]


@pytest.mark.parametrize("name", ["user", "select", "analyze"])
def test_a_schema_may_be_named_with_a_word_of_sql(
    make_queue: Make, server_url: str, name: str
) -> None:
    place = f"{server_url}{'&' if '?' in server_url else '?'}schema={name}"
    sql(server_url, f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
    try:
        queue = make_queue(place)
        store: Any = queue.store
        queue.create_jobs([task() for _ in range(5)])
        store.arrive("j", queue.codec.encode(task(id="j")), SOURCE)
        store.admit("j", SOURCE)
        claims = [some(queue.claim_next_job(accept=yes)) for _ in range(2)]
        claims[0].complete()
        store.kill_holder(claims[1].job.metadata.id)

        assert queue.rescue_orphans() == 1
        assert store.inspect().bad == ()
        with make_queue(place, read_only=True) as looking:
            assert (looking.get_stats().pending, looking.get_stats().complete) == (5, 1)
        queue.close()
    finally:
        sql(server_url, f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


# -- callers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"row_factory": psycopg.rows.dict_row},
        {"cursor_factory": psycopg.ClientCursor},
        {"cursor_factory": psycopg.RawCursor},
        {"autocommit": True, "cursor_factory": psycopg.RawCursor},
    ],
)
def test_a_caller_s_connection_may_make_whatever_cursors_it_likes(
    make_queue: Make, server_url: str, options: dict[str, Any]
) -> None:
    queue = make_queue().initialize()

    with psycopg.connect(server_url, **options) as connection:
        queue.create_job(task(), connection=connection)
        queue.create_jobs([task() for _ in range(5)], connection=connection)

    assert queue.get_stats().pending == 6


def test_a_caller_s_connection_in_another_encoding_is_refused(
    make_queue: Make, server_url: str
) -> None:
    queue = make_queue().initialize()

    with (
        psycopg.connect(server_url, client_encoding="LATIN1") as connection,
        pytest.raises(InvalidValue, match="UTF8"),
    ):
        queue.create_job(task(), connection=connection)

    assert queue.get_stats().total == 0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_caller_s_connection_in_pipeline_mode_is_refused_and_can_go_on(
    make_queue: Make, server_url: str, count: int
) -> None:
    queue = make_queue().initialize()
    jobs = [task() for _ in range(count)]

    with psycopg.connect(server_url) as connection:
        with connection.pipeline(), pytest.raises(InvalidValue, match="pipeline mode"):
            queue.create_jobs(jobs, connection=connection)
        queue.create_jobs(jobs, connection=connection)

    assert queue.get_stats().pending == count


# -- code of others in the midst of a claim --------------------------------------------------


def test_who_is_asked_about_a_job_may_use_the_queue(make_queue: Make) -> None:
    """All connections of the pool would be taken, were they kept meanwhile."""
    queue = make_queue(pool_size=1)
    queue.create_jobs([task(), task()])

    def accept(_job: PendingJob[Any]) -> bool:
        return queue.get_stats().running == 0

    claim = some(queue.claim_next_job(accept=accept))

    assert queue.claim_next_job(accept=accept) is None
    assert claim.complete().status == "complete"


def test_a_pool_of_one_connection_will_do_to_look_a_database_over(make_queue: Make) -> None:
    queue = make_queue(pool_size=1).initialize()
    store: Any = queue.store

    found = store.inspect()

    assert (found.locks_exclude, found.is_notified) == (True, True)


def test_a_job_that_somebody_is_asked_about_is_free_for_others(make_queue: Make) -> None:
    queue, other = make_queue(), make_queue()
    queue.create_job(task())
    taken: list[AnyClaim] = []

    def accept(_job: PendingJob[Any]) -> bool:
        taken.append(some(other.claim_next_job()))
        return True

    assert queue.claim_next_job(accept=accept) is None
    assert taken[0].complete().status == "complete"


def test_a_job_that_changed_since_it_was_accepted_is_not_taken_for_the_same(
    make_queue: Make, server_url: str, schema: str
) -> None:
    queue, other = make_queue(), make_queue()
    queue.create_job(task())
    seen: list[int] = []

    def accept(job: PendingJob[Any]) -> bool:
        seen.append(job.metadata.revision)
        if len(seen) == 1:
            some(other.claim_next_job()).release()
        return True

    assert queue.claim_next_job(accept=accept) is None
    [(locked,)] = sql(server_url, f"SELECT count(*) FROM {schema}.jobs WHERE status = 'running'")
    claim = some(queue.claim_next_job(accept=accept))

    assert locked == 0
    assert seen == [0, claim.job.metadata.revision - 1]


# -- rows that a person changed --------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ("queue = 'other'", {"queue": "other"}),
        ("type = 'other'", {"types": ["other"]}),
        ("not_before = '-infinity'", {}),
    ],
    ids=["queue", "type", "instant"],
)
@pytest.mark.parametrize("options", [{}, {"accept": yes}], ids=["first", "accept"])
def test_a_row_whose_columns_were_changed_is_set_right_and_blocks_nobody(
    make_queue: Make,
    server_url: str,
    schema: str,
    change: str,
    asked: dict[str, Any],
    options: dict[str, Any],
) -> None:
    queue = make_queue()
    odd = queue.create_job(task(run_after=LAST if "not_before" in change else None))
    query = f"SELECT type, queue, not_before::text, due, revision FROM {schema}.jobs"
    before = sql(server_url, query)
    sql(server_url, f"UPDATE {schema}.jobs SET {change}, due = now(), revision = 7")
    peeked = queue.poll_next_pending_job(**asked)
    behind = task(type=asked.get("types", ["task"])[0], queue=asked.get("queue", "default"))
    claimed: list[AnyClaim | None] = []

    def claim() -> None:
        claimed.append(queue.claim_next_job(**asked, **options))

    # In a thread: it may never end.
    claimer = threading.Thread(target=claim, daemon=True)
    claimer.start()
    claimer.join(PATIENCE)

    assert (peeked, claimed) == (None, [None])
    assert before == sql(server_url, query)
    queue.create_job(behind)
    claim()
    assert some(claimed[1]).job.metadata.id == behind.metadata.id
    assert queue.get_job(odd.metadata.id) == odd


def test_a_job_snoozed_while_somebody_is_asked_about_it_is_no_changed_row(
    make_queue: Make, caplog: pytest.LogCaptureFixture
) -> None:
    queue, other = make_queue(), make_queue()
    queue.create_job(task())
    caplog.set_level("WARNING", "semiont_jobs")

    def accept(_job: PendingJob[Any]) -> bool:
        some(other.claim_next_job()).snooze(3600)
        return True

    assert queue.claim_next_job(accept=accept) is None
    assert caplog.messages == []


# -- rows that others have locked ------------------------------------------------------------


def test_a_job_that_somebody_has_locked_keeps_nobody_from_those_behind_it(
    make_queue: Make,
) -> None:
    queue, other = make_queue(), make_queue()
    locked, free = queue.create_jobs([task(), task()])
    hold = queue.store.hold(locked.metadata.id)

    try:
        claim = some(other.claim_next_job())
    finally:
        hold.let_go()

    assert claim.job.metadata.id == free.metadata.id
    assert some(other.claim_next_job()).job.metadata.id == locked.metadata.id
