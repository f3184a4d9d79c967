"""A claim's turn: whoever acts on a job keeps it from the others no longer than that."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from claims import OUTCOMES, held
from striking import interrupted_at

from semiont_jobs import ClaimLost, JobHeld, JobQueue, claim, desk, in_hand, open_claims
from semiont_jobs.claim import AnyClaim

TIMEOUT = 30.0
VERBS: dict[str, Callable[[AnyClaim], Any]] = {
    **OUTCOMES,
    "report": lambda claim: claim.report({"page": 2}),
    "checkpoint": lambda claim: claim.checkpoint(["p"]),
    "look_after": lambda claim: claim.look_after(),
}


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch, memory: JobQueue) -> JobQueue:
    """A queue in memory, looked after only when the test says so."""
    monkeypatch.setattr("semiont_jobs.keeper.PERIOD", 3600.0)
    return memory


def is_done_elsewhere(act: Callable[[], object]) -> bool:
    """Whether another thread gets it done."""

    def run() -> None:
        with suppress(ClaimLost):
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    return not thread.is_alive()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("interval", [0.0, 3600.0])
def test_a_verb_that_is_interrupted_anywhere_leaves_the_job_to_other_threads(
    by_hand: JobQueue, monkeypatch: pytest.MonkeyPatch, verb: str, interval: float
) -> None:
    place, is_over = 0, False
    while not is_over:
        taken = held(by_hand)
        monkeypatch.setattr(in_hand, "REPORT_INTERVAL", 3600.0)
        taken.report({"page": 0})
        taken.report({"page": 1})  # held back
        monkeypatch.setattr(in_hand, "REPORT_INTERVAL", interval)
        strike = interrupted_at(place, modules=(in_hand.__name__, claim.__name__))
        with suppress(KeyboardInterrupt), strike as left:
            VERBS[verb](taken)
        is_over = left() >= 0
        place += 1

        assert is_done_elsewhere(taken.release), f"place {place}"
    assert place > 5


@pytest.fixture
def at_it(by_hand: JobQueue) -> Iterator[AnyClaim]:
    """A claim that another thread is in the midst of a verb of."""
    taken = held(by_hand)
    is_at_it, is_over = threading.Event(), threading.Event()

    def be_at_it() -> None:
        with taken._turn, taken._turn.lock:
            is_at_it.set()
            is_over.wait(TIMEOUT)

    thread = threading.Thread(target=be_at_it)
    thread.start()
    assert is_at_it.wait(TIMEOUT)
    yield taken
    is_over.set()
    thread.join(TIMEOUT)


def test_a_job_that_is_taken_from_a_stuck_work_keeps_no_other_from_being_looked_after(
    by_hand: JobQueue, at_it: AnyClaim
) -> None:
    at_it._hold.let_go()  # as if somebody had moved it
    other = held(by_hand)
    by_hand.cancel_job(other.job.metadata.id)

    assert is_done_elsewhere(by_hand.keep_house)
    assert other.cancelled.is_set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads
def test_a_forked_child_does_not_wait_for_a_turn_of_its_parents_threads(
    by_hand: JobQueue, at_it: AnyClaim
) -> None:
    child = os.fork()
    if child == 0:
        signal.alarm(int(TIMEOUT))  # which ends a child that hangs
        try:
            with suppress(ClaimLost):
                at_it.release()
            os._exit(0)
        finally:
            os._exit(1)
    _pid, status = os.waitpid(child, 0)

    assert status == 0


def test_closing_waits_so_long_for_a_work_that_is_stuck_within_a_verb(
    by_hand: JobQueue, at_it: AnyClaim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_claims, "PATIENCE", 0.01)
    other = held(by_hand)

    with pytest.raises(JobHeld, match="in the midst of a verb"):
        by_hand.close()

    assert (at_it.is_open, other.was_released) == (True, True)


@pytest.mark.parametrize("place", ["memory", "files"])
def test_a_claim_whose_making_is_interrupted_anywhere_leaves_its_job_to_others(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.keeper.PERIOD", 3600.0)
    modules = (desk.__name__, open_claims.__name__, in_hand.__name__)
    step, is_over = 0, False
    kept: list[BaseException] = []  # as a session by hand does
    with JobQueue("memory:" if place == "memory" else tmp_path, fsync=False) as queue:
        queue.claim_next_job()
        while not is_over:
            job = queue.enqueue({}, type="task")
            taken = None
            with interrupted_at(step, modules=modules) as left:
                try:
                    taken = queue.claim_next_job()
                except KeyboardInterrupt as error:
                    kept.append(error)
            is_over = left() >= 0
            step += 1

            taken = taken or queue.claim_next_job()
            assert taken is not None, f"step {step}"
            done = taken.complete()
            assert (job.metadata.id, 0) == (done.metadata.id, done.metadata.crash_count)
    assert step > 20
