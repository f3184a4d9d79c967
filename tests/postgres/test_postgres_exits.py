"""A queue that nobody closes leaves nothing behind, in a process that ends and in one that goes on."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading

import pytest

from semiont_jobs import JobQueue
from semiont_jobs.testing.waiting import eventually

LEAVES_ITS_QUEUE_OPEN = """
import atexit, sys, threading

def left_over():
    print([each.name for each in threading.enumerate() if "postgresql://" in each.name])

atexit.register(left_over)  # before the library is imported, so called last

from semiont_jobs import JobQueue

queue = JobQueue(sys.argv[1])
queue.enqueue({}, type="task")
claim = queue.claim_next_job()
"""


def test_a_queue_that_is_left_open_gives_its_job_back_and_then_stops_its_threads(url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LEAVES_ITS_QUEUE_OPEN, url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (0, "[]\n", "") == (ran.returncode, ran.stdout, ran.stderr)
    with JobQueue(url) as queue:
        (job,) = queue.query_jobs()
    assert ("pending", 0, 0) == (job.status, job.metadata.attempt_count, job.metadata.crash_count)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # psycopg's own, of its connections
def test_a_queue_that_nobody_has_any_more_ends_its_session_and_its_threads(url: str) -> None:
    before = set(threading.enumerate())
    queue = JobQueue(url)
    queue.enqueue({}, type="task")
    for claim in queue.claims():
        claim.complete()

    def left() -> set[threading.Thread]:
        gc.collect()
        return set(threading.enumerate()) - before

    assert left()

    del queue, claim

    eventually(lambda: not left())
