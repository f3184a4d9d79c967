"""The ends of loops that wait for their disk: a queue that is closed, a process that forks or ends, a
hook that hangs; and workers and pools, whose loops are such."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from files.disks import WatchedDisk
from files.loops import Hanging, taken, worked_off
from files.places import PATIENCE, Actors, Place, Unattended, job, meanwhile

from semiont_jobs import (
    ClaimLost,
    FileStore,
    JobQueue,
    JobTimeout,
    JobWorker,
    RunningJob,
    StoreError,
    WorkerPool,
    committing,
)
from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.testing.waiting import eventually

# -- closing -------------------------------------------------------------------------------


def test_a_queue_that_is_closed_waits_for_its_disk(queue: Unattended, place: Place) -> None:
    heard: list[tuple[str, str]] = []
    queue.subscribe(lambda event: heard.append((event.name, event.job_id)))
    loop = worked_off(queue, 1)
    in_hand = taken(loop)

    queue.close()

    assert not in_hand.is_open
    assert place.everything() == {"complete": ["a.json"], "pending": ["b.json", "c.json"]}
    assert heard.count(("completed", "a")) == 1
    assert heard.count(("released", "b")) == 1


def test_a_queue_whose_disk_refuses_is_not_closed(queue: Unattended, place: Place) -> None:
    worked_off(queue, 1)
    for verb in ("fsync", "fdatasync"):
        queue.disk.refuse(errno.EIO, verb, "*")

    with pytest.raises(StoreError):
        queue.close()
    assert place.copies("a").keys() == {"pending", "running", "complete"}
    queue.disk.relent()
    queue.close()

    assert place.copies("a").keys() == {"complete"}


def test_a_loop_goes_on_after_its_queue_was_closed(queue: Unattended) -> None:
    loop = worked_off(queue, 1)
    queue.close()

    claim = taken(loop)
    claim.complete()
    loop.end()

    assert claim.job.metadata.id == "b"
    assert queue.get_stats().complete == 2
    queue.close()


# -- processes -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_leaves_its_parents_jobs_alone(queue: Unattended, place: Place) -> None:
    loop = worked_off(queue, 1)
    in_hand = taken(loop)
    has_lock, goes_on = threading.Event(), threading.Event()

    def commit() -> None:
        assert loop.deferred is not None
        with loop.deferred.lock:  # type: ignore[attr-defined]
            has_lock.set()
            assert goes_on.wait(PATIENCE)

    with meanwhile(commit):
        assert has_lock.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(20)  # it must not wait for the thread that it does not have
                in_hand.__del__()  # as its end does
                with suppress(ClaimLost):
                    in_hand.complete()
                claim = taken(loop)
                claim.complete()
                loop.end()
                code = 0 if claim.job.metadata.id == "c" else 2
            finally:
                os._exit(code)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        goes_on.set()

    assert ended == 0
    assert place.copies("a").keys() == {"pending", "running", "complete"}
    loop.end()
    assert place.copies("a").keys() == {"complete"}
    assert place.copies("b").keys() == {"running"}


ENDS = """
import sys, threading
from semiont_jobs import JobQueue, JobWorker

class Quick(JobWorker):
    job_types = ("task",)
    def execute_job(self, job):
        if job.params["n"] == 20:
            done.set()

done = threading.Event()
queue = JobQueue(sys.argv[1], durability=sys.argv[2])
for n in range(200):
    queue.enqueue({"n": n}, type="task")
worker = Quick(queue)
worker.start()
done.wait()
"""


def test_a_process_that_ends_leaves_nothing_to_settle(
    tmp_path: Path, durability: Durability
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS, str(tmp_path), durability],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    found = Place(tmp_path).everything()
    assert found.keys() == {"complete", "pending"}
    assert len(found["complete"]) + len(found["pending"]) == 200
    assert set(found["complete"]).isdisjoint(found["pending"])


# -- workers -------------------------------------------------------------------------------


class Plain(JobWorker):
    """Does nothing."""

    job_types = ("task",)

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Nothing."""


class Waits(JobWorker):
    """Waits at one job."""

    job_types = ("task",)

    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue)
        self.at_work, self.may_go_on = threading.Event(), threading.Event()

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Wait."""
        if job.metadata.id == "b":
            self.at_work.set()
            assert self.may_go_on.wait(PATIENCE)


@pytest.fixture
def busy(tmp_path: Path, durability: Durability) -> JobQueue:
    """One as users have it, with eight jobs that another process has put in."""
    with JobQueue(tmp_path / "data") as producer:
        for job_id in "abcdefgh":
            producer.create_job(job(job_id))
    return JobQueue(FileStore(tmp_path / "data", durability=durability, disk=WatchedDisk()))


def forced(queue: JobQueue) -> int:
    """How often something was forced that is no folder's name."""
    disk: WatchedDisk = queue.store._disk  # type: ignore[attr-defined]
    return disk.count("fdatasync") + disk.count("fsync_folder", "jobs/complete")


def test_a_worker_forces_its_outcomes_together(
    busy: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "LATE", 3600.0)
    before = forced(busy.initialize())

    with Plain(busy):
        eventually(lambda: busy.get_stats().complete == 8)
    busy.close()

    assert 0 < forced(busy) - before < 8


