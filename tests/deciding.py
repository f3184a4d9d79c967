"""A decision of a retry policy, asked for as the library asks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from semiont_jobs import RetryPolicy
from semiont_jobs.retry import GiveUp, Retry, next_attempt

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def decide(policy: RetryPolicy, error: BaseException | None = None, **given: Any) -> Retry | GiveUp:
    facts = {"retry_count": 0, "max_retries": 3, "started_at": NOW, "now": NOW}
    return next_attempt(policy, error or ValueError("x"), **{**facts, **given})


def delay(policy: RetryPolicy, error: BaseException | None = None, **given: Any) -> float:
    """Seconds until the next attempt, which there must be."""
    decision = decide(policy, error, **given)
    assert isinstance(decision, Retry)
    return (decision.at - given.get("now", NOW)).total_seconds()
