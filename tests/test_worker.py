"""A worker runs jobs one at a time, outlives their failures, and stops when asked."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
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
    MemoryStore,
    PendingJob,
    PermanentError,
    QueueClosed,
    QueueNotInitialized,
    RetryPolicy,
    RunningJob,
    Snooze,
    StoreError,
    is_failed_job,
)
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
        # The deadline is told by a clock that can be set; what counts is time spent, which
        # begins a moment after the clock was read.
        time.sleep(0.1)
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


NOTHING_TO_DO = {"execute_job": lambda _self, _job: None}
WRONG: list[tuple[str, Any]] = [
    ("job_types", "greet"),
    ("job_types", ("greet", 5)),
    ("job_types", 5),
    ("job_types", iter(["greet"])),
    ("queue_name", 5),
    ("queue_name", ["night"]),
    ("retry_policy", 3),
    ("retry_policy", RetryPolicy),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_a_workers_class_says_wrongly_is_refused_where_it_is_written(
    name: str, value: Any
) -> None:
    with pytest.raises(InvalidValue) as told:
        type("Wrong", (JobWorker,), {**NOTHING_TO_DO, name: value})

    assert (f"Wrong.{name}", value) == (told.value.field, told.value.value)


@pytest.mark.parametrize(("name", "value"), WRONG)
@pytest.mark.parametrize("how", ["on the object", "by a property"])
def test_what_a_worker_says_wrongly_is_refused_before_anything_starts(
    queue: JobQueue, name: str, value: Any, how: str
) -> None:
    is_property = how == "by a property"
    own = {name: property(lambda _self: value)} if is_property else {}
    worker = type("Wrong", (JobWorker,), {**NOTHING_TO_DO, **own})(queue)
    if not is_property:
        setattr(worker, name, value)

    with pytest.raises(InvalidValue) as told:
        worker.start()

    assert f"Wrong.{name}" == told.value.field
    assert worker._thread is None
    assert not queue._is_open
    assert worker.stop()


@pytest.mark.parametrize("worker_name", [None, 5, "", "x" * 256, "\ud800"])
def test_a_worker_whose_name_is_none_is_refused_before_anything_starts(
    queue: JobQueue, worker_name: Any
) -> None:
    own = {"get_worker_name": lambda _self: worker_name}
    worker = type("Wrong", (JobWorker,), {**NOTHING_TO_DO, **own})(queue)

    with pytest.raises(InvalidValue) as told:
        worker.start()

    assert "worker" == told.value.field
    assert not queue._is_open


@pytest.mark.parametrize("place", ["./data", 5, JobQueue])
def test_a_queue_that_is_none_is_refused(place: Any) -> None:
    with pytest.raises(InvalidValue) as told:
        Worker(place, lambda _worker, _job: None)

    assert ("queue", place) == (told.value.field, told.value.value)


@pytest.mark.parametrize("types", [("a",), ["a"], {"a"}, frozenset({"a"}), {"a": 1}])
def test_job_types_may_be_any_collection_of_names(queue: JobQueue, types: Any) -> None:
    worker = type("Right", (Worker,), {"job_types": types})(queue, lambda _worker, _job: "done")
    job = queue.enqueue({}, type="a")

    with worker:
        done = queue.wait_for(job.metadata.id, TIMEOUT)

    assert "complete" == done.status


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


# -- when its queue is closed --------------------------------------------------------------


class Story:
    """A work that is held up until the test lets it go on, and how often it ran."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.over = (threading.Event() for _ in range(3))
        self.runs: list[str] = []
        self.told: list[BaseException] = []

    def __call__(self, worker: Worker, job: Any) -> object:
        self.runs.append(job.metadata.id)
        self.begun.set()
        assert self.go_on.wait(TIMEOUT)
        try:
            worker.raise_if_cancelled()
        except BaseException as error:
            self.told.append(error)
            raise
        finally:
            self.over.set()
        return "too late"


