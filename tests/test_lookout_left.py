"""Who waits for a job no more is woken no more, however he was kept from saying so."""

from __future__ import annotations

import gc
import itertools
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from striking import struck_at

from semiont_jobs import JobQueue, JobTimeout, lookout, reading
from semiont_jobs.testing.waiting import PATIENCE, eventually


def test_a_follower_that_is_dropped_is_watched_for_no_more(tmp_path: Path) -> None:
    queue = JobQueue(tmp_path, fsync=False)
    queue.enqueue({}, type="t", id="a")
    states: Any = queue.follow("a", PATIENCE)
    next(states)
    assert ["a"] == list(queue._lookout._watched)

    states.close()

    assert eventually(lambda: not queue._lookout._watched)


def test_a_follower_that_is_garbage_needs_no_lock_of_whoever_collects_it() -> None:
    queue = JobQueue("memory:")
    queue.enqueue({}, type="t", id="a")
    circle: list[Any] = [queue.follow("a", PATIENCE)]
    circle.append(circle)
    next(circle[0])

    def collect() -> None:
        with queue._lookout._lock:
            gc.collect()

    collector = threading.Thread(target=collect, daemon=True)
    del circle
    collector.start()
    collector.join(PATIENCE)

    assert not collector.is_alive()
    assert eventually(lambda: not queue._lookout._watched)


def test_after_an_interrupt_at_any_step_a_job_is_watched_for_no_more() -> None:
    queue = JobQueue("memory:")
    queue.enqueue({}, type="t", id="a")
    modules = {lookout.__name__, reading.__name__}

    def interrupt() -> None:
        # Not in the midst of a lock's release, where Python handles no signal.
        if not queue._lookout._lock._is_owned():
            raise KeyboardInterrupt

    for step in itertools.count():
        strike = struck_at(step, interrupt, modules=modules)
        with suppress(KeyboardInterrupt, JobTimeout), strike as left:
            queue.wait_for("a", 0)
        if left() >= 0:
            break

    assert step > 100
    gc.collect()  # newer Pythons leave it some frames that were interrupted
    assert eventually(lambda: not queue._lookout._watched)


def test_whoever_keeps_an_error_of_a_wait_does_not_wait_any_more() -> None:
    queue = JobQueue("memory:")
    queue.enqueue({}, type="t", id="a")

    with pytest.raises(JobTimeout) as kept:
        queue.wait_for("a", 0)

    assert eventually(lambda: not queue._lookout._watched)
    assert kept.tb is not None
