"""Time limits in a pool: work is asked, then given up; nobody is robbed before."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from semiont_jobs import (
    Event,
    JobQueue,
    JobTimeout,
    JobWorker,
    RetryPolicy,
    RunningJob,
    StoreError,
    WorkerPool,
)
from semiont_jobs.testing.suite import some
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 60.0


class Obedient(JobWorker):
    """Works until it is asked to stop."""

    job_types = ("obedient",)
    timeout = 0.2

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        assert self.cancelled.wait(TIMEOUT)
        self.raise_if_cancelled()
        return "not asked"


class Deaf(JobWorker):
    """Works until it is let go, whatever anybody asks."""

    job_types = ("deaf",)
    let_go: threading.Event
    at_work: threading.Event
    left: threading.Event

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.at_work.set()
        try:
            the_place_where_it_hangs(self.let_go)
        finally:
            self.left.set()
        return "too late"


def the_place_where_it_hangs(event: threading.Event) -> None:
    assert event.wait(10 * TIMEOUT)  # longer than any test waits for what must not wait for it


class Quick(JobWorker):
    job_types = ("quick",)

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return "quick"


@pytest.fixture(autouse=True)
def deaf() -> Any:
    for name in ("let_go", "at_work", "left"):
        setattr(Deaf, name, threading.Event())
    yield
    Deaf.let_go.set()


def test_work_that_waits_is_asked_when_its_time_is_up_and_the_attempt_is_a_timeout(
    queue: JobQueue,
) -> None:
    job = queue.enqueue({}, type="obedient", max_retries=0)

    with WorkerPool(queue, [Obedient]):
        failed = queue.wait_for(job.metadata.id, TIMEOUT)

    attempt = failed.metadata.attempts[0]
    assert ("failed", "timeout", "JobTimeout") == (
        failed.status,
        attempt.outcome,
        attempt.error_type,
    )
    assert "it took more than its 0.2 seconds" == attempt.message


def test_work_that_ignores_its_limit_is_given_up_told_and_replaced(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[Event] = []
    queue.subscribe(events.append)
    job = queue.enqueue({}, type="deaf", max_retries=0, timeout=0.1)

    with WorkerPool(queue, [Deaf, Quick], threads=1, stuck_after=0.1) as pool:
        failed = queue.wait_for(job.metadata.id, TIMEOUT)
        after = queue.enqueue({}, type="quick")
        done = queue.wait_for(after.metadata.id, TIMEOUT)
        Deaf.let_go.set()
        assert Deaf.left.wait(TIMEOUT)
        assert pool.stop()

    attempt = failed.metadata.attempts[0]
    stuck = next(event for event in events if event.name == "stuck")
    assert ("failed", "complete", "timeout") == (failed.status, done.status, attempt.outcome)
    assert "still at work 0.1 seconds after its time limit of 0.1 seconds" == attempt.message
    assert "the_place_where_it_hangs" in (attempt.traceback or "")
    assert (job.metadata.id, attempt.message) == (stuck.job_id, stuck.reason)
    assert "the_place_where_it_hangs" in caplog.text
    assert failed == queue.get_job(job.metadata.id)


def test_a_worker_that_cannot_be_made_in_a_stuck_one_s_place_is_no_hot_loop(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.watch.AGAIN", 3600.0)
    refusals: list[str] = []

    class Refuses(Deaf):
        def __init__(self, queue: JobQueue | None = None) -> None:
            if self.at_work.is_set():
                refusals.append("no connection")
                raise ConnectionError("no connection")
            super().__init__(queue)

    job = memory.enqueue({}, type="deaf", max_retries=0, timeout=0.1)
    with WorkerPool(memory, [Refuses], threads=1, stuck_after=0.05) as pool:
        failed = memory.wait_for(job.metadata.id, TIMEOUT)
        assert not threading.Event().wait(0.5)  # five rounds of the watch
        assert pool.stop()

    assert ("failed", 1) == (failed.status, len(refusals))


def test_what_stuck_work_returns_later_does_not_end_the_next_attempt(queue: JobQueue) -> None:
    job = queue.enqueue({}, type="deaf", timeout=0.1)

    with WorkerPool(queue, [Deaf], threads=1, stuck_after=0.05):
        waiting = eventually(lambda: _with_attempt(queue, job.metadata.id))
        Deaf.let_go.set()
        assert Deaf.left.wait(TIMEOUT)
        done = queue.wait_for(job.metadata.id, TIMEOUT)

    assert 1 == waiting.metadata.retry_count
    assert ["timeout", "completed"] == [each.outcome for each in done.metadata.attempts]


def _with_attempt(queue: JobQueue, id_: str) -> Any:
    job = queue.get_job(id_)
    return job if job is not None and job.metadata.attempt_count else None


def test_no_work_is_robbed_before_its_limit_nor_work_without_one(queue: JobQueue) -> None:
    limited = queue.enqueue({}, type="deaf", timeout=300)
    with WorkerPool(queue, [Deaf], threads=2, stuck_after=0.0) as pool:
        assert Deaf.at_work.wait(TIMEOUT)
        Deaf.at_work.clear()
        free = queue.enqueue({}, type="deaf")
        assert Deaf.at_work.wait(TIMEOUT)
        thread = threading.Event()
        assert not thread.wait(0.5)  # five rounds of the watch
        Deaf.let_go.set()

        ends = [queue.wait_for(each.metadata.id, TIMEOUT) for each in (limited, free)]
        assert pool.stop()
    assert ["too late", "too late"] == [getattr(each, "result", None) for each in ends]
    assert [1, 1] == [each.metadata.attempt_count for each in ends]


def test_the_pool_s_limit_is_for_jobs_that_have_none(queue: JobQueue) -> None:
    own = queue.enqueue({}, type="deaf", timeout=300, id="own", max_retries=0)
    none = queue.enqueue({}, type="deaf", id="none", max_retries=0)

    with WorkerPool(queue, [Deaf], threads=2, timeout=0.1, stuck_after=0.05):
        assert "failed" == queue.wait_for(none.metadata.id, TIMEOUT).status
        assert "running" == getattr(queue.get_job(own.metadata.id), "status", "")
        Deaf.let_go.set()
        assert "complete" == queue.wait_for(own.metadata.id, TIMEOUT).status


def test_the_end_of_stuck_work_is_stored_once_the_disk_takes_it(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.watch.AGAIN", 0.01)
    put, refusals = memory.store._put, []  # type: ignore[attr-defined]

    def refuses(hold: Any, job: Any) -> Any:
        if job.metadata.attempt_count and len(refusals) < 3:
            refusals.append(job)
            raise StoreError(28, "No space left on device")
        return put(hold, job)

    monkeypatch.setattr(memory.store, "_put", refuses)
    job = memory.enqueue({}, type="deaf", max_retries=0, timeout=0.1)

    with WorkerPool(memory, [Deaf], threads=1, stuck_after=0.05):
        failed = memory.wait_for(job.metadata.id, TIMEOUT)

    assert (3, "failed") == (len(refusals), failed.status)
    assert 1 == sum("stuck" in record.getMessage() for record in caplog.records)


def test_a_thread_that_is_given_up_while_the_pool_leaves_does_not_keep_it(
    queue: JobQueue,
) -> None:
    job = queue.enqueue({}, type="deaf", max_retries=0, timeout=0.3)
    pool = WorkerPool(queue, [Deaf], threads=1, stuck_after=0.0)
    pool.start()
    assert Deaf.at_work.wait(TIMEOUT)

    assert pool.stop()  # long before the grace time is over
    assert "failed" == queue.wait_for(job.metadata.id, TIMEOUT).status


def test_a_time_out_of_the_work_s_own_is_one_too(queue: JobQueue) -> None:
    class Own(JobWorker):
        job_types = ("own",)

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            raise JobTimeout("the page did not come")

    job = queue.enqueue({}, type="own", max_retries=0)
    with WorkerPool(queue, [Own]):
        failed = queue.wait_for(job.metadata.id, TIMEOUT)

    assert "timeout" == failed.metadata.attempts[0].outcome


class Stuck(JobWorker):
    """Is stuck within a verb of its claim, in the code of what it hands over."""

    job_types = ("stuck",)
    let_go: threading.Event
    at_work: threading.Event

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        class Progress(dict[str, Any]):
            def __deepcopy__(self, _memo: object) -> object:
                Stuck.at_work.set()
                the_place_where_it_hangs(Stuck.let_go)
                return {}

        def wait(_state: object) -> float:
            if threading.current_thread() is worker:  # and not the watch, which ends its job
                Stuck.at_work.set()
                the_place_where_it_hangs(Stuck.let_go)
            return 0.0

        worker = threading.current_thread()
        if job.params["within"] == "report":
            self.update_job_progress(Progress())
        self.claim.terms.set(retry_policy=RetryPolicy(wait=wait))
        raise ValueError


@pytest.fixture
def stuck() -> Any:
    Stuck.let_go, Stuck.at_work = threading.Event(), threading.Event()
    yield
    Stuck.let_go.set()


@pytest.mark.usefixtures("stuck")
def test_work_that_is_stuck_in_its_own_progress_is_given_up(queue: JobQueue) -> None:
    job = queue.enqueue({"within": "report"}, type="stuck", max_retries=0, timeout=0.1)

    with WorkerPool(queue, [Stuck], threads=1, stuck_after=0.1):
        failed = queue.wait_for(job.metadata.id, TIMEOUT)

    assert "timeout" == failed.metadata.attempts[0].outcome


@pytest.mark.usefixtures("stuck")
def test_work_that_is_stuck_in_an_outcome_keeps_no_pool_from_going_on(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.enqueue({"within": "fail"}, type="stuck", max_retries=1, timeout=0.1, id="stuck")
    pool = WorkerPool(queue, [Stuck, Quick, Deaf], threads=1, stuck_after=0.1)
    pool.start()
    assert Stuck.at_work.wait(TIMEOUT)
    job = queue.enqueue({}, type="quick")
    assert queue.wait_for(job.metadata.id, TIMEOUT).status == "complete"
    deaf = queue.enqueue({}, type="deaf", max_retries=0, timeout=0.1)
    assert queue.wait_for(deaf.metadata.id, TIMEOUT).status == "failed"
    assert "running" == some(queue.get_job("stuck")).status
    assert 1 == caplog.text.count("in the midst of a verb")
    Stuck.let_go.set()  # its own outcome is the quicker one, or the next of the watch's tries
    assert "failed" == queue.wait_for("stuck", TIMEOUT).status
    assert pool.stop()


@pytest.mark.usefixtures("stuck")
@pytest.mark.parametrize("timeout", [None, 0.1])
def test_work_that_is_stuck_in_an_outcome_holds_up_no_stop(
    queue: JobQueue, timeout: float | None
) -> None:
    queue.enqueue({"within": "fail"}, type="stuck", timeout=timeout)
    pool = WorkerPool(queue, [Stuck], threads=1, stuck_after=0.1, grace=0.1)
    pool.start()
    assert Stuck.at_work.wait(TIMEOUT)
    ending = threading.Thread(target=pool.stop, daemon=True)

    ending.start()
    ending.join(TIMEOUT)

    assert not ending.is_alive()
    Stuck.let_go.set()


@pytest.mark.parametrize("name", ["stuck", "failed"])
def test_a_hook_that_hangs_on_stuck_work_keeps_no_pool_from_going_on(
    name: str, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.hooks.PATIENCE", 0.01)
    hangs, over = threading.Event(), threading.Event()

    def hook(event: Event) -> None:
        if event.name == name and event.job_id == "hangs":
            hangs.set()
            over.wait(10 * TIMEOUT)

    queue.subscribe(hook)
    queue.enqueue({}, type="deaf", max_retries=0, timeout=0.1, id="hangs")
    with WorkerPool(queue, [Deaf, Quick], threads=1, stuck_after=0.0) as pool:
        stopping = threading.Thread(target=pool.stop, daemon=True)
        try:
            assert hangs.wait(TIMEOUT)
            job = queue.enqueue({}, type="quick")
            assert queue.wait_for(job.metadata.id, TIMEOUT).status == "complete"
            assert queue.wait_for("hangs", TIMEOUT).status == "failed"
            stopping.start()
            stopping.join(TIMEOUT)
            assert not stopping.is_alive()
        finally:
            over.set()


def test_stuck_is_logged_as_an_error(queue: JobQueue, caplog: pytest.LogCaptureFixture) -> None:
    queue.enqueue({}, type="deaf", max_retries=0, timeout=0.1, id="hangs")

    with WorkerPool(queue, [Deaf], threads=1, stuck_after=0.0):
        queue.wait_for("hangs", TIMEOUT)

    told = [(r.levelno, r.getMessage()) for r in caplog.records if "stuck" in r.getMessage()]
    assert [logging.ERROR] == [level for level, _ in told]
    assert told[0][1].startswith("stuck hangs: ")
