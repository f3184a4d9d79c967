"""Items that come slowly, or not at all, and those that are refused."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from pool.members import TIMEOUT

from semiont_jobs import InvalidValue, JobEncodeError, JobQueue, WorkerPool
from semiont_jobs.pool import runs


def told_of(results: Iterable[Any]) -> tuple[list[Any], Exception]:
    """What is handed on, and what is raised then."""
    told: list[Any] = []
    with pytest.raises((LookupError, InvalidValue, JobEncodeError)) as raised:
        told.extend(results)  # which keeps what came before
    return told, raised.value


def counts_and_raises(most: int) -> Iterator[int]:
    yield from range(most)
    raise LookupError("no more")


@pytest.mark.parametrize("most", [0, 3, runs.BATCH, runs.BATCH + 50])
def test_what_an_iterable_raises_comes_after_the_results_of_its_items(
    queue: JobQueue, most: int
) -> None:
    with WorkerPool(queue) as pool:
        told, error = told_of(pool.map(abs, counts_and_raises(most)))
        as_completed, same = told_of(
            outcome.index for outcome in pool.as_completed(abs, counts_and_raises(most))
        )

    assert (list(range(most)), "LookupError('no more')") == (told, repr(error))
    assert (list(range(most)), "LookupError('no more')") == (sorted(as_completed), repr(same))


@pytest.mark.parametrize("name", [None, "run-1"])
def test_an_item_that_json_cannot_hold_is_told_of_after_the_results_before(
    queue: JobQueue, name: str | None
) -> None:
    with WorkerPool(queue) as pool:
        told, error = told_of(pool.map(abs, [-1, -2, float("nan"), -4], name=name))

    assert ([1, 2], JobEncodeError) == (told, type(error))


def test_an_item_that_is_another_than_before_is_told_of_after_the_results_before(
    queue: JobQueue,
) -> None:
    with WorkerPool(queue) as pool:
        list(pool.map(len, ["a", "bc"], name="run-1"))
        told, error = told_of(pool.map(len, ["a", "xyz", "d"], name="run-1"))
        keyed, twice = told_of(pool.map(len, ["a", "a"], key=str))

    assert ([1], InvalidValue) == (told, type(error))
    assert ([1], InvalidValue) == (keyed, type(twice))


def test_an_iterable_that_is_slow_keeps_no_item_waiting(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SLOW", -1.0)  # however fast it is
    was_called = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        assert was_called.wait(TIMEOUT)
        yield 2

    def called(item: int) -> int:
        was_called.set()
        return item

    with WorkerPool(memory) as pool:
        assert [1, 2] == list(pool.map(called, slow()))
