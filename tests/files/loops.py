"""Loops that claim the next job in the midst of the last one's outcome."""

from __future__ import annotations

from typing import Any

from files.places import Unattended, job

from semiont_jobs import JobQueue
from semiont_jobs.claim import AnyClaim
from semiont_jobs.claimer import Claimer


def filled(queue: Unattended, count: int = 3) -> Unattended:
    """With jobs a, b, c and so on, which it knows."""
    for number in range(count):
        queue.create_job(job("abcdefgh"[number]))
    queue.poll_next_pending_job()
    return queue


def first_of(queue: JobQueue, **options: Any) -> tuple[Claimer, AnyClaim]:
    """A loop, with its first job at its outcome."""
    claimer = queue.claimer(**options)
    claim = claimer()
    assert claim is not None
    claimer.follow(claim)
    claim.outcome_follows()
    return claimer, claim


def claimed_by(claimer: Claimer) -> str:
    """The id of the next job of a loop."""
    claim = claimer()
    assert claim is not None
    return claim.job.metadata.id


def changes(queue: Unattended) -> list[str]:
    """What was done to the folders, and what was forced, in order."""
    verbs = (
        "rename",
        "fsync",
        "fsync_folder",
        "unlink",
        "link",
        "write_at",
        "begin_fdatasync",
        "fdatasync",
    )
    return [str(call) for call in queue.disk.calls if call.verb in verbs]
