"""One thread looks after whatever is waited for, and its errors reach who waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import (
    InvalidJobId,
    InvalidValue,
    JobQueue,
    MemoryStore,
    StoreError,
    reading,
)
from semiont_jobs import lookout as module
from semiont_jobs.testing.waiting import eventually
from semiont_jobs.threads import frame_of

PATIENCE = 30.0


class Follower(threading.Thread):
    """Follows a job in a thread of its own, asleep when it is made."""

    def __init__(self, queue: JobQueue, job_id: str, timeout: float | None = None) -> None:
        super().__init__(daemon=True)
        self.seen: list[Any] = []
        self.error: BaseException | None = None
        self._states = queue.follow(job_id, timeout)
        self.start()
        eventually(self.is_asleep)

    def run(self) -> None:
        try:
            for each in self._states:
                self.seen.append(each)
        except BaseException as error:
            self.error = error

    def is_asleep(self) -> bool:
        """Whether it has seen how the job stands and waits for more."""
        frame = frame_of(self)
        return bool(self.seen) and frame is not None and frame.f_code.co_name == "wait"

    def statuses(self) -> list[str]:
        """What it has seen when it has ended."""
        self.join(PATIENCE)
        assert not self.is_alive()
        return [each.status for each in self.seen]


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


@pytest.fixture
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a lookout end as soon as nobody waits."""
    monkeypatch.setattr(module, "LINGER", 0.0)
    eventually(lambda: not lookouts())


@pytest.mark.usefixtures("_brief")
def test_a_hundred_waits_share_one_thread_which_ends_after_the_last(tmp_path: Path) -> None:
    queue, other = (JobQueue(tmp_path, fsync=False) for _ in range(2))
    jobs = [queue.enqueue({}, type="t") for _ in range(50)]
    followers = [Follower(other, job.metadata.id) for job in (*jobs, *jobs)]

    count = len(lookouts())
    for _ in jobs:
        eventually(queue.claim_next_job).complete()

    assert ["complete"] * 100 == [each.statuses()[-1] for each in followers]
    assert 1 == count
    assert eventually(lambda: not lookouts())
    assert {} == other._lookout._watched


@pytest.mark.usefixtures("_brief")
def test_who_waits_after_the_thread_has_ended_gets_another(tmp_path: Path) -> None:
    queue, other = (JobQueue(tmp_path, fsync=False) for _ in range(2))
    seen = []

    for name in ("a", "b"):
        queue.enqueue({}, type="t", id=name)
        follower = Follower(other, name)
        eventually(queue.claim_next_job).complete()
        seen.append(follower.statuses()[-1])
        assert eventually(lambda: not lookouts())

    assert ["complete", "complete"] == seen


def test_a_store_without_marks_is_read_instead() -> None:
    store: Any = Plain()
    queue, other = JobQueue(store), JobQueue(store)
    queue.enqueue({}, type="t", id="a")
    follower = Follower(other, "a")

    claim = eventually(queue.claim_next_job)
    eventually(lambda: len(follower.seen) == 2)
    claim.complete()

    assert ["pending", "running", "complete"] == follower.statuses()


class Observed(MemoryStore):
    """Counts looks and readings, and fails when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.error: StoreError | None = None
        self.looks: list[int] = []
        self.readings = 0

    def marks(self, job_ids: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.looks.append(len(job_ids))
        return super().marks(job_ids)

    def get(self, job_id: str) -> Any:
        if self.error is not None:
            raise self.error
        self.readings += 1
        return super().get(job_id)


def test_a_store_that_fails_tells_who_waits_and_the_lookout_lives() -> None:
    store = Observed()
    queue, other = JobQueue(store), JobQueue(store)
    queue.enqueue({}, type="t", id="a")
    follower = Follower(other, "a")

    store.error = StoreError(5, "the disk is gone")
    follower.statuses()
    store.error = None

    assert "the disk is gone" in str(follower.error)
    again = Follower(other, "a")
    eventually(queue.claim_next_job).complete()
    assert "complete" == again.statuses()[-1]


class Deadly(MemoryStore):
    """Ends the thread that looks, when told so."""

    is_deadly = False

    def marks(self, job_ids: Any) -> Any:
        if self.is_deadly:
            raise SystemExit
        return super().marks(job_ids)


@pytest.mark.usefixtures("_brief")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_outlives_the_lookout_and_the_next_gets_another() -> None:
    store = Deadly()
    queue, other = JobQueue(store), JobQueue(store)
    queue.enqueue({}, type="t", id="a")
    first = Follower(other, "a")

    store.is_deadly = True
    eventually(lambda: not lookouts())
    store.is_deadly = False
    eventually(queue.claim_next_job).complete()
    seen = first.statuses()
    queue.enqueue({}, type="t", id="b")
    second = Follower(other, "b")
    count = len(lookouts())
    queue.cancel_job("b")

    assert "complete" == seen[-1]
    assert 1 == count
    assert ["pending", "cancelled"] == second.statuses()


class Blind(MemoryStore):
    """Never tells of a change."""

    def marks(self, job_ids: Any) -> Any:
        return dict.fromkeys(job_ids, 0)


@pytest.mark.parametrize("by_itself", [False, True])
def test_what_this_queue_does_is_told_without_a_look(by_itself: bool) -> None:
    store = Blind()
    queue = JobQueue(store)
    job = queue.enqueue({}, type="t", id="a")
    follower = Follower(queue, "a")

    if by_itself:  # the store obeys a request when it comes upon the job
        store.request_cancel("a", job.metadata.life)
        queue.claim_next_job()
    else:
        queue.cancel_job("a")

    assert ["pending", "cancelled"] == follower.statuses()


def test_one_look_is_for_all_jobs_that_are_waited_for() -> None:
    store = Observed()
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


def test_a_job_is_read_when_it_changed_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LOOK_AGAIN", PATIENCE)
    store = Observed()
    queue = JobQueue(store)
    queue.enqueue({}, type="t", id="a")
    follower = Follower(queue, "a")
    claim = eventually(queue.claim_next_job)
    eventually(lambda: queue._lookout._watched["a"].mark == store._records["a"].text)
    eventually(follower.is_asleep)
    looks, readings = len(store.looks), store.readings

    eventually(lambda: len(store.looks) > looks + 4)
    more = store.readings - readings
    claim.complete()

    assert more <= 1  # the lookout's own notice of what this queue had told already
    assert ["pending", "running", "complete"] == follower.statuses()


def test_what_cannot_be_followed_is_refused_before_anything_starts(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "data")

    for call in (queue.follow, queue.wait_for):
        with pytest.raises(InvalidJobId):
            call("../a")
        for bad in ("x", float("nan"), True):
            with pytest.raises(InvalidValue):
                call("a", bad)  # type: ignore[arg-type]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("timeout", [None, float("inf"), 1e300])
def test_a_wait_for_ever_may_be_as_long_as_it_likes(timeout: float | None) -> None:
    queue = JobQueue("memory:")
    queue.enqueue({}, type="t", id="a")
    follower = Follower(queue, "a", timeout)

    queue.cancel_job("a")

    assert ["pending", "cancelled"] == follower.statuses()


def test_a_forked_child_waits_with_a_lookout_of_its_own_also_for_what_its_parent_began(
    tmp_path: Path,
) -> None:
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
            ends = queue.wait_for("a", 60).status, list(states)[-1].status
            os._exit(0 if ends == ("complete", "complete") else 1)
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
