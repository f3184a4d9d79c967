"""Jobs in memory: no code of anybody else's runs within the lock, and no interrupt or fork leaves a
job out of reach."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from claims import some
from striking import interrupted_at

from semiont_jobs import JobQueue, MemoryStore
from semiont_jobs.stores import memory

PATIENCE = 60.0


@pytest.mark.parametrize("who", ["accept", "worker"])
def test_who_is_asked_in_the_midst_of_a_claim_may_wait_for_another_thread_that_asks(
    who: str,
) -> None:
    queue = JobQueue(MemoryStore())
    queue.enqueue({}, type="task")

    with ThreadPoolExecutor(1) as others:

        def asks(_job: object) -> str:
            return str(others.submit(queue.get_stats).result(PATIENCE).pending)

        options: dict[str, Callable[[Any], Any]] = {who: asks}
        claim = some(queue.claim_next_job(**options))  # type: ignore[arg-type]

    assert claim.job.status == "running"
    claim.complete()


def test_of_two_threads_that_look_at_the_same_job_one_has_it() -> None:
    queue = JobQueue(MemoryStore())
    first = queue.enqueue({}, type="task", priority=1)
    second = queue.enqueue({}, type="task")
    others = []

    def is_slow(job: Any) -> bool:
        if not others:
            others.append(some(queue.claim_next_job()))
        return True

    mine = some(queue.claim_next_job(accept=is_slow))

    assert others[0].job.metadata.id == first.metadata.id
    assert mine.job.metadata.id == second.metadata.id
    queue.close()


def test_a_job_lost_to_a_thread_that_put_in_the_next_is_no_reason_to_find_none() -> None:
    queue = JobQueue(MemoryStore())
    queue.enqueue({}, type="task")
    others = []

    def is_slow(_job: object) -> bool:
        if not others:
            queue.enqueue({}, type="task")
            others.append(some(queue.claim_next_job()))
        return True

    mine = some(queue.claim_next_job(accept=is_slow))

    assert mine.job.metadata.id != others[0].job.metadata.id
    queue.close()


# One that strikes what ends a generator is told as a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_wherever_an_interrupt_strikes_a_claim_the_job_can_be_claimed_again() -> None:
    queue = JobQueue(MemoryStore(), max_crashes=10_000)
    queue.enqueue({}, type="task")
    step, is_over = 0, False

    while not is_over:
        claim = None
        with suppress(KeyboardInterrupt), interrupted_at(step, modules={memory.__name__}) as left:
            claim = queue.claim_next_job()
        is_over = left() >= 0
        step += 1
        queue.rescue_orphans()
        (claim or some(queue.claim_next_job())).release()

    assert step > 20
    queue.close()


def test_a_child_that_is_forked_while_another_thread_has_the_lock_has_its_own() -> None:
    script = """
        import os, signal, threading, warnings
        warnings.simplefilter("ignore")  # of threads beside a fork
        from semiont_jobs import JobQueue, MemoryStore

        store = MemoryStore()
        queue = JobQueue(store)
        queue.enqueue({}, type="task")
        claim = queue.claim_next_job()
        has_it, over = threading.Event(), threading.Event()

        def hold():
            with store._lock:
                has_it.set()
                over.wait()

        threading.Thread(target=hold).start()
        has_it.wait()
        if not (child := os.fork()):
            signal.alarm(30)
            queue.enqueue({}, type="task")
            assert queue.rescue_orphans() == 0
            print(queue.get_stats().running, queue.get_stats().pending, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        over.set()
        claim.complete()
        print(queue.get_stats().complete, queue.get_stats().pending)
    """

    told = subprocess.check_output(
        [sys.executable, "-c", textwrap.dedent(script)], text=True, timeout=PATIENCE
    )

    assert told == "1 1\n1 0\n"
