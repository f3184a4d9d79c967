"""A queue that is closed while other threads claim from it: every job is given back, and none is
taken for a crashed worker's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from semiont_jobs import ClaimLost, Event, JobQueue, QueueClosed
from semiont_jobs.testing.suite import PATIENCE, eventually, some

Make = Callable[..., JobQueue]

MOMENT = 0.2
"""Seconds after which whoever waits still is taken to wait: on a slow machine the test may only
see less than it could."""


class Doing(threading.Thread):
    """Does something in a thread of its own, and tells what came of it."""

    def __init__(self, action: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._action = action
        self._came: Any = None
        self.start()

    def run(self) -> None:
        try:
            self._came = self._action()
        except BaseException as error:
            self._came = error

    def came(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "it never ended"
        return self._came


def crashes(queue: JobQueue) -> int:
    queue.rescue_orphans()
    return sum(job.metadata.crash_count for job in queue.query_jobs(limit=None))


def test_who_claims_while_the_queue_is_being_closed_claims_once_it_is(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task")
    give_back, claiming = queue._claims.give_back_all, []

    def gives_back() -> None:
        give_back()
        claiming.append(Doing(queue.claim_next_job))
        claiming[-1].join(MOMENT)

    monkeypatch.setattr(queue._claims, "give_back_all", gives_back)
    queue.close()
    monkeypatch.undo()

    claims = [each.came() for each in claiming]
    (claim,) = [each for each in claims if each is not None]
    assert crashes(queue) == 0
    assert claim.complete().status == "complete"


def test_a_close_waits_for_a_claim_that_is_being_made(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = make_queue(), make_queue()
    queue.enqueue({}, type="task")
    is_made, goes_on = threading.Event(), threading.Event()
    claim = queue.store.claim

    def claims(*given: Any) -> Any:
        hold = claim(*given)
        is_made.set()
        assert goes_on.wait(PATIENCE)
        return hold

    monkeypatch.setattr(queue.store, "claim", claims)
    claiming = Doing(queue.claim_next_job)
    assert is_made.wait(PATIENCE)
    closing = Doing(queue.close)
    closing.join(MOMENT)
    waits = closing.is_alive()
    rescued = other.rescue_orphans()  # in memory, the store of nobody else
    goes_on.set()

    assert closing.came() is None
    assert isinstance(claiming.came(), QueueClosed)
    assert (waits, rescued) == (True, 0)
    assert [job.status for job in queue.query_jobs()] == ["pending"]
    assert crashes(queue) == 0


def test_a_close_does_not_wait_for_ever_for_a_claim_that_stands_still(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.desk.PATIENCE", 0.1)
    queue = make_queue()
    queue.enqueue({}, type="task")
    is_asked, goes_on = threading.Event(), threading.Event()
    claim = queue.store.claim

    def claims(*given: Any) -> Any:
        is_asked.set()
        assert goes_on.wait(PATIENCE)
        return claim(*given)

    monkeypatch.setattr(queue.store, "claim", claims)
    claiming = Doing(queue.claim_next_job)
    assert is_asked.wait(PATIENCE)
    queue.close()
    goes_on.set()

    assert isinstance(claiming.came(), QueueClosed)
    assert crashes(queue) == 0


def test_who_closes_the_queue_in_the_midst_of_its_own_claim_does_not_wait_for_itself(
    make_queue: Make,
) -> None:
    queue = make_queue()
    for _ in range(2):
        queue.enqueue({}, type="task")

    def accepts(_job: object) -> bool:
        queue.close()  # by the thread that is making the claim: it cannot wait for itself
        return True

    with pytest.raises(QueueClosed):
        queue.claim_next_job(accept=accepts)
    assert crashes(queue) == 0
    assert queue.get_stats().pending == 2


def test_a_second_close_is_over_when_the_first_is(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue().initialize()
    close, goes_on, is_closing = queue.store.close, threading.Event(), threading.Event()

    def closes() -> None:
        is_closing.set()
        assert goes_on.wait(PATIENCE)
        close()

    monkeypatch.setattr(queue.store, "close", closes)
    first = Doing(queue.close)
    assert is_closing.wait(PATIENCE)
    second = Doing(queue.close)
    second.join(MOMENT)
    waits = second.is_alive()
    goes_on.set()

    assert (first.came(), second.came(), waits) == (None, None, True)


def test_a_hook_that_hears_a_job_given_back_by_a_close_may_close_it_and_may_not_claim(
    make_queue: Make,
) -> None:
    came: list[Any] = []

    def hook(event: Event) -> None:
        if event.name != "released":
            return
        came.append(queue.close())
        try:
            came.append(queue.claim_next_job())
        except QueueClosed as error:
            came.append(error)

    queue = make_queue(hooks=[hook])
    queue.enqueue({}, type="task")
    claim = some(queue.claim_next_job())
    queue.close()

    assert not claim.is_open
    assert came[0] is None
    assert isinstance(came[1], QueueClosed)
    assert some(queue.claim_next_job()).complete().metadata.crash_count == 0


def test_a_close_that_was_interrupted_is_made_good_by_the_next(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task")
    claim = some(queue.claim_next_job())

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(queue._keeper, "stop", interrupt)
        queue.close()
    again = claim.is_open
    queue.close()

    assert (again, claim.is_open) == (True, False)
    assert some(queue.claim_next_job()).complete().metadata.crash_count == 0


def test_nobody_loses_a_job_to_whoever_closes_the_queue_all_the_time(make_queue: Make) -> None:
    queue = make_queue()
    stop = threading.Event()
    done: list[str] = []

    def work() -> None:
        while not stop.is_set():
            job = queue.enqueue({}, type="task")
            try:
                claim = queue.claim_next_job()
            except QueueClosed:
                continue
            assert job.status == "pending"
            stop.wait(0.002)
            with suppress(ClaimLost):
                done.append(some(claim).complete().metadata.id)

    threads = [Doing(work) for _ in range(8)]
    for _ in range(15):
        threading.Event().wait(0.05)
        queue.close()
        queue.rescue_orphans()
    stop.set()

    assert [each.came() for each in threads] == [None] * 8
    assert done
    assert crashes(queue) == 0
    eventually(lambda: queue.get_stats().running == 0)
