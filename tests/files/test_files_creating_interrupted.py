"""Threads that create jobs at the same time, and are interrupted: nobody waits for ever, and what is
lost is at most the job of whoever was interrupted."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import pytest
from files.crowds import COUNT, crowd, ids
from files.places import PATIENCE, Actors, Place, Unattended, claimed, job, journalled, meanwhile
from striking import struck_at

from semiont_jobs import StoreError
from semiont_jobs.stores.files import creating
from semiont_jobs.stores.files.copies import Copies
from semiont_jobs.stores.files.creating import Creating, _New
from semiont_jobs.stores.files.descriptors import Descriptor
from semiont_jobs.stores.files.forcing import Forcing
from semiont_jobs.testing.waiting import eventually

pytestmark = pytest.mark.usefixtures("with_gil")


@pytest.fixture
def nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits goes on when woken: the first who waits is the next to serve."""
    monkeypatch.setattr(creating, "LOOK_EVERY", PATIENCE / 2)


def interrupted(queue: Unattended, verb: str, place: str) -> None:
    """Whoever makes that call is told to stop, as by Ctrl-C."""

    def strike() -> None:
        raise KeyboardInterrupt

    queue.disk.before(verb, place, strike)


@pytest.mark.usefixtures("nobody_looks")
@pytest.mark.parametrize("verb", ["create", "link", "lock"])
def test_whoever_serves_may_be_interrupted(actor: Actors, place: Place, verb: str) -> None:
    queue = actor()
    where = "pending/j-0.json" if verb == "link" else "*"

    with crowd(queue) as them:
        server, *others = them.join(*ids())
        interrupted(queue, verb, where)
        them.go_on()
        with pytest.raises(KeyboardInterrupt):
            server.result(PATIENCE)
        for each in others:
            each.result(PATIENCE)

    assert place.names("pending") == ["first.json", *(f"{id_}.json" for id_ in ids()[1:])]
    assert not place.names(".tmp")


@pytest.mark.usefixtures("nobody_looks")
def test_an_interrupt_while_all_are_forced_leaves_the_others_to_create_theirs_again(
    actor: Actors, place: Place
) -> None:
    queue = journalled(actor)

    def strike() -> None:
        raise KeyboardInterrupt

    with crowd(queue) as them:
        server, *others = them.join(*ids())
        queue.disk.before("fdatasync", "*", strike, skip=1)
        them.go_on()
        with pytest.raises(KeyboardInterrupt):
            server.result(PATIENCE)
        assert [each.exception(PATIENCE) for each in others] == [None] * len(others)

    assert place.names("pending") == ["first.json", *(f"{id_}.json" for id_ in ids()[1:])]


@pytest.mark.usefixtures("nobody_looks")
@pytest.mark.parametrize("kind", [RuntimeError, TimeoutError])
def test_what_a_signals_handler_raises_is_raised_in_its_thread(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    queue = actor()
    expected = ["first.json", *(f"{id_}.json" for id_ in ids()[1:])]
    ring = Creating._ring

    def strike() -> None:
        raise kind("time is up")

    def rings_and_waits(self: Creating, party: Sequence[_New] = ()) -> None:
        ring(self, party)
        if party:  # the others go on, before anything else happens in this thread
            eventually(lambda: set(place.names("pending")) >= set(expected), PATIENCE)

    with crowd(queue) as them:
        server, *others = them.join(*ids())
        queue.disk.before("link", "pending/j-1.json", strike)
        monkeypatch.setattr(Creating, "_ring", rings_and_waits)
        them.go_on()
        with pytest.raises((kind, StoreError), match="time is up"):
            server.result(PATIENCE)
        for each in others:
            each.result(PATIENCE)

    assert place.names("pending") == expected


def test_a_job_that_was_let_go_is_not_taken_back(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = actor(), actor()
    close = Copies.close

    def struck(self: Copies, descriptor: Descriptor) -> None:
        close(self, descriptor)
        monkeypatch.undo()
        claimed(other).release()
        raise KeyboardInterrupt

    monkeypatch.setattr(Copies, "close", struck)
    with pytest.raises(KeyboardInterrupt):
        queue.create_job(job())

    assert place.copies() == {"pending": 2}


@pytest.mark.usefixtures("nobody_looks")
def test_an_interrupt_while_they_are_let_go_leaves_none_of_them_held(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = journalled(actor), actor()
    close, closes = Copies.close, itertools.count()

    def struck(self: Copies, descriptor: Descriptor) -> None:
        if next(closes) == COUNT // 2:
            raise KeyboardInterrupt
        close(self, descriptor)

    with crowd(queue) as them:
        server, *others = them.join(*ids())
        monkeypatch.setattr(Copies, "close", struck)
        them.go_on()
        with pytest.raises(KeyboardInterrupt):
            server.result(PATIENCE)
        for each in others:
            each.result(PATIENCE)

    standing = {name.removesuffix(".json") for name in place.names("pending")}
    assert standing == {"first", *ids()}
    assert {claimed(other).job.metadata.id for _ in standing} == standing


@contextmanager
def alarmed() -> Iterator[Callable[[], None]]:
    """Gives what sends the main thread a signal, by which it is interrupted."""

    def strike(*_signal: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, strike)
    try:
        yield lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_whoever_waits_may_be_interrupted(actor: Actors, place: Place) -> None:
    queue = actor()

    with crowd(queue) as them, alarmed() as strike:
        others = them.join(*ids())

        def wait_and_strike() -> None:
            eventually(lambda: len(them.creating._waiting) == COUNT + 1)
            strike()

        with meanwhile(wait_and_strike), pytest.raises(KeyboardInterrupt):
            queue.create_job(job("mine"))
        them.go_on()
        for each in others:
            each.result(PATIENCE)

    assert "mine.json" not in place.names("pending")
    queue.create_job(job("mine"))


def test_a_signals_handler_may_create_a_job_in_the_midst_of_creating_one(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.disk.before("link", "pending/j.json", lambda: queue.create_job(job("by-handler")))

    queue.create_job(job("j"))

    assert place.names("pending") == ["by-handler.json", "j.json"]


class Still:
    """Moves that move nothing."""

    def __init__(self) -> None:
        self.forcing = Forcing(Any, Any)  # type: ignore[arg-type]
        self.copies = self.disk = self

    def create(self, *_job: object, **_more: object) -> str:
        """What its file is."""
        return "found"

    def publish(self, *_job: object, **_more: object) -> Descriptor:
        """Held."""
        return Descriptor(0)

    def stat_of(self, _fd: int) -> str:
        """What its file is."""
        return "found"

    def retract(self, _job_id: str) -> None:
        """Gone."""

    def close(self, _descriptor: Descriptor) -> None:
        """Let go."""


def created(moves: Any) -> Creating:
    """With these moves."""
    return Creating(moves)


def test_wherever_an_interrupt_strikes_those_who_come_are_served() -> None:
    def strike() -> None:
        raise KeyboardInterrupt

    step, is_over = 0, False
    while not is_over:
        them: Any = created(Still())
        # Where a `with` is about to let go of a lock Python handles no signal, but here one strikes.
        them._lock = nullcontext()
        with suppress(KeyboardInterrupt), struck_at(step, strike) as left:
            them.create(job(), b"")
        is_over = left() >= 0
        step += 1
        assert them.create(job(), b"") == "found"
        assert not them._waiting
    assert step > 50
