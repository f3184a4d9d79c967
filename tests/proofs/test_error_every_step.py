"""An error of the disk at any step of any verb loses nothing, ends no worker, and when it is over
the queue goes on by itself."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from files.places import AT_ONCE, Place, job
from proofs.crashes import PARTS
from proofs.doors import FaultyDisk
from proofs.errors import ERRNOS, fail_at, recover_at, steps
from proofs.fast import fast

from semiont_jobs import FileStore, JobQueue, JobWorker, RunningJob
from semiont_jobs.stores.files import batch
from semiont_jobs.stores.files.forcing import DURABILITIES, Durability
from semiont_jobs.testing.suite import eventually

pytestmark = pytest.mark.proof


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again on a disk that refuses everything is refused again, however late."""
    monkeypatch.setattr(batch, "PAUSES", [0.0] * len(batch.PAUSES))


once_or_on = pytest.mark.parametrize("goes_on", [False, True], ids=["once", "from then on"])
parts = pytest.mark.parametrize("chapters", PARTS, ids=" and ".join)


def faults_of(
    path: Path, chapters: Sequence[str], *, goes_on: bool, durability: Durability, errnos: int
) -> list[str]:
    """Every step, each with so many of the errnos: which ones goes round with the step, so that
    in the end every verb has met each."""
    found = []
    with fast(path) as place:
        opening, whole = steps(place, chapters, durability=durability)
        first = 1 if chapters == PARTS[0] else opening + 1
        for k in range(first, whole + 1):
            for turn in range(errnos):
                # Not the same errno once and from then on: two for each step.
                code = ERRNOS[(k + turn + 3 * goes_on) % len(ERRNOS)]
                found += fail_at(place, chapters, k, code, goes_on=goes_on, durability=durability)
    return found


@parts
@pytest.mark.parametrize(
    ("durability", "goes_on"),
    # Errors that pass at once with the journal, and go on with fsync, are in the soak, with all
    # others of all durabilities.
    [("fsync", False), ("journal", True)],
)
def test_a_verb_that_the_disk_refuses_says_so_and_the_queue_goes_on_by_itself(
    tmp_path: Path, chapters: Sequence[str], goes_on: bool, durability: Durability
) -> None:
    assert [] == faults_of(tmp_path, chapters, goes_on=goes_on, durability=durability, errnos=1)


@pytest.mark.soak
@parts
@once_or_on
@pytest.mark.parametrize("durability", DURABILITIES)
def test_every_errno_at_every_step_loses_nothing(
    tmp_path: Path, chapters: Sequence[str], goes_on: bool, durability: Durability
) -> None:
    found = faults_of(
        tmp_path, chapters, goes_on=goes_on, durability=durability, errnos=len(ERRNOS)
    )

    assert [] == found


@once_or_on
def test_a_recovery_that_the_disk_refuses_is_made_good_by_the_next(
    tmp_path: Path, goes_on: bool
) -> None:
    found: list[str] = []
    k, is_met = 0, True
    with fast(tmp_path) as place:
        while is_met:
            k += 1
            is_met, faults = recover_at(place, k, ERRNOS[k % len(ERRNOS)], goes_on=goes_on)
            found += faults

    assert [] == found
    assert k > 100  # steps of a recovery, of which the last did not come


# -- workers -----------------------------------------------------------------------------

PATIENCE = 60.0
BACK_OFF = 0.08
MOST_OF_A_TRY = 30
"""Primitives that a claim or an outcome refused at once may try: cleaning up is some of them."""


class Working(JobWorker):
    """Counts the runs of each job."""

    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue, poll_interval=0.02, error_backoff=BACK_OFF)
        self.runs: Counter[str] = Counter()

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.runs[job.metadata.id] += 1
        self.update_job_progress({"page": 1})
        return {"run": self.runs[job.metadata.id]}


class Records(logging.Handler):
    """Counts what the queue logs of its errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.tries = 0
        self.enough = threading.Semaphore(0)

    def emit(self, record: logging.LogRecord) -> None:
        self.tries += 1
        self.enough.release()


@pytest.mark.parametrize("k", range(1, 150, 16))
def test_a_worker_outlives_a_disk_that_refuses_everything_and_ends_all_jobs_after(
    tmp_path: Path, k: int
) -> None:
    ids = ["a", "b", "c"]
    with JobQueue(tmp_path, fsync=False) as creator:
        creator.create_jobs([job(each) for each in ids])
    disk = FaultyDisk(10**9, ERRNOS[k % len(ERRNOS)], verbs=10**9)
    queue = JobQueue(FileStore(tmp_path, fsync=True, disk=disk), retry_policy=AT_ONCE)
    queue.initialize()
    disk.k = len(disk.calls) + k
    worker = Working(queue)
    records = Records()
    log = logging.getLogger("semiont_jobs")
    log.addHandler(records)

    try:
        with worker:
            for _ in range(4):
                assert records.enough.acquire(timeout=PATIENCE), "it went on as if all were well"
            tries, failures = records.tries, len(disk.failures)
            stood = time.monotonic()
            begun = disk.failed_at
            disk.lift()
            done = [queue_of(tmp_path).wait_for(each, timeout=PATIENCE) for each in ids]
            thread = worker._thread
            assert thread is not None
            assert thread.is_alive()
        assert worker.stop()
    finally:
        log.removeHandler(records)
        queue.close()

    assert ["complete"] * 3 == [each.status for each in done]
    # Pauses grow from an eighth to the whole of the back-off; the keeper has its own.
    assert tries <= 8 + 2 * (stood - begun) / BACK_OFF
    assert failures <= MOST_OF_A_TRY * (tries + 1)
    worked = {
        each.metadata.id: sum(a.outcome != "crashed" for a in each.metadata.attempts)
        for each in done
    }
    assert worked == dict(worker.runs)
    assert Place(tmp_path).names("complete") == ["a.json", "b.json", "c.json"]


def queue_of(path: Path) -> JobQueue:
    """Another queue on the directory, which only looks."""
    return JobQueue(path, fsync=False)


def test_a_passing_error_is_met_by_trying_again_wherever_a_verb_meets_it(tmp_path: Path) -> None:
    disk = FaultyDisk(10**9, errno.ESTALE)
    queue = JobQueue(FileStore(tmp_path, fsync=True, disk=disk))
    queue.initialize()
    created, k = 0, 0

    while not k or disk.failures:
        k += 1
        disk.failures.clear()
        disk.k = len(disk.calls) + k
        queue.create_job(job(f"j-{k}"))
        created += 1
        assert eventually(lambda: queue.get_stats().pending) == created
    queue.close()

    assert created > 15
