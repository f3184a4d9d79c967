"""Ids that are drawn for the call: nobody looks whether they are taken, and all else is as ever."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from files.places import Actors, Place, job

from semiont_jobs import JobExists, JobMetadata, PendingJob
from semiont_jobs.stores.files.forcing import DURABILITIES, Durability

LOOKS = ("seems_there", "exists")


def looks(queue: Any) -> int:
    return sum(call.verb in LOOKS for call in queue.disk.calls)


def fresh() -> PendingJob[Any]:
    return PendingJob(metadata=JobMetadata(type="task"), params={})


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize(
    ("create", "expected"),
    [
        (lambda queue: queue.enqueue({}, type="task"), 0),
        (lambda queue: queue.enqueue_many([{}, {}], type="task"), 0),
        (lambda queue: queue.enqueue({}, type="task", id="given"), 9),
        (lambda queue: queue.create_job(fresh()), 9),
        (lambda queue: queue.create_jobs([fresh(), fresh()]), 18),
    ],
    ids=["enqueue", "enqueue_many", "enqueue-id", "create_job", "create_jobs"],
)
def test_nobody_looks_for_an_id_that_was_drawn_for_the_call(
    actor: Actors, create: Callable[[Any], object], expected: int, durability: Durability
) -> None:
    queue = actor(durability=durability).initialize()
    queue.disk.calls.clear()

    create(queue)
    made = queue.get_stats().pending
    if durability == "journal" and made > 1:
        expected += made  # whether any was finished and removed before it was recorded

    assert looks(queue) == expected
    assert made > 0


@pytest.mark.parametrize("many", [False, True])
def test_what_failed_once_is_looked_for(actor: Actors, many: bool) -> None:
    queue = actor(durability="fsync").initialize()
    queue.disk.refuse(errno.EAGAIN, "fsync_folder" if many else "fsync")
    queue.disk.calls.clear()

    if many:
        queue.enqueue_many([{}, {}], type="task")
    else:
        queue.enqueue({}, type="task")

    assert looks(queue) == (18 if many else 9)
    assert queue.get_stats().pending == (2 if many else 1)


def test_an_id_that_stands_all_the_same_is_not_replaced(actor: Actors, place: Place) -> None:
    queue = actor()
    first = job("j", params={"by": "the first"})
    queue.create_job(first)

    with pytest.raises(JobExists):
        queue._create(job("j", params={"by": "the second"}), None, is_drawn=True)
    with pytest.raises(JobExists), suppress(StopIteration):
        queue._create_all([job("k"), job("j", params={})], None, are_drawn=True)

    assert queue.query_jobs() == [first]
    assert len(place.copies()) == 1
