"""Claims that begin, end and are dropped in several threads at once."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from claims import held
from races.moments import Filling

from semiont_jobs import JobQueue
from semiont_jobs.testing.suite import some


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobQueue]:
    """One that is looked after only when the test says so."""
    monkeypatch.setattr("semiont_jobs.keeper.PERIOD", 3600.0)
    with JobQueue("memory:") as queue:
        yield queue


class _Growing(deque[Any]):
    """To which another thread adds while anybody goes through it."""

    def __iter__(self) -> Iterator[Any]:
        for each in super().__iter__():
            self.append(each)
            yield each

    def copy(self) -> Any:
        return deque(super().__iter__())


class _Emptied(deque[Any]):
    """Another thread takes the last one at the last moment."""

    def __bool__(self) -> bool:
        return True


def test_a_claim_that_begins_while_the_last_one_on_its_job_is_forgotten_is_known(
    queue: JobQueue,
) -> None:
    claim = held(queue)
    job_id = claim.job_id
    before = dict(queue._claims._known)
    claim.release()
    again = some(queue.claim_next_job())
    begun = dict(queue._claims._known)
    queue._claims._known = Filling(before, begun)

    queue._claims.forget(claim)

    assert queue._claims.get(job_id) is again


def test_a_claim_may_be_dropped_while_all_are_given_back(queue: JobQueue) -> None:
    held(queue)
    gc.collect()
    queue._claims._dropped = _Growing(deque(queue._claims._dropped))

    queue.close()

    assert queue.get_stats().running == 0


def test_two_threads_may_give_back_what_was_dropped(queue: JobQueue) -> None:
    held(queue)
    gc.collect()
    queue._claims._dropped = _Emptied(queue._claims._dropped)

    queue._claims.give_back_dropped()

    assert queue.get_stats().running == 0
