"""The terms of an attempt: how long it may take, and what follows when it fails.

It must not know claims: it is told the job, and what queue, type and worker say.
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
    """What a queue and its job types say."""

    def policy_of(self, job: AnyJob) -> RetryPolicy: ...

    def timeout_of(self, job: AnyJob) -> float | None: ...


class Terms:
    """Those of one claim. The worker's policy goes before the type's and the queue's; the job's
    time limit before its type's, and that before the worker's."""

    def __init__(self, rules: Rules, policy: RetryPolicy | None) -> None:
        self._rules = rules
        self.policy = policy
        """The worker's, if it has one."""
        self.worker_timeout: float | None = None
        """Seconds that the worker gives to jobs without a limit."""

    def set(self, *, timeout: float | None = None, retry_policy: RetryPolicy | None = None) -> None:
        """What whoever runs the work brings along: seconds for jobs without a limit, a policy.
        None leaves what was set before."""
        self.worker_timeout = self.worker_timeout if timeout is None else timeout
        self.policy = retry_policy or self.policy

    def timeout(self, job: AnyJob) -> float | None:
        """Seconds the attempt may take; None: any time."""
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
        """What an attempt that took so many seconds ends with; None while its time is not up."""
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
