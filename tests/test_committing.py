"""What loops put off becomes durable in time, whatever their loops are at."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from semiont_jobs import MemoryStore, StoreError, ThreadRefused, committing, exits
from semiont_jobs.committing import Committer, try_to_commit
from semiont_jobs.testing.suite import eventually

TIMEOUT = 30.0


class Slate:
    """Something put off, or nothing."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.is_refused = False
        self.commits = 0
        self.error: StoreError | None = None
        self.committed = threading.Event()

    def __len__(self) -> int:
        return int(self.since is not None)

    def may_claim(self, _wanted: Any) -> bool:
        """There may be more."""
        return True

    def tell(self) -> None:
        """Nobody is told."""

    def claim(self, *_arguments: Any) -> None:
        """Nothing is claimed here."""

    def end(self, *_arguments: Any) -> None:
        """Nothing is ended here."""

    def put_off(self) -> None:
        """As a loop does."""
        self.since = time.monotonic()

    def commit(self) -> None:
        """Make it durable."""
        self.commits += 1
        self.committed.set()
        if self.error is not None:
            raise self.error
        self.since = None


class Slates:
    """A store whose loops put off."""

    def __init__(self) -> None:
        self.made: list[Slate] = []

    def deferred(self) -> Slate:
        """One more loop's."""
        self.made.append(Slate())
        return self.made[-1]


@pytest.fixture
def committer() -> Iterator[Committer]:
    made = Committer()
    yield made
    made.stop(TIMEOUT)


def new(committer: Committer) -> Slate:
    store: Any = Slates()
    made: Any = committer.new(store)
    return made  # type: ignore[no-any-return]


def test_what_its_loop_leaves_is_committed(committer: Committer) -> None:
    slate = new(committer)
    slate.put_off()

    committer.look()

    assert slate.committed.wait(TIMEOUT)


def test_a_thread_that_is_stopped_as_it_is_started_is_started_by_the_next_call(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slate = new(committer)
    slate.put_off()
    start = committer._keeper.start

    def start_and_stop() -> None:
        start()
        committer.stop(TIMEOUT)  # in another thread: a close

    with monkeypatch.context() as inside:
        inside.setattr(committer._keeper, "start", start_and_stop)
        committer.look()
    slate.put_off()
    slate.committed.clear()
    committer.look()

    assert slate.committed.wait(TIMEOUT)


def test_what_is_not_late_is_left_to_its_loop(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "LATE", 3600.0)
    slate = new(committer)
    slate.put_off()

    committer.keep_house()

    assert slate.commits == 0


def test_where_nothing_is_put_off_nobody_looks_until_something_is(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "QUIET", 2)
    slate = new(committer)
    slate.put_off()
    committer.look()
    assert slate.committed.wait(TIMEOUT)
    eventually(lambda: not committer._is_awake)
    assert committer.keep_house() == committing.ASLEEP
    slate.committed.clear()

    slate.put_off()
    committer.look()

    assert slate.committed.wait(TIMEOUT)


def test_who_puts_off_as_it_falls_asleep_is_seen(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "QUIET", 1)
    slate = new(committer)
    committer._is_awake = True
    looked: list[bool] = []
    every = committer._all

    def all_of_them() -> Any:
        if looked == [True]:  # the look at which nothing was put off is over
            slate.put_off()
            committer.look()  # which sees that it is awake still, and wakes nobody
        looked.append(True)
        return every()

    monkeypatch.setattr(committer, "_all", all_of_them)

    assert committer.keep_house() < committing.ASLEEP
    assert committer._is_awake


def test_all_are_committed_though_one_is_refused(committer: Committer) -> None:
    slates = [new(committer) for _ in range(3)]
    for slate in slates:
        slate.put_off()
    slates[0].error = StoreError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        committer.commit_all()

    assert [slate.commits for slate in slates] == [1, 1, 1]


def test_a_loop_whose_disk_refuses_keeps_no_other_waiting(committer: Committer) -> None:
    slates = [new(committer) for _ in range(3)]
    for slate in slates:
        slate.put_off()
    slates[0].error = StoreError(28, "No space left on device")

    committer.look()

    assert all(slate.committed.wait(TIMEOUT) for slate in slates)


def test_what_the_disk_refuses_is_tried_again_seldom(committer: Committer) -> None:
    slate = new(committer)
    slate.error = StoreError(28, "No space left on device")
    slate.is_refused = True
    slate.since = 0.0

    for _ in range(50):
        committer.keep_house()

    assert slate.commits == 1


def test_a_refusal_is_told_and_left_for_later(caplog: pytest.LogCaptureFixture) -> None:
    slate: Any = Slate()
    slate.error = StoreError(28, "No space left on device")

    try_to_commit(slate)

    assert "not durable yet" in caplog.text


def test_a_loop_that_is_gone_is_forgotten(committer: Committer) -> None:
    new(committer)
    gc.collect()

    assert committer._all() == []
    assert committer._known == {}


def test_a_store_that_puts_nothing_off_is_left_alone(committer: Committer) -> None:
    assert committer.new(MemoryStore()) is None


def test_a_thread_that_the_system_refuses_keeps_no_loop_from_going_on(
    committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ThreadRefused("no thread")

    monkeypatch.setattr(committer._keeper, "start", refuse)

    committer.look()

    assert not committer._is_awake


def test_the_end_of_the_process_commits(committer: Committer) -> None:
    slate = new(committer)
    slate.put_off()
    assert committer in exits._known

    committer.end_with_process()

    assert slate.commits == 1
