"""A loop's verbs, each told to a ledger: claims that come in the midst of an outcome among them.

It must not know which jobs a history has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from proofs.ledger import Facts
from proofs.session import Session, type_of

from semiont_jobs.claim import AnyClaim
from semiont_jobs.claimer import Claimer
from semiont_jobs.stores.files import pending

Outcome: TypeAlias = tuple[str, Callable[[AnyClaim], object], Facts]
"""The verb's name, the verb, and the facts of it."""


def in_turn(session: Session, outcomes: Mapping[str, Outcome]) -> None:
    """Claim these jobs one after the other, as a loop does, and give each its outcome. In the midst
    of that the store may claim the next: one that waits for its disk has to."""
    left = list(outcomes)
    claimer = session.queue.claimer(
        tuple(type_of(job_id) for job_id in outcomes), goes_on=lambda: bool(left)
    )
    with _without_listings(), claimer:
        for job_id, outcome in outcomes.items():
            left.remove(job_id)
            if job_id not in session.claims:
                claim = session.do("claim", job_id, lambda id_=job_id: _only(id_, claimer()))
                if claim is None:
                    session.spoiled.add(job_id)
                    return
                session.claims[job_id] = claim
            _end_and_claim(session, claimer, job_id, outcome, left)
            if not session.spoiled.isdisjoint(outcomes):
                return


def _end_and_claim(
    session: Session, claimer: Claimer, job_id: str, outcome: Outcome, left: Sequence[str]
) -> None:
    verb, call, facts = outcome
    claimer.follow(session.claims[job_id])
    session.claims[job_id].outcome_follows()
    following = left[0] if left and session.durability != "process" else None
    if following is not None:
        session.ledger.begun("claim", following, {})
    session.end(verb, job_id, call, **facts)
    if following is None:
        return
    claim = _only(following, claimer._next)
    if claim is None:
        assert session.is_faulty, f"{following} was not claimed beside {job_id}"
        session.ledger.refused("claim", following, {})
        session.spoiled.add(following)
    else:
        session.ledger.acknowledged("claim", following, {})
        session.claims[following] = claim
        assert claimer() is claim


def _only(job_id: str, claim: AnyClaim | None) -> AnyClaim | None:
    """A claim of that job; one of a job behind it, where the disk did not show the first, is given
    back."""
    if claim is None or claim.job.metadata.id == job_id:
        return claim
    if claim.is_open:
        claim.release()
    return None


@contextmanager
def _without_listings() -> Iterator[None]:
    """``pending`` is not looked at again while there is something to offer."""
    was = pending.BUSY_SHARE
    pending.BUSY_SHARE = 10**9  # type: ignore[misc]
    try:
        yield
    finally:
        pending.BUSY_SHARE = was  # type: ignore[misc]
