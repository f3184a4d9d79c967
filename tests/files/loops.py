"""Loops as a worker's is: what they store is made durable some jobs later."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any

from files.places import PATIENCE, Unattended, job

from semiont_jobs import Event, JobQueue
from semiont_jobs.claim import AnyClaim
from semiont_jobs.claimer import Claimer


def filled(queue: Unattended, count: int = 3) -> Unattended:
    """With jobs a, b, c and so on, which it knows."""
    for number in range(count):
        queue.create_job(job("abcdefgh"[number]))
    queue.poll_next_pending_job()
    queue.disk.calls.clear()
    return queue


def taken(claimer: Claimer) -> AnyClaim:
    """The next job of a loop, at its outcome."""
    claim = claimer()
    assert claim is not None
    claim.put_off()
    return claim


def worked_off(
    queue: JobQueue,
    count: int = 3,
    outcome: Callable[[AnyClaim], object] = lambda claim: claim.complete(),
    **options: Any,
) -> Claimer:
    """A loop that has ended so many jobs, and waits for its disk."""
    claimer = queue.claimer(**options)
    for _ in range(count):
        outcome(taken(claimer))
    return claimer


def changes(queue: Unattended) -> list[str]:
    """What was done to the folders, and what was forced, in order."""
    verbs = ("rename", "fsync", "fsync_folder", "unlink", "link", "write_at", "fdatasync")
    return [
        str(call)
        for call in queue.disk.calls
        if call.verb in verbs and not str(call).startswith("unlink .tmp")
    ]


def told(queue: Unattended) -> list[tuple[str, str]]:
    """What is told from now on."""
    heard: list[tuple[str, str]] = []

    def hear(event: Event) -> None:
        heard.append((event.name, event.job_id))

    queue.subscribe(hear)
    return heard


def refuse_forcing(queue: Unattended, where: str = "complete/*") -> None:
    """Whatever forces that meets an error once."""
    queue.disk.refuse(errno.EIO, "fsync", where)
    queue.disk.refuse(errno.EIO, "fdatasync", "*")


class Hanging:
    """Hangs where it is told that a job is complete, until it may go on."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        self.hangs, self.goes_on = threading.Event(), threading.Event()
        self.heard: list[str] = []

    def __call__(self, event: Event) -> None:
        """Hear."""
        if event.name == "completed":
            if event.job_id == self.job_id:
                self.hangs.set()
                assert self.goes_on.wait(PATIENCE)
            self.heard.append(event.job_id)
