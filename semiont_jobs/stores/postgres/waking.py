"""News for waiting threads: that there may be something to claim.

It must not know where the news comes from.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from semiont_jobs.threads import lock_and_condition


class Looked(threading.local):
    """When, by the caller's clock, a thread last looked or waited: what became due since is due."""

    at: datetime = datetime.max.replace(tzinfo=UTC)


class News:
    """A counter that waiting threads compare, so that none misses news in between."""

    def __init__(self) -> None:
        self._lock, self._changed = lock_and_condition()
        self._count = 0
        self._seen = threading.local()

    def look(self) -> None:
        """Note that this thread is about to look for jobs: whatever comes later is news to it."""
        self._seen.count = self._count

    def __call__(self) -> None:
        """Wake all waiting threads."""
        with self._lock:
            self._count += 1
            self._changed.notify_all()

    def wait(self, stop: threading.Event, timeout: float) -> None:
        """Return when there is news since this thread looked, or after `timeout` seconds."""
        with self._lock:
            seen = getattr(self._seen, "count", self._count)
            self._changed.wait_for(lambda: self._count != seen or stop.is_set(), timeout)
            # News counts once: a thread that waits again without looking waits for later news.
            self._seen.count = self._count
