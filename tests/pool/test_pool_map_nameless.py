"""Runs without a name, and items that are no longer, or not, what their run made of them."""

from __future__ import annotations

import errno
import itertools
import threading
from typing import Any

import pytest
from pool.members import TIMEOUT, Echo, types_left

from semiont_jobs import InvalidValue, ItemFailed, JobQueue, QueueClosed, StoreError, WorkerPool
from semiont_jobs.testing.suite import some


def test_a_run_without_a_name_leaves_nothing_though_its_iteration_is_kept(queue: JobQueue) -> None:
    with WorkerPool(queue, threads=2) as pool:
        results = pool.map(len, itertools.repeat("ab"))
        assert next(results) == 2
        assert types_left(queue)

    assert types_left(queue) == []
    with pytest.raises(RuntimeError, match="stopped"):
        list(results)


@pytest.mark.parametrize("in_order", [True, False])
def test_items_that_a_stop_has_cancelled_are_told_of_as_that(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, in_order: bool
) -> None:
    pool, is_leaving = WorkerPool(queue, threads=1), threading.Event()

    def leaves(item: int) -> None:
        if item == 1:
            pool.stop()
            is_leaving.set()

    with monkeypatch.context() as patched:
        # As it is between the cancelling and the removing.
        patched.setattr(queue, "cleanup_completed_jobs", lambda *_given, **_options: 0)
        results = (pool.map if in_order else pool.as_completed)(leaves, range(9))
        next(results)
        assert is_leaving.wait(TIMEOUT)
        pool.stop()

        with pytest.raises(RuntimeError, match="this pool was stopped"):
            list(results)


def test_items_that_somebody_has_cancelled_are_told_of_as_that(queue: JobQueue) -> None:
    def cancels(_item: str) -> None:
        queue.cancel_jobs(status="pending")

    with WorkerPool(queue, threads=1) as pool:
        outcomes = list(pool.as_completed(cancels, "abc"))

    assert sorted(outcome.job.status for outcome in outcomes) == [
        "cancelled",
        "cancelled",
        "complete",
    ]


def test_a_pool_that_stops_opens_no_closed_queue(queue: JobQueue) -> None:
    pool = WorkerPool(queue, threads=1)
    results = pool.map(len, itertools.repeat("ab"))
    assert next(results) == 2
    queue.close()

    pool.stop()

    assert not queue.is_open
    del results


@pytest.mark.parametrize("name", [None, "run-1"])
@pytest.mark.parametrize("in_order", [True, False])
def test_a_run_opens_no_closed_queue(queue: JobQueue, in_order: bool, name: str | None) -> None:
    pool = WorkerPool(queue, threads=1)
    results = (pool.map if in_order else pool.as_completed)(len, itertools.repeat("ab"), name=name)
    next(results)
    queue.close()

    with pytest.raises(QueueClosed):
        list(results)

    pool.stop()
    assert not queue.is_open


def test_what_a_closed_queue_has_of_a_run_without_a_name_goes_when_its_pool_stops(
    queue: JobQueue,
) -> None:
    pool = WorkerPool(queue, threads=1)
    results = pool.map(len, itertools.repeat("ab"))
    next(results)
    queue.close()
    with pytest.raises(QueueClosed):
        list(results)
    assert types_left(queue)

    pool.stop()

    assert types_left(queue) == []


def test_a_pool_stops_though_the_disk_refuses_to_remove_a_run(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = WorkerPool(queue, threads=1)
    results = pool.map(len, itertools.repeat("ab"))
    assert next(results) == 2

    def refuse(**_given: Any) -> int:
        raise StoreError(errno.EIO, "refused")

    with monkeypatch.context() as patched:
        patched.setattr(queue, "cancel_jobs", refuse)
        pool.stop()
    assert types_left(queue)
    assert "are left" in caplog.text

    pool.stop()
    assert types_left(queue) == []
    del results


def test_types_that_a_pool_is_narrowed_to_offer_no_run_to_workers_of_any_type(
    queue: JobQueue,
) -> None:
    class OfAny(Echo):
        job_types = None  # type: ignore[assignment]

    queue.enqueue({"n": 1}, type="map:run-1", id="item")
    queue.enqueue({"n": 1}, type="echo", id="echo")

    WorkerPool(queue, [OfAny], types=["map:run-1", "echo"], burst=True).run()

    assert [job.metadata.id for job in queue.query_jobs(status="complete")] == ["echo"]
    with pytest.raises(InvalidValue, match="none of the workers does jobs of these types"):
        WorkerPool(queue, [OfAny], types=["map:run-1"])


def test_runs_without_a_name_are_counted_as_one_type(queue: JobQueue) -> None:
    with WorkerPool(queue) as pool:
        for _ in range(3):
            assert list(pool.map(len, ["a", "bb"])) == [1, 2]
        assert list(pool.map(len, ["a"], name="run-1")) == [1]

    counts = {each.type: each.events["completed"] for each in queue.process_metrics()}
    assert counts == {"map:~": 6, "map:run-1": 1}


def test_the_jobs_that_stand_of_runs_without_a_name_are_counted_as_one_type(
    queue: JobQueue,
) -> None:
    for number in range(3):
        queue.enqueue({"item": "a"}, type=f"map:~{number}")

    assert [(each.type, each.jobs["pending"]) for each in queue.metrics().stored] == [("map:~", 3)]


def test_an_item_that_another_program_has_completed_is_told_of(queue: JobQueue) -> None:
    queue.enqueue({"item": "a"}, type="map:run-1", id="map-run-1-00000000", max_retries=0)
    some(queue.claim_next_job(types=["map:run-1"])).complete({"its": "own"})

    with WorkerPool(queue) as pool, pytest.raises(ItemFailed, match="was not this run"):
        list(pool.map(len, ["a"], name="run-1"))


def test_what_a_killed_process_left_of_a_run_without_a_name_can_be_forgotten(
    queue: JobQueue,
) -> None:
    left = "~0123456789abcdef"
    for type_name in (f"map:{left}", "map:~fedcba9876543210", "map:run-1"):
        queue.enqueue({"item": "a"}, type=type_name)

    with WorkerPool(queue) as pool:
        assert pool.forget(left) == 1
        with pytest.raises(InvalidValue, match="a run's name is 1 to 64"):
            pool.forget("~")

    assert sorted(types_left(queue)) == ["map:run-1", "map:~fedcba9876543210"]
