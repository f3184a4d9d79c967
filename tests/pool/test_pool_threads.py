"""A pool of threads in one process: how it comes to its end, and what it outlives."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import pytest
from pool.members import TIMEOUT, Echo, Waits, results, threads_named

from semiont_jobs import (
    JobQueue,
    JobWorker,
    RunningJob,
    ThreadRefused,
    WorkerPool,
    WorkerStopping,
    job_handler,
)
from semiont_jobs.pool.crew import Crew
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import checked_roster
from semiont_jobs.pool.watch import Watch
from semiont_jobs.testing.waiting import eventually


class Looks(JobWorker):
    """Works until it is asked to stop."""

    job_types = ("looks",)
    raised: type[BaseException] | None = None
    at_work = threading.Event()

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.at_work.set()
        self.cancelled.wait(TIMEOUT)
        try:
            self.raise_if_cancelled()
        except BaseException as error:
            type(self).raised = type(error)
            raise
        return "not asked"


# -- leaving -----------------------------------------------------------------------------


def test_a_stop_lets_the_job_in_hand_finish(queue: JobQueue) -> None:
    let_go = threading.Event()
    Waits.at_work.clear()
    pool = WorkerPool(queue, [lambda: Waits(queue, let_go)], threads=2)
    job = queue.enqueue({}, type="waits")
    pool.start()
    assert Waits.at_work.wait(TIMEOUT)
    threading.Timer(0.1, let_go.set).start()

    assert pool.stop()
    assert "late" == results(queue, [job.metadata.id])[0]
    queue.enqueue({}, type="waits")
    assert 1 == queue.get_stats().pending


def test_work_is_asked_to_stop_after_the_grace_time_and_its_job_given_back(
    queue: JobQueue,
) -> None:
    Looks.at_work.clear()
    pool = WorkerPool(queue, [Looks])
    job = queue.enqueue({}, type="looks")
    pool.start()
    assert Looks.at_work.wait(TIMEOUT)

    assert not pool.stop(timeout=0.05)

    back = queue.get_job(job.metadata.id)
    assert back is not None
    assert ("pending", 0, 0) == (
        back.status,
        back.metadata.attempt_count,
        back.metadata.retry_count,
    )
    assert WorkerStopping is Looks.raised


def test_a_job_whose_work_does_not_look_is_taken_and_what_it_returns_changes_nothing(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.watch.LAST_WORDS", 0.05)
    let_go = threading.Event()
    Waits.at_work.clear()
    pool = WorkerPool(queue, [lambda: Waits(queue, let_go)], threads=1)
    job = queue.enqueue({}, type="waits")
    pool.start()
    assert Waits.at_work.wait(TIMEOUT)
    thread = threads_named("semiont-jobs-1")[-1]

    assert not pool.stop(timeout=0)
    let_go.set()
    thread.join(TIMEOUT)

    back = queue.get_job(job.metadata.id)
    assert back is not None
    assert ("pending", 0) == (back.status, back.metadata.attempt_count)


def test_a_cancel_during_the_grace_time_is_a_cancel(queue: JobQueue) -> None:
    Looks.at_work.clear()
    pool = WorkerPool(queue, [Looks])
    job = queue.enqueue({}, type="looks")
    pool.start()
    assert Looks.at_work.wait(TIMEOUT)

    queue.cancel_job(job.metadata.id)

    assert pool.stop()
    assert "cancelled" == queue.wait_for(job.metadata.id, TIMEOUT).status


def test_exactly_max_jobs_are_claimed_however_many_threads_claim_at_once(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(50):
        memory.enqueue({"n": 1}, type="echo")
    claim_next, calls, enough = memory.claim_one, [], threading.Event()

    def together(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 5:
            enough.set()
        assert enough.wait(TIMEOUT)
        return claim_next(*arguments, **options)

    monkeypatch.setattr(memory, "claim_one", together)
    orders = Orders(threads=8, max_jobs=5)
    watch = Watch(Crew(memory, checked_roster([Echo], memory), orders))

    watch.start()

    assert watch.wait(TIMEOUT)
    assert (5, "replaced") == (memory.get_stats().complete, watch.reason)
    assert len(calls) >= 5


def test_a_queue_that_is_closed_ends_its_pool_and_is_not_opened_again(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    Looks.at_work.clear()
    job = queue.enqueue({}, type="looks")
    pool = WorkerPool(queue, [Looks], threads=2)
    pool.start()
    assert Looks.at_work.wait(TIMEOUT)
    Looks.at_work.clear()
    queue.close()

    told = "the queue was closed: its pool leaves"
    eventually(lambda: told in caplog.text and not threads_named("semiont-jobs-1"))
    back = queue.get_job(job.metadata.id)
    assert back is not None
    assert ("pending", 0) == (back.status, back.metadata.attempt_count)
    pool.stop()
    assert not Looks.at_work.is_set()
    assert caplog.text.count(told) == 1


def test_a_pool_is_started_once_and_stopped_any_number_of_times(memory: JobQueue) -> None:
    pool = WorkerPool(memory, [Echo])
    pool.start()

    with pytest.raises(RuntimeError, match="started already"):
        pool.start()
    assert pool.stop()
    assert pool.stop()
    with pytest.raises(RuntimeError, match="was stopped"):
        pool.start()


def test_a_job_that_stops_its_own_pool_does_not_wait_for_itself(memory: JobQueue) -> None:
    pools: list[WorkerPool] = []

    @job_handler("last")
    def last(params: dict[str, Any]) -> bool:
        return pools[0].stop()

    pools.append(WorkerPool(memory, [last]))
    job = memory.enqueue({}, type="last")

    assert 0 == pools[0].run()
    assert {"value": False} == results(memory, [job.metadata.id])[0]


# -- troubles ----------------------------------------------------------------------------


def test_a_thread_that_dies_is_replaced_and_its_job_fails(queue: JobQueue) -> None:
    at_work = threading.Event()
    let_go = threading.Event()

    class Dies(JobWorker):
        job_types = ("dies",)

        def work_on(self, claim: Any) -> None:  # what no work can do: end the thread itself
            at_work.set()
            let_go.wait(TIMEOUT)
            raise SystemExit("no more")

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            return None

    job = queue.enqueue({}, type="dies", max_retries=0)
    with WorkerPool(queue, [Dies, Echo], threads=1):
        at_work.wait(TIMEOUT)
        let_go.set()
        failed = queue.wait_for(job.metadata.id, TIMEOUT)
        after = queue.enqueue({"n": 2}, type="echo")

        assert ("failed", "SystemExit: no more") == (failed.status, getattr(failed, "error", ""))
        assert 2 == results(queue, [after.metadata.id])[0][0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_raised_by_the_work_ends_its_attempt_and_no_thread(
    queue: JobQueue, error: type[BaseException]
) -> None:
    @job_handler("interrupts")
    def interrupts(params: dict[str, Any]) -> None:
        raise error

    job = queue.enqueue({}, type="interrupts", max_retries=0)
    with WorkerPool(queue, [interrupts, Echo], threads=1):
        before = threads_named("semiont-jobs-1")
        failed = queue.wait_for(job.metadata.id, TIMEOUT)
        after = queue.enqueue({"n": 6}, type="echo")

        assert 6 == results(queue, [after.metadata.id])[0][0]
        assert before == threads_named("semiont-jobs-1")
    assert ("failed", error.__name__) == (failed.status, failed.metadata.attempts[0].error_type)


def test_a_thread_that_dies_while_idle_is_replaced(memory: JobQueue) -> None:
    with WorkerPool(memory, [Echo], threads=1, poll_interval=0.02):
        thread = threads_named("semiont-jobs-1")[-1]
        raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt)
        )
        thread.join(TIMEOUT)
        job = memory.enqueue({"n": 3}, type="echo")

        assert (1, False) == (raised, thread.is_alive())
        assert 3 == results(memory, [job.metadata.id])[0][0]


def test_a_thread_that_the_system_refuses_is_asked_for_again(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.watch.AGAIN", 0.01)
    refusals: list[threading.Thread] = []

    def refuses(thread: threading.Thread) -> None:
        if len(refusals) < 3:
            refusals.append(thread)
            raise ThreadRefused("no thread")
        thread.start()

    at_work = threading.Event()

    class Dies(JobWorker):
        job_types = ("dies",)

        def work_on(self, claim: Any) -> None:
            monkeypatch.setattr("semiont_jobs.pool.crew.begin", refuses)
            at_work.set()
            raise SystemExit

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            return None

    memory.enqueue({}, type="dies", max_retries=0)
    with WorkerPool(memory, [Dies, Echo], threads=1):
        assert at_work.wait(TIMEOUT)
        job = memory.enqueue({"n": 8}, type="echo")

        assert 8 == results(memory, [job.metadata.id])[0][0]
    assert 3 == len(refusals)


def test_the_job_of_a_dead_thread_ends_though_no_worker_can_be_made_in_its_place(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.watch.AGAIN", 0.01)
    is_away = threading.Event()
    refusals: list[str] = []

    class Dies(JobWorker):
        job_types = ("dies",)

        def __init__(self, queue: JobQueue | None = None) -> None:
            if is_away.is_set() and len(refusals) < 3:
                refusals.append("no connection")
                raise ConnectionError("no connection")
            super().__init__(queue)

        def work_on(self, claim: Any) -> None:
            is_away.set()
            raise SystemExit("no more")

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            return None

    job = queue.enqueue({}, type="dies", max_retries=0)
    with WorkerPool(queue, [Dies, Echo], threads=1):
        failed = queue.wait_for(job.metadata.id, TIMEOUT)
        after = queue.enqueue({"n": 9}, type="echo")

        assert ("failed", "SystemExit: no more") == (failed.status, getattr(failed, "error", ""))
        assert 9 == results(queue, [after.metadata.id])[0][0]
    assert 3 == len(refusals)


def test_a_pool_that_gets_no_thread_says_so_and_leaves_none_behind(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(thread: threading.Thread) -> None:
        if thread.name.endswith("2"):
            raise ThreadRefused("no thread")
        thread.start()

    monkeypatch.setattr("semiont_jobs.pool.crew.begin", refuses)
    pool = WorkerPool(memory, [Echo], threads=2)

    with pytest.raises(ThreadRefused):
        pool.start()

    eventually(lambda: not threads_named("semiont-jobs-1"))
    assert pool.stop()


def test_a_hook_that_interrupts_a_claim_strands_no_job(queue: JobQueue) -> None:
    interrupted: list[str] = []

    def interrupts(event: Any) -> None:
        if event.name == "claimed" and not interrupted:
            interrupted.append(event.job_id)
            raise KeyboardInterrupt

    queue.subscribe(interrupts)
    job = queue.enqueue({"n": 4}, type="echo")

    with WorkerPool(queue, [Echo], threads=1):
        assert 4 == results(queue, [job.metadata.id])[0][0]
    assert [job.metadata.id] == interrupted


def test_a_store_that_refuses_for_a_while_stops_no_thread(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.crew.ERROR_BACKOFF", 0.02)
    claim, calls = memory.store.claim, []

    def refuses(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) < 5:
            raise OSError(28, "No space left on device")
        return claim(*arguments)

    monkeypatch.setattr(memory.store, "claim", refuses)
    job = memory.enqueue({"n": 5}, type="echo")

    with WorkerPool(memory, [Echo], threads=1):
        assert 5 == results(memory, [job.metadata.id])[0][0]
