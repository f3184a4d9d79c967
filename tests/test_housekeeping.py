"""What the disk refuses in one place keeps a queue from nothing else."""

from __future__ import annotations

import gc
import logging
import weakref
from pathlib import Path
from typing import Any

import pytest
from claims import some

from semiont_jobs import (
    JobId,
    JobMetadata,
    JobQueue,
    JobWorker,
    MemoryStore,
    PendingJob,
    RunningJob,
    StoreError,
)
from semiont_jobs.desk import RESCUE_INTERVAL
from semiont_jobs.keeper import PERIOD
from semiont_jobs.stores.files.door import Disk
from semiont_jobs.testing.waiting import eventually

REFUSED = StoreError(5, "Input/output error")


def refuses(*_given: object) -> Any:
    raise REFUSED


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> JobQueue:
    """One that cannot rescue."""
    queue = JobQueue(MemoryStore()).initialize()
    monkeypatch.setattr(queue.store, "orphans", refuses)
    return queue


def test_while_dead_workers_jobs_cannot_be_rescued_others_are_claimed(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        queue.enqueue({}, type="task")
        queue._rescued_at -= RESCUE_INTERVAL
        some(queue.claim_next_job()).complete()

    with pytest.raises(StoreError):  # who asks for it is told
        queue.rescue_orphans()
    said = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR]
    assert said == [f"dead workers' jobs cannot be rescued: {REFUSED}"]


def test_while_dead_workers_jobs_cannot_be_rescued_claims_are_looked_after_in_time(
    queue: JobQueue,
) -> None:
    queue.enqueue({}, type="task", id="a")
    claim = some(queue.claim_next_job())
    JobQueue(queue.store).cancel_job("a")

    pauses = []
    for _ in range(3):
        queue._rescued_at -= RESCUE_INTERVAL
        pauses.append(queue.keep_house())

    assert (pauses, claim.cancelled.is_set()) == ([PERIOD] * 3, True)


def test_a_rescue_that_succeeds_again_is_told_of_when_it_fails_the_next_time(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for answer in (refuses, lambda *_given: (), refuses, refuses):
        monkeypatch.setattr(queue.store, "orphans", answer)
        queue._rescued_at -= RESCUE_INTERVAL
        queue.keep_house()

    assert 2 == sum("cannot be rescued" in each.getMessage() for each in caplog.records)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_goes_on_though_the_disk_does_not_take_the_job_back(
    queue: JobQueue, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue({}, type="task")
    claim = some(queue.claim_next_job())

    monkeypatch.setattr(type(claim), "release", refuses)
    with pytest.raises(error), claim:
        raise error


def test_a_queue_that_the_disk_does_not_let_close_is_looked_after_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = JobQueue(MemoryStore())
    queue.enqueue({}, type="task", id="a")
    claim = some(queue.claim_next_job())
    with monkeypatch.context() as refusing:
        refusing.setattr(queue._claims, "give_back_all", refuses)
        with pytest.raises(StoreError):
            queue.close()

    JobQueue(queue.store).cancel_job("a")

    assert eventually(claim.cancelled.is_set)
    queue.close()


@pytest.mark.parametrize("kind", ["memory", "process", "fsync", "journal"])
def test_a_queue_that_nobody_has_any_more_is_not_looked_after_until_the_collector_comes(
    tmp_path: Path, kind: str
) -> None:
    store = MemoryStore() if kind == "memory" else tmp_path
    options = {} if kind == "memory" else {"durability": kind}
    gc.collect()
    gc.disable()
    try:
        queue = JobQueue(store, **options)  # type: ignore[arg-type]
        queue.enqueue({}, type="task")
        some(queue.claim_next_job()).complete()
        keeper = queue._keeper._thread
        assert keeper is not None

        del queue

        assert eventually(lambda: not keeper.is_alive())
    finally:
        gc.enable()


def test_a_broken_hook_that_is_taken_off_is_garbage(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "semiont_jobs")  # a record would keep it

    class Hook:
        def __call__(self, _event: object) -> None:
            raise ValueError

    queue, hook = JobQueue(MemoryStore()), Hook()
    queue.subscribe(hook)()
    remove = queue.subscribe(hook)
    queue.enqueue({}, type="task")
    gone = weakref.ref(hook)
    remove()

    del hook, remove
    gc.collect()

    assert gone() is None


def test_what_a_signals_handler_raises_in_the_midst_of_a_verb_is_not_the_disks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mine(TimeoutError):
        """As a handler of SIGALRM raises."""

    def interrupts(*_given: object) -> None:
        raise Mine("too late")

    with JobQueue(tmp_path, fsync=False) as queue:
        queue.enqueue({}, type="task", id="a")
        claim = some(queue.claim_next_job())
        for verb in (
            lambda: claim.checkpoint(["unit"]),
            lambda: queue.claim_next_job(accept=interrupts),  # type: ignore[arg-type]
            lambda: queue.create_job(new("b")),
        ):
            queue.enqueue({}, type="task")
            with monkeypatch.context() as patched, pytest.raises(Mine):
                patched.setattr(Disk, "write", interrupts)
                patched.setattr(Disk, "lock", interrupts, raising=False)
                verb()


@pytest.mark.parametrize("timeout", [0.1, 0.5])
def test_a_worker_that_is_stopped_waits_no_longer_for_a_hook_that_hangs(timeout: float) -> None:
    patience: list[float] = []
    queue = JobQueue(MemoryStore())
    worker = Worker(queue)
    worker.start()
    queue.finish_telling = patience.append  # type: ignore[method-assign]

    assert worker.stop(timeout)

    assert patience[0] <= timeout


class Worker(JobWorker):
    """Does nothing."""

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Nothing."""


def new(id_: str) -> PendingJob[Any]:
    return PendingJob(metadata=JobMetadata(id=JobId(id_), type="task"), params={})
