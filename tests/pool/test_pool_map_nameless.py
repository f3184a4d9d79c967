"""Runs without a name, and items that are no longer, or not, what their run made of them."""

from __future__ import annotations

import itertools

import pytest

from semiont_jobs import ItemFailed, JobQueue, WorkerPool
from semiont_jobs.testing.suite import some


def types_left(queue: JobQueue) -> list[str]:
    return [job.metadata.type for job in queue.query_jobs(limit=None)]


def test_a_run_without_a_name_leaves_nothing_though_its_iteration_is_kept(queue: JobQueue) -> None:
    with WorkerPool(queue, threads=2) as pool:
        results = pool.map(len, itertools.repeat("ab"))
        assert next(results) == 2
        assert types_left(queue)

    assert types_left(queue) == []
    with pytest.raises(RuntimeError, match="stopped"):
        list(results)


def test_runs_without_a_name_are_counted_as_one_type(queue: JobQueue) -> None:
    with WorkerPool(queue) as pool:
        for _ in range(3):
            assert list(pool.map(len, ["a", "bb"])) == [1, 2]
        assert list(pool.map(len, ["a"], name="run-1")) == [1]

    counts = {each.type: each.events["completed"] for each in queue.process_metrics()}
    assert counts == {"map:~": 6, "map:run-1": 1}


def test_an_item_that_another_program_has_completed_is_told_of(queue: JobQueue) -> None:
    queue.enqueue({"item": "a"}, type="map:run-1", id="map-run-1-00000000", max_retries=0)
    some(queue.claim_next_job(types=["map:run-1"])).complete({"its": "own"})

    with WorkerPool(queue) as pool, pytest.raises(ItemFailed, match="was not this run"):
        list(pool.map(len, ["a"], name="run-1"))
