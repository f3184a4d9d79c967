"""News for those who wait: that there may be something to claim.

It must not know where news come from.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from semiont_jobs.threads import lock_and_condition


class Looked(threading.local):
    """By which clock a thread last looked for a job, or waited: what came due since is due."""

    at: datetime = datetime.max.replace(tzinfo=UTC)


class News:
    """A counter that those who wait look at, so that nothing is missed in between."""

    def __init__(self) -> None:
        self._lock, self._changed = lock_and_condition()
        self._count = 0
        self._seen = threading.local()

    def look(self) -> None:
        """This thread is about to look for work: what comes from now on is news to it."""
        self._seen.count = self._count

    def __call__(self) -> None:
        """Wake everybody who waits."""
        with self._lock:
            self._count += 1
            self._changed.notify_all()

    def wait(self, stop: threading.Event, timeout: float) -> None:
        """Return when there are news since this thread looked, or after `timeout` seconds."""
        with self._lock:
            seen = getattr(self._seen, "count", self._count)
            self._changed.wait_for(lambda: self._count != seen or stop.is_set(), timeout)
            # Told once: who waits again without having looked waits for other news.
            self._seen.count = self._count
