"""What does a pool's jobs: a crew under its watch, or a supervisor and its processes.

It must not know either.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from semiont_jobs.events import logger
from semiont_jobs.pool.crew import Reason


def sooner(leave_at: float | None, grace: float) -> float:
    """The new time by which staff is to leave, by the monotonic clock: `grace` seconds from now, or
    `leave_at` if that was set before and is earlier."""
    at = time.monotonic() + grace
    return at if leave_at is None else min(leave_at, at)


def see_off(everybody: Sequence[Staff]) -> None:
    """Wait until all staff that was asked to leave has left. After another Ctrl-C the running jobs
    are released at once.

    :raises KeyboardInterrupt: that Ctrl-C came; the staff has left.
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
    """What a pool, or one of its runs, asks of its staff."""

    @property
    def given_back(self) -> int: ...

    @property
    def is_crash_looping(self) -> bool: ...

    def is_member(self) -> bool: ...

    def start(self) -> None: ...

    def leave(self, reason: Reason, /, grace: float = ...) -> None: ...

    def hurry(self) -> None: ...

    def wait(self, timeout: float | None = None) -> bool: ...
