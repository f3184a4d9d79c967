"""A worker outlives a disk that refuses, and its work is not run again for that."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

import pytest
from files.places import Actors, Place, claimed, job
from files.refusals import ERRNOS, refuse, refused

from semiont_jobs import JobQueue, JobWorker, RunningJob, StoreError, WorkerPool
from semiont_jobs import claim as claim_module
from semiont_jobs.testing import FakeClock


class Counting(JobWorker):
    """Counts how often its work ran."""

    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue, poll_interval=0.05, error_backoff=0.05)
        self.ran: list[str] = []
        self.has_run = threading.Event()

    def execute_job(self, job: RunningJob[object, object]) -> object:
        self.ran.append(job.metadata.id)
        self.has_run.set()
        return {"by": "the only run"}


@pytest.mark.parametrize("code", ERRNOS)
def test_an_outcome_kept_by_a_worker_is_stored_when_there_is_space_and_the_work_ran_once(
    actor: Actors, place: Place, code: int
) -> None:
    queue = actor()
    tried = threading.Semaphore(0)
    worker = Counting(queue)

    def no_space() -> None:
        if worker.has_run.is_set():
            tried.release()
            raise OSError(code, "refused")

    queue.disk.before("write", ".tmp/*", no_space, times=1_000_000)
    queue._store.create(job())
    with worker:
        for _ in range(3):
            assert tried.acquire(timeout=60)
        standing = place.copies()
        queue.disk.relent()
        done = actor().wait_for("j", timeout=60)

    assert list(standing) == ["running"]
    assert done.status == "complete"
    assert done.result == {"by": "the only run"}
    assert worker.ran == ["j"]
    assert place.everything() == {"complete": ["j.json"]}


@pytest.mark.parametrize("code", ERRNOS)
def test_a_worker_that_cannot_claim_lives_on_and_claims_when_it_can(
    actor: Actors, code: int
) -> None:
    queue = actor()
    queue.create_job(job())
    tried = threading.Semaphore(0)

    def no_space() -> None:
        tried.release()
        raise OSError(code, "refused")

    queue.disk.before("write", ".tmp/*", no_space, times=1_000_000)
    worker = Counting(queue)
    with worker:
        for _ in range(3):
            assert tried.acquire(timeout=60)
        queue.disk.relent()
        done = actor().wait_for("j", timeout=60)

    assert done.status == "complete"
    assert done.metadata.retry_count == 0
    assert done.metadata.attempt_count == 1
    assert worker.ran == ["j"]


@pytest.mark.parametrize("how", ["worker", "pool"])
def test_a_worker_tells_of_a_disk_that_refuses_in_one_line_and_of_a_bug_with_its_traceback(
    actor: Actors, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = actor()
    queue.create_job(job())
    errors = [OSError(errno.ENOSPC, "refused"), RuntimeError("a bug")]

    def refuse() -> None:
        if errors:
            raise errors.pop(0)

    queue.disk.before("write", ".tmp/*", refuse, times=1_000_000)
    worker = Counting(queue)
    with worker if how == "worker" else WorkerPool(queue, [lambda: worker]):
        actor().wait_for("j", timeout=60)

    told = [record for record in caplog.records if "cannot claim" in record.getMessage()]
    assert [bool(record.exc_info) for record in told] == [False, True]


def test_a_directory_that_cannot_be_listed_stops_no_worker(actor: Actors) -> None:
    queue = actor()
    queue.create_job(job())
    tried = threading.Semaphore(0)

    def no_entry() -> None:
        tried.release()
        raise OSError(errno.EACCES, "refused")

    queue.disk.before("*", "jobs/pending", no_entry, times=1_000_000)
    worker = Counting(queue)
    with worker:
        for _ in range(3):
            assert tried.acquire(timeout=60)
        queue.disk.relent()
        done = actor().wait_for("j", timeout=60)

    assert done.status == "complete"


@pytest.mark.parametrize("step", ["open running/a.json", "link pending/a.json"])
def test_one_file_that_the_disk_refuses_does_not_keep_the_others_from_rescue(
    actor: Actors, place: Place, step: str
) -> None:
    dead, rescuer = actor(), actor()
    dead.create_jobs([job("a"), job("b")])
    for _ in range(2):
        claimed(dead)
    for name in ("a", "b"):
        dead.store.kill_holder(name)
    refuse(rescuer, errno.EIO, step)

    refused(rescuer.rescue_orphans)

    assert {"pending": ["b.json"], "running": ["a.json"]} == place.everything()
    assert 1 == rescuer.rescue_orphans()


class Careful(JobWorker):
    """Stores or asks something in the middle of its work, and counts how often that ran."""

    def __init__(self, queue: JobQueue, step: Callable[[JobWorker], object]) -> None:
        super().__init__(queue, poll_interval=0.05, error_backoff=0.05)
        self.step = step
        self.runs = 0

    def execute_job(self, job: RunningJob[object, object]) -> object:
        self.runs += 1
        self.step(self)
        return "done"


STEPS: dict[str, Callable[[JobWorker], object]] = {
    "checkpoint": lambda worker: worker.checkpoint(["a"]),
    "raise_if_cancelled": lambda worker: worker.raise_if_cancelled(),
}
REFUSALS = {"checkpoint": "write .tmp/*", "raise_if_cancelled": "stat running/*"}


@pytest.mark.parametrize("code", ERRNOS)
@pytest.mark.parametrize("step", STEPS)
def test_an_attempt_that_the_disk_cut_short_is_none_of_the_works(
    actor: Actors, monkeypatch: pytest.MonkeyPatch, code: int, step: str
) -> None:
    monkeypatch.setattr(claim_module, "REFUSED_PAUSE", 0.01)
    queue = actor()
    queue.create_job(job(max_retries=0))

    def cut_short(worker: JobWorker) -> None:
        if worker.runs == 1:
            refuse(queue, code, REFUSALS[step])
        STEPS[step](worker)

    worker = Careful(queue, cut_short)
    with worker:
        done = actor().wait_for("j", timeout=60)

    assert ("complete", 2) == (done.status, worker.runs)
    assert (1, 0) == (done.metadata.attempt_count, done.metadata.retry_count)


def test_a_job_that_the_disk_cut_short_is_not_offered_again_at_once(actor: Actors) -> None:
    clock = FakeClock()
    queue = actor(clock=clock)
    queue.create_job(job(max_retries=0, created=clock()))
    claim = claimed(queue)
    refuse(queue, errno.ENOSPC, "write .tmp/*")

    with pytest.raises(StoreError), claim:
        claim.checkpoint(["a"])

    assert queue.claim_next_job() is None
    clock.advance(claim_module.REFUSED_PAUSE)
    assert claimed(queue).complete().metadata.attempt_count == 1


def test_a_report_never_fails_the_work(actor: Actors) -> None:
    queue = actor()
    queue.create_job(job(max_retries=0))

    def report(worker: JobWorker) -> None:
        refuse(queue, errno.EMFILE, "create .tmp/*")
        worker.update_job_progress({"page": 1})

    worker = Careful(queue, report)
    with worker:
        done = actor().wait_for("j", timeout=60)

    assert ("complete", 1) == (done.status, worker.runs)


@pytest.mark.parametrize("claims", [True, False])
def test_an_error_of_another_queue_is_the_works(actor: Actors, claims: bool) -> None:
    queue, other = actor(), JobQueue("memory:")
    queue.create_job(job(max_retries=0))
    other.create_job(job())
    theirs = claimed(other)

    def meet_another(_worker: JobWorker) -> None:
        error = StoreError(errno.ENOSPC, "refused")
        if claims:
            theirs._note_refusal(error)
        raise error

    with Careful(queue, meet_another):
        failed = actor().wait_for("j", timeout=60)

    assert "failed" == failed.status
    theirs.release()
