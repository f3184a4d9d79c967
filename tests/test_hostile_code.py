"""User code that hangs or raises where nobody expects it holds up nobody else, and loses no job."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import (
    CompleteJob,
    Event,
    FileStore,
    JobQueue,
    JobWorker,
    MemoryStore,
    PendingJob,
    RunningJob,
    StoreError,
    WorkerPool,
    job_handler,
    keeper,
)
from semiont_jobs.errors import ThreadRefused
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 60.0


class Hanging(dict[str, Any]):
    """A row that is fetched when it is looked at."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__(a=1)
        self.gate = gate
        self.is_looked_at = threading.Event()

    def items(self) -> Any:
        self.is_looked_at.set()
        assert self.gate.wait(TIMEOUT)
        return super().items()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Lets go of what hangs, at the end at the latest."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture(params=["memory", "process", "fsync", "journal"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobQueue]:
    if request.param == "memory":
        made = JobQueue("memory:")
    else:
        made = JobQueue(tmp_path, durability=request.param)
    yield made
    made.close()


class Quick(JobWorker):
    """Notes what it did."""

    error_backoff = 0.1

    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue, error_backoff=0.05)
        self.ran: list[str] = []

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.ran.append(job.metadata.id)
        return {}


# -- a result that hangs in its own code -------------------------------------------------------


def test_a_result_that_hangs_in_its_own_code_holds_up_no_other_job_and_no_end_of_a_pool(
    queue: JobQueue, gate: threading.Event
) -> None:
    rows = Hanging(gate)

    @job_handler("lazy", timeout=0.2)
    def lazy(params: dict[str, Any]) -> object:
        return rows

    @job_handler("quick")
    def quick(params: dict[str, Any]) -> int:
        return 1

    pool = WorkerPool(queue, [lazy, quick], threads=1, stuck_after=0.2, grace=0.1)
    pool.start()
    queue.enqueue({}, type="lazy", max_retries=0)
    assert rows.is_looked_at.wait(TIMEOUT)
    after = queue.enqueue({}, type="quick")

    done = queue.wait_for(after.metadata.id, TIMEOUT)
    stopping = threading.Thread(target=pool.stop, daemon=True)
    stopping.start()
    stopping.join(TIMEOUT)

    assert done.status == "complete"
    assert not stopping.is_alive()
    gate.set()


SCRIPT = """
import sys, threading
from semiont_jobs import JobQueue, JobWorker, RetryPolicy
at_work = threading.Event()

def hang(*_):
    at_work.set()
    threading.Event().wait()

class Lazy(dict):
    items = hang

class Worker(JobWorker):
    retry_policy = RetryPolicy(wait=hang)

    def execute_job(self, job):
        if sys.argv[2] == "result":
            return {"value": Lazy(a=1)}
        raise ValueError

queue = JobQueue(sys.argv[1])
queue.enqueue({}, type="t")
worker = Worker(queue)
worker.start()
assert at_work.wait(30)
assert not worker.stop(0.1)
print("the end of main", flush=True)
"""


@pytest.mark.parametrize("what", ["result", "retry policy"])
def test_a_worker_that_hangs_in_user_code_keeps_no_process_from_ending(
    tmp_path: Path, what: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), what],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (0, "the end of main\n")
    assert "could not be given back" not in ended.stdout


# -- a disk that is full when the code has ended -----------------------------------------------


def test_code_that_has_ended_in_time_is_not_run_again_because_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    put: Any = store._put  # type: ignore[attr-defined]
    refused: list[str] = []
    relents = threading.Event()

    def refuse(hold: Any, job: Any) -> object:
        if job.status != "running" and not relents.is_set():
            refused.append(job.status)
            raise StoreError(28, "No space left on device")
        return put(hold, job)

    ran: list[int] = []

    @job_handler("work", timeout=0.2)
    def work(params: dict[str, Any]) -> int:
        ran.append(1)
        return 42

    job = queue.enqueue({}, type="work", max_retries=1)
    monkeypatch.setattr(store, "_put", refuse)
    with WorkerPool(queue, [work], threads=1, stuck_after=0.1):
        # The third try comes half a second after the first.
        eventually(lambda: len(refused) >= 3)
        relents.set()
        done = queue.wait_for(job.metadata.id, TIMEOUT)

    assert (done.status, ran) == ("complete", [1])
    assert set(refused) == {"complete"}


# -- hooks, filters, answers, settings ---------------------------------------------------------


