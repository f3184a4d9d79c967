"""When cursors are stored: at intervals, at the end, as soon as the disk takes them."""

from __future__ import annotations

import errno
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from files.children import Children, finished, kill
from iterating import TIMEOUT, Iterating, cursor_of

from semiont_jobs import CompleteJob, JobQueue, MemoryStore, PendingJob, StoreError
from semiont_jobs.testing.waiting import eventually


@pytest.fixture
def queue() -> JobQueue:
    return JobQueue("memory:")


@pytest.mark.parametrize(("interval", "stored"), [(0, [1, 2, 3]), (3600, [])])
def test_cursors_are_stored_at_intervals(
    queue: JobQueue, interval: float, stored: list[int]
) -> None:
    told: list[Any] = []
    queue.subscribe(lambda event: event.name == "checkpointed" and told.append(event.job))

    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        yield from (1, 2, 3)

    job = queue.enqueue({}, type="task")
    with Iterating(queue, work, checkpoint_interval=interval):
        queue.wait_for(job.metadata.id, TIMEOUT)

    assert stored == [cursor_of(each) for each in told]


def test_a_work_that_goes_on_has_its_cursor_stored_now_and_then(queue: JobQueue) -> None:
    told: list[Any] = []
    queue.subscribe(lambda event: event.name == "checkpointed" and told.append(event.job))

    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        unit = 0
        while len(told) < 2:
            unit += 1
            yield unit

    job = queue.enqueue({}, type="task")
    with Iterating(queue, work, checkpoint_interval=0.2):
        assert "complete" == queue.wait_for(job.metadata.id, TIMEOUT).status

    assert cursor_of(told[0]) + 1 < cursor_of(told[1])


class Full(MemoryStore):
    """A disk that can be full."""

    refuses = False
    refused = 0

    def _put(self, hold: Any, job: Any) -> Any:
        if self.refuses:
            self.refused += 1
            raise StoreError(errno.ENOSPC, "no space left")
        return super()._put(hold, job)


def test_a_full_disk_keeps_no_work_from_going_on() -> None:
    store = Full()
    queue = JobQueue(store)
    queue.enqueue({}, type="task", id="a")

    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        store.refuses = True
        yield 1
        yield 2
        store.refuses = False
        yield 3
        return "done"

    with Iterating(queue, work, checkpoint_interval=0):
        done = queue.wait_for("a", TIMEOUT)

    assert isinstance(done, CompleteJob)
    assert ("done", 3, 2) == (done.result, cursor_of(done), store.refused)


def test_a_cursor_waits_for_the_disk_as_its_outcome_does() -> None:
    store = Full()
    queue = JobQueue(store)
    queue.enqueue({}, type="task", id="a", max_retries=0)

    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        yield 1
        store.refuses = True
        raise ConnectionError("away")

    with Iterating(queue, work):
        eventually(lambda: store.refused > 2, TIMEOUT)
        store.refuses = False
        failed = queue.wait_for("a", TIMEOUT)

    assert ("failed", 1) == (failed.status, cursor_of(failed))


def test_a_job_that_was_taken_away_gets_no_cursor() -> None:
    store = MemoryStore()
    queue = JobQueue(store, max_crashes=0)
    queue.enqueue({}, type="task", id="a")
    closed = threading.Event()

    def work(_worker: Any, _job: Any, _cursor: Any) -> Any:
        try:
            yield 1
            store.kill_holder("a")
            yield 2
        finally:
            closed.set()

    with Iterating(queue, work):
        assert closed.wait(TIMEOUT)
        left = queue.wait_for("a", TIMEOUT)

    assert ("failed", {}) == (left.status, left.metadata.unit_cursors)


# -- processes -----------------------------------------------------------------------------


WORKER = """
class Counting(JobWorker):
    checkpoint_interval = 0

    def iterate_job(self, job, cursor):
        witness(f"from-{cursor}")
        for unit in range(cursor or 0, 1000000):
            witness(f"unit-{unit}")
            if unit == 3 and rest == ["hang"]:
                witness("hanging")
                wait_for("never")
            if unit == 6 and rest != ["long"]:
                return {"units": unit}
            yield unit + 1
"""


def test_after_a_kill_nothing_before_the_stored_cursor_is_done_again(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({}, type="t", id="j")
    with Children(tmp_path) as children:
        first = children.start(WORKER + "\nCounting(queue).run()", "hang")
        children.witnessed("hanging")
        kill(first)

        finished(children.start(WORKER + "\nwith Counting(queue): queue.wait_for('j', 60)"))

    words = [word for word in children.words() if word != "hanging"]
    units = [0, 1, 2, 3, 3, 4, 5, 6]
    assert ["from-None", *(f"unit-{n}" for n in units[:4])] == words[:5]
    assert ["from-3", *(f"unit-{n}" for n in units[4:])] == words[5:]
    assert ("complete", 1) == _status_and_crashes(queue)


def test_a_deploy_does_not_wait_for_a_long_job_and_the_next_worker_goes_on(
    tmp_path: Path,
) -> None:
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({}, type="t", id="j")
    stop = (
        "\nimport signal\ncaught = []\nsignal.signal(signal.SIGTERM, lambda *_: caught.append(1))"
    )
    stop += "\nwith Counting(queue) as worker:\n    while not caught: signal.pause()"
    stop += "\n    print(worker.stop(60))"
    with Children(tmp_path) as children:
        first = children.start(WORKER + stop, "long")
        children.witnessed("unit-20")
        first.send_signal(signal.SIGTERM)
        assert "True\n" == finished(first)
        left = queue.get_job("j")
        done = [word for word in children.words() if word.startswith("unit-")]

        finished(
            children.start(
                WORKER.replace("unit == 6", f"unit == {len(done) + 3}")
                + "\nwith Counting(queue): queue.wait_for('j', 60)"
            )
        )
        words = [word for word in children.words() if word.startswith("unit-")]

    assert isinstance(left, PendingJob)
    assert (len(done), 0) == (cursor_of(left), left.metadata.attempt_count)
    assert [f"unit-{n}" for n in range(len(done) + 4)] == words
    assert ("complete", 0) == _status_and_crashes(queue)


def _status_and_crashes(queue: JobQueue) -> tuple[str, int]:
    job = queue.get_job("j")
    assert job is not None
    return job.status, job.metadata.crash_count
