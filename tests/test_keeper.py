"""The keeper: one background thread per queue, that outlives errors and not its queue."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from semiont_jobs import keeper
from semiont_jobs.keeper import Keeper
from semiont_jobs.testing.suite import eventually

THREAD = "semiont-jobs-keeper"


class House:
    """Something to be looked after."""

    def __init__(self) -> None:
        self.rounds = 0
        self.trouble: BaseException | None = None
        self.looked_after = threading.Event()

    def keep_house(self) -> float:
        self.rounds += 1
        self.looked_after.set()
        if self.trouble is not None:
            raise self.trouble
        return keeper.PERIOD


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow one another without a pause to speak of."""
    monkeypatch.setattr("semiont_jobs.keeper.PERIOD", 0.001)


def others() -> set[threading.Thread]:
    """The keepers of other tests' queues."""
    return {thread for thread in threading.enumerate() if thread.name == THREAD}


def test_it_looks_again_and_again_until_it_is_stopped() -> None:
    house = House()
    keeper = Keeper(house)

    keeper.start()
    eventually(lambda: house.rounds > 2)
    keeper.stop()
    seen = house.rounds

    assert not threading.Event().wait(0.05)
    assert house.rounds == seen


def test_it_has_one_thread_however_often_it_is_started() -> None:
    before = others()
    house = House()  # a keeper does not keep it alive
    keeper = Keeper(house)

    for _ in range(3):
        keeper.start()
    [thread] = others() - before

    assert thread.daemon
    keeper.stop()
    assert not thread.is_alive()


def test_it_may_be_stopped_before_it_starts_and_twice() -> None:
    house = House()
    keeper = Keeper(house)

    keeper.stop()
    keeper.stop()
    keeper.start()

    assert house.looked_after.wait(30)
    keeper.stop()


def test_it_may_be_started_again() -> None:
    house = House()
    keeper = Keeper(house)
    keeper.start()
    assert house.looked_after.wait(30)
    keeper.stop()
    house.looked_after.clear()

    keeper.start()

    assert house.looked_after.wait(30)
    keeper.stop()


def test_it_outlives_errors_and_reports_them(caplog: pytest.LogCaptureFixture) -> None:
    house = House()
    house.trouble = OSError("the disk is full")
    keeper = Keeper(house)
    keeper.start()
    eventually(lambda: [r for r in caplog.records if "housekeeping failed" in r.getMessage()])

    house.trouble = None
    seen = house.rounds

    eventually(lambda: house.rounds > seen)
    keeper.stop()
    # Of a disk in one line: where the error came from tells nothing.
    assert not any(record.exc_info for record in caplog.records)


def test_it_may_be_stopped_from_within_a_round() -> None:
    house = House()
    keeper = Keeper(house)
    stopped = threading.Event()

    def stop() -> None:
        keeper.stop()
        stopped.set()

    house.keep_house = stop  # type: ignore[method-assign]
    keeper.start()

    assert stopped.wait(30)


def test_it_ends_with_the_object_it_looks_after() -> None:
    before = others()
    house = House()
    keeper = Keeper(house)
    keeper.start()
    [thread] = others() - before
    gone = weakref.ref(house)

    del house
    gc.collect()

    eventually(lambda: gone() is None)
    thread.join(30)
    assert not thread.is_alive()


def test_one_that_is_started_between_two_stops_can_be_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()
    keeper = Keeper(house)
    keeper.start()
    first = keeper._thread
    assert first is not None
    join = first.join

    def joined(timeout: float | None = None) -> None:
        join(timeout)
        keeper.stop()  # in another thread, and then it is started again
        keeper.start()

    monkeypatch.setattr(first, "join", joined)
    keeper.stop()
    again = keeper._thread
    assert again is not None
    keeper.stop(5.0)

    assert not again.is_alive()
