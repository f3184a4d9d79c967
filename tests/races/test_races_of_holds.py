"""What two threads do with one hold: the one that works on the job, and one that commits or closes."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from files.loops import filled, taken
from files.places import PATIENCE, Actors, Place, job, meanwhile
from races.moments import Filling, Moment

from semiont_jobs import ClaimLost, JobHeld, lifecycle
from semiont_jobs.stores.files.descriptors import CLOSED
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.holds import Holds


class _Pause:
    """An attribute at whose next change, once armed, a thread stops."""

    def __init__(self, patch: pytest.MonkeyPatch, kind: type[Any], name: str) -> None:
        self._name = name
        self.is_armed = False
        self.reached = threading.Event()
        self.goes_on = threading.Event()
        patch.setattr(kind, name, self, raising=False)

    def __get__(self, one: Any, _kind: object = None) -> Any:
        return vars(one)[self._name]

    def __set__(self, one: Any, value: object) -> None:
        is_it, self.is_armed = self.is_armed, False
        if is_it:
            self.reached.set()
            assert self.goes_on.wait(PATIENCE)
        vars(one)[self._name] = value


def test_what_is_stored_while_a_commit_ends_stays_held(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = actor()
    loop = filled(actor(fsync=True), 1).claimer()
    claim = taken(loop)
    hold: Any = claim._hold
    pause = _Pause(monkeypatch, FileHold, "_older")
    leave = FileHold._leave_committing
    verbs: list[Any] = []

    def left(self: FileHold) -> None:
        leave(self)
        if not verbs:  # from now on the job's own thread may store
            pause.is_armed = True
            verbs.append(meanwhile(claim.complete))
            verbs.append(verbs[0].__enter__())
            assert pause.reached.wait(PATIENCE)

    monkeypatch.setattr(FileHold, "_leave_committing", left)
    loop.end()

    assert hold.descriptor.fd != CLOSED
    with pytest.raises(JobHeld):
        other.store.hold("a")
    pause.goes_on.set()
    verbs[0].__exit__(None, None, None)
    assert verbs[1].result(PATIENCE).status == "complete"
    assert place.everything() == {"complete": ["a.json"]}


def test_a_thread_that_lets_go_as_the_store_is_closed_stores_nothing_more(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = actor()
    queue.create_job(job())
    hold: Any = queue.store.hold("j")
    done = lifecycle.cancel(hold.job, queue.clock())
    reached, goes_on = threading.Event(), threading.Event()
    end = Holds.end

    def ended(self: Holds, hold: FileHold) -> None:
        end(self, hold)
        reached.set()
        assert goes_on.wait(PATIENCE)

    monkeypatch.setattr(Holds, "end", ended)

    def moved() -> None:
        with pytest.raises(ClaimLost):
            hold.move(done)

    threads: list[Any] = []

    def move_meanwhile() -> None:
        threads.append(threading.Thread(target=moved))
        threads[0].start()
        assert reached.wait(PATIENCE)

    def finish() -> None:
        goes_on.set()
        threads[0].join(PATIENCE)

    moment = Moment(monkeypatch, FileHold, "_is_at_work", before=move_meanwhile, after=finish)
    moment.arm()
    hold.let_go_if_idle()

    with pytest.raises(ClaimLost):
        hold.move(done)
    assert place.everything() == {"pending": ["j.json"]}


def test_a_hold_that_begins_while_the_last_one_on_its_job_ends_is_known(actor: Actors) -> None:
    queue = actor()
    queue.create_job(job())
    holds = queue.store._holds
    first = queue.store.hold("j")
    before = dict(holds._known)
    first.let_go()
    again = queue.store.hold("j")
    holds._known = Filling(before, dict(holds._known))

    holds.end(first)

    assert holds.get("j") is again
