"""A clock that does not run until a test moves it. It must not know queues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""Any instant would do; a fixed one makes failures look the same every time."""


class FakeClock:
    """A clock for tests. Pass it as ``JobQueue(..., clock=clock)``: due times, back-offs and
    records follow it."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> datetime:
        """Move forward by so many seconds; return the new instant."""
        self._now += timedelta(seconds=seconds)
        return self._now

    def tick(self, **span: float) -> datetime:
        """Move forward by a span given as to `timedelta`: ``tick(minutes=5)``; without arguments by
        one second. Return the new instant."""
        self._now += timedelta(**(span or {"seconds": 1}))
        return self._now
