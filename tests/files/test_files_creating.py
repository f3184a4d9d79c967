"""Threads of one process that create jobs at the same time: one of them serves all who wait."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import pytest
from files.disks import Died
from files.journals import told
from files.places import PATIENCE, Actors, Place, Unattended, claimed, job, journalled
from striking import struck_at

from semiont_jobs import JobExists, StoreError
from semiont_jobs.claim import AnyClaim
from semiont_jobs.stores.files import creating
from semiont_jobs.stores.files.creating import Creating
from semiont_jobs.stores.files.forcing import Forcing
from semiont_jobs.testing.waiting import eventually

COUNT = 6


class Crowd:
    """A thread that creates a job, whose disk is slow, and others that come meanwhile."""

    def __init__(self, queue: Unattended, verb: str, place: str) -> None:
        self.queue = queue
        store: Any = queue.store
        self.creating: Creating = store._creating
        self._pool = ThreadPoolExecutor(COUNT + 2)
        self._is_slow, self._goes_on = threading.Event(), threading.Event()
        queue.disk.before(verb, place, self._wait)
        self.first = self._pool.submit(queue.create_job, job("first"))
        assert self._is_slow.wait(PATIENCE)

    def _wait(self) -> None:
        self._is_slow.set()
        assert self._goes_on.wait(PATIENCE)

    def join(self, *ids: str) -> list[Future[Any]]:
        """More threads, each with a job; they wait, in this order."""
        came = []
        for id_ in ids:
            waiting = len(self.creating._waiting)
            came.append(self._pool.submit(self.queue.create_job, job(id_)))
            eventually(lambda before=waiting: len(self.creating._waiting) == before + 1)
        return came

    def go_on(self) -> None:
        """The disk is quick again."""
        self.queue.disk.calls.clear()
        self._goes_on.set()

    def end(self) -> None:
        """Nobody waits any more, nor is in the way of those to come."""
        self._goes_on.set()
        self._pool.shutdown()
        assert not self.creating._waiting
        assert self.creating._server is None
        assert not self.creating._inside


@contextmanager
def crowd(
    queue: Unattended, verb: str = "link", place: str = "pending/first.json"
) -> Iterator[Crowd]:
    """A crowd before that call of the first."""
    made = Crowd(queue, verb, place)
    try:
        yield made
    finally:
        made.end()


def ids(prefix: str = "j") -> list[str]:
    """Of as many jobs as others come."""
    return [f"{prefix}-{n}" for n in range(COUNT)]


def test_those_who_wait_are_served_by_one_in_order(actor: Actors, place: Place) -> None:
    queue = actor()

    with crowd(queue) as them:
        others = them.join(*ids())
        them.go_on()
        made = [each.result(PATIENCE) for each in (them.first, *others)]

    assert [each.metadata.id for each in made] == ["first", *ids()]
    links = [call.place for call in queue.disk.calls if call.verb == "link"]
    assert links == [f"pending/{id_}.json" for id_ in ("first", *ids())]
    assert len(place.names("pending")) == COUNT + 1
    assert {claimed(queue).job.metadata.id for _ in made} == {"first", *ids()}


def test_one_forcing_of_the_journal_serves_all(actor: Actors, place: Place) -> None:
    queue = journalled(actor)

    with crowd(queue) as them:
        others = them.join(*ids())
        them.go_on()
        for each in (them.first, *others):
            each.result(PATIENCE)

    assert queue.disk.count("fdatasync") == 2
    assert told(place.path) == [(id_, 0) for id_ in ("first", *ids())]


def test_with_fsync_nobody_waits_for_another(actor: Actors) -> None:
    queue = actor(fsync=True)

    with crowd(queue, "fsync", "pending/first.json") as them:
        with ThreadPoolExecutor(COUNT) as pool:
            others = [pool.submit(queue.create_job, job(id_)) for id_ in ids()]
            for each in others:
                each.result(PATIENCE)
        assert not them.first.done()
        them.go_on()


def test_what_one_of_them_does_wrong_is_its_own_error(actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    queue.create_job(job("twice"))

    with crowd(queue) as them:
        before, wrong, after = them.join("before", "twice", "after")
        them.go_on()
        before.result(PATIENCE)
        after.result(PATIENCE)
        with pytest.raises(JobExists, match="twice"):
            wrong.result(PATIENCE)

    assert place.everything()["pending"] == [
        f"{id_}.json" for id_ in ("after", "before", "first", "twice")
    ]


def test_the_error_of_the_one_who_serves_harms_nobody(actor: Actors, place: Place) -> None:
    queue = actor()
    queue.create_job(job("twice"))

    with crowd(queue) as them:
        wrong, after = them.join("twice", "after")
        them.go_on()
        with pytest.raises(JobExists, match="twice"):
            wrong.result(PATIENCE)
        after.result(PATIENCE)

    assert "after.json" in place.names("pending")


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_where_the_disk_does_not_force_their_record_none_is_created(
    actor: Actors, place: Place, code: int
) -> None:
    queue = journalled(actor)

    with crowd(queue) as them:
        others = them.join(*ids())
        queue.disk.refuse(code, "fdatasync", skip=1)
        them.go_on()
        them.first.result(PATIENCE)
        for id_, each in zip(ids(), others, strict=True):
            with pytest.raises(StoreError) as refused:
                each.result(PATIENCE)
            assert refused.value.errno == code
            assert refused.value.job_id == id_

    assert place.everything() == {"pending": ["first.json"]}
    queue.create_job(job("j-0"))


def test_a_job_is_held_until_it_is_durable(actor: Actors) -> None:
    queue, other = journalled(actor), actor()
    seen: list[AnyClaim | None] = []

    with crowd(queue) as them:
        others = them.join(*ids())

        def claim_two() -> None:
            seen.extend([other.claim_next_job(), other.claim_next_job()])

        queue.disk.before("fdatasync", "*", claim_two, skip=1)
        them.go_on()
        for each in (them.first, *others):
            each.result(PATIENCE)

    assert [claim and claim.job.metadata.id for claim in seen] == ["first", None]
    assert eventually(other.claim_next_job)


def interrupted(queue: Unattended, verb: str, place: str) -> None:
    """Whoever makes that call is told to stop, as by Ctrl-C."""

    def strike() -> None:
        raise KeyboardInterrupt

    queue.disk.before(verb, place, strike)


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


class Impatient:
    """Instead of a lock that somebody waits at: an interrupt ends the wait."""

    def __init__(self) -> None:
        self.is_awaited, self.strikes = threading.Event(), threading.Event()
        self.is_released = False

    def acquire(self, timeout: float) -> bool:
        """Wait."""
        self.is_awaited.set()
        assert self.strikes.wait(PATIENCE)
        raise KeyboardInterrupt

    def release(self) -> None:
        """Told that it is time."""
        self.is_released = True


@pytest.mark.parametrize("struck", [0, 1])
@pytest.mark.parametrize("is_theirs", [False, True], ids=["waits", "was given the turn"])
def test_whoever_waits_may_be_interrupted(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch, struck: int, is_theirs: bool
) -> None:
    queue, lock = actor(), Impatient()
    awaited: Callable[..., Any] = Creating._awaited

    def impatient(self: Creating, new: Any) -> Any:
        if new.job.metadata.id == f"j-{struck}":
            new.turn = lock
        return awaited(self, new)

    monkeypatch.setattr(Creating, "_awaited", impatient)
    with crowd(queue) as them:
        others = them.join(*ids()[:3])
        assert lock.is_awaited.wait(PATIENCE)
        if is_theirs:
            them.go_on()
            eventually(lambda: lock.is_released)
        lock.strikes.set()
        with pytest.raises(KeyboardInterrupt):
            others.pop(struck).result(PATIENCE)
        them.go_on()
        for each in others:
            each.result(PATIENCE)

    names = place.names("pending")
    left = {f"j-{n}.json" for n in range(3)} - {f"j-{struck}.json"}
    assert left <= set(names)
    # Interrupted, it is not created, but where somebody else was at it already.
    if not (is_theirs and struck == 1):
        assert f"j-{struck}.json" not in names


def test_a_signals_handler_may_create_a_job_in_the_midst_of_creating_one(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.disk.before("link", "pending/j.json", lambda: queue.create_job(job("by-handler")))

    queue.create_job(job("j"))

    assert place.names("pending") == ["by-handler.json", "j.json"]


class Still:
    """Moves that move nothing."""

    forcing = Forcing

    def create(self, *_job: object) -> str:
        """What its file is."""
        return "found"


def test_wherever_an_interrupt_strikes_those_who_come_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(creating, "FORSAKEN", 0.001)
    moves: Any = Still()

    def strike() -> None:
        raise KeyboardInterrupt

    step, is_over = 0, False
    while not is_over:
        them: Any = Creating(moves)
        # Where a `with` is about to let go of a lock Python handles no signal, but here one strikes.
        them._lock = nullcontext()
        with suppress(KeyboardInterrupt), struck_at(step, strike) as left:
            them.create(job(), b"")
        is_over = left() >= 0
        step += 1
        with ThreadPoolExecutor(2) as pool:
            assert pool.submit(them.create, job(), b"").result(PATIENCE) == "found"
            assert pool.submit(them.create, job(), b"").result(PATIENCE) == "found"
    assert step > 50


def test_a_dead_process_creates_nothing_for_anybody(actor: Actors, place: Place) -> None:
    queue = actor()

    with crowd(queue) as them:
        others = them.join(*ids())
        queue.disk.die_before("link", "pending/j-2.json")
        them.go_on()
        them.first.result(PATIENCE)
        for each in others:
            with pytest.raises(Died):
                each.result(PATIENCE)

    assert set(place.names("pending")) == {"first.json", "j-0.json", "j-1.json"}
