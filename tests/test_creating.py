"""Many jobs of many params, in one call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import frozen

from semiont_jobs import InvalidJob, InvalidValue, JobEncodeError, JobQueue, JobType
from semiont_jobs.testing import FakeClock


@frozen
class Page:
    number: int


@frozen
class Book:
    title: str


PAGE: JobType[Any, Any, Any] = JobType("page", Page, max_retries=7, timeout=9.0)
BOOK: JobType[Any, Any, Any] = JobType("book", Book)


def test_each_of_the_params_becomes_a_job_in_their_order(queue: JobQueue) -> None:
    jobs = queue.enqueue_many(({"n": n} for n in range(5)), type="task", priority=3)

    assert [job.params for job in jobs] == [{"n": n} for n in range(5)]
    assert {job.metadata.priority for job in jobs} == {3}
    assert jobs == queue.query_jobs()
    claimed = [claim.job.params for claim in queue.claims()]
    assert claimed == [job.params for job in jobs]


def test_params_say_their_types_each_with_what_its_type_has(make_queue: Any) -> None:
    queue = make_queue(job_types=[PAGE, BOOK])

    page, book = queue.enqueue_many([Page(1), Book("x")])

    assert [
        (job.metadata.type, job.metadata.max_retries, job.metadata.timeout) for job in (page, book)
    ] == [("page", 7, 9.0), ("book", 3, None)]


def test_what_is_said_of_all_is_so_of_each(queue: JobQueue, clock: FakeClock) -> None:
    jobs = queue.enqueue_many(
        [{}, {}],
        type="task",
        user_id="ann",
        queue="slow",
        run_after=timedelta(hours=1),
        max_retries=1,
        timeout=5,
    )

    for job in jobs:
        metadata = job.metadata
        assert (metadata.user_id, metadata.queue, metadata.max_retries) == ("ann", "slow", 1)
        assert (metadata.run_after, metadata.timeout) == (clock() + timedelta(hours=1), 5)


def test_each_job_is_told_of(queue: JobQueue) -> None:
    told: list[Any] = []
    queue.subscribe(lambda event: told.append((event.name, event.job_id)))

    jobs = queue.enqueue_many([{}, {}], type="task")

    assert told == [("created", job.metadata.id) for job in jobs]


def test_of_no_params_there_is_no_job(queue: JobQueue) -> None:
    assert queue.enqueue_many([], type="task") == []
    assert queue.get_stats().total == 0


@pytest.mark.parametrize("params", [{"n": 1}, "ab", b"ab", 3, None])
def test_what_is_no_list_of_params_is_refused(queue: JobQueue, params: Any) -> None:
    with pytest.raises(InvalidValue, match="a list or tuple of params is needed"):
        queue.enqueue_many(params, type="task")
    with pytest.raises(InvalidValue, match="a list or tuple of jobs is needed"):
        queue.create_jobs(params)
    assert queue.get_stats().total == 0


def test_one_that_is_invalid_keeps_all_out(make_queue: Any) -> None:
    queue = make_queue(job_types=[PAGE])

    with pytest.raises(InvalidJob):
        queue.enqueue_many([Page(1), {"n": 1}])
    with pytest.raises(JobEncodeError):
        queue.enqueue_many([{"n": 1}, {1: 2}], type="task")

    assert queue.get_stats().total == 0
