"""Idle workers are woken, holders are told, and callers' transactions take jobs along."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from postgres.servers import sql

from semiont_jobs import InvalidValue, JobExists, JobMetadata, JobQueue, PendingJob, StoreError
from semiont_jobs.testing.suite import PATIENCE, eventually, some

Make = Callable[..., JobQueue]

NEVER = 3600.0
"""A poll interval that no test waits for."""


class Waiter(threading.Thread):
    """Waits for work on a queue, as an idle worker does."""

    def __init__(self, queue: JobQueue, timeout: float = NEVER) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.woken = threading.Event()
        self.has_looked = threading.Event()
        self._queue, self._timeout = queue, timeout
        assert queue.claim_next_job() is None
        # That it has its lock is news too, which comes a moment later: it must not be what wakes.
        eventually(lambda: queue.store._news._count > 0)  # type: ignore[attr-defined]
        self.start()
        # Or it would find what the test brings at its first look, unwoken.
        assert self.has_looked.wait(PATIENCE)

    def run(self) -> None:
        while (claim := self._queue.claim_next_job()) is None and not self.stop.is_set():
            self.has_looked.set()
            self._queue.wait_for_work(self.stop, self._timeout)
        if claim is not None:
            self.woken.set()
            claim.complete()


@pytest.fixture
def database(server_url: str) -> Any:
    with psycopg.connect(server_url) as connection:
        yield connection


def task(number: int = 0) -> PendingJob[Any]:
    return PendingJob(metadata=JobMetadata(type="task"), params={"n": number})


# -- waking ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["create", "batch", "retry", "release", "transaction"])
def test_what_another_queue_object_brings_wakes_an_idle_worker(
    make_queue: Make, database: Any, how: str
) -> None:
    queue, other = make_queue(), make_queue()
    if how == "retry":
        failed = other.enqueue({}, type="task", max_retries=0)
        some(other.claim_next_job()).fail("no")
    elif how == "release":
        other.enqueue({}, type="task")
        claim = some(other.claim_next_job())
    waiter = Waiter(queue)

    if how == "create":
        other.create_job(task())
    elif how == "batch":
        other.create_jobs([task(n) for n in range(9)])
    elif how == "retry":
        other.retry_job(failed.metadata.id)
    elif how == "release":
        claim.release()
    else:
        other.create_job(task(), connection=database)
        database.commit()

    assert waiter.woken.wait(PATIENCE)


def test_a_worker_wakes_when_a_job_is_due(make_queue: Make) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task", run_after=timedelta(seconds=0.5))

    waiter = Waiter(queue)

    assert waiter.woken.wait(PATIENCE)


def test_what_comes_between_a_look_and_a_wait_is_not_missed(make_queue: Make) -> None:
    queue, other = make_queue(), make_queue()
    assert queue.claim_next_job() is None
    heard = queue.store._news  # type: ignore[attr-defined]
    before = heard._count

    other.enqueue({}, type="task")
    eventually(lambda: heard._count > before)
    queue.wait_for_work(threading.Event(), NEVER)

    assert queue.claim_next_job() is not None


def test_a_stopped_worker_does_not_wait(make_queue: Make) -> None:
    queue = make_queue()
    waiter = Waiter(queue)

    waiter.stop.set()
    queue.wake()
    waiter.join(PATIENCE)

    assert not waiter.is_alive()


def test_a_request_to_cancel_is_told_at_once_and_outlives_the_holder(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.keeper.PERIOD", NEVER)
    queue, other = make_queue(), make_queue()
    job = other.enqueue({}, type="task")
    claim = some(queue.claim_next_job())
    cancelled = claim.cancelled

    assert other.cancel_job(job.metadata.id)
    told = cancelled.wait(PATIENCE)
    queue.store.kill_holder(job.metadata.id)  # type: ignore[attr-defined]
    other.rescue_orphans()

    assert told
    assert some(other.get_job(job.metadata.id)).status == "cancelled"


# -- the caller's transaction ----------------------------------------------------------------


def test_a_job_of_a_transaction_is_there_when_it_commits(make_queue: Make, database: Any) -> None:
    queue = make_queue()

    job = queue.create_job(task(), connection=database)
    before = queue.get_job(job.metadata.id)
    database.commit()

    assert before is None
    assert queue.get_job(job.metadata.id) == job


@pytest.mark.parametrize("count", [1, 9])
def test_jobs_of_a_transaction_that_rolls_back_never_were(
    make_queue: Make, database: Any, count: int
) -> None:
    queue = make_queue()

    queue.create_jobs([task(n) for n in range(count)], connection=database)
    queue.enqueue({}, type="task", connection=database)
    database.rollback()

    assert queue.get_stats().total == 0


@pytest.mark.parametrize("count", [1, 9])
def test_a_job_that_exists_is_refused_and_the_transaction_can_go_on(
    make_queue: Make, database: Any, count: int
) -> None:
    queue = make_queue()
    known = queue.create_job(task())

    database.execute("CREATE TEMPORARY TABLE mine (n integer)")
    with pytest.raises(JobExists) as refusal:
        queue.create_jobs([*(task(n) for n in range(count)), known], connection=database)
    database.execute("INSERT INTO mine VALUES (1)")
    database.commit()

    assert refusal.value.job_id == known.metadata.id
    assert queue.query_jobs() == [known]


def test_no_event_tells_of_what_may_be_rolled_back(make_queue: Make, database: Any) -> None:
    events: list[Any] = []
    queue = make_queue(hooks=[events.append])

    queue.create_job(task(), connection=database)

    assert events == []


@pytest.mark.parametrize("given", [7, "postgresql://h/d", object()])
def test_what_is_no_connection_is_refused(make_queue: Make, given: Any) -> None:
    queue = make_queue()

    with pytest.raises(InvalidValue, match="psycopg"):
        queue.create_job(task(), connection=given)

    assert queue.get_stats().total == 0


def test_a_closed_connection_is_refused(make_queue: Make, server_url: str) -> None:
    closed = psycopg.connect(server_url)
    closed.close()

    with pytest.raises(InvalidValue, match="open"):
        make_queue().create_job(task(), connection=closed)


def test_a_connection_to_another_database_is_refused(make_queue: Make, server_url: str) -> None:
    queue = make_queue().initialize()
    with (
        psycopg.connect(server_url.replace("/postgres?", "/template1?")) as other,
        pytest.raises(StoreError, match="not there"),
    ):
        queue.create_job(task(), connection=other)


@pytest.mark.parametrize("place", ["memory:", "files"])
def test_stores_without_transactions_say_so(place: str, tmp_path: Any, database: Any) -> None:
    with JobQueue(place if place == "memory:" else tmp_path) as queue:
        with pytest.raises(InvalidValue, match="no transactions"):
            queue.create_job(task(), connection=database)

        assert queue.get_stats().total == 0


# -- what stands in the rows -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["a\0b", "back\\slash", "schön", "\x1b[31m", "a\\x00b"])
def test_any_text_may_name_a_type_a_queue_or_a_user(make_queue: Make, name: str) -> None:
    queue = make_queue()
    twin = name.encode("unicode_escape").decode()
    queue.enqueue({name: name}, type=name, queue=name, user_id=name)

    assert twin == name or queue.claim_next_job(types=[twin]) is None
    claim = some(queue.claim_next_job(types=[name, "other"], queue=name))

    assert claim.job.params == {name: name}
    assert claim.complete({name: name}) == queue.get_job(claim.job.metadata.id)


def test_a_document_is_kept_as_the_codec_wrote_it(
    make_queue: Make, server_url: str, schema: str
) -> None:
    queue = make_queue()
    job = queue.enqueue({"text": "\0 and \u2028", "number": 1.0}, type="task")

    [(document,)] = sql(server_url, f"SELECT document FROM {schema}.jobs")

    assert document == queue.codec.encode(job)


def test_ten_thousand_waiting_jobs_are_claimed_through_the_index(
    make_queue: Make, server_url: str, schema: str
) -> None:
    queue = make_queue()
    queue.create_jobs([task(n) for n in range(2000)])
    sql(server_url, f"ANALYZE {schema}.jobs")
    statement = queue.store._statements.next[(True, True)].decode()  # type: ignore[attr-defined]
    for name, value in (("now", "now()"), ("types", "'{task}'"), ("queue", "'default'")):
        statement = statement.replace(f"%({name})s", value)

    plan = "\n".join(row[0] for row in sql(server_url, f"EXPLAIN {statement}"))

    assert "jobs_next" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan
