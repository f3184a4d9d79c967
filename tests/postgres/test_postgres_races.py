"""What another thread may do between two steps of one that looks at its claim, or lets go of it."""

from __future__ import annotations

from typing import Any

import pytest
from postgres.owners import Make
from races.moments import Filling, Moment

from semiont_jobs.stores.postgres.hold import PostgresHold
from semiont_jobs.testing.suite import some


def test_two_threads_may_look_at_one_claim(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task")
    claim = some(queue.claim_next_job())
    hold: Any = claim._hold

    def look() -> None:
        vars(hold)["_seen"] = None  # as `is_standing` leaves it

    moment = Moment(monkeypatch, PostgresHold, "_seen", before=look)
    moment.arm()
    assert not hold.cancel_requested()
    assert hold.is_standing()


def test_a_claim_that_begins_while_the_last_one_on_its_job_ends_is_let_go_of_at_a_close(
    make_queue: Make,
) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task", id="j")
    first: Any = some(queue.claim_next_job())._hold
    office = first._office
    again: Any = object()
    office.holds = Filling(office.holds, {"j": again})

    first.let_go()

    assert office.holds.pop("j") is again
