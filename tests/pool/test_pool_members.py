"""Who does what in a pool: every worker's types, queue, refusals and policy hold there."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from pool.members import TIMEOUT, Echo, results, threads_named

from semiont_jobs import JobQueue, JobWorker, RetryPolicy, RunningJob, WorkerPool, job_handler
from semiont_jobs.testing.suite import some
from semiont_jobs.testing.waiting import eventually


class Meets(JobWorker):
    """Waits until as many jobs are at work as it says."""

    job_types = ("meets",)
    barrier: threading.Barrier

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.barrier.wait(TIMEOUT)
        return None


@job_handler("upper")
def upper(params: dict[str, str]) -> str:
    return params["text"].upper()


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


def test_a_worker_is_made_once_for_every_thread_and_the_first_is_tried_before(
    memory: JobQueue,
) -> None:
    made: list[JobWorker] = []

    class Dear(Echo):
        def __init__(self, queue: JobQueue) -> None:
            made.append(self)
            super().__init__(queue)

    pool = WorkerPool(memory, [Dear], threads=3)
    before = len(made)
    with pool:
        pass

    assert (1, 3) == (before, len(made))


def test_what_was_made_to_try_is_used_in_no_other_process(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    class Dear(Echo):
        def __init__(self, queue: JobQueue) -> None:
            made.append(os.getpid())
            super().__init__(queue)

    with WorkerPool(memory, [Dear], threads=1):
        assert made == [os.getpid()]
    pool = WorkerPool(memory, [Dear], threads=1)
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)  # as after a fork

    with pool:
        assert made[2:] == [parent + 1]


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
