"""An errand: the jobs of one run, done by a crew that has other jobs besides.

It must not know the run, or how the crew is led: it asks the watch over it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from semiont_jobs.latch import Latch
from semiont_jobs.pool.crew import Reason
from semiont_jobs.pool.roster import Post
from semiont_jobs.pool.staff import sooner


class Host(Protocol):
    """The watch over the crew that does the errand."""

    def is_member(self) -> bool: ...

    def let_go(self, errand: Errand) -> None: ...


class Errand:
    """Staff for one run, as long as the run goes on.

    :param find_host: makes a crew take the errand on, and returns the watch over that crew.
    """

    def __init__(self, guest: Post, type_name: str, find_host: Callable[[Errand], Host]) -> None:
        self.guest = guest
        self.type = type_name
        """The type of the run's jobs."""
        self.given_back = 0
        """Jobs that were released because the run was left."""
        self.is_crash_looping = False
        """Always: a crew runs in this process."""
        self.leave_at: float | None = None
        """When the running ones are asked to stop, by the monotonic clock; None: not yet."""
        self._find_host = find_host
        self._host: Host | None = None
        self._lock = threading.RLock()  # a signal handler may stop the pool at any point
        self._over = Latch()

    def start(self) -> None:
        """Have its jobs done from now on."""
        self._host = self._find_host(self)
        if self.leave_at is not None:  # a signal handler stopped the pool meanwhile
            self._host.let_go(self)

    def is_member(self) -> bool:
        """Whether the calling thread belongs to the crew."""
        return self._host is not None and self._host.is_member()

    def leave(self, _reason: Reason, /, grace: float = float("inf")) -> None:
        """Claim no more of its jobs; running ones have `grace` seconds to finish. A later call can
        only shorten that. Returns at once."""
        with self._lock:
            self.leave_at = sooner(self.leave_at, grace)
        if self._host is not None:
            self._host.let_go(self)

    def hurry(self) -> None:
        """Ask the running jobs to stop now."""
        self.leave("stopped", 0.0)

    def end(self) -> None:
        """Mark the end: none of its jobs is running, and none will be."""
        self._over.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, if it was started; return whether it has."""
        return self._host is None or self._over.wait(timeout)
