"""Looking at a queue: pages of jobs, and waiting for one."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from queues import put

from semiont_jobs import InvalidValue, JobNotFound, JobQueue, JobTimeout
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import ids_of, some

# -- listing -------------------------------------------------------------------------------


def test_a_page_is_cut_from_the_newest(queue: JobQueue, clock: FakeClock) -> None:
    for n in range(5):
        put(queue, f"j{n}")
        clock.advance(1)

    assert ids_of(queue.query_jobs(limit=2)) == ["j4", "j3"]
    assert ids_of(queue.query_jobs(limit=2, offset=3)) == ["j1", "j0"]
    assert ids_of(queue.query_jobs(limit=None, offset=4)) == ["j0"]
    assert queue.query_jobs(limit=0) == []
    assert queue.query_jobs(offset=9) == []


@pytest.mark.parametrize("field", ["limit", "offset"])
@pytest.mark.parametrize("bad", [-1, 1.5, "1", True])
def test_a_page_that_cannot_be_is_refused(queue: JobQueue, field: str, bad: Any) -> None:
    with pytest.raises(InvalidValue) as told:
        queue.query_jobs(**{field: bad})

    assert (told.value.field, told.value.value) == (field, bad)


@pytest.mark.parametrize("verb", ["query_jobs", "cancel_jobs"])
def test_a_status_that_there_is_not_is_refused(queue: JobQueue, verb: str) -> None:
    with pytest.raises(InvalidValue) as told:
        getattr(queue, verb)(status="completed")

    assert (told.value.field, told.value.value) == ("status", "completed")


# -- waiting -------------------------------------------------------------------------------


def test_a_wait_ends_with_the_finished_job(queue: JobQueue) -> None:
    put(queue, "a")
    claim = some(queue.claim_next_job())
    waiting = threading.Event()

    def finish() -> None:
        waiting.wait(30)
        claim.complete({"pages": 1})

    thread = threading.Thread(target=finish)
    thread.start()
    waiting.set()
    finished = queue.wait_for("a", timeout=30)
    thread.join()

    assert finished == queue.get_job("a")
    assert finished.status == "complete"


def test_a_wait_that_is_too_long_names_the_job(queue: JobQueue) -> None:
    put(queue, "a")

    with pytest.raises(JobTimeout, match=r"job a has not finished within 0\.01 seconds"):
        queue.wait_for("a", timeout=0.01)


def test_a_wait_for_a_job_that_there_is_not_ends_at_once(queue: JobQueue) -> None:
    with pytest.raises(JobNotFound) as told:
        queue.wait_for("a", timeout=30)

    assert told.value.job_id == "a"
