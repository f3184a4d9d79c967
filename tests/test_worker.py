"""A worker runs jobs one at a time, outlives their failures, and stops when asked."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from semiont_jobs import (
    ClaimLost,
    InvalidValue,
    JobCancelled,
    JobQueue,
    JobTimeout,
    JobType,
    JobWorker,
    PendingJob,
    PermanentError,
    QueueNotInitialized,
    RetryPolicy,
    RunningJob,
    Snooze,
    StoreError,
    is_failed_job,
)
from semiont_jobs.testing.suite import some
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 60.0


class Worker(JobWorker):
    """Does what it is given, as the work of every job."""

    def __init__(self, queue: JobQueue | None, work: Callable[[Worker, Any], object]) -> None:
        super().__init__(queue, poll_interval=0.05, error_backoff=0.05)
        self.work = work

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return self.work(self, job)


@pytest.fixture
def queue() -> JobQueue:
    return JobQueue("memory:")


def outcome(queue: JobQueue, work: Callable[[Worker, Any], object], **options: Any) -> Any:
    """The job's state after the first attempt with that work."""
    job = queue.enqueue({"page": 1}, **{"type": "task", "max_retries": 0, **options})
    with Worker(queue, work):
        return queue.wait_for(job.metadata.id, TIMEOUT)


def status_of(queue: JobQueue, job: Any) -> str:
    return some(queue.get_job(job.metadata.id)).status


def raising(error: BaseException) -> Callable[[Worker, Any], object]:
    def work(_worker: Worker, _job: Any) -> object:
        raise error

    return work


def test_what_the_work_returns_is_the_result(queue: JobQueue) -> None:
    done = outcome(queue, lambda _worker, job: [job.params["page"], None])

    assert ("complete", [1, None]) == (done.status, done.result)


@pytest.mark.parametrize(
    "error", [ValueError("no"), PermanentError("never"), SystemExit(3), KeyboardInterrupt()]
)
def test_a_work_that_raises_fails_and_the_worker_lives(
    queue: JobQueue, error: BaseException
) -> None:
    failed = outcome(queue, raising(error))

    assert is_failed_job(failed)
    assert type(error).__name__ in failed.error
    assert "complete" == outcome(queue, lambda _worker, _job: None).status


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), {"deep": [object()]}, "\ud800"])
def test_a_result_that_is_not_json_fails_the_job_and_names_the_place(
    queue: JobQueue, value: object
) -> None:
    failed = outcome(queue, lambda _worker, _job: value)

    assert is_failed_job(failed)
    assert "JobEncodeError" in failed.error
    assert "result" in failed.error


def test_a_snooze_uses_no_attempt(queue: JobQueue) -> None:
    job = queue.enqueue({}, type="task")
    worker = Worker(queue, raising(Snooze(3600)))

    with worker:
        snoozed = eventually(
            lambda: next((j for j in queue.query_jobs(status="pending") if _is_put_off(j)), None)
        )

    assert job.metadata.id == snoozed.metadata.id
    assert (0, 0) == (snoozed.metadata.attempt_count, snoozed.metadata.retry_count)


def _is_put_off(job: Any) -> bool:
    return job.metadata.run_after is not None


def test_a_cancelled_job_is_told_to_its_work(queue: JobQueue) -> None:
    at_work = threading.Event()

    def work(worker: Worker, _job: Any) -> object:
        at_work.set()
        assert worker.cancelled.wait(TIMEOUT)
        worker.raise_if_cancelled()
        return "went on"

    job = queue.enqueue({}, type="task")
    with Worker(queue, work):
        assert at_work.wait(TIMEOUT)
        assert queue.cancel_job(job.metadata.id)
        ended = queue.wait_for(job.metadata.id, TIMEOUT)

    assert "cancelled" == ended.status


def test_work_that_stops_by_itself_is_cancelled(queue: JobQueue) -> None:
    assert "cancelled" == outcome(queue, raising(JobCancelled("enough"))).status