def test_a_pools_thread_forces_its_outcomes_together(
    busy: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "LATE", 3600.0)
    before = forced(busy.initialize())

    WorkerPool(busy, [Plain], threads=1, burst=True).run()
    busy.close()

    assert 0 < forced(busy) - before < 8


def test_what_a_loop_by_hand_has_a_worker_do_is_durable_at_once(
    queue: Unattended, place: Place
) -> None:
    for claim in queue.claims():
        id_ = claim.job.metadata.id
        Plain(queue).work_on(claim)
        assert place.copies(id_).keys() == {"complete"}


def test_an_outcome_is_told_of_while_the_next_job_goes_on(busy: JobQueue, tmp_path: Path) -> None:
    heard: list[str] = []
    busy.subscribe(lambda event: heard.append(f"{event.name} {event.job_id}"))

    with Waits(busy) as worker:
        assert worker.at_work.wait(PATIENCE)
        eventually(lambda: "completed a" in heard)
        eventually(lambda: not (tmp_path / "data/jobs/pending/b.json").exists())
        worker.may_go_on.set()
    busy.close()


def test_an_outcome_that_its_loop_leaves_is_told_of_though_its_work_took_long(
    busy: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "QUIET", 1)
    monkeypatch.setattr(committing, "ASLEEP", 2 * PATIENCE)
    is_told = threading.Event()
    busy.subscribe(lambda event: is_told.set() if event.name == "completed" else None)
    claim = taken(busy.initialize().claimer())
    eventually(lambda: not claim._hold.is_owing)  # type: ignore[attr-defined]
    eventually(lambda: not busy.committer._is_awake)

    claim.complete()

    assert is_told.wait(PATIENCE)
    busy.close()


def test_who_waits_for_a_job_here_is_told_when_it_is_durable(
    queue: Unattended, actor: Actors
) -> None:
    loop = worked_off(queue, 1)
    with pytest.raises(JobTimeout):
        queue.wait_for("a", 0.1)
    assert actor().wait_for("a", PATIENCE).status == "complete"  # of another process, as it is seen

    with meanwhile(lambda: queue.wait_for("a", PATIENCE)) as found:
        loop.end()

        assert found.result(PATIENCE).status == "complete"


def test_who_waits_for_a_job_need_not_wait_for_the_one_after_it(busy: JobQueue) -> None:
    with Waits(busy) as worker:
        assert worker.at_work.wait(PATIENCE)
        found = busy.wait_for("a", PATIENCE)
        assert found.status == "complete"
        worker.may_go_on.set()
    busy.close()


def test_who_removes_a_job_waits_for_its_disk(queue: Unattended, actor: Actors) -> None:
    loop = worked_off(queue, 1)

    with meanwhile(lambda: actor().remove_job("a")) as removed:
        eventually(lambda: queue.get_job("a") is not None)
        loop.end()

        assert removed.result(PATIENCE) is True


def test_a_run_on_a_queue_that_waits_for_its_disk_leaves_none_of_its_jobs(
    busy: JobQueue,
) -> None:
    with WorkerPool(busy, [Plain], threads=2) as pool:
        assert list(pool.map(len, ["x"] * 50)) == [1] * 50

    busy.close()
    assert [job for job in busy.query_jobs(limit=None) if job.metadata.type != "task"] == []
    busy.close()


def test_work_that_completes_its_job_itself_is_told_when_it_is_durable(
    busy: JobQueue, tmp_path: Path
) -> None:
    seen: list[set[str]] = []

    class Itself(Plain):
        def execute_job(self, job: RunningJob[Any, Any]) -> None:
            self.claim.complete("by itself")
            seen.append(set(Place(tmp_path / "data").copies(job.metadata.id)))

    with Itself(busy):
        eventually(lambda: busy.get_stats().complete == 8)
    busy.close()

    assert seen == [{"complete"}] * 8


def test_another_threads_verb_is_not_put_off(queue: Unattended, place: Place) -> None:
    claim = taken(queue.claimer())

    with meanwhile(claim.complete) as ended:
        assert ended.result(PATIENCE).status == "complete"

    assert place.copies("a").keys() == {"complete"}


def test_a_pools_thread_whose_hook_hangs_is_replaced(busy: JobQueue) -> None:
    hook = Hanging("a")
    busy.subscribe(hook)

    with WorkerPool(busy, [Plain], threads=1, timeout=0.05, stuck_after=0.05):
        assert hook.hangs.wait(PATIENCE)
        eventually(lambda: busy.get_stats().complete == 8)
        hook.goes_on.set()
    busy.close()


def test_a_hook_may_stop_the_worker(busy: JobQueue) -> None:
    worker = Plain(busy)
    stopped: list[bool] = []
    busy.subscribe(lambda event: stopped.append(worker.stop()) if event.job_id == "h" else None)

    worker.start()
    eventually(lambda: bool(stopped))
    began = time.monotonic()
    worker.stop()

    assert time.monotonic() - began < 4
    busy.close()


def test_what_a_worker_that_was_stopped_has_done_is_told(busy: JobQueue) -> None:
    heard: list[str] = []
    busy.subscribe(lambda event: heard.append(event.job_id) if event.name == "completed" else None)

    with Plain(busy):
        eventually(lambda: busy.get_stats().complete == 8)

    assert sorted(heard) == list("abcdefgh")
    busy.close()