def test_a_hook_that_closes_the_queue_at_a_claim_keeps_the_job_from_being_begun(
    queue: JobQueue,
) -> None:
    closed = threading.Event()

    def close(event: Event) -> None:
        if event.name == "claimed":
            queue.close()
            closed.set()

    job = queue.enqueue({}, type="t")
    leave = queue.subscribe(close)
    worker = Quick(queue)
    worker.start()
    assert closed.wait(TIMEOUT)
    assert worker.stop(TIMEOUT)
    leave()

    assert worker.ran == []
    assert queue.get_job(job.metadata.id).status == "pending"  # type: ignore[union-attr]


def taken_by_another_program(queue: JobQueue, event: Event) -> None:
    assert isinstance(queue.store, FileStore)
    Path(queue.store.layout.path("running", event.job_id)).unlink()
    # The keeper notices that within a second.
    eventually(lambda: queue._claims.get(event.job_id) is None)


def ended_by_the_hook(queue: JobQueue, event: Event) -> None:
    job = event.job
    assert isinstance(job, RunningJob)
    queue.update_job(
        CompleteJob(
            metadata=job.metadata,
            params=job.params,
            started_at=job.started_at,
            completed_at=queue.clock(),
            result={},
        ),
        "running",
    )


@pytest.mark.parametrize("loses", [taken_by_another_program, ended_by_the_hook])
def test_a_job_that_is_over_when_its_claim_has_been_told_ends_no_worker(
    tmp_path: Path, loses: Callable[[JobQueue, Event], None]
) -> None:
    queue = JobQueue(tmp_path, fsync=False)

    def lose(event: Event) -> None:
        if event.name == "claimed" and event.job_id == "first":
            loses(queue, event)

    queue.subscribe(lose)
    queue.enqueue({}, type="t", id="first", priority=9)
    queue.enqueue({}, type="t", id="second")

    with Quick(queue) as worker:
        done = queue.wait_for("second", TIMEOUT)

    assert done.status == "complete"
    assert worker.ran == ["second"]
    queue.close()


class Undecided:
    """As the comparison of two arrays."""

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


class Choosy(Quick):
    """Cannot say whether it wants one of the jobs."""

    def can_process_job(self, job: PendingJob[Any]) -> bool:
        return Undecided() if job.metadata.id == "odd" else True  # type: ignore[return-value]


def test_an_answer_without_a_truth_value_blocks_no_other_job(queue: JobQueue) -> None:
    queue.enqueue({}, type="t", id="odd", priority=9)
    queue.enqueue({}, type="t", id="good")

    with Choosy(queue):
        done = queue.wait_for("good", TIMEOUT)

    assert done.status == "complete"
    assert queue.get_job("odd").status == "pending"  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_of_a_job_that_was_taken_away_goes_on(
    tmp_path: Path, error: type[BaseException]
) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    job = queue.enqueue({}, type="t")
    claim = queue.claim_next_job()
    assert claim is not None

    with pytest.raises(error), claim:
        (tmp_path / "jobs" / "running" / f"{job.metadata.id}.json").unlink()
        raise error


INCOMPARABLE = """
import atexit
from semiont_jobs import JobQueue, JobWorker

class Array:
    __hash__ = None

    def __call__(self): ...

    def __eq__(self, other):
        raise ValueError("the truth value of an array is ambiguous")

class Worker(JobWorker):
    def execute_job(self, job): ...

atexit.register(Array())
worker = Worker(JobQueue("memory:"))
worker.start()
print(worker.stop(30))
"""


def test_what_else_is_registered_for_the_exit_keeps_no_worker_from_ending() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", INCOMPARABLE],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert ended.stdout == "True\n"


# -- a system that gives no more threads -------------------------------------------------------


def test_without_a_thread_to_commit_no_outcome_waits_for_the_next_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    begin = keeper.begin

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "semiont-jobs-committer":
            raise ThreadRefused("can't start new thread")
        begin(thread)

    class Long(JobWorker):
        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            if job.metadata.id == "long":
                assert gate.wait(TIMEOUT)
            return {}

    monkeypatch.setattr(keeper, "begin", refuse)
    queue = JobQueue(tmp_path)
    queue.enqueue({}, type="t", id="short")
    queue.enqueue({}, type="t", id="long")

    with Long(queue):
        done = queue.wait_for("short", TIMEOUT)
        gate.set()

    assert done.status == "complete"
    queue.close()
