"""A process that ends with its queue open leaves nothing behind that it has to wait for."""

from __future__ import annotations

import subprocess
import sys

from semiont_jobs import JobQueue

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
