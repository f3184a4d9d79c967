"""Verbs on a job of which no journal tells any more, one does, or another process's does.

It must not know what a power cut does: it leaves a trace, of which the last part is of interest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from proofs.cuts import Recorded
from proofs.loops import Outcome, in_turn
from proofs.session import Session, at_once

from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.testing import FakeClock

JOB: Final = "rested"


class Emptied:
    """Runs one story on an empty directory."""

    def __init__(self, recorded: Recorded, story: str) -> None:
        self.recorded = recorded
        self.clock = FakeClock()
        self.act = STORIES[story]
        self.fillers = 0
        # A process that nobody knows any more would be over, and its journal a dead one's.
        self._living: list[Session] = []
        self.since = 0
        """How many steps were made before what is of interest."""

    def run(self) -> None:
        with at_once():
            self.act(self)

    def process(self, durability: Durability = "journal") -> Session:
        """One more process."""
        session = Session(
            self.recorded.data,
            self.recorded.ledger,
            disk=self.recorded.disk(),
            durability=durability,
            clock=self.clock,
        )
        session.queue.initialize()
        self._living.append(session)
        return session

    def empty(self, session: Session) -> None:
        """Have the process's journal emptied, by filling it."""
        journal = session.queue.store._journal  # type: ignore[attr-defined]
        first = journal._current
        while journal._current is first:
            self.fillers += 1
            session.create(f"filler-{self.fillers}")

    def begin(self) -> None:
        """What follows is of interest."""
        self.since = len(self.recorded.steps)

    def worker_at_rest(self) -> Session:
        """A process that runs the job, of which no journal tells: its file is all there is."""
        session = self.process()
        session.create(JOB)
        session.claim(JOB)
        session.end("checkpoint", JOB, lambda c: c.checkpoint(["a"]), units=["a"], cursors={})
        self.empty(session)
        self.begin()
        return session


def _all_in_one(story: Emptied) -> None:
    session = story.process()
    story.begin()
    session.create(JOB)
    session.claim(JOB)
    session.end("checkpoint", JOB, lambda c: c.checkpoint(["a"]), units=["a"], cursors={})
    session.end("complete", JOB, lambda c: c.complete([1]), result=[1])


def _claim(story: Emptied) -> None:
    session = story.process()
    session.create(JOB)
    story.empty(session)
    story.begin()
    session.claim(JOB)


def _loop(story: Emptied) -> None:
    """A worker's two jobs: another process's, of which no journal tells any more, and its own."""
    worker, producer = story.process(), story.process()
    producer.create(JOB)
    story.empty(producer)
    worker.create("own")
    outcome: Outcome = ("complete", lambda c: c.complete([1]), {"result": [1]})
    story.begin()
    in_turn(worker, dict.fromkeys((JOB, "own"), outcome))


def _checkpoint(story: Emptied) -> None:
    story.worker_at_rest().end(
        "checkpoint", JOB, lambda c: c.checkpoint(["b"]), units=["b"], cursors={}
    )


def _complete(story: Emptied) -> None:
    story.worker_at_rest().end("complete", JOB, lambda c: c.complete([1]), result=[1])


def _fail(story: Emptied) -> None:
    story.worker_at_rest().end("fail", JOB, lambda c: c.fail("no"), is_permanent=False)


def _release(story: Emptied) -> None:
    story.worker_at_rest().end("release", JOB, lambda c: c.release())


def _rescue(story: Emptied) -> None:
    worker = story.worker_at_rest()
    worker.lose_holder(JOB)
    story.process().rescue([JOB])


def _finished_elsewhere(story: Emptied) -> Session:
    """One process created the job and has its record still; another has finished it, and of that
    no journal tells any more."""
    story.process().create(JOB)
    worker = story.process()
    worker.claim(JOB)
    worker.end("complete", JOB, lambda c: c.complete([1]), result=[1])
    story.empty(worker)
    story.begin()
    return worker


def _finish_elsewhere(story: Emptied) -> None:
    _finished_elsewhere(story)


def _remove_elsewhere(story: Emptied) -> None:
    worker = _finished_elsewhere(story)
    worker.remove([JOB], story.clock.advance(1))
    story.empty(worker)
    story.begin()


def _remove_without_a_journal(story: Emptied) -> None:
    story.process().create(JOB)
    worker = story.process("fsync")
    worker.claim(JOB)
    worker.end("complete", JOB, lambda c: c.complete([1]), result=[1])
    story.begin()
    worker.remove([JOB], story.clock.advance(1))


def _checkpoint_meanwhile(story: Emptied) -> None:
    """The journal is emptied when the new copy has its record, and its name not yet."""
    session = story.worker_at_rest()
    journal = session.queue.store._journal  # type: ignore[attr-defined]

    def turn_over() -> None:
        with journal._lock:
            journal._turn_over()

    session.disk.before("rename", f"running/{JOB}.json", turn_over)
    session.end("checkpoint", JOB, lambda c: c.checkpoint(["b"]), units=["b"], cursors={})


STORIES: Final[Mapping[str, Callable[[Emptied], None]]] = {
    "all in one journal": _all_in_one,
    "claim": _claim,
    "loop": _loop,
    "checkpoint": _checkpoint,
    "checkpoint while the journal is emptied": _checkpoint_meanwhile,
    "complete": _complete,
    "fail": _fail,
    "release": _release,
    "rescue": _rescue,
    "finished elsewhere": _finish_elsewhere,
    "removed elsewhere": _remove_elsewhere,
    "removed without a journal": _remove_without_a_journal,
}
