"""Processes that end in order: nobody of theirs is waited for in vain, and no job looks as if its
worker had crashed."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from semiont_jobs import JobQueue, exits, forks

TIMEOUT = 30.0

FORKED = """
import os, sys, threading
from semiont_jobs import JobQueue, JobWorker, WorkerPool

class Works(JobWorker):
    job_types = ("task",)
    def execute_job(self, job):
        started.set()
        goes_on.wait()

started, goes_on = threading.Event(), threading.Event()
queue = JobQueue(sys.argv[1], fsync=False)
queue.enqueue({}, type="task", id="j")
made = {"worker": lambda: Works(queue), "pool": lambda: WorkerPool(queue, [Works], threads=1),
        "run": lambda: WorkerPool(queue, threads=1)}[sys.argv[2]]()
if sys.argv[2] == "run":
    results = made.map(len, ["x"] * 300)
    next(results)
else:
    made.start()
    started.wait()
child = os.fork()
if child == 0:
    assert made.stop()
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
goes_on.set()
if sys.argv[2] == "run":
    print(sum(results))
assert made.stop()
"""


@pytest.mark.parametrize("what", ["worker", "pool", "run"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_ends_without_waiting_for_its_parents_workers(
    tmp_path: Path, what: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, str(tmp_path), what],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    assert done.stdout.split() == (["7", "299"] if what == "run" else ["7"])
    if what != "run":
        with JobQueue(tmp_path, fsync=False) as queue:
            assert "complete" == queue.wait_for("j", TIMEOUT).status


CLAIMING_TO_THE_END = """
import atexit, sys, threading
# Called last: the threads run on for a while after all jobs were given back.
atexit.register(lambda: threading.Event().wait(0.3))
from semiont_jobs import JobMetadata, JobQueue, PendingJob

queue = JobQueue(sys.argv[1], fsync=False)
queue.enqueue_many([{}] * 4000, type="task")
begun = threading.Barrier(9)

def work():
    begun.wait()
    for n, claim in enumerate(queue.claims()):
        if n % 2:  # some are at work whenever the process ends
            threading.Event().wait(0.005)
        claim.complete()

for _ in range(8):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
threading.Event().wait(0.3)
"""


def test_threads_that_claim_to_the_end_of_their_process_leave_nothing_at_work(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLAIMING_TO_THE_END, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert 0 == done.returncode, done.stderr
    with JobQueue(tmp_path, fsync=False) as queue:
        stats = queue.get_stats()
        assert (stats.running, stats.failed, stats.total) == (0, 0, 4000)
        assert stats.complete
        assert {job.metadata.crash_count for job in queue.query_jobs(limit=None)} == {0}


class Thing:
    """Starts afresh, or ends, and may fail in it."""

    def __init__(self, *, fails: bool) -> None:
        self._fails = fails
        self.is_done = False

    def reset_after_fork(self) -> None:
        self.is_done = True
        if self._fails:
            raise ValueError("broken")

    end_with_process = reset_after_fork


@pytest.mark.parametrize(
    ("module", "note", "do_all"),
    [(forks, forks.reset_in_child, forks._reset_all), (exits, exits.end_last, exits._end_all)],
    ids=["start afresh in a child", "end with its process"],
)
def test_what_fails_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    note: Callable[[Thing], None],
    do_all: Callable[[], None],
) -> None:
    monkeypatch.setattr(module, "_known", weakref.WeakSet())
    things = [Thing(fails=bool(n % 2)) for n in range(4)]
    for thing in things:
        note(thing)

    with pytest.raises(ValueError, match="broken"):
        do_all()

    assert [True] * 4 == [thing.is_done for thing in things]