def test_a_worker_whose_queue_is_closed_does_not_open_it_again(tmp_path: Path) -> None:
    queue, story = JobQueue(tmp_path, fsync=False), Story()
    queue.enqueue({}, type="task", id="j")
    worker = Worker(queue, story)
    worker.start()
    assert story.begun.wait(TIMEOUT)

    queue.close()
    story.go_on.set()

    assert worker._ended.wait(TIMEOUT)
    assert not queue._is_open
    assert ["j"] == story.runs
    assert [ClaimLost] == [type(error) for error in story.told]
    with JobQueue(tmp_path, fsync=False) as other:
        left = other.get_job("j")
    assert isinstance(left, PendingJob)
    assert 0 == left.metadata.attempt_count


def test_a_worker_that_was_stopped_by_a_close_stays_stopped_when_its_user_looks(
    queue: JobQueue,
) -> None:
    story = Story()
    queue.enqueue({}, type="task", id="j")
    worker = Worker(queue, story)
    worker.start()
    assert story.begun.wait(TIMEOUT)

    queue.close()
    assert 1 == queue.get_stats().pending  # which opens it
    story.go_on.set()

    assert worker.stop(TIMEOUT)
    assert ["j"] == story.runs
    assert "complete" == outcome(queue, lambda _worker, _job: None, id="k").status


def test_a_close_wakes_an_idle_worker_and_ends_it(queue: JobQueue) -> None:
    class Idle(JobWorker):
        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            return None

    worker = Idle(queue, poll_interval=3600)
    ended = threading.Thread(target=worker.run)
    ended.start()
    eventually(lambda: worker._thread is not None)

    queue.close()
    ended.join(TIMEOUT)

    assert not ended.is_alive()
    assert not queue._is_open


def test_a_work_that_waits_to_be_stopped_is_told_of_a_close(queue: JobQueue) -> None:
    begun, told = threading.Event(), threading.Event()

    def work(worker: Worker, _job: Any) -> object:
        cancelled = worker.cancelled
        begun.set()
        if cancelled.wait(TIMEOUT):
            told.set()
        return None

    queue.enqueue({}, type="task")
    worker = Worker(queue, work)
    worker.start()
    assert begun.wait(TIMEOUT)

    queue.close()

    assert told.wait(TIMEOUT)
    assert worker.stop(TIMEOUT)


class ClosedMeanwhile(MemoryStore):
    """Its queue is closed at the worst moment: when a job was claimed and nobody knows it yet,
    or when a waiter has looked for the last time and does not wait yet."""

    queue: JobQueue

    def claim(self, *arguments: Any) -> Any:
        hold = super().claim(*arguments)
        self.queue.close()
        return hold

    def wait(self, *arguments: Any) -> None:
        self.queue.close()
        super().wait(*arguments)


@pytest.fixture
def closing() -> JobQueue:
    """A queue that is closed whenever somebody claims or waits."""
    store = ClosedMeanwhile()
    store.queue = JobQueue(store)
    return store.queue


def test_a_job_claimed_while_the_queue_is_closed_is_given_back(closing: JobQueue) -> None:
    closing.enqueue({}, type="task", id="j")
    opening = closing.open_for_work(threading.Event())

    with pytest.raises(QueueClosed, match="given back"):
        closing.claim_next_job(opening=opening)
    with pytest.raises(QueueClosed):
        closing.claim_next_job(opening=opening)

    assert not closing._is_open
    [left] = closing.query_jobs()
    assert ("pending", None) == (left.status, left.metadata.claim)


def test_a_close_reaches_a_waiter_that_has_looked_and_does_not_wait_yet(closing: JobQueue) -> None:
    stop = threading.Event()
    opening = closing.open_for_work(stop)
    waiter = threading.Thread(
        target=closing.wait_for_work, args=(stop, 3600), kwargs={"opening": opening}, daemon=True
    )
    waiter.start()
    waiter.join(TIMEOUT)

    assert not waiter.is_alive()
    assert not closing._is_open


def test_a_loop_that_has_not_heard_of_the_close_yet_does_not_open_the_queue(
    queue: JobQueue,
) -> None:
    queue.enqueue({}, type="task")
    worker = Worker(queue, lambda _worker, _job: None)
    opening = queue.open_for_work(threading.Event())
    queue.close()

    loop = threading.Thread(target=worker._loop, args=(opening,), daemon=True)
    loop.start()
    loop.join(TIMEOUT)

    assert not loop.is_alive()
    assert not queue._is_open
