"""The report of a demonstration is told in lines that a terminal holds."""

import pytest
from attrs import evolve

from semiont_jobs.demo.report import Report
from semiont_jobs.demo.summary import print_summary

REPORT = Report(
    documents=2,
    jobs=12,
    complete=12,
    failed=0,
    retries=1,
    seconds=1.5,
    jobs_per_second=8.0,
    attempts=14,
    workers_killed=2,
    rescued=3,
    results={"detection": {"total_found": 5}, "generation": {}},
    top_entities=[(f"name{n}", 9 - n) for n in range(8)],
    verdict={"lost": 0, "recorded twice": 0},
    is_clean=True,
    data_dir="demo",
    sample_page="demo/pages/types.md",
)


def test_every_figure_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(REPORT)

    told = capsys.readouterr().out
    for figure in (
        "2 documents annotated: 12 of 12 jobs complete",
        "1.5 s, 8.0 jobs/s, 14 attempts",
        "1 retries, 0 failed",
        "5 named things found",
        "name0 (9)",
        "name7 (2)",
        "Killed 2 worker processes",
        "3 jobs were rescued",
        "Nothing was lost",
        "cat demo/pages/types.md",
    ):
        assert figure in told
    assert max(len(line) for line in told.splitlines()) <= 80


def test_a_contradiction_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = evolve(REPORT, verdict={"lost": 2}, is_clean=False, workers_killed=0)

    print_summary(report)

    told = capsys.readouterr().out
    assert "lost                       2" in told
    assert "IT IS WRONG" in told
    assert "Killed" not in told
