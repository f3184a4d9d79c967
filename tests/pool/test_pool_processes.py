"""A pool of processes: they share the work, are replaced when they end, and leave in order."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pool import labour
from pool.stopped import is_suspended, kills_at_once

from semiont_jobs import Event, InvalidValue, JobQueue, JobWorker, RunningJob, WorkerPool
from semiont_jobs.pool import CRASH_LOOP
from semiont_jobs.testing.suite import some
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 60.0


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "data")


@pytest.fixture
def queue(address: str) -> Iterator[JobQueue]:
    with JobQueue(address, fsync=False) as opened:
        yield opened


def pids(queue: JobQueue) -> Counter[int]:
    """How many jobs each process did."""
    return Counter(job.result["value"] for job in queue.query_jobs(status="complete", limit=None))


def deaf(queue: JobQueue, place: Path, id_: str, **options: Any) -> None:
    queue.enqueue({"place": str(place)}, type="deaf", id=id_, **options)


def pid_of(place: Path, id_: str) -> int:
    """The process that works on a deaf job, once it does."""
    path = place / f"{id_}.pid"
    return int(eventually(lambda: path.exists() and path.read_text(), TIMEOUT))


def test_processes_share_the_work_and_leave_in_order(queue: JobQueue, tmp_path: Path) -> None:
    deaf(queue, tmp_path, "a")
    deaf(queue, tmp_path, "b")
    pool = WorkerPool(queue, [labour.Deaf], threads=1, processes=2)
    pool.start()
    at_work = {pid_of(tmp_path, "a"), pid_of(tmp_path, "b"), os.getpid()}
    (tmp_path / "go").touch()

    assert pool.stop()
    assert 3 == len(at_work)
    assert 2 == queue.get_stats().complete
    assert pool.stop()


def test_the_queue_of_a_pool_counts_what_its_processes_did_also_those_that_ended(
    queue: JobQueue,
) -> None:
    for _ in range(4):
        queue.enqueue({}, type="pid")
    queue.enqueue({}, type="tells", max_retries=0)

    code = WorkerPool(queue, [labour.pid, labour.tells], threads=1, max_jobs=2, burst=True).run()

    pid, tells = queue.metrics().process
    assert (0, "pid", "tells") == (code, pid.type, tells.type)
    assert (4, 4, 0, 4) == (pid.events["claimed"], pid.events["completed"], pid.in_flight,
                            pid.run.count)  # fmt: skip
    assert (1, 1, 5) == (tells.failures, tells.events["failed"], tells.wait.count + pid.wait.count)


def test_what_a_process_logs_is_logged_where_logging_was_set_up(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.enqueue({}, type="tells", max_retries=0, id="told")
    caplog.set_level(logging.INFO)

    WorkerPool(queue, [labour.tells], threads=1, max_jobs=1, burst=True).run()

    told = {(each.name, each.levelname, each.getMessage()) for each in caplog.records}
    assert ("labour", "INFO", "at work on something") in told
    assert ("semiont_jobs", "ERROR", "failed told: 'LookupError: no page'") in told
    assert os.getpid() not in {each.process for each in caplog.records if each.name == "labour"}


def test_figures_are_told_while_a_process_is_at_work(queue: JobQueue, tmp_path: Path) -> None:
    deaf(queue, tmp_path, "a")

    with WorkerPool(queue, [labour.Deaf], threads=1, processes=2):
        pid_of(tmp_path, "a")
        at_work = eventually(lambda: [one for one in queue.process_metrics() if one.in_flight])
        (tmp_path / "go").touch()

    assert [("deaf", 1)] == [(one.type, one.events["claimed"]) for one in at_work]


def test_a_queue_that_is_closed_ends_the_processes_of_its_pool(
    queue: JobQueue, tmp_path: Path
) -> None:
    deaf(queue, tmp_path, "a")
    pool = WorkerPool(queue, [labour.Deaf], threads=1, processes=2)
    pool.start()
    pid_of(tmp_path, "a")

    queue.close()

    assert eventually(lambda: pool.given_back, TIMEOUT)
    assert not pool.stop()
    assert "pending" == some(queue.get_job("a")).status


def test_a_killed_process_is_replaced_and_its_job_done_by_another(
    queue: JobQueue, tmp_path: Path
) -> None:
    deaf(queue, tmp_path, "a")
    with WorkerPool(queue, [labour.Deaf], threads=1, processes=2):
        killed = pid_of(tmp_path, "a")
        (tmp_path / "a.pid").unlink()
        os.kill(killed, signal.SIGKILL)
        assert killed != pid_of(tmp_path, "a")
        deaf(queue, tmp_path, "b")
        both = {pid_of(tmp_path, "a"), pid_of(tmp_path, "b")}
        (tmp_path / "go").touch()
        done = queue.wait_for("a", TIMEOUT)
        queue.wait_for("b", TIMEOUT)

    assert 2 == len(both - {killed})
    assert ["crashed", "completed"] == [each.outcome for each in done.metadata.attempts]


def test_a_process_is_replaced_after_max_jobs_and_a_burst_ends(queue: JobQueue) -> None:
    for _ in range(5):
        queue.enqueue({}, type="pid")

    code = WorkerPool(queue, [labour.pid], threads=2, max_jobs=2, burst=True).run()

    assert (0, [1, 2, 2]) == (code, sorted(pids(queue).values()))


def test_a_process_that_grew_too_large_is_replaced_after_its_job(queue: JobQueue) -> None:
    for _ in range(2):
        queue.enqueue({}, type="pid")

    code = WorkerPool(queue, [labour.pid], threads=1, max_rss=1, burst=True).run()

    assert (0, [1, 1]) == (code, sorted(pids(queue).values()))


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_that_is_told_to_leave_is_replaced(queue: JobQueue, tmp_path: Path) -> None:
    deaf(queue, tmp_path, "a")
    with WorkerPool(queue, [labour.Deaf], threads=1, max_jobs=100):
        first = pid_of(tmp_path, "a")
        os.kill(first, signal.SIGINT)  # Ctrl-C reaches it too: that is the supervisor's to obey
        os.kill(first, signal.SIGTERM)
        (tmp_path / "go").touch()
        done: Any = queue.wait_for("a", TIMEOUT)
        (tmp_path / "go").unlink()
        eventually(lambda: not is_there(first))  # until then it may take one job more
        deaf(queue, tmp_path, "b")
        second = pid_of(tmp_path, "b")
        (tmp_path / "go").touch()

    assert (first, 1) == (done.result, done.metadata.attempt_count)
    assert first != second


def test_processes_that_cannot_begin_are_told_slowed_down_and_given_up(
    queue: JobQueue, capfd: pytest.CaptureFixture[str]
) -> None:
    events: list[Event] = []
    queue.subscribe(events.append)
    pool = WorkerPool(queue, [labour.pid], threads=1, max_jobs=9, initializer=labour.dies)

    code = pool.run()

    loops = [event for event in events if event.name == "crash_loop"]
    assert CRASH_LOOP == code
    assert "process 1" == loops[0].job_id
    assert (
        "5 processes in a row died within a minute of their start (exit code 1)" == loops[0].reason
    )
    assert (None, "") == (loops[0].job, capfd.readouterr().err)


def test_a_process_whose_threads_do_not_run_is_killed_after_the_limit_of_its_job(
    queue: JobQueue,
) -> None:
    job = queue.enqueue({}, type="stops", timeout=0.2)

    with WorkerPool(queue, [labour.Stops], threads=1, max_jobs=9, stuck_after=0.0):
        done = queue.wait_for(job.metadata.id, TIMEOUT)

    assert ["crashed", "completed"] == [each.outcome for each in done.metadata.attempts]


def test_a_job_whose_process_had_to_be_killed_was_not_finished(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kills_at_once(monkeypatch)
    job = queue.enqueue({}, type="stops")
    pool = WorkerPool(queue, [labour.Stops], threads=1, processes=2, poll_interval=0.05)
    pool.start()
    (running,) = eventually(lambda: queue.query_jobs(status="running"), TIMEOUT)
    assert eventually(lambda: is_suspended(running.metadata.claim.pid), TIMEOUT)

    assert not pool.stop(0)
    assert not pool.stop()
    assert "did not leave: its jobs are rescued" in caplog.text
    back = eventually(lambda: queue.query_jobs(status="pending"), TIMEOUT)
    assert [(job.metadata.id, 1)] == [
        (each.metadata.id, each.metadata.crash_count) for each in back
    ]


def test_a_process_that_had_to_be_killed_before_it_took_jobs_left_none(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills_at_once(monkeypatch)
    queue.enqueue({}, type="pid")
    pool = WorkerPool(queue, [labour.pid], threads=1, processes=2, initializer=labour.hangs)
    pool.start()

    assert pool.stop(0)
    assert (1, 0) == (queue.get_stats().pending, pool.given_back)


def test_a_process_with_a_stuck_thread_is_replaced_once_its_other_jobs_are_done(
    queue: JobQueue, tmp_path: Path
) -> None:
    deaf(queue, tmp_path, "stuck", timeout=0.3, max_retries=0)
    with WorkerPool(queue, [labour.Deaf, labour.pid], threads=2, max_jobs=100, stuck_after=0.1):
        first = pid_of(tmp_path, "stuck")
        failed = queue.wait_for("stuck", TIMEOUT)
        after = [queue.enqueue({}, type="pid").metadata.id for _ in range(3)]
        results: list[Any] = [queue.wait_for(each, TIMEOUT) for each in after]

    attempt = failed.metadata.attempts[0]
    assert ("timeout", "execute_job" in (attempt.traceback or "")) == (attempt.outcome, True)
    assert first not in {each.result["value"] for each in results}


SUPERVISOR = """
import sys
from pool import labour
from semiont_jobs import JobQueue, WorkerPool

