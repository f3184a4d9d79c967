"""One thread looks after whatever is waited for, and its errors reach who waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import InvalidJobId, InvalidValue, JobQueue, MemoryStore, StoreError
from semiont_jobs import lookout as module
from semiont_jobs.testing.waiting import eventually

PATIENCE = 60.0


class Plain:
    """A store that has nothing besides what every store must have."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def __getattr__(self, name: str) -> Any:
        if name == "marks":
            raise AttributeError(name)
        return getattr(self._store, name)


def lookouts() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "semiont-jobs-lookout"]


def test_a_hundred_waits_share_one_thread_which_ends_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.0)
    assert eventually(lambda: not lookouts())
    queue, other = (JobQueue(tmp_path, fsync=False) for _ in range(2))
    jobs = [queue.enqueue({}, type="t") for _ in range(100)]

    with ThreadPoolExecutor(100) as threads:
        waits = [threads.submit(other.wait_for, job.metadata.id, PATIENCE) for job in jobs]
        eventually(lambda: len(other._lookout._watched) == 100)
        count = len(lookouts())
        for _ in jobs:
            eventually(queue.claim_next_job).complete()
        ended = [each.result(PATIENCE).status for each in waits]

    assert (1, ["complete"] * 100) == (count, ended)
    assert other._lookout._watched == {}
    assert eventually(lambda: not lookouts())


def test_who_waits_after_the_thread_has_ended_gets_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER", 0.0)
    queue, other = (JobQueue(tmp_path, fsync=False) for _ in range(2))
    seen = []

    for name in ("a", "b"):
        queue.enqueue({}, type="t", id=name)
        states = other.follow(name, PATIENCE)
        next(states)
        eventually(queue.claim_next_job).complete()
        seen.append([each.status for each in states][-1])
        assert eventually(lambda: not lookouts())

    assert ["complete", "complete"] == seen


def test_a_store_without_marks_is_read_instead() -> None:
    store: Any = Plain()
    queue, other = JobQueue(store), JobQueue(store)
    queue.enqueue({}, type="t", id="a")
    states = other.follow("a", PATIENCE)

    seen = [next(states).status]
    claim = queue.claim_next_job()
    assert claim is not None
    seen.append(next(states).status)
    claim.complete()
    seen += [each.status for each in states]

    assert ["pending", "running", "complete"] == seen


def test_a_follower_that_is_dropped_is_watched_for_no_more(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    queue.enqueue({}, type="t", id="a")
    states: Any = queue.follow("a", PATIENCE)
    next(states)
    assert ["a"] == list(queue._lookout._watched)

    states.close()

    assert {} == queue._lookout._watched


class Failing(MemoryStore):
    """Refuses to be looked at once told so."""

    error: StoreError | None = None

    def marks(self, job_ids: Any) -> Any:
        if self.error is not None:
            raise self.error
        return super().marks(job_ids)

    def get(self, job_id: str) -> Any:
        if self.error is not None:
            raise self.error
        return super().get(job_id)


def test_a_store_that_fails_tells_who_waits_and_the_lookout_lives() -> None:
    store = Failing()
    queue, other = JobQueue(store), JobQueue(store)
    queue.enqueue({}, type="t", id="a")
    states = other.follow("a", PATIENCE)
    next(states)

    store.error = StoreError(5, "the disk is gone")
    with pytest.raises(StoreError, match="the disk is gone"):
        next(states)
    store.error = None

    again = other.follow("a", PATIENCE)
    next(again)
    claim = queue.claim_next_job()
    assert claim is not None
    claim.complete()
    assert "complete" == [each.status for each in again][-1]


def test_what_cannot_be_followed_is_refused_before_anything_starts(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "data")

    for call in (queue.follow, queue.wait_for):
        with pytest.raises(InvalidJobId):
            call("../a")
        for bad in ("x", float("nan"), True):
            with pytest.raises(InvalidValue):
                call("a", bad)  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()


def test_a_wait_for_ever_takes_no_time_that_is_none() -> None:
    queue = JobQueue("memory:")
    queue.enqueue({}, type="t", id="a")
    states = queue.follow("a", float("inf"))
    next(states)

    queue.cancel_job("a")

    assert "cancelled" == next(states).status


def test_a_forked_child_waits_with_a_lookout_of_its_own(tmp_path: Path) -> None:
    script = """
        import os, sys, threading, warnings
        from semiont_jobs import JobQueue

        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: what is tested
        queue = JobQueue(sys.argv[1], fsync=False)
        queue.enqueue({}, type="t", id="a")
        states = queue.follow("a", 60)
        next(states)
        child = os.fork()
        if child == 0:
            os._exit(0 if queue.wait_for("a", 60).status == "complete" else 1)
        queue.claim_next_job().complete()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), list(states)[-1].status)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ("0 complete\n", "") == (ran.stdout, ran.stderr)


def test_ctrl_c_ends_a_wait(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    queue.enqueue({}, type="t", id="a")
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from semiont_jobs import JobQueue\n"
            "for each in JobQueue(sys.argv[1]).follow('a'): print(each.status, flush=True)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert "pending\n" == child.stdout.readline()

    os.kill(child.pid, signal.SIGINT)

    _printed, errors = child.communicate(timeout=PATIENCE)
    assert "KeyboardInterrupt" in errors
    assert -signal.SIGINT == child.returncode


class Counting(MemoryStore):
    """Counts the looks, and how many jobs each was for."""

    def __init__(self) -> None:
        super().__init__()
        self.looks: list[int] = []

    def marks(self, job_ids: Any) -> Any:
        self.looks.append(len(job_ids))
        return super().marks(job_ids)


def test_one_look_is_for_all_jobs_that_are_waited_for() -> None:
    store = Counting()
    queue = JobQueue(store)
    jobs = [queue.enqueue({}, type="t") for _ in range(100)]
    states: list[Any] = [queue.follow(job.metadata.id, PATIENCE) for job in jobs]
    for each in states:
        next(each)
    store.looks.clear()

    eventually(lambda: len(store.looks) > 4)
    looks = store.looks[1:4]  # the first may have begun before the last job was waited for

    assert [100] * 3 == looks
    for each in states:
        each.close()
