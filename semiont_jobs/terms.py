"""The terms of an attempt: how long it may take, and what follows when it fails.

It must not know claims: it gets the job, and the settings of queue, type and worker.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from semiont_jobs.errors import JobTimeout
from semiont_jobs.events import logger
from semiont_jobs.model import AnyJob, RunningJob
from semiont_jobs.retry import GiveUp, Retry, RetryPolicy, next_attempt


class Rules(Protocol):
    """The settings of a queue and its job types."""

    def policy_of(self, job: AnyJob) -> RetryPolicy: ...

    def timeout_of(self, job: AnyJob) -> float | None: ...


class Terms:
    """The terms of one claim. The worker's policy overrides the type's, and that the queue's; the
    job's time limit overrides its type's, and that the worker's."""

    def __init__(self, rules: Rules, policy: RetryPolicy | None) -> None:
        self._rules = rules
        self.policy = policy
        """The worker's, if it has one."""
        self.worker_timeout: float | None = None
        """Seconds that the worker allows for jobs without a limit."""

    def set(self, *, timeout: float | None = None, retry_policy: RetryPolicy | None = None) -> None:
        """Set what the worker has: seconds for jobs without a limit, a policy. None leaves what was
        set before."""
        self.worker_timeout = self.worker_timeout if timeout is None else timeout
        self.policy = retry_policy or self.policy

    def timeout(self, job: AnyJob) -> float | None:
        """Seconds the attempt may take; None: no limit."""
        own = job.metadata.timeout
        if own is not None:
            return own
        of_type = self._rules.timeout_of(job)
        return self.worker_timeout if of_type is None else of_type

    def deadline(self, job: RunningJob[Any, Any]) -> datetime | None:
        """When the attempt's time is up, by the clock as it was set when the attempt began; None:
        never."""
        seconds = self.timeout(job)
        return None if seconds is None else job.started_at + timedelta(seconds=seconds)

    def overdue(self, job: RunningJob[Any, Any], took: float) -> JobTimeout | None:
        """The error that ends an attempt that took that many seconds; None: its time is not up."""
        seconds = self.timeout(job)
        if seconds is None or took < seconds:
            return None
        return JobTimeout(f"it took more than its {seconds:g} seconds")

    def next_attempt(
        self, job: RunningJob[Any, Any], error: BaseException, now: datetime
    ) -> Retry | GiveUp:
        """Ask the policy once, after a failed attempt."""
        metadata = job.metadata
        decide = partial(
            next_attempt,
            error=error,
            retry_count=metadata.retry_count,
            max_retries=metadata.max_retries,
            started_at=job.started_at,
            now=now,
        )
        try:
            return decide(self.policy or self._rules.policy_of(job))
        except BaseException:  # noqa: BLE001 - a policy's strategies are user code
            logger.exception("the retry policy failed; the default one decides")
            return decide(RetryPolicy())