def test_time_that_is_up_is_a_timeout(queue: JobQueue) -> None:
    def work(worker: Worker, _job: Any) -> object:
        assert worker.deadline is not None
        eventually(lambda: queue.clock() >= worker.deadline)
        worker.raise_if_cancelled()
        return None

    failed = outcome(queue, work, timeout=0.01)

    assert "timeout" == failed.metadata.attempts[-1].outcome
    assert JobTimeout.__name__ in failed.error


def test_progress_and_checkpoints_are_stored(queue: JobQueue) -> None:
    def work(worker: Worker, job: Any) -> object:
        worker.update_job_progress({"percentage": 10})
        stored = queue.get_job(job.metadata.id)
        worker.checkpoint(["a"], cursors={"a": 1})
        return stored.progress if isinstance(stored, RunningJob) else None

    done = outcome(queue, work)

    assert {"percentage": 10} == done.result
    assert (("a",), {"a": 1}) == (done.metadata.completed_units, done.metadata.unit_cursors)


def test_only_what_it_can_process_is_offered(queue: JobQueue) -> None:
    class Picky(Worker):
        def can_process_job(self, job: Any) -> bool:
            if job.params["page"] == 2:
                raise ValueError("cannot say")
            return bool(job.params["page"] == 3)

    jobs = [queue.enqueue({"page": n}, type="task") for n in (1, 2, 3)]

    with Picky(queue, lambda _worker, job: job.params["page"]):
        done = queue.wait_for(jobs[2].metadata.id, TIMEOUT)

    assert 3 == getattr(done, "result", None)
    assert 2 == queue.get_stats().pending


def test_a_workers_policy_goes_before_the_others(queue: JobQueue) -> None:
    class Strict(Worker):
        retry_policy = RetryPolicy(permanent=(ValueError,))

    job = queue.enqueue({}, type="task", max_retries=5)

    with Strict(queue, raising(ValueError("no"))):
        failed = queue.wait_for(job.metadata.id, TIMEOUT)

    assert ("failed", 0) == (failed.status, failed.metadata.retry_count)


@frozen
class Old:
    path: str


@frozen
class New:
    path: str
    size: int


def test_a_job_whose_params_class_changed_fails_readably_and_the_worker_lives(
    tmp_path: Path,
) -> None:
    JobQueue(tmp_path, job_types=[JobType("t", Old)]).enqueue(Old(path="a"), id="a")
    queue = JobQueue(tmp_path, job_types=[JobType("t", New)])

    with Worker(queue, lambda _worker, job: job.params.size):
        failed = queue.wait_for("a", TIMEOUT)
        queue.enqueue(New(path="b", size=2), id="b")
        done = queue.wait_for("b", TIMEOUT)

    assert is_failed_job(failed)
    assert "params.size: missing" in failed.error
    assert {"path": "a"} == failed.params
    assert 2 == getattr(done, "result", None)


def test_the_disk_is_tried_again_until_the_outcome_is_stored_and_the_work_runs_once(
    queue: JobQueue,
) -> None:
    runs: list[str] = []
    refusals = [StoreError(28, "No space left on device"), StoreError(28, "No space left")]

    def work(worker: Worker, job: Any) -> object:
        runs.append(job.metadata.id)
        hold: Any = worker.claim._hold
        move = hold.move

        def refuse(changed: Any) -> None:
            if refusals:
                raise refusals.pop()
            move(changed)

        hold.move = refuse
        return "kept"

    done = outcome(queue, work)

    assert "kept" == done.result
    assert 1 == len(runs)


# -- its life ----------------------------------------------------------------------------


def test_it_may_be_stopped_before_it_starts_and_twice(queue: JobQueue) -> None:
    worker = Worker(queue, lambda _worker, _job: None)

    assert worker.stop()
    assert worker.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        worker.start()


def test_it_starts_once(queue: JobQueue) -> None:
    with Worker(queue, lambda _worker, _job: None) as worker:
        with pytest.raises(RuntimeError, match="started already"):
            worker.start()
        assert worker.stop()


