"""A queue that is closed while other threads claim from it: every job is given back, and none is
taken for a crashed worker's."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from striking import struck_at

from semiont_jobs import ClaimLost, Event, JobQueue, QueueClosed, StoreError, openable, opening
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
    monkeypatch.setattr("semiont_jobs.openable.PATIENCE", 0.1)
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


def test_who_closes_the_queue_in_the_midst_of_its_own_claim_has_it_closed_afterwards(
    make_queue: Make,
) -> None:
    queue = make_queue()
    for _ in range(2):
        queue.enqueue({}, type="task")
    closed: list[bool] = []

    def accepts(_job: object) -> bool:
        queue.close()  # whoever is making the claim cannot wait for itself
        closed.append(not queue._is_open)
        return True

    with pytest.raises(QueueClosed):
        queue.claim_next_job(accept=accepts)
    closed.append(not queue._is_open)

    assert closed == [False, True]
    assert crashes(queue) == 0
    assert queue.get_stats().pending == 2


def test_a_signal_s_handler_that_closes_the_queue_right_after_a_claim_leaves_no_orphan(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task")
    claim = queue.store.claim

    def claims(*given: Any) -> Any:
        hold = claim(*given)
        queue.close()
        return hold

    monkeypatch.setattr(queue.store, "claim", claims)
    with pytest.raises(QueueClosed):
        queue.claim_next_job()
    monkeypatch.undo()

    assert not queue._is_open
    assert crashes(queue) == 0
    assert some(queue.claim_next_job()).complete().metadata.crash_count == 0


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


def test_a_hook_that_hears_a_job_given_back_by_a_close_may_not_claim(make_queue: Make) -> None:
    came: list[Any] = []

    def hook(event: Event) -> None:
        if event.name == "released":
            with pytest.raises(QueueClosed):
                queue.claim_next_job()
            came.append(event)

    queue = make_queue(hooks=[hook])
    queue.enqueue({}, type="task")
    claim = some(queue.claim_next_job())
    queue.close()

    assert not claim.is_open
    assert len(came) == 1
    assert some(queue.claim_next_job()).complete().metadata.crash_count == 0


def test_a_hook_that_hears_a_job_given_back_by_a_close_may_close_the_queue_and_open_it_anew(
    make_queue: Make,
) -> None:
    came: list[Any] = []

    def hook(event: Event) -> None:
        if event.name == "released":
            queue.close()
            came.append(some(queue.claim_next_job()))

    queue = make_queue(hooks=[hook])
    queue.enqueue({}, type="task")
    claim = some(queue.claim_next_job())
    queue.close()

    assert not claim.is_open
    (again,) = came
    assert crashes(queue) == 0
    assert again.complete().metadata.crash_count == 0


def test_a_close_that_was_interrupted_is_made_good_by_the_next(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task")
    claim = some(queue.claim_next_job())

    def interrupt(*_given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(queue._keeper, "stop", interrupt)
        queue.close()
    again = claim.is_open
    queue.close()

    assert (again, claim.is_open) == (True, False)
    assert some(queue.claim_next_job()).complete().metadata.crash_count == 0


def test_a_close_that_is_interrupted_anywhere_leaves_a_queue_that_the_next_mends() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    step, is_over = 0, False
    while not is_over:
        queue = JobQueue("memory:")
        queue.enqueue({}, type="task")
        claim = some(queue.claim_next_job())
        claim.release()
        # Not in the midst of a plain lock's release, where Python handles no signal.
        strike = struck_at(step, interrupt, modules=(openable.__name__, opening.__name__))
        with suppress(KeyboardInterrupt), strike as left:
            queue.close()
        is_over = left() >= 0
        step += 1
        queue.close()
        assert not queue._is_open
        assert some(queue.claim_next_job()).complete().metadata.crash_count == 0
        queue.close()
    assert step > 200


def test_who_waited_for_a_close_that_was_refused_is_refused_too(
    make_queue: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue().initialize()
    goes_on, is_closing = threading.Event(), threading.Event()

    def refuses() -> None:
        is_closing.set()
        assert goes_on.wait(PATIENCE)
        raise StoreError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(queue._claims, "give_back_all", refuses)
    first = Doing(queue.close)
    assert is_closing.wait(PATIENCE)
    second = Doing(queue.close)
    second.join(MOMENT)
    goes_on.set()

    assert [type(each.came()) for each in (first, second)] == [StoreError, StoreError]
    monkeypatch.undo()
    queue.close()
    assert not queue._is_open


def test_a_claim_that_was_interrupted_keeps_no_later_close_waiting(make_queue: Make) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task")

    def interrupts(_job: object) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.claim_next_job(accept=interrupts)

    assert not queue._claims.is_expected_here()
    assert some(queue.claim_next_job()).complete().status == "complete"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of forking with threads
def test_an_accept_that_forks_leaves_the_child_a_queue_of_its_own(make_queue: Make) -> None:
    queue = make_queue()
    queue.enqueue({}, type="task")
    children: list[int] = []

    def accepts(_job: object) -> bool:
        children.append(os.fork())
        return children[0] != 0

    claim = None
    try:
        claim = queue.claim_next_job(accept=accepts)
    finally:
        if children == [0]:
            os._exit(7 if claim is None else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 7
    assert some(claim).complete().metadata.crash_count == 0


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
