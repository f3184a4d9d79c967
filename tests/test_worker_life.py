"""A worker starts once, stops when asked, and is refused before it starts if it is none."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from workers import TIMEOUT, Worker

from semiont_jobs import (
    InvalidValue,
    JobQueue,
    JobWorker,
    PendingJob,
    QueueNotInitialized,
    RetryPolicy,
    RunningJob,
)
from semiont_jobs.testing.waiting import eventually


@pytest.fixture
def queue() -> JobQueue:
    return JobQueue("memory:")


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


@pytest.mark.parametrize("seconds", [-1, float("nan"), True, "1", None])
def test_a_stop_that_is_to_wait_for_no_time_is_refused_and_nothing_stops(
    queue: JobQueue, seconds: Any
) -> None:
    with Worker(queue, lambda _worker, _job: None) as worker:
        with pytest.raises(InvalidValue) as told:
            worker.stop(seconds)

        assert told.value.field == "timeout"
        assert not worker.is_stopping
        job = queue.enqueue({}, type="task")
        assert "complete" == queue.wait_for(job.metadata.id, TIMEOUT).status


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e9, True, "1"])
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
    ("timeout", 1e9),
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_running_worker_ends_on_ctrl_c_and_sigterm(number: int, tmp_path: Path) -> None:
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
    process.send_signal(number)
    out, _ = process.communicate(timeout=TIMEOUT)

    assert (0, "ended\n") == (process.returncode, out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_wait_for_the_job_in_hand(number: int, tmp_path: Path) -> None:
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

    process.send_signal(number)
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


FORKING = """
import multiprocessing, sys, time
from semiont_jobs import JobQueue, JobWorker, WorkerPool

fork = multiprocessing.get_context("fork")

def sleeps(begun):
    begun.set()
    time.sleep(60)

class Forking(JobWorker):
    job_types = ("task",)
    def execute_job(self, job):
        begun = fork.Event()
        child = fork.Process(target=sleeps, args=(begun,))
        child.start()
        begun.wait(30)
        child.terminate()
        child.join(30)
        return {"exit code": child.exitcode}

queue = JobQueue(sys.argv[1], fsync=False)
queue.enqueue({}, type="task", id="j")
queue.subscribe(lambda event: worker.stop(0) if event.name == "completed" else None)
worker = Forking(queue) if sys.argv[2] == "worker" else WorkerPool(queue, [Forking])
worker.run()
print(queue.get_job("j").result)
"""


@pytest.mark.parametrize("who", ["worker", "pool"])
def test_a_process_that_a_job_forks_ends_at_sigterm(who: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path / "data"), who],
        timeout=TIMEOUT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert (ran.stdout, ran.stderr) == ("{'exit code': -15}\n", "")


def test_a_programs_own_handler_of_sigterm_stays_while_a_worker_runs(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own(_number: int, _frame: object) -> None:
        """Nothing."""

    seen: list[object] = []
    worker = Worker(queue, lambda worker, _job: worker.stop())
    monkeypatch.setattr(
        worker._ended, "wait", lambda: seen.append(signal.getsignal(signal.SIGTERM))
    )
    queue.enqueue({}, type="task")
    before = signal.signal(signal.SIGTERM, own)
    try:
        worker.run()
        after = signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert [*seen, after] == [own, own]


def test_when_a_worker_has_run_sigterm_is_what_it_was(queue: JobQueue) -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    worker = Worker(queue, lambda worker, _job: worker.stop())
    queue.enqueue({}, type="task")

    worker.run()

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


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