def test_a_stop_that_waits_too_long_says_so(queue: JobQueue) -> None:
    begun, end = threading.Event(), threading.Event()

    def work(_worker: Worker, _job: Any) -> object:
        begun.set()
        return end.wait(TIMEOUT)

    job = queue.enqueue({}, type="task")
    worker = Worker(queue, work)
    worker.start()
    assert begun.wait(TIMEOUT)

    assert not worker.stop(timeout=0.01)
    end.set()

    assert worker.stop(TIMEOUT)
    assert "complete" == queue.wait_for(job.metadata.id, TIMEOUT).status


def test_a_work_may_ask_its_own_worker_to_stop(queue: JobQueue) -> None:
    worker = Worker(queue, lambda one, _job: one.stop())
    job = queue.enqueue({}, type="task")
    worker.start()

    done = queue.wait_for(job.metadata.id, TIMEOUT)

    assert False is getattr(done, "result", None)
    assert worker.stop()


def test_closing_its_queue_stops_it_after_the_job_in_hand(queue: JobQueue) -> None:
    begun, end = threading.Event(), threading.Event()

    def work(_worker: Worker, _job: Any) -> object:
        begun.set()
        return end.wait(TIMEOUT)

    jobs = [queue.enqueue({}, type="task") for _ in range(2)]
    worker = Worker(queue, work)
    worker.start()
    assert begun.wait(TIMEOUT)
    threading.Timer(0.05, end.set).start()

    queue.close()

    assert worker.stop(0)
    statuses = [queue.wait_for(jobs[0].metadata.id, 0).status, status_of(queue, jobs[1])]
    assert ["complete", "pending"] == statuses


def test_a_work_that_outlasts_the_closing_of_its_queue_has_lost_its_job(queue: JobQueue) -> None:
    begun, end, runs = threading.Event(), threading.Event(), []

    def work(one: Worker, _job: Any) -> object:
        runs.append(one)
        begun.set()
        assert end.wait(TIMEOUT)
        try:
            one.raise_if_cancelled()
        except ClaimLost as error:
            runs.append(error)
        return "too late"

    job = queue.enqueue({}, type="task")
    worker = Worker(queue, work)
    worker.start()
    assert begun.wait(TIMEOUT)

    queue.close(timeout=0.01)
    end.set()

    assert worker.stop(TIMEOUT)
    left = queue.get_job(job.metadata.id)
    assert isinstance(left, PendingJob)
    assert (0, 0) == (left.metadata.attempt_count, left.metadata.crash_count)
    assert [worker, ClaimLost] == [runs[0], type(runs[1])]


def test_a_closed_queue_can_be_used_again_with_a_new_worker(queue: JobQueue) -> None:
    Worker(queue, lambda _worker, _job: 1).start()
    queue.close()

    done = outcome(queue, lambda _worker, _job: 2)

    assert 2 == done.result


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("job_types", "greet"),
        ("job_types", 5),
        ("job_types", ("greet", 5)),
        ("queue_name", 5),
        ("retry_policy", "often"),
        ("get_worker_name", lambda: ""),
        ("get_worker_name", lambda: None),
        ("get_worker_name", lambda: "w" * 256),
    ],
)
def test_a_worker_that_could_claim_nothing_is_refused_at_its_start(
    queue: JobQueue, name: str, value: Any
) -> None:
    worker = Worker(queue, lambda _worker, _job: None)
    setattr(worker, name, value)

    with pytest.raises(InvalidValue) as told:
        worker.start()

    assert {"get_worker_name": "worker", "queue_name": "queue"}.get(name, name) in (
        told.value.field,
        told.value.field.replace("types", "job_types"),
    )
    assert worker.stop(0)


def test_outside_a_job_there_is_no_claim(queue: JobQueue) -> None:
    worker = Worker(queue, lambda _worker, _job: None)

    with pytest.raises(RuntimeError, match="no job in hand"):
        worker.raise_if_cancelled()


def test_without_a_queue_it_takes_the_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semiont_jobs.singleton._queue", None)

    with pytest.raises(QueueNotInitialized):
        Worker(None, lambda _worker, _job: None).start()


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), True, "1"])
def test_an_interval_that_is_no_time_is_refused(queue: JobQueue, seconds: Any) -> None:
    with pytest.raises(InvalidValue):

        class Any_(JobWorker):
            def execute_job(self, job: RunningJob[Any, Any]) -> object:
                return None

        Any_(queue, poll_interval=seconds)


