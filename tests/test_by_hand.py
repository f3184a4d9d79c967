"""What people do by hand: cancel, retry, clean up."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from queues import put

from semiont_jobs import (
    Event,
    InvalidTransition,
    InvalidValue,
    JobHeld,
    JobQueue,
    MemoryStore,
    by_hand,
)
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import names_of, some


def test_cancelling_by_filter_says_how_many(queue: JobQueue) -> None:
    for n in range(3):
        put(queue, f"x{n}", type="x")
    put(queue, "y", type="y")
    put(queue, "z", type="x", user_id="alice", queue="night")
    claim = some(queue.claim_next_job(types=["x"], queue="default"))

    assert queue.cancel_jobs(status="complete") == 0
    assert queue.cancel_jobs(type="x", user_id="alice") == 1
    assert queue.cancel_jobs(type="x", queue="default", status="pending") == 2
    assert queue.cancel_jobs(type="x") == 1
    assert claim.cancelled.is_set()
    assert queue.get_stats().pending == 1


def failed(queue: JobQueue, *ids: str, **options: Any) -> None:
    for id_ in ids:
        put(queue, id_, max_retries=0, **options)
        some(queue.claim_next_job()).fail("no")


def test_retrying_by_filter_says_how_many_and_leaves_cancelled_jobs_alone(
    queue: JobQueue,
) -> None:
    failed(queue, "x0", "x1", type="x")
    failed(queue, "y", type="y", user_id="alice")
    put(queue, "dropped", type="x")
    queue.cancel_job("dropped")

    assert queue.retry_jobs(type="x", user_id="alice") == 0
    assert queue.retry_jobs(type="x") == 2
    assert queue.retry_jobs() == 1
    assert queue.retry_jobs() == 0
    assert some(queue.get_job("dropped")).status == "cancelled"
    assert queue.retry_jobs(status="cancelled", type="x") == 1
    assert queue.get_stats().pending == 4
    assert all(not job.metadata.retry_count for job in queue.query_jobs())


@pytest.mark.parametrize("status", ["pending", "complete", "gone", 5])
def test_only_failed_and_cancelled_jobs_can_be_asked_for(queue: JobQueue, status: Any) -> None:
    failed(queue, "a")

    with pytest.raises(InvalidValue):
        queue.retry_jobs(status=status)

    assert queue.get_stats().failed == 1


def test_a_job_that_somebody_else_has_retried_or_removed_meanwhile_is_left(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(queue, "a", "b", "c")
    query = queue.query_jobs

    def others_are_quicker(**filters: Any) -> Any:
        found = query(**filters)
        queue.retry_job("a")
        queue.remove_job("b")
        return found

    monkeypatch.setattr(queue, "query_jobs", others_are_quicker)

    assert queue.retry_jobs() == 1


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_one_that_is_held_is_told_and_keeps_no_other_from_it(
    queue: JobQueue, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(queue, "a", "b")
    if verb == "cancel":
        queue.retry_jobs()
    to_one = {"cancel": "_cancel", "retry": "retry_job"}[verb]
    act = getattr(queue, to_one)

    def held(id_: str, *rest: Any) -> Any:
        if id_ == "b":
            raise JobHeld(id_)
        return act(id_, *rest)

    monkeypatch.setattr(queue, to_one, held)
    with pytest.raises(JobHeld):
        getattr(queue, f"{verb}_jobs")()

    was, became = {"cancel": ("pending", "cancelled"), "retry": ("failed", "pending")}[verb]
    assert [some(queue.get_job(id_)).status for id_ in "ab"] == [became, was]


@pytest.mark.parametrize(("status", "asked"), [("pending", 0), (None, 1)])
def test_a_job_taken_meanwhile_is_cancelled_only_if_running_ones_are_meant_too(
    status: Any, asked: int
) -> None:
    class Busy(MemoryStore):
        """Lets a worker take the job right after it was listed."""

        def jobs(self, statuses: Any) -> Any:
            found = list(super().jobs(statuses))
            claims.append(queue.claim_next_job())
            return iter(found)

    claims: list[Any] = []
    queue = JobQueue(Busy())
    put(queue, "a")

    assert queue.cancel_jobs(status=status, type="task") == asked

    assert claims[0].cancelled.is_set() == bool(asked)


@pytest.mark.parametrize("status", ["pending", "running", "complete"])
def test_only_what_failed_or_was_cancelled_is_retried(queue: JobQueue, status: str) -> None:
    put(queue, "a")
    if status != "pending":
        claim = some(queue.claim_next_job())
        if status == "complete":
            claim.complete()

    with pytest.raises(InvalidTransition, match=f"cannot retry a {status} job") as told:
        queue.retry_job("a")

    assert told.value.job_id == "a"
    assert some(queue.get_job("a")).status == status


def test_a_retry_by_hand_waits_for_whoever_moves_the_job_and_then_gives_up() -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    put(queue, "a")
    queue.cancel_job("a")
    hold = store.hold("a")

    with pytest.raises(JobHeld) as told:
        queue.retry_job("a")

    assert told.value.job_id == "a"
    hold.let_go()
    assert queue.retry_job("a").status == "pending"


def test_a_cancelled_job_that_somebody_holds_for_a_moment_cannot_be_cancelled_again() -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    put(queue, "a")
    queue.cancel_job("a")
    store.hold("a")

    assert queue.cancel_job("a") is False


def test_a_waiting_job_that_somebody_holds_for_ever_is_said_to_be_held(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "CANCEL_PATIENCE", 0.05)
    put(queue, "a")
    put(queue, "b")
    hold = queue.store.hold("a")

    with pytest.raises(JobHeld, match="job a: it waits, but somebody has held it for") as told:
        queue.cancel_job("a")
    with pytest.raises(JobHeld):
        queue.cancel_jobs()

    assert "a" == told.value.job_id
    assert ["pending", "cancelled"] == [some(queue.get_job(id)).status for id in ("a", "b")]
    hold.let_go()


def test_a_waiting_job_that_somebody_holds_for_a_moment_is_cancelled_when_it_is_free() -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    put(queue, "a")
    hold = store.hold("a")
    looked = threading.Event()
    queue.subscribe(lambda _event: looked.set())

    def cancel() -> None:
        said.append(queue.cancel_job("a"))

    said: list[bool] = []
    thread = threading.Thread(target=cancel)
    thread.start()
    hold.let_go()
    thread.join(30)

    assert said == [True]
    assert looked.is_set()
    assert some(queue.get_job("a")).status == "cancelled"


def test_cleaning_tells_how_many_and_which(queue: JobQueue, clock: FakeClock) -> None:
    events: list[Event] = []
    for id_ in ("done", "failed", "stopped", "waiting"):
        put(queue, id_, max_retries=0)
    claims = {}
    for _ in range(3):
        claim = some(queue.claim_next_job(accept=lambda job: job.metadata.id != "waiting"))
        claims[claim.job.metadata.id] = claim
    claims["done"].complete()
    claims["failed"].fail("no")
    claims["stopped"].cancel()
    clock.advance(3600)
    queue.subscribe(events.append)

    assert queue.cleanup_completed_jobs(timedelta(hours=2)) == 0
    assert queue.cleanup_completed_jobs(timedelta(minutes=30)) == 2
    assert queue.cleanup_completed_jobs(clock(), cancelled=True) == 1

    assert names_of(events) == ["removed"] * 3
    assert {event.job_id for event in events} == {"done", "failed", "stopped"}
    assert queue.get_stats().total == 1
