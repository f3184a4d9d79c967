"""What the tests of claims share: a job in hand, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from semiont_jobs import JobQueue
from semiont_jobs.claim import AnyClaim
from semiont_jobs.testing.suite import some

LATER = datetime(2030, 1, 1, tzinfo=UTC)


def held(queue: JobQueue, **options: Any) -> AnyClaim:
    """A claim on a new job."""
    job = queue.enqueue({"page": 1}, type="task", **options)
    return some(queue.claim_next_job(accept=lambda offered: offered.metadata.id == job.metadata.id))


def stored(queue: JobQueue, claim: AnyClaim) -> Any:
    """The claim's job as anyone reads it."""
    return some(queue.get_job(claim.job.metadata.id))


OUTCOMES: dict[str, Callable[[AnyClaim], Any]] = {
    "complete": lambda claim: claim.complete({"pages": 1}),
    "fail": lambda claim: claim.fail("it broke"),
    "snooze": lambda claim: claim.snooze(5),
    "release": lambda claim: claim.release(),
    "cancel": lambda claim: claim.cancel(),
}
LATE: dict[str, Callable[[AnyClaim], Any]] = {
    **OUTCOMES,
    "report": lambda claim: claim.report(1),
    "checkpoint": lambda claim: claim.checkpoint(["p"]),
    "raise_if_cancelled": lambda claim: claim.raise_if_cancelled(),
    "update": lambda claim: claim.update(claim.job),
}
