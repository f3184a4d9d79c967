"""A hook that blocks holds up the thread it is called in, and no job, claim or other thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import Event, JobQueue, MemoryStore, hooks
from semiont_jobs.claim import AnyClaim
from semiont_jobs.hooks import Hooks
from semiont_jobs.testing.suite import eventually, kept, names_of, some

TIMEOUT = 60.0


class Blocking:
    """A hook that hangs on events of one name until the test is over, but for the first few."""

    def __init__(self, name: str, skip: int = 0) -> None:
        self.name = name
        self.skip = skip
        self.heard: list[Event] = []
        self.hangs, self.over = threading.Event(), threading.Event()

    def __call__(self, event: Event) -> None:
        self.heard.append(event)
        if event.name == self.name:
            if self.skip:
                self.skip -= 1
                return
            self.hangs.set()
            self.over.wait(10 * TIMEOUT)  # longer than anybody waits for what it holds up


@pytest.fixture
def hang() -> Iterator[Callable[..., Blocking]]:
    """Makes hooks that hang for as long as the test goes on."""
    made: list[Blocking] = []

    def make(*arguments: Any) -> Blocking:
        made.append(Blocking(*arguments))
        return made[-1]

    yield make
    for hook in made:
        hook.over.set()


@pytest.fixture
def threads(hang: Any) -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Runs calls in threads, which are waited for once no hook hangs any more."""
    begun: list[threading.Thread] = []

    def begin(call: Callable[[], object]) -> threading.Thread:
        begun.append(threading.Thread(target=call, daemon=True))
        begun[-1].start()
        return begun[-1]

    yield begin
    hang("").over.set()
    for thread in begun:
        thread.join(0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A close waits for no hook that hangs."""
    monkeypatch.setattr("semiont_jobs.hooks.PATIENCE", 0.01)


def held(queue: JobQueue, id: str = "j") -> AnyClaim:
    queue.enqueue({}, type="task", id=id)
    return some(queue.claim_next_job(accept=lambda job: job.metadata.id == id))


# -- in the keeper's thread ----------------------------------------------------------------


def test_a_hook_that_hangs_on_what_the_keeper_did_stops_neither_cancel_nor_rescue(
    hang: Callable[..., Blocking],
) -> None:
    store, hook = MemoryStore(), hang("reported", 1)
    queue, other = JobQueue(store, hooks=[hook]), kept(JobQueue(store))
    claim = held(queue)
    claim.report(1)
    claim.report(2)  # held back: the keeper writes it
    assert hook.hangs.wait(TIMEOUT)

    other.cancel_job("j")
    assert claim.cancelled.wait(TIMEOUT)
    held(other, "dying")
    store.kill_holder("dying")
    other.close()
    eventually(lambda: some(queue.get_job("dying")).status == "pending")

    assert "cancelled" == claim.cancel().status
    queue.close()


def test_a_close_does_not_wait_for_a_hook_that_hangs(
    hang: Callable[..., Blocking], threads: Any
) -> None:
    hook = hang("reported", 1)
    queue = JobQueue("memory:", hooks=[hook])
    claim = held(queue)
    claim.report(1)
    claim.report(2)
    assert hook.hangs.wait(TIMEOUT)

    closing = threads(queue.close)
    closing.join(TIMEOUT)

    assert not closing.is_alive()
    assert not claim.is_open


def test_a_close_lets_hooks_hear_what_the_keeper_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semiont_jobs.hooks.PATIENCE", TIMEOUT)
    events: list[Event] = []
    begun, go_on = threading.Event(), threading.Event()

    def slow(event: Event) -> None:
        if event.name == "released":
            go_on.set()
        elif "reported" in names_of(events):
            begun.set()
            go_on.wait(TIMEOUT)
        events.append(event)

    queue = JobQueue("memory:", hooks=[slow])
    queue.enqueue({}, type="task")
    claim = some(queue.claim_next_job())
    claim.report(1)
    claim.report(2)  # held back: the keeper writes it
    assert begun.wait(TIMEOUT)
    queue.close()

    assert ["claimed", "created", "released", "reported", "reported"] == sorted(names_of(events))


def test_what_the_keeper_did_is_told_in_order_by_a_thread_that_is_there_for_nothing_else() -> None:
    told: list[tuple[str, str]] = []
    all_of = Hooks([lambda event: told.append((event.job_id, threading.current_thread().name))])
    events = [Event(name="quarantined", at=None, job_id=str(n), job=None) for n in range(50)]  # type: ignore[arg-type]

    for event in events:
        all_of._tell_later(event)

    eventually(lambda: len(told) == 50)
    assert [(str(n), "semiont-jobs-teller") for n in range(50)] == told


def test_a_hook_that_hangs_for_ever_does_not_fill_the_memory(
    hang: Callable[..., Blocking],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(hooks, "MOST_WAITING", 3)
    hook = hang("quarantined")
    all_of = Hooks([hook])
    event = Event(name="quarantined", at=None, job_id="x", job=None)  # type: ignore[arg-type]

    all_of._tell_later(event)
    assert hook.hangs.wait(TIMEOUT)
    for _ in range(10):
        all_of._tell_later(event)

    assert 3 == len(all_of._waiting)
    assert 1 == sum("a hook hangs" in record.getMessage() for record in caplog.records)


def test_a_hook_that_raises_no_exception_keeps_no_later_event_from_being_told() -> None:
    heard: list[Event] = []

    def hook(event: Event) -> None:
        heard.append(event)
        raise GeneratorExit  # as asyncio.CancelledError, it is none

    all_of = Hooks([hook])
    event = Event(name="quarantined", at=None, job_id="x", job=None)  # type: ignore[arg-type]
    for count in (1, 2):
        all_of._tell_later(event)
        eventually(lambda: all_of._teller is None)

        assert len(heard) == count


def test_without_another_thread_the_keeper_tells_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    heard: list[Event] = []
    all_of = Hooks([heard.append])
    event = Event(name="quarantined", at=None, job_id="x", job=None)  # type: ignore[arg-type]

    all_of._tell_later(event)
    all_of._tell_later(event)

    assert [event, event] == heard


# -- under no lock -------------------------------------------------------------------------

VERBS: dict[str, Callable[[AnyClaim], object]] = {
    "reported": lambda claim: claim.report(1),
    "checkpointed": lambda claim: claim.checkpoint(["a"]),
    "completed": lambda claim: claim.complete(),
    "retrying": lambda claim: claim.fail("no"),
    "snoozed": lambda claim: claim.snooze(60),
    "released": lambda claim: claim.release(),
    "cancelled": lambda claim: claim.cancel(),
}


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("place", ["memory", "files"])
def test_while_a_hook_hangs_its_claim_is_free_for_other_threads(
    tmp_path: Path, hang: Callable[..., Blocking], threads: Any, name: str, place: str
) -> None:
    hook = hang(name)
    queue = JobQueue("memory:" if place == "memory" else tmp_path, fsync=False, hooks=[hook])
    claim = held(queue)
    threads(lambda: VERBS[name](claim))
    assert hook.hangs.wait(TIMEOUT)

    closing = threads(queue.close)
    closing.join(TIMEOUT)

    assert not closing.is_alive()
    assert not claim.is_open
    assert claim.cancelled.is_set()


def test_while_a_hook_hangs_on_one_rescue_others_rescue(
    hang: Callable[..., Blocking], threads: Any
) -> None:
    store, hook = MemoryStore(), hang("rescued")
    queue, dead = JobQueue(store, hooks=[hook]), kept(JobQueue(store))
    dead._keeper.start = lambda: None  # type: ignore[method-assign]
    held(dead, "a")
    store.kill_holder("a")
    threads(queue.rescue_orphans)
    assert hook.hangs.wait(TIMEOUT)

    held(dead, "b")
    store.kill_holder("b")
    threads(queue.rescue_orphans)

    eventually(lambda: some(queue.get_job("b")).status == "pending")
    eventually(lambda: ["a", "b"] == [e.job_id for e in hook.heard if e.name == "rescued"])


def test_while_a_hook_hangs_on_what_a_store_did_by_itself_the_store_goes_on(
    hang: Callable[..., Blocking], threads: Any
) -> None:
    store, hook = MemoryStore(), hang("quarantined")
    queue = JobQueue(store, hooks=[hook]).initialize()
    store.plant("bad.json", b"{")
    threads(queue.claim_next_job)
    assert hook.hangs.wait(TIMEOUT)

    asking = threads(lambda: held(JobQueue(store)).complete())
    asking.join(TIMEOUT)

    assert not asking.is_alive()
