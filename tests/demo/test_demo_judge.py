"""The judge of the demonstration sees what it should."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from semiont_jobs.demo.judge import judge
from semiont_jobs.demo.witness import Account
from semiont_jobs.model import AnyJob, CompleteJob, JobMetadata, PendingJob

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def complete(job_id: str) -> AnyJob:
    return CompleteJob(
        metadata=JobMetadata(id=job_id, type="t"),  # type: ignore[arg-type]
        params={},
        started_at=NOON,
        completed_at=NOON,
    )


def pending(job_id: str) -> AnyJob:
    return PendingJob(metadata=JobMetadata(id=job_id, type="t"), params={})  # type: ignore[arg-type]


def saw(starts: str, outcomes: str) -> Account:
    return Account(starts=Counter(starts.split()), outcomes=Counter(outcomes.split()))


def test_a_run_without_contradictions_is_clean() -> None:
    verdict = judge(["a", "b"], [complete("a"), complete("b")], saw("a b b", "a b"))

    assert verdict.is_clean


def test_an_outcome_that_a_killed_worker_could_not_note_is_no_contradiction() -> None:
    verdict = judge(["a"], [complete("a")], saw("a", ""))

    assert verdict.is_clean


@pytest.mark.parametrize(
    ("planned", "jobs", "account", "contradiction"),
    [
        (["a", "b"], [complete("a")], saw("a", "a"), "lost"),
        ([], [complete("a")], saw("a", "a"), "not planned"),
        (["a"], [pending("a")], saw("a", ""), "unfinished"),
        (["a"], [complete("a")], saw("", "a"), "complete without a start"),
        (["a"], [complete("a")], saw("a a", "a a"), "outcome recorded twice"),
        (["a"], [pending("a")], saw("a", "a"), "outcome undone"),
    ],
)
def test_every_contradiction_is_found(
    planned: list[str], jobs: list[AnyJob], account: Account, contradiction: str
) -> None:
    found = judge(planned, jobs, account).contradictions()

    assert found[contradiction]
