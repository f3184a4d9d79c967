"""Those who do a pool's work: a crew under its watch, or a supervisor and its processes.

It must not know either.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from semiont_jobs.events import logger
from semiont_jobs.pool.crew import Reason


def sooner(leave_at: float | None, grace: float) -> float:
    """When those are to have left who were to by `leave_at`, if that was said, and have `grace`
    seconds now: each word can only shorten the one before. By the monotonic clock."""
    at = time.monotonic() + grace
    return at if leave_at is None else min(leave_at, at)


def see_off(everybody: Sequence[Staff]) -> None:
    """Wait until all of them have left, who have been told to. Whoever interrupts that, by Ctrl-C a
    second time, will not wait: the jobs in hand are given back.

    :raises KeyboardInterrupt: somebody did; they have left.
    """
    try:
        for staff in everybody:
            staff.wait()
    except KeyboardInterrupt:
        logger.info("stopping now: jobs in hand are given back")
        for staff in everybody:
            staff.hurry()
        for staff in everybody:
            staff.wait()
        raise


class Staff(Protocol):
    """What a pool, or a run of it, asks of them."""

    @property
    def given_back(self) -> int: ...

    @property
    def is_crash_looping(self) -> bool: ...

    def is_member(self) -> bool: ...

    def start(self) -> None: ...

    def leave(self, reason: Reason, /, grace: float = ...) -> None: ...

    def hurry(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...
