"""The report of a demonstration as text for a person.

It must not know how its figures were computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from semiont_jobs.demo.report import Report

_FIGURES: Final[Mapping[str, str]] = {
    "total_found": "named things found",
    "highlights_found": "key passages",
    "tags_found": "structural roles",
    "assessments_found": "readability assessments",
    "comments_found": "comments on defined terms",
}


def print_summary(report: Report) -> None:
    """Print it to standard output."""
    print("\n".join(_lines(report)))


def _lines(report: Report) -> Iterator[str]:
    yield ""
    done = f"{report.complete} of {report.jobs} jobs complete"
    yield f"{report.documents} documents annotated: {done}"
    yield f"  {report.seconds} s, {report.jobs_per_second} jobs/s, {report.attempts} attempts"
    yield f"  {report.retries} retries, {report.failed} failed"
    yield ""
    for name, figures in report.results.items():
        found = ", ".join(
            f"{figures[key]} {label}" for key, label in _FIGURES.items() if key in figures
        )
        yield f"  {name:<22} {found or 'digest pages written'}"
    yield ""
    names = [f"{name} ({count})" for name, count in report.top_entities]
    yield f"  most mentioned: {', '.join(names[:4])},"
    yield f"                  {', '.join(names[4:])}"
    yield ""
    if report.workers_killed:
        yield (
            f"Killed {report.workers_killed} worker processes with SIGKILL, "
            "in the middle of jobs;\n"
            f"{report.rescued} jobs were rescued and done by others."
        )
    yield "Plan, directory and the workers' own logs compared:"
    for check, count in report.verdict.items():
        yield f"  {check:<26} {count or 'none'}"
    yield "Nothing was lost, no outcome recorded twice." if report.is_clean else "IT IS WRONG."
    yield ""
    yield f"The jobs stay in {report.data_dir}/jobs. Look at them:"
    yield f"  semiont-jobs --data-dir {report.data_dir} stats"
    yield f"  semiont-jobs --data-dir {report.data_dir} list --limit 5"
    if report.sample_page:
        yield f"  cat {report.sample_page}"
