"""The results of a demonstration, computed from the jobs and the files they made.

It must not know how it is shown.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import asdict, frozen

from semiont_jobs.demo.judge import Verdict
from semiont_jobs.model import AnyJob

TOP_ENTITIES: Final = 8
"""Names shown of those found most often: a line or two of a terminal."""


@frozen(kw_only=True)
class Report:
    """Every figure is of this run."""

    documents: int
    jobs: int
    complete: int
    failed: int
    retries: int
    seconds: float
    jobs_per_second: float
    attempts: int
    workers_killed: int
    rescued: int
    results: Mapping[str, Mapping[str, int]]
    """By job type: the sums of its results' figures."""
    top_entities: Sequence[tuple[str, int]]
    verdict: Mapping[str, int]
    """By check: how many jobs contradict it."""
    is_clean: bool
    data_dir: str
    sample_page: str

    def as_json(self) -> str:
        """The report as JSON, for programs."""
        return json.dumps(asdict(self), indent=2)


def make_report(
    data_dir: Path,
    jobs: Sequence[AnyJob],
    verdict: Verdict,
    *,
    documents: int,
    seconds: float,
    workers_killed: int,
    pages: Sequence[Path],
) -> Report:
    """Count the results."""
    ended = [job for job in jobs if job.status in ("complete", "failed")]
    attempts = [attempt for job in jobs for attempt in job.metadata.attempts]
    return Report(
        documents=documents,
        jobs=len(jobs),
        complete=sum(job.status == "complete" for job in jobs),
        failed=sum(job.status == "failed" for job in jobs),
        retries=sum(job.metadata.retry_count for job in jobs),
        seconds=round(seconds, 2),
        jobs_per_second=round(len(ended) / seconds, 1),
        attempts=len(attempts),
        workers_killed=workers_killed,
        rescued=sum(attempt.outcome == "crashed" for attempt in attempts),
        results=_sums(jobs),
        top_entities=_top_entities(data_dir),
        verdict={name: len(ids) for name, ids in verdict.contradictions().items()},
        is_clean=verdict.is_clean,
        data_dir=str(data_dir),
        sample_page=str(max(pages, key=lambda page: page.stat().st_size)) if pages else "",
    )


def _sums(jobs: Sequence[AnyJob]) -> Mapping[str, Mapping[str, int]]:
    sums: dict[str, Counter[str]] = {}
    for job in jobs:
        counter = sums.setdefault(job.metadata.type, Counter())
        if job.status == "complete" and job.result is not None:
            counter.update(
                {k: v for k, v in asdict(job.result, recurse=False).items() if type(v) is int}
            )
    return {name: dict(counter) for name, counter in sorted(sums.items())}


def _top_entities(data_dir: Path) -> list[tuple[str, int]]:
    names: Counter[str] = Counter()
    for path in (data_dir / "annotations" / "detection").glob("*.json"):
        found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
        names.update(entity["name"] for entity in found)
    return names.most_common(TOP_ENTITIES)
