"""Directories that stand still, so that only what a test does makes a listing due."""

from __future__ import annotations

import os

from files.places import Place, Unattended

from semiont_jobs.testing.suite import eventually

LONG_AGO = 1_700_000_000


def settle(place: Place) -> None:
    """Make the last change of ``pending`` an old one: nothing tells of news but what comes."""
    os.utime(place.jobs / "pending", (LONG_AGO, LONG_AGO))


def quiet(queue: Unattended) -> None:
    """Let the queue know all there is, so that it lists no more."""
    nothing = ["of no type"]
    settled = 0

    def look() -> bool:
        nonlocal settled
        queue.disk.calls.clear()
        queue.claim_next_job(nothing)
        settled = 0 if queue.disk.count("names") else settled + 1
        return settled > 20

    eventually(look)
    queue.disk.calls.clear()