if __name__ == "__main__":
    queue = JobQueue(sys.argv[1])
    pool = WorkerPool(queue, [labour.Deaf], threads=1, processes=2, grace=0.2)
    sys.exit(pool.run())
"""


def supervisor(address: str, place: Path) -> subprocess.Popen[str]:
    script = place / "supervisor.py"
    script.write_text(SUPERVISOR)
    return subprocess.Popen(
        [sys.executable, str(script), address],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_leave_with_their_supervisor_and_give_their_jobs_back(
    queue: JobQueue, address: str, tmp_path: Path, number: signal.Signals
) -> None:
    deaf(queue, tmp_path, "a")
    deaf(queue, tmp_path, "b")
    process = supervisor(address, tmp_path)
    children = [pid_of(tmp_path, "a"), pid_of(tmp_path, "b")]

    process.send_signal(number)
    _, told = process.communicate(timeout=TIMEOUT)

    eventually(lambda: not any(map(_is_alive, children)), TIMEOUT)
    back = [job.metadata for job in queue.query_jobs(status="pending")]
    assert [(0, 0), (0, 0)] == [(each.attempt_count, each.crash_count) for each in back]
    assert (-9 if number == signal.SIGKILL else 3, "") == (process.returncode, told)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # Orphans of a container whose first process does not reap stay as zombies.
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[:1]


def test_a_script_without_the_guard_is_told_so(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(SUPERVISOR.replace('if __name__ == "__main__":', "if True:"))
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "data")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert CRASH_LOOP == ran.returncode
    assert 'put what starts it under if __name__ == "__main__"' in ran.stderr


# -- what cannot be taken to another process ---------------------------------------------


class Local(JobWorker):
    """Pretends to be nowhere to be found."""

    __qualname__ = "nowhere"

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return None


@pytest.mark.parametrize("options", [{"processes": 2}, {"max_jobs": 5}, {"max_rss": 10**9}])
def test_what_another_process_cannot_import_is_refused_before_anything_starts(
    queue: JobQueue, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue, match="another process cannot import it") as told:
        WorkerPool(queue, [labour.pid, lambda: labour.Deaf()], **options)
    assert "workers[1]" == told.value.field
    with pytest.raises(InvalidValue, match="another process cannot import it"):
        WorkerPool(queue, [Local], **options)
    with pytest.raises(InvalidValue, match="another process cannot import it"):
        WorkerPool(queue, [labour.pid], initializer=lambda: None, **options)


def test_jobs_in_memory_and_hooks_that_are_nowhere_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="jobs in memory are in this process only"):
        WorkerPool(JobQueue("memory:"), [labour.pid], processes=2)
    with pytest.raises(InvalidValue, match="what it is made with cannot be taken"):
        WorkerPool(JobQueue(tmp_path, hooks=[lambda _: None]), [labour.pid], processes=2)
