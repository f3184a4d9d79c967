"""A pool of threads in one process: who does which job, and how it comes to its end."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import pytest
from attrs import frozen

from semiont_jobs import (
    InvalidValue,
    JobQueue,
    JobType,
    JobWorker,
    RetryPolicy,
    RunningJob,
    ThreadRefused,
    WorkerPool,
    WorkerStopping,
    job_handler,
)
from semiont_jobs.pool.crew import Crew
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import roster
from semiont_jobs.pool.watch import Watch
from semiont_jobs.testing.suite import some
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 60.0


class Echo(JobWorker):
    job_types = ("echo",)

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return [job.params["n"], threading.current_thread().name]


class Meets(JobWorker):
    """Waits until as many jobs are at work as it says."""

    job_types = ("meets",)
    barrier: threading.Barrier

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.barrier.wait(TIMEOUT)
        return None


class Waits(JobWorker):
    """Holds its job until it is let go, looking for nothing."""

    job_types = ("waits",)
    at_work = threading.Event()

    def __init__(self, queue: JobQueue | None, let_go: threading.Event) -> None:
        super().__init__(queue)
        self.let_go = let_go

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.at_work.set()
        self.let_go.wait(TIMEOUT)
        return "late"


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


@job_handler("upper")
def upper(params: dict[str, str]) -> str:
    return params["text"].upper()


def results(queue: JobQueue, ids: list[str]) -> list[Any]:
    return [getattr(queue.wait_for(each, TIMEOUT), "result", None) for each in ids]


def threads_named(prefix: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]


# -- who does what -----------------------------------------------------------------------


def test_classes_factories_and_handlers_share_the_same_threads(queue: JobQueue) -> None:
    barrier = threading.Barrier(3)

    class Meeting(Meets):
        pass

    Meeting.barrier = barrier
    with WorkerPool(queue, [Echo, lambda: Meeting(queue), upper], threads=3):
        names = [each.name for each in threads_named("semiont-jobs-") if each.name[-1].isdigit()]
        jobs = [queue.enqueue({}, type="meets") for _ in range(3)]
        results(queue, [job.metadata.id for job in jobs])
        done = results(
            queue,
            [
                queue.enqueue({"n": 1}, type="echo").metadata.id,
                queue.enqueue({"text": "a"}, type="upper").metadata.id,
            ],
        )

    assert ["semiont-jobs-1", "semiont-jobs-2", "semiont-jobs-3"] == sorted(names)
    assert 1 == done[0][0]
    assert {"value": "A"} == done[1]
    eventually(lambda: not threads_named("semiont-jobs-1"))


def test_a_worker_is_made_once_to_try_and_once_for_every_thread(memory: JobQueue) -> None:
    made: list[JobWorker] = []

    class Dear(Echo):
        def __init__(self, queue: JobQueue) -> None:
            made.append(self)
            super().__init__(queue)

    pool = WorkerPool(memory, [Dear], threads=3)
    before = len(made)
    with pool:
        pass

    assert (1, 4) == (before, len(made))


def test_the_jobs_of_all_types_are_done_in_one_order(queue: JobQueue) -> None:
    order: list[str] = []

    class First(JobWorker):
        job_types = ("a",)

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            order.append(job.metadata.id)
            return None

    class Second(First):
        job_types = ("b",)

    for id_, type_, priority in (("1", "a", 0), ("2", "b", 5), ("3", "a", 9), ("4", "b", 0)):
        queue.enqueue({}, type=type_, id=id_, priority=priority)

    assert 0 == WorkerPool(queue, [First, Second], threads=1, burst=True).run()
    assert ["3", "2", "1", "4"] == order


def test_a_worker_s_refusal_and_named_queue_hold_in_a_pool(queue: JobQueue) -> None:
    class Choosy(JobWorker):
        def can_process_job(self, job: Any) -> bool:
            return job.params["n"] > 1

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            return "choosy"

    class Named(JobWorker):
        queue_name = "mail"

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            return "named"

    queue.enqueue({"n": 1}, type="t", id="nobody")
    queue.enqueue({"n": 2}, type="t", id="choosy")
    queue.enqueue({"n": 1}, type="t", id="named", queue="mail")

    WorkerPool(queue, [Choosy, Named], threads=2, burst=True).run()

    assert ["choosy", "named"] == results(queue, ["choosy", "named"])
    assert "pending" == getattr(queue.get_job("nobody"), "status", None)


@pytest.mark.parametrize("is_choosy", [False, True])
def test_a_job_s_file_names_the_worker_that_has_it_in_hand(
    queue: JobQueue, is_choosy: bool
) -> None:
    at_work, let_go = threading.Semaphore(0), threading.Event()

    class First(JobWorker):
        job_types = ("a",)

        def get_worker_name(self) -> str:
            return "the first"

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            at_work.release()
            let_go.wait(TIMEOUT)
            return None

    class Second(First):
        job_types = ("b",)

        def get_worker_name(self) -> str:
            return "the second"

    class Choosy(Second):
        def can_process_job(self, job: Any) -> bool:
            return True

    for type_ in ("a", "b"):
        queue.enqueue({}, type=type_, id=type_)

    with WorkerPool(queue, [First, Choosy if is_choosy else Second], threads=2):
        assert all(at_work.acquire(timeout=TIMEOUT) for _ in "ab")
        stamps = [some(some(queue.get_job(each)).metadata.claim) for each in "ab"]
        let_go.set()
    ends = [queue.wait_for(each, TIMEOUT).metadata.attempts[0].worker for each in "ab"]

    assert ["the first", "the second"] == [each.worker for each in stamps] == ends


def test_types_and_queues_narrow_what_a_pool_takes(queue: JobQueue) -> None:
    for id_, type_, named in (("a", "echo", "default"), ("b", "echo", "x"), ("c", "upper", "x")):
        queue.enqueue({"n": 1, "text": ""}, type=type_, id=id_, queue=named)

    WorkerPool(queue, [Echo, upper], burst=True, types=["echo"], queues=["x", "y"]).run()

    done = [job.metadata.id for job in queue.query_jobs(status="complete")]
    assert ["b"] == done


def test_a_worker_s_retry_policy_goes_with_its_jobs(memory: JobQueue) -> None:
    class Stubborn(JobWorker):
        job_types = ("stubborn",)
        retry_policy = RetryPolicy(permanent=(KeyError,))

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            raise KeyError("never")

    job = memory.enqueue({}, type="stubborn")

    with WorkerPool(memory, [Echo, Stubborn]):
        assert "failed" == memory.wait_for(job.metadata.id, TIMEOUT).status


@pytest.mark.parametrize("jobs", [0, 40])
def test_a_burst_ends_when_everything_is_done_also_what_jobs_made(
    queue: JobQueue, jobs: int
) -> None:
    @job_handler("parent")
    def parent(params: dict[str, int]) -> None:
        if params["depth"]:
            queue.enqueue({"depth": params["depth"] - 1}, type="parent")

    for _ in range(jobs):
        queue.enqueue({"depth": 2}, type="parent")

    code = WorkerPool(queue, [parent], threads=3, burst=True).run()

    assert (0, 0, 3 * jobs) == (code, queue.get_stats().pending, queue.get_stats().complete)


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
    claim_next, calls, enough = memory.claim_next_job, [], threading.Event()

    def together(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 5:
            enough.set()
        assert enough.wait(TIMEOUT)
        return claim_next(*arguments, **options)

    monkeypatch.setattr(memory, "claim_next_job", together)
    orders = Orders(threads=8, max_jobs=5)
    watch = Watch(Crew(memory, roster([Echo], memory), orders))

    watch.start()

    assert watch.wait(TIMEOUT)
    assert (5, "replaced") == (memory.get_stats().complete, watch.reason)


def test_a_queue_that_is_closed_ends_its_pool_and_is_not_opened_again(queue: JobQueue) -> None:
    Looks.at_work.clear()
    job = queue.enqueue({}, type="looks")
    pool = WorkerPool(queue, [Looks], threads=2)
    pool.start()
    assert Looks.at_work.wait(TIMEOUT)
    Looks.at_work.clear()
    queue.close()

    eventually(lambda: not threads_named("semiont-jobs-1"))
    back = queue.get_job(job.metadata.id)
    assert back is not None
    assert ("pending", 0) == (back.status, back.metadata.attempt_count)
    pool.stop()
    assert not Looks.at_work.is_set()


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


# -- bad input ---------------------------------------------------------------------------


@frozen
class Some:
    n: int


@job_handler("echo")
def other_echo(params: dict[str, Any]) -> None: ...


@job_handler(JobType("typed", Some))
def typed(params: Some) -> None: ...


def plain(params: Any) -> None: ...


class Needs(Echo):
    def __init__(self, queue: JobQueue, more: int) -> None:
        super().__init__(queue)


class Connects(Echo):
    def start(self) -> None:
        super().start()


class Disconnects(Echo):
    def stop(self, timeout: float = 60.0) -> bool:
        return super().stop(timeout)


@pytest.mark.parametrize(
    ("workers", "rule"),
    [
        ([Connects], r"Connects has a start\(\) of its own, which a pool does not call"),
        ([lambda: Disconnects()], r"has a stop\(\) of its own, which a pool does not call"),
        (Echo, "a list of workers is needed"),
        ("Echo", "a list of workers is needed"),
        ([5], "a JobWorker class, a function that makes one, or a handler is needed"),
        ([plain], "a function of a job is made a handler with @job_handler"),
        ([lambda: 5], "makes int, not a worker"),
        ([Needs], "cannot make a worker of Needs: TypeError"),
        ([JobWorker], "cannot make a worker of JobWorker: TypeError"),
        ([Echo, other_echo], "Echo does 'echo' jobs already"),
        ([other_echo, typed, other_echo], "other_echo does 'echo' jobs already"),
    ],
)
def test_what_is_no_worker_is_refused_before_anything_starts(
    memory: JobQueue, workers: Any, rule: str
) -> None:
    before = set(threading.enumerate())

    with pytest.raises(InvalidValue, match=rule):
        WorkerPool(memory, workers)

    # By name, not by number: a thread of an earlier test may end meanwhile.
    assert set() == set(threading.enumerate()) - before


def test_a_worker_instance_and_one_of_another_queue_are_refused(memory: JobQueue) -> None:
    other = JobQueue("memory:")

    with pytest.raises(InvalidValue, match="give the class"):
        WorkerPool(memory, [Echo(memory)])
    with pytest.raises(InvalidValue, match="made for another queue"):
        WorkerPool(memory, [lambda: Echo(other)])


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0},
        {"threads": True},
        {"threads": 2.0},
        {"processes": 0},
        {"grace": -1},
        {"grace": float("nan")},
        {"grace": float("inf")},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"stuck_after": -1},
        {"max_jobs": 0},
        {"max_rss": -5},
        {"burst": 1},
        {"poll_interval": 0},
        {"types": "echo"},
        {"types": []},
        {"types": ["nobody does"]},
        {"queues": [1]},
    ],
)
def test_an_option_out_of_range_is_refused_before_anything_starts(
    memory: JobQueue, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue) as told:
        WorkerPool(memory, [Echo], **options)

    assert next(iter(options)) == told.value.field


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon", True])
def test_a_stop_within_no_time_is_refused_and_stops_nothing(memory: JobQueue, timeout: Any) -> None:
    with WorkerPool(memory, [Echo]) as pool:
        with pytest.raises(InvalidValue, match="timeout"):
            pool.stop(timeout)
        job = memory.enqueue({"n": 7}, type="echo")

        assert 7 == results(memory, [job.metadata.id])[0][0]


def test_what_is_no_queue_is_refused() -> None:
    with pytest.raises(InvalidValue, match="a JobQueue is needed"):
        WorkerPool("data", [Echo])  # type: ignore[arg-type]


def test_a_pool_without_workers_cannot_be_run(memory: JobQueue) -> None:
    with pytest.raises(InvalidValue, match="at least one worker is needed"):
        WorkerPool(memory).run()


def test_a_stop_by_a_job_that_is_quicker_than_the_watch_is_waited_for(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    watch_may_begin = threading.Event()
    Waits.at_work.clear()

    def begin_late(thread: threading.Thread) -> None:
        assert watch_may_begin.wait(TIMEOUT)
        thread.start()

    monkeypatch.setattr("semiont_jobs.pool.watch.begin", begin_late)
    watch = Watch(
        Crew(memory, roster([lambda: Waits(memory, let_go)], memory), Orders(threads=1, grace=0))
    )
    starter = threading.Thread(target=watch.start)
    memory.enqueue({}, type="waits")

    starter.start()
    assert Waits.at_work.wait(TIMEOUT)
    watch.leave("stopped")

    assert not watch.wait(0.01)
    let_go.set()
    watch_may_begin.set()
    assert watch.wait(TIMEOUT)
    starter.join(TIMEOUT)
