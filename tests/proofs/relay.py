"""Processes that die in the middle of a verb, each on a job of its own, and one that comes after.

It must not know what a power cut does: it only leaves a trace, in which one process finds what
another had published and not yet forced (C18).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from files.disks import Died
from proofs.cuts import Recorded
from proofs.session import Session, at_once

from semiont_jobs import PermanentError
from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.testing import FakeClock

_PUBLISHED: Final = ("fsync {to}/{id}.json", "fsync_folder jobs/{to}", "unlink {at}/{id}.json")
"""Before these a mover dies: it has published; has forced the file; has forced the folder."""

DEATHS: Final[dict[str, tuple[str, str, tuple[str, ...]]]] = {
    "create": ("", "pending", _PUBLISHED[:2]),
    "claim": ("pending", "running", _PUBLISHED),
    "complete": ("running", "complete", _PUBLISHED),
    "fail": ("running", "pending", _PUBLISHED),
    "lose": ("running", "failed", _PUBLISHED),
    "release": ("running", "pending", _PUBLISHED),
    "withdraw": ("pending", "cancelled", _PUBLISHED),
    "retry": ("failed", "pending", _PUBLISHED),
    "rescue": ("running", "pending", _PUBLISHED),
    "checkpoint": ("running", "running", ("rename {to}/{id}.json", "fsync_folder jobs/{to}")),
    "cancel": ("running", "running", ("create .cancel/*", "fsync_folder jobs/.cancel")),
    "remove": ("complete", "", ("unlink {at}/{id}.json", "fsync_folder jobs/{at}")),
}
"""By verb: from where it moves a job, where to, and before which steps processes die in it."""

_IN_A_JOURNAL: Final = ("write_at .journal/*", "fdatasync .journal/*")
"""What is done instead of forcing a file and its folder; of the old file, if there is one, the
name goes after that."""

JOURNAL_DEATHS: Final = {
    **{
        verb: (source, target, (*_IN_A_JOURNAL, *steps[2:]))
        for verb, (source, target, steps) in DEATHS.items()
    },
    # Its job was created by the same process, so that the record of that is there.
    "claim": ("pending", "running", _PUBLISHED[2:]),
    "checkpoint": ("running", "running", (*_IN_A_JOURNAL, "rename {to}/{id}.json")),
    "cancel": DEATHS["cancel"],
    "remove": ("complete", "", (*_IN_A_JOURNAL, *DEATHS["remove"][2])),
}
"""The same, where there is a journal."""


class Relay:
    """Runs one verb to each of its deaths, and then a recovery, on an empty directory."""

    def __init__(self, recorded: Recorded, verb: str, *, durability: Durability = "fsync") -> None:
        self.recorded = recorded
        self.verb = verb
        deaths = JOURNAL_DEATHS if durability == "journal" else DEATHS
        self.source, self.target, self.steps = deaths[verb]
        self.durability = durability
        self.clock = FakeClock()
        self.ids: list[str] = []
        self.first_death = 0
        """How many steps were made when the first process was about to die."""

    def run(self) -> None:
        """Everything that goes well first; then deaths; then recovery by one process."""
        with at_once():
            deaths = [self._prepared(f"{self.verb}-{number}") for number in range(len(self.steps))]
            self.first_death = len(self.recorded.steps)
            for step, job_id, (session, act) in zip(self.steps, self.ids, deaths, strict=True):
                self._die(session, job_id, step, act)
            if self.verb == "cancel":
                self._ask_again()
            session = self._process(is_faulty=True)
            if self.verb == "remove":
                session.remove(self.ids, self.clock.advance(1))
                # What was removed must not come back to beat what has its name now.
                session.create(self.ids[0])
            else:
                session.rescue(self.ids)
            session.work_off()

    def _process(self, *, is_faulty: bool = False) -> Session:
        session = Session(
            self.recorded.data,
            self.recorded.ledger,
            disk=self.recorded.disk(),
            durability=self.durability,
            clock=self.clock,
            is_faulty=is_faulty,
        )
        session.queue.initialize()
        session.known.extend(self.ids)
        return session

    def _prepared(self, job_id: str) -> tuple[Session, Callable[[], object]]:
        """A process, and in it the verb that it is to die of."""
        worker = self._process()
        self.ids.append(job_id)
        if self.verb == "create":
            return worker, lambda: worker.create(job_id)
        worker.create(job_id)
        if self.source != "pending":
            worker.claim(job_id)
            worker.end("checkpoint", job_id, lambda c: c.checkpoint(["a"]), units=["a"], cursors={})
        if self.source == "failed":
            self._lose(worker, job_id)
        if self.source == "complete":
            worker.end("complete", job_id, lambda c: c.complete([1]), result=[1])
        queue = worker.queue
        acts: dict[str, Callable[[], object]] = {
            "claim": lambda: worker.claim(job_id),
            "withdraw": lambda: worker.do("cancel", job_id, lambda: queue.cancel_job(job_id)),
            "retry": lambda: worker.do("retry", job_id, lambda: queue.retry_job(job_id)),
            "complete": lambda: worker.end(
                "complete", job_id, lambda c: c.complete([1]), result=[1]
            ),
            "fail": lambda: worker.end("fail", job_id, lambda c: c.fail("no"), is_permanent=False),
            "lose": lambda: self._lose(worker, job_id),
            "release": lambda: worker.end("release", job_id, lambda c: c.release()),
            "checkpoint": lambda: worker.end(
                "checkpoint", job_id, lambda c: c.checkpoint(["b"]), units=["b"], cursors={}
            ),
        }
        if self.verb in acts:
            return worker, acts[self.verb]
        # The worker stays as it is, or is dead already: somebody else is to die.
        other = self._process(is_faulty=self.verb != "cancel")
        if self.verb == "rescue":
            worker.lose_holder(job_id)
            return other, lambda: other.rescue(self.ids)
        if self.verb == "cancel":
            return other, self._asking(other, job_id)
        return other, lambda: other.remove(self.ids, self.clock.advance(1))

    def _lose(self, session: Session, job_id: str) -> None:
        session.end("fail", job_id, lambda c: c.fail(PermanentError("no")), is_permanent=True)

    def _asking(self, session: Session, job_id: str) -> Callable[[], object]:
        return lambda: session.do("cancel", job_id, lambda: session.queue.cancel_job(job_id))

    def _die(self, session: Session, job_id: str, step: str, act: Callable[[], object]) -> None:
        """Have a process die in what it does, before that step."""
        verb, _, place = step.format(id=job_id, at=self.source, to=self.target).partition(" ")
        session.known.extend(each for each in self.ids if each not in session.known)
        session.disk.die_before(verb, place)  # type: ignore[attr-defined]
        with pytest.raises(Died):
            act()

    def _ask_again(self) -> None:
        """Somebody finds the requests of the dead there, and is told that they are made; and
        then the holders die."""
        for job_id in reversed(self.ids):  # the first would force the requests for the others
            other = self._process()
            self._asking(other, job_id)()
