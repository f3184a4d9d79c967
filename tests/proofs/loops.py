"""A worker's loop, told to a ledger: its outcomes are acknowledged when they are told of, some of them
together.

It must not know which jobs a history has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from proofs.ledger import Facts
from proofs.session import Session, type_of

from semiont_jobs import SemiontJobsError
from semiont_jobs.claim import AnyClaim
from semiont_jobs.claimer import Claimer
from semiont_jobs.events import Event

Outcome: TypeAlias = tuple[str, Callable[[AnyClaim], object], Facts]
"""The verb's name, the verb, and the facts of it."""

TOLD = ("completed", "failed", "retrying", "cancelled", "released", "snoozed")


def in_turn(session: Session, outcomes: Mapping[str, Outcome]) -> None:
    """Claim these jobs one after the other, as a worker does, and give each its outcome."""
    claimer = session.queue.claimer(tuple(type_of(job_id) for job_id in outcomes))
    loop = _Loop(session, claimer, outcomes)
    unsubscribe = session.queue.subscribe(loop.hear)
    try:
        for job_id in outcomes:
            if not loop.take(job_id):
                break
            loop.end(job_id)
        claimer.end()
        loop.give_up()
    finally:
        unsubscribe()


class _Loop:
    """What it has put off stays open in the ledger until it is told of."""

    def __init__(self, session: Session, claimer: Claimer, outcomes: Mapping[str, Outcome]) -> None:
        self._session = session
        self._claimer = claimer
        self._outcomes = outcomes
        self._open: set[str] = set()

    def hear(self, event: Event) -> None:
        """An outcome was made durable."""
        if event.name in TOLD and event.job_id in self._open:
            self._open.discard(event.job_id)
            verb, _call, facts = self._outcomes[event.job_id]
            self._session.ledger.acknowledged(verb, event.job_id, facts)

    def take(self, job_id: str) -> bool:
        """Claim that job; whether it was claimed."""
        session = self._session
        claim = session.do("take", job_id, lambda: _only(job_id, self._claimer()))
        if claim is None:
            assert session.is_faulty or job_id in session.spoiled, f"{job_id} was not claimed"
            session.spoiled.add(job_id)
            return False
        session.claims[job_id] = claim
        return True

    def end(self, job_id: str) -> None:
        """Give it its outcome, which is durable now or later."""
        session = self._session
        verb, call, facts = self._outcomes[job_id]
        claim = session.claims[job_id]
        claim.put_off()
        session.clock.advance(1)
        session.ledger.begun(verb, job_id, facts)
        self._open.add(job_id)
        try:
            call(claim)
        except SemiontJobsError as error:
            if not session.is_faulty:
                raise
            self._open.discard(job_id)
            session.refused(verb, {job_id: facts}, error)
        finally:
            session.after_verb()
        if not claim.is_open:
            del session.claims[job_id]
        self._claimer.commit_if_due()

    def give_up(self) -> None:
        """What the disk has refused to make durable may be so all the same, one day."""
        for job_id in sorted(self._open):
            assert self._session.is_faulty, f"{job_id} was never told of"
            verb, _call, facts = self._outcomes[job_id]
            self._session.ledger.refused(verb, job_id, facts)
            self._session.spoiled.add(job_id)


def _only(job_id: str, claim: AnyClaim | None) -> AnyClaim | None:
    """A claim of that job; one of a job behind it, where the disk did not show the first, is given
    back."""
    if claim is None or claim.job.metadata.id == job_id:
        return claim
    if claim.is_open:
        claim.release()
    return None
