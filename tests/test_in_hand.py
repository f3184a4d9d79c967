"""A claim's turn: whoever acts on a job keeps it from the others no longer than that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from claims import OUTCOMES, held
from striking import interrupted_at

from semiont_jobs import ClaimLost, JobQueue, claim, in_hand
from semiont_jobs.claim import AnyClaim

TIMEOUT = 60.0
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
