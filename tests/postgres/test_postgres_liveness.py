"""A lock says that a process lives: what becomes of it when sessions and networks end, and answers
are lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from postgres.owners import Make, held, is_owned_anew, owner_backend
from postgres.proxies import Line
from postgres.servers import sql

from semiont_jobs import (
    ClaimLost,
    JobExists,
    JobMetadata,
    JobQueue,
    PendingJob,
    StoreError,
    ThreadRefused,
)
from semiont_jobs.stores.postgres import liveness, upkeep
from semiont_jobs.stores.postgres.told import LOST
from semiont_jobs.testing.suite import PATIENCE, AnyClaim, eventually, some


# Before `make_queue` where a test asks for both: queues are closed while it stands.
@pytest.fixture
def line(server_url: str) -> Iterator[Line]:
    line = Line(Path(server_url.partition("host=")[2], ".s.PGSQL.5432"))
    yield line
    line.end()


@pytest.fixture
def far(
    line: Line,
    make_queue: Make,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> JobQueue:
    """A queue behind the line, soon tired of silence."""
    caplog.set_level(logging.CRITICAL)
    monkeypatch.setattr(liveness, "SILENCE", 1.0)
    return make_queue(f"{line.url}?schema={schema}")


def taken(queue: JobQueue) -> AnyClaim | None:
    """A claim; also while its process may not have its session back yet."""
    with suppress(StoreError):
        return queue.claim_next_job()
    return None


def status(queue: JobQueue, claim: AnyClaim) -> str:
    return some(queue.get_job(claim.job.metadata.id)).status


# -- the session is ended, the owner lives -----------------------------------------------


def test_an_owner_whose_session_was_ended_takes_its_lock_again_and_keeps_its_jobs(
    make_queue: Make, server_url: str
) -> None:
    queue, other = make_queue(), make_queue()
    claim = held(queue)
    backend = owner_backend(server_url, queue)

    sql(server_url, "SELECT pg_terminate_backend(%s, 10000)", backend)
    again = eventually(lambda: (now := owner_backend(server_url, queue)) != backend and now)

    assert again != backend
    assert other.rescue_orphans() == 0
    claim.raise_if_cancelled()
    assert claim.complete().status == "complete"


def test_a_session_that_stood_is_made_again_without_a_pause(
    make_queue: Make, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "HEARTBEAT", 0.01)
    queue = make_queue()
    claim = held(queue)
    backend = owner_backend(server_url, queue)
    pauses: list[float] = []
    monkeypatch.setattr(queue.store._opened.liveness, "_pause", pauses.append)  # type: ignore[attr-defined]
    asked = queue.store._opened.liveness._heard_at  # type: ignore[attr-defined]
    eventually(lambda: queue.store._opened.liveness._heard_at != asked)  # type: ignore[attr-defined]

    sql(server_url, "SELECT pg_terminate_backend(%s, 10000)", backend)
    eventually(lambda: is_owned_anew(server_url, queue, backend))

    assert pauses == []
    assert claim.complete().status == "complete"


def test_an_owner_that_is_soon_back_is_not_rescued_from(
    make_queue: Make, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = make_queue(), make_queue()
    claim = held(queue)
    backend = owner_backend(server_url, queue)
    back = threading.Event()
    connect = queue.store._opened.sessions.connect  # type: ignore[attr-defined]
    monkeypatch.setattr(
        queue.store._opened.sessions, "connect", lambda: back.wait(PATIENCE) and connect()
    )  # type: ignore[attr-defined]
    looks = []

    def second_look(seconds: float) -> None:
        looks.append(seconds)
        back.set()
        eventually(lambda: is_owned_anew(server_url, queue, backend))

    monkeypatch.setattr(upkeep, "pause", second_look)
    sql(server_url, "SELECT pg_terminate_backend(%s, 10000)", backend)

    assert other.rescue_orphans() == 0
    assert looks == [upkeep.SECOND_LOOK]
    claim.raise_if_cancelled()
    assert claim.complete().metadata.crash_count == 0


def test_an_owner_that_was_rescued_from_while_it_was_away_is_told_and_fenced(
    make_queue: Make, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = make_queue(), make_queue()
    claim = held(queue)
    backend = owner_backend(server_url, queue)
    back = threading.Event()
    connect = queue.store._opened.sessions.connect  # type: ignore[attr-defined]
    monkeypatch.setattr(
        queue.store._opened.sessions, "connect", lambda: back.wait(PATIENCE) and connect()
    )  # type: ignore[attr-defined]

    sql(server_url, "SELECT pg_terminate_backend(%s, 10000)", backend)
    rescued = eventually(other.rescue_orphans)
    back.set()

    assert rescued == 1
    assert claim.cancelled.wait(PATIENCE)
    with pytest.raises(ClaimLost):
        claim.raise_if_cancelled()
    with pytest.raises(ClaimLost):
        claim.complete()
    assert some(other.get_job(claim.job.metadata.id)).metadata.crash_count == 1
    assert status(other, claim) == "pending"


def test_a_rescuer_keeps_the_owner_from_coming_back_in_the_middle(
    make_queue: Make, server_url: str
) -> None:
    queue, other = make_queue(), make_queue()
    claim = held(queue)
    other.initialize()
    sql(
        server_url,
        f"UPDATE {queue.store.address.schema}.jobs SET owner = 7",  # type: ignore[attr-defined]
    )
    hold = other.store.hold(claim.job.metadata.id)  # under the lock of key 7

    locked = sql(server_url, "SELECT pg_try_advisory_lock(7)")
    hold.let_go()

    assert locked == [(False,)]
    assert sql(server_url, "SELECT pg_try_advisory_lock(7)") == [(True,)]


def test_a_claimer_that_got_no_thread_for_its_session_claims_when_there_is_one(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    job = queue.enqueue({"page": 1}, type="task")
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "semiont-jobs-liveness":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ThreadRefused, match="can't start new thread"):
            queue.claim_next_job()

    assert queue.get_job(job.metadata.id) == job
    assert some(queue.claim_next_job()).complete().status == "complete"


# -- the network is gone -------------------------------------------------------------------


def test_an_owner_behind_a_silent_line_is_told_before_its_job_can_be_taken(
    line: Line, far: JobQueue, make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "HEARTBEAT", 0.1)
    monkeypatch.setattr(liveness, "GIVE_UP", 2.0)
    queue, other = far, make_queue()
    claim = held(queue)
    cancelled = claim.cancelled

    line.fall_silent()
    assert cancelled.wait(PATIENCE)
    with pytest.raises(ClaimLost):
        claim.raise_if_cancelled()
    kept = other.rescue_orphans()
    line.give_up_on_clients()
    rescued = eventually(other.rescue_orphans)
    line.heal()

    assert (kept, rescued) == (0, 1)
    with pytest.raises(ClaimLost):
        claim.complete()
    heir = some(other.claim_next_job())
    assert heir.job.metadata.crash_count == 1
    assert heir.complete({"by": "heir"}).status == "complete"
    again = queue.enqueue({}, type="task")
    assert eventually(lambda: taken(queue)).job.metadata.id == again.metadata.id


def test_no_call_waits_for_ever_on_a_silent_line(line: Line, far: JobQueue) -> None:
    queue = far
    queue.enqueue({}, type="task")
    held(queue)

    line.fall_silent()
    refused = threading.Event()

    def ask() -> None:
        with pytest.raises(StoreError):
            queue.get_stats()
        refused.set()

    threading.Thread(target=ask, daemon=True).start()
    assert refused.wait(PATIENCE)
    line.heal()
    assert eventually(lambda: queue.get_stats().total) == 2


def test_the_server_is_told_to_notice_a_silent_client(make_queue: Make, server_url: str) -> None:
    queue = make_queue().initialize()
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")

    with queue.store._opened.sessions.session() as session:  # type: ignore[attr-defined]
        text = queue.store._opened.sessions._settings  # type: ignore[attr-defined]
        parameters = session.info.get_parameters()

    assert all(f"SET {name} = " in text for name in (*names, "tcp_user_timeout"))
    assert parameters["tcp_user_timeout"] == "10000"
    assert parameters["keepalives_idle"] == "5"
    # The owner gives up before the server lets go.
    assert liveness.GIVE_UP + liveness.SILENCE < 16


# -- answers that are lost -----------------------------------------------------------------


def test_a_job_whose_stored_answer_was_lost_is_created_once(
    line: Line, make_queue: Make, schema: str
) -> None:
    queue = make_queue(f"{line.url}?schema={schema}").initialize()

    line.lose_answer(b"INSERT INTO")
    job = queue.enqueue({"page": 1}, type="task")

    assert [job] == queue.query_jobs()
    with pytest.raises(JobExists):
        queue.create_job(job)


def test_a_batch_whose_stored_answer_was_lost_is_created_once(
    line: Line, make_queue: Make, schema: str
) -> None:
    queue = make_queue(f"{line.url}?schema={schema}").initialize()
    jobs = [PendingJob(metadata=JobMetadata(type="task"), params={"n": n}) for n in range(9)]

    line.lose_answer(b"COMMIT")
    queue.create_jobs(jobs)

    assert queue.get_stats().pending == 9


def test_a_claim_whose_answer_was_lost_goes_on(line: Line, make_queue: Make, schema: str) -> None:
    queue = make_queue(f"{line.url}?schema={schema}")
    job = queue.enqueue({"page": 1}, type="task")
    queue.rescue_orphans()

    line.lose_answer(b"SET status")
    claim = some(queue.claim_next_job())

    assert claim.job.metadata.id == job.metadata.id
    assert queue.rescue_orphans() == 0
    assert claim.complete().metadata.attempt_count == 1


@pytest.mark.parametrize("again", ["complete", "fail"])
def test_an_outcome_whose_answer_was_lost_is_replaced_by_the_next_try(
    line: Line, make_queue: Make, schema: str, again: str
) -> None:
    queue = make_queue(f"{line.url}?schema={schema}")
    claim = held(queue)

    line.lose_answer(b"SET status")
    with pytest.raises(StoreError):
        claim.complete({"page": 1})
    stored = status(queue, claim)
    last = claim.complete({"page": 1}) if again == "complete" else claim.fail("no")

    assert stored == "complete"
    assert queue.get_job(claim.job.metadata.id) == last
    assert last.metadata.attempt_count == 1


def test_an_outcome_in_doubt_that_somebody_went_on_from_is_left_alone(
    line: Line, make_queue: Make, schema: str
) -> None:
    queue, other = make_queue(f"{line.url}?schema={schema}"), make_queue()
    claim = held(queue)

    line.lose_answer(b"SET status")
    with pytest.raises(StoreError):
        claim.release()
    heir = some(other.claim_next_job())

    with pytest.raises(ClaimLost):
        claim.complete()
    assert heir.complete({"by": "heir"}) == other.get_job(claim.job.metadata.id)


@pytest.mark.parametrize("name", ["idle_in_transaction_session_timeout", "transaction_timeout"])
def test_a_session_that_a_limit_of_transactions_ended_is_lost_as_any_other(
    make_queue: Make, server_url: str, name: str
) -> None:
    if not sql(server_url, "SELECT 1 FROM pg_settings WHERE name = %s", name):
        pytest.skip(f"this server has no {name}")
    queue = make_queue()
    job = queue.create_job(PendingJob(metadata=JobMetadata(type="task"), params={}))
    hold: Any = queue.store.hold(job.metadata.id)
    backend = hold._session.info.backend_pid
    hold._session.execute(f"SET {name} = 100")
    query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
    eventually(lambda: not sql(server_url, query, backend))

    with pytest.raises(StoreError) as loss:
        hold.set_aside("it is not to be lost")
    hold.let_go()

    assert loss.value.errno == LOST
    assert queue.get_job(job.metadata.id) == job
