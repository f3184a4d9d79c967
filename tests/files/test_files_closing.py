"""A store that is closed while a thread is in the midst of a verb: whatever that was, the job is not
lost, and not had by two."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from files.places import Actors, Place, Unattended, claimed, job

from semiont_jobs import ClaimLost, JobHeld
from semiont_jobs.claim import AnyClaim
from semiont_jobs.stores.files.forcing import DURABILITIES, Durability

Verb = Callable[[Unattended], object]


def claim(queue: Unattended) -> object:
    return queue.claim_next_job()


def complete(queue: Unattended) -> object:
    return the_claim(queue).complete()


def fail(queue: Unattended) -> object:
    return the_claim(queue).fail("broke")


def checkpoint(queue: Unattended) -> object:
    return the_claim(queue).checkpoint(["a"])


def cancel(queue: Unattended) -> object:
    return queue.cancel_job("j")


def retry(queue: Unattended) -> object:
    return queue.retry_job("j")


def remove(queue: Unattended) -> object:
    return queue.remove_job("j")


def the_claim(queue: Unattended) -> AnyClaim:
    (found,) = queue._claims.all()
    return found


BEFORE: dict[Verb, Callable[[Unattended], object]] = {
    claim: lambda _queue: None,
    cancel: lambda _queue: None,
    complete: claimed,
    fail: claimed,
    checkpoint: claimed,
    retry: lambda queue: queue.cancel_job("j"),
    remove: lambda queue: queue.cancel_job("j"),
}
"""What is done before each verb."""


class Closed:
    """One verb on a place of its own, before whose K-th step the store is closed, and another
    process takes what it can."""

    def __init__(self, path: Path, verb: Verb, k: int, durability: Durability) -> None:
        self.actors = Actors(path)
        self.place: Place = self.actors.place
        self.queue = self.actors(durability=durability)
        self.other = self.actors(durability=durability)
        self.theirs: AnyClaim | None = None
        self.k = k
        self.steps = 0
        self.queue.create_job(job())
        # Kept, or it would be given back.
        self._mine = BEFORE[verb](self.queue)
        self.queue.disk.before("*", "*", self._step, times=10**6)
        self.answer: object = None
        try:
            self.answer = verb(self.queue)
        except (ClaimLost, JobHeld) as error:
            self.answer = error
        self.queue.disk.relent()

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.k:
            self.queue.store.close()
            self.theirs = self.other.claim_next_job()

    def check(self, verb: Verb) -> None:
        """Nothing is lost, and at most one of the two has the job."""
        copies = self.place.copies()
        is_refused = isinstance(self.answer, Exception)
        if verb is remove and not is_refused:
            assert copies == {}
            return
        assert len(copies) == 1
        mine: Any = self.answer
        if verb is claim and self.theirs is None:
            assert mine.complete().status == "complete"
        elif verb is claim:
            assert mine is None
        if self.theirs is not None:
            assert self.theirs.complete().status == "complete"
        assert len(self.place.copies()) == 1


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("verb", BEFORE, ids=lambda verb: verb.__name__)
def test_wherever_the_store_is_closed_nothing_is_lost_and_nobody_elses_is_taken(
    tmp_path: Path, verb: Verb, durability: Durability
) -> None:
    for k in count(1):
        closed = Closed(tmp_path / str(k), verb, k, durability)
        closed.check(verb)
        closed.actors.close()
        if closed.steps < k:
            break
    assert k > 5