PROGRAM = """
import sys, threading
from semiont_jobs import JobQueue, JobWorker

class Slow(JobWorker):
    def execute_job(self, job):
        print("at work", flush=True)
        threading.Event().wait()

worker = Slow(JobQueue(sys.argv[1]))
"""


def test_a_job_in_hand_is_given_back_when_the_process_exits(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "data")
    job = queue.enqueue({}, type="task")
    ending = "worker.start()\nimport time\n" + (
        "while not queue_running():\n    threading.Event().wait(0.01)\n"
        "assert not worker.stop(timeout=0.05)\n"
    )
    program = PROGRAM + "def queue_running():\n    return worker._claim is not None\n" + ending

    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data")], timeout=TIMEOUT, check=True
    )

    given_back = queue.get_job(job.metadata.id)
    assert isinstance(given_back, PendingJob)
    assert (0, 0) == (given_back.metadata.attempt_count, given_back.metadata.crash_count)


@pytest.mark.parametrize(
    "held_by",
    [
        "claim = queue.claim_next_job()",
        "claim = queue.claim_next_job(); claim.report({'at': 1})",
        "job = queue.poll_next_pending_job(); queue.update_job(RunningJob("
        "metadata=job.metadata, params=job.params, started_at=job.metadata.created), 'pending')",
    ],
    ids=["claimed", "reported", "updated"],
)
@pytest.mark.parametrize("ending", ["", "raise ValueError('no')", "sys.exit(3)"])
def test_a_process_that_exits_with_a_claim_open_gives_the_job_back(
    tmp_path: Path, held_by: str, ending: str
) -> None:
    queue = JobQueue(tmp_path / "data")
    job = queue.enqueue({}, type="task")
    program = (
        "import sys\nfrom semiont_jobs import JobQueue, RunningJob\n"
        f"queue = JobQueue(sys.argv[1])\n{held_by}\n{ending}\n"
    )

    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data")],
        timeout=TIMEOUT,
        check=False,
        stderr=subprocess.DEVNULL,
    )

    left = queue.get_job(job.metadata.id)
    assert isinstance(left, PendingJob)
    assert (0, 0) == (left.metadata.attempt_count, left.metadata.crash_count)


def test_a_running_worker_ends_on_ctrl_c(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            PROGRAM + "print('ready', flush=True)\nworker.run()\nprint('ended')",
            str(tmp_path / "data"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()

    # Until `run` waits, Python's own handler would end the program.
    (tmp_path / "data").exists()
    eventually(lambda: (tmp_path / "data" / "jobs" / ".format").exists())
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=TIMEOUT)

    assert (0, "ended\n") == (process.returncode, out)


def test_ctrl_c_waits_for_the_job_in_hand(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            BUSY,
            str(tmp_path / "data"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "begun\n" == process.stdout.readline()

    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=TIMEOUT)

    assert (0, "done\ncomplete\n") == (process.returncode, out)


BUSY = """
import sys, threading
from semiont_jobs import JobQueue, JobWorker

class Busy(JobWorker):
    def execute_job(self, job):
        print("begun", flush=True)
        threading.Event().wait(1)
        print("done", flush=True)

queue = JobQueue(sys.argv[1], fsync=False)
queue.enqueue({}, type="task", id="j")
Busy(queue).run()
print(queue.get_job("j").status)
"""


class Leaving(JobWorker):
    """Its questions about jobs end the program, or would."""

    def can_process_job(self, job: Any) -> bool:
        if job.metadata.id == "a":
            sys.exit("no")
        return True

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        class Sly(Exception):
            def __str__(self) -> str:
                raise SystemExit("never")

        raise Sly


def test_a_worker_outlives_code_of_its_own_that_leaves_the_program(tmp_path: Path) -> None:
    with JobQueue(tmp_path, fsync=False) as queue:
        queue.enqueue({}, type="task", id="a")
        queue.enqueue({}, type="task", id="b", max_retries=0)
        with Leaving(queue, poll_interval=0.02):
            ended = queue.wait_for("b", timeout=TIMEOUT)

    assert "failed" == ended.status
