"""A process at its limit of open files, and a directory that nobody may use for a while: no
job fails of it, and nobody is told more often than need be."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from files.disks import WatchedDisk

from semiont_jobs import FileStore, JobQueue, JobWorker, RunningJob
from semiont_jobs.testing.suite import eventually

AT_THE_LIMIT = """
import errno, os, resource, sys
from semiont_jobs import JobQueue, JobWorker, StoreError

class Works(JobWorker):
    def execute_job(self, job):
        return {"done": job.params["n"]}

queue = JobQueue(sys.argv[1], fsync=False).initialize()
job = queue.enqueue({"n": 1}, type="task", max_retries=0)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError as error:
    assert error.errno == errno.EMFILE
try:
    queue.enqueue({"n": 2}, type="task")
except StoreError as error:
    assert error.errno == errno.EMFILE, error
else:
    raise AssertionError("it was created without a descriptor")
worker = Works(queue, poll_interval=0.01, error_backoff=0.05)
worker.start()
worker._stop.wait(0.3)  # some tries, all in vain
for fd in taken:
    os.close(fd)
done = queue.wait_for(job.metadata.id, timeout=60)
assert worker.stop()
print(done.status, done.metadata.attempt_count, done.metadata.crash_count)
"""


def test_a_worker_with_no_descriptor_left_fails_no_job_and_goes_on_when_there_are_some(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_LIMIT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (0, "complete 1 0\n") == (done.returncode, done.stdout), done.stderr


class Idle(JobWorker):
    """Has nothing to do."""

    def execute_job(self, job: RunningJob[object, object]) -> None:
        """Nothing."""


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_worker_refused_by_its_directory_reports_once_a_pause_and_pauses_longer_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    disk = WatchedDisk()
    queue = JobQueue(FileStore(tmp_path, fsync=False, disk=disk)).initialize()
    worker = Idle(queue, poll_interval=0.01, error_backoff=0.8)
    disk.refuse(code, "*", times=1_000_000)

    with caplog.at_level(logging.ERROR, "semiont_jobs"):
        worker.start()
        reports = eventually(
            lambda: (
                told
                if len(told := [each for each in caplog.records if "cannot claim" in each.msg]) > 4
                else None
            )
        )
    disk.relent()
    assert worker.stop()
    queue.close()

    pauses = [later.created - earlier.created for earlier, later in pairwise(reports[:5])]
    assert all(pause > least for pause, least in zip(pauses, (0.09, 0.19, 0.39, 0.79), strict=True))
