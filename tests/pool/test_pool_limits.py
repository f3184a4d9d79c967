"""What a pool's process tells its supervisor of the time limits of its jobs."""

from __future__ import annotations

import threading
import time
from typing import Any

from semiont_jobs import JobQueue, job_handler
from semiont_jobs.pool.crew import HARD_MARGIN, Crew
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import checked_roster
from semiont_jobs.pool.watch import Watch
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 60.0


def test_the_supervisor_sees_a_limit_only_while_its_job_is_in_hand(memory: JobQueue) -> None:
    limits = [0.0]
    seen: list[float] = []

    @job_handler("seen")
    def noted(params: dict[str, Any]) -> None:
        seen.append(limits[0] - time.monotonic())

    for timeout in (None, 100):
        memory.enqueue({}, type="seen", timeout=timeout)
    orders = Orders(threads=1, stuck_after=10, burst=True)
    watch = Watch(Crew(memory, checked_roster([noted], memory), orders, limits=limits))

    watch.start()

    assert watch.wait(TIMEOUT)
    assert seen[0] < 0  # none: 0 lies before any instant
    assert 110 < seen[1] <= 110 + HARD_MARGIN
    assert [0.0] == limits


def test_a_process_that_knows_of_its_stuck_thread_is_not_taken_for_one_that_does_not(
    memory: JobQueue,
) -> None:
    let_go, at_work = threading.Event(), threading.Event()
    limits = [0.0]

    @job_handler("stuck", timeout=0.1)
    def stuck(params: dict[str, Any]) -> None:
        at_work.set()
        assert let_go.wait(TIMEOUT)

    memory.enqueue({}, type="stuck", max_retries=0, id="hangs")
    orders = Orders(threads=1, stuck_after=0.1)
    crew = Crew(memory, checked_roster([stuck], memory), orders, limits=limits)
    watch = Watch(crew, leaves_when_stuck=True)
    watch.start()
    try:
        assert at_work.wait(TIMEOUT)
        assert limits[0] > 0.0

        memory.wait_for("hangs", TIMEOUT)
        eventually(lambda: limits == [0.0])
    finally:
        let_go.set()
        watch.hurry()
        assert watch.wait(TIMEOUT)
