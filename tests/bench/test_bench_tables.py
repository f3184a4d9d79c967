"""What the benchmark says follows from what it measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DOCUMENTED = Path(__file__).parents[2] / "docs" / "explanation" / "performance"


def test_a_ratio_is_taken_round_by_round(modules: Any) -> None:
    figures = modules("figures").Figures(print)
    figures.add("drain", "ours", 50.0, 30.0, 90.0)
    figures.add("drain", "bare", 100.0, 50.0, 100.0)

    assert figures.ratios(("drain", "ours"), ("drain", "bare")) == [0.5, 0.6, 0.9]
    assert figures.ratios(("drain", "ours"), ("drain", "npm")) == []


@pytest.mark.parametrize(
    ("ours", "measured_as", "is_met"), [(59.0, "59 %", False), (60.0, "60 %", True)]
)
def test_a_target_is_met_from_its_bound_on(
    modules: Any, ours: float, measured_as: str, is_met: bool
) -> None:
    figures = modules("figures").Figures(print)
    figures.add("enqueue given", "ours", ours)
    figures.add("enqueue given", "bare", 100.0)

    (verdict,) = modules("targets").verdicts(figures)

    assert (verdict["measured"], verdict["met"]) == (measured_as, is_met)


@pytest.mark.parametrize(
    ("ours", "bare", "is_met"),
    [(1.6, 2.0, True), (1.35, 1.5, True), (1.34, 1.5, False), (1.55, 1.9, False)],
)
def test_two_processes_need_not_scale_further_than_the_disk_does(
    modules: Any, ours: float, bare: float, is_met: bool
) -> None:
    figures = modules("figures").Figures(print)
    for who, scaling in (("ours", ours), ("bare", bare)):
        figures.add("drain 1 process", who, 100.0)
        figures.add("drain 2 processes", who, 100.0 * scaling)

    (verdict,) = modules("targets").verdicts(figures)

    assert verdict["met"] == is_met


def cells_of(modules: Any, who: str, figures: Any) -> list[str]:
    """What the table of threads says of a queue's drain: singly and together, by one and by eight."""
    table = modules("table")
    columns = ("drain singly", "drain singly 8 threads", "drain", "drain 8 threads")
    assert set(columns) < set(table.THREADS)
    return [table._cell(column, who, figures) for column in columns]


def test_the_two_ways_of_draining_are_never_in_one_column(modules: Any) -> None:
    figures = modules("figures").Figures(print)
    for row, rate in (("drain", 50), ("drain singly", 30), ("drain 8 threads", 40)):
        figures.add(row, "ours-fsync", rate)
    figures.add("drain", "huey-sqlite-fsync", 35)
    figures.add("drain 8 threads", "huey-sqlite-fsync", 20)

    assert cells_of(modules, "ours-fsync", figures) == ["30", "", "50", "40"]
    assert cells_of(modules, "huey-sqlite-fsync", figures) == ["35", "20", "", ""]


def test_what_is_measured_in_another_python_is_compared_by_threads_alone(modules: Any) -> None:
    table, chart, figures = modules("table"), modules("chart"), modules("figures").Figures(print)
    for row in ("enqueue", "enqueue 8 threads", "drain", "drain 4 threads"):
        for who, rate in (("ours", 10), ("ours-free", 20)):
            figures.add(row, who, rate)
    kind = {"durability": "process", "jobs": 1}
    kinds = {
        "ours": {**kind, "label": "ours", "twin_of": ""},
        "ours-free": {**kind, "label": "twin", "twin_of": "ours"},
    }

    assert "twin" not in table._compared({"kinds": kinds}, figures, table.RATES, "jobs")
    assert "twin" in table._of_threads({"kinds": kinds}, figures)
    bars = {
        row: chart.bars_of(row, {"kinds": kinds}, figures) for row in ("drain", "drain 4 threads")
    }
    assert [bar.label for bar in bars["drain"]] == ["ours"]
    assert [bar.label for bar in bars["drain 4 threads"]] == ["twin", "ours"]


def test_threads_of_another_python_are_judged_beside_those_of_this_one(modules: Any) -> None:
    figures = modules("figures").Figures(print)
    for who, by_eight in (("ours-fsync", 15), ("ours-fsync-free", 25)):
        figures.add("drain singly", who, 10)
        figures.add("drain singly 8 threads", who, by_eight)

    verdicts = {each["target"]: each["met"] for each in modules("targets").verdicts(figures)}

    assert verdicts == {
        "drain with fsync, 8 threads, of 1 thread": False,
        "drain with fsync, 8 threads, of 1 thread, free-threaded": True,
    }


def test_a_job_that_is_lost_in_one_round_of_many_is_told(modules: Any) -> None:
    table, targets = modules("table"), modules("targets")
    figures = modules("figures").Figures(print)
    figures.add("not run", "ours", 0, 0, 1)
    figures.add("run again", "ours", 2, 0, 0)
    figures.note("contending", "ours", "failed: silent")

    told = table._cell("contending", "ours", figures)
    verdicts = {each["target"]: each["met"] for each in targets.verdicts(figures)}

    assert told == "1 / 2; failed: silent"
    assert verdicts == {
        "8 processes: jobs not run": False,
        "8 processes: jobs run more than once": False,
    }


def test_the_picture_shows_both_ways_of_draining(modules: Any) -> None:
    figures = modules("figures").Figures(print)
    figures.add("drain", "ours-fsync", 50)
    figures.add("drain singly", "ours-fsync", 30)
    figures.add("drain", "bare-fsync", 35)
    kinds = {name: {"label": name, "durability": "power"} for name in ("ours-fsync", "bare-fsync")}

    bars = modules("chart").bars_of("drain", {"kinds": kinds}, figures)

    assert [(bar.label, bar.middle) for bar in bars] == [
        ("ours-fsync, durable together", 50),
        ("bare-fsync", 35),
        ("ours-fsync, each waited for", 30),
    ]


def test_a_target_of_a_drain_names_how_the_jobs_were_drained(modules: Any) -> None:
    targets = modules("targets")

    drains = [target for target in targets.TARGETS if target.title.startswith("drain")]

    assert len(drains) > 10
    assert {target.drained for target in drains} == {targets.SINGLY, targets.LOOP}


def test_the_documented_tables_are_those_of_the_documented_figures(modules: Any) -> None:
    data = json.loads((DOCUMENTED / "performance.json").read_text(encoding="utf-8"))
    figures = modules("figures").figures_of(data["figures"])

    tables = modules("table").rst(data, figures)

    assert tables == (DOCUMENTED / "tables.inc").read_text(encoding="utf-8")
    assert data["targets"] == modules("targets").verdicts(figures)


def test_the_documented_table_of_disks_is_that_of_the_documented_figures(modules: Any) -> None:
    runs = []
    for data in json.loads((DOCUMENTED / "disks.json").read_text(encoding="utf-8")):
        figures = modules("figures").figures_of(data["figures"])
        runs.append((data, figures))
        assert data["targets"] == modules("targets").verdicts(figures)

    table = modules("table").of_disks(runs)

    assert table == (DOCUMENTED / "disks.inc").read_text(encoding="utf-8")
    # From the fastest disk to the slowest.
    spent = [data["system"]["disk"]["record"] for data, _figures in runs]
    assert spent == sorted(spent)


def test_what_a_queue_reads_is_named_beside_how_long_it_takes(modules: Any) -> None:
    figures = modules("figures").Figures(print)
    figures.add("list", "npm", 50)
    figures.add("stats", "npm", 3)
    figures.add("stats", "persist-queue", 2)
    calls = {"lists": "listJobs()", "counts": "getStats()"}
    data = {
        "kinds": {
            "npm": {"label": "npm", **calls},
            "dirq": {"label": "dirq", "lists": "", "counts": ""},
            "persist-queue": {"label": "persist-queue", "lists": "", "counts": "acked_count()"},
        }
    }

    table = modules("table")._read(data, figures)

    cells = [
        line.removeprefix("   * - ").strip().removeprefix("-").strip()
        for line in table.splitlines()
    ]
    assert cells[8:] == [
        *("npm", "50", "listJobs()", "3", "getStats()"),
        *("persist-queue", "", "", "2", "acked_count()"),
    ]


def test_a_job_that_is_not_rescued_has_that_in_its_row(modules: Any) -> None:
    table = modules("table")
    figures = modules("figures").Figures(print)
    figures.note("rescue", "rq", "not within 30 s: 1 started")
    figures.add("rescue", "ours", 500)

    cells = [table._cell("rescue", who, figures) for who in ("rq", "ours", "dirq")]

    assert cells == ["not within 30 s: 1 started", "run again after 500 ms", ""]


def run_on_tmpfs(modules: Any) -> tuple[dict[str, Any], Any]:
    """Figures of ours and one that is made durable, which is not shown."""
    figures = modules("figures").Figures(print)
    for who in ("ours", "ours-fsync"):
        for row in ("enqueue", "batch", "drain", "drain 1 process", "drain 2 processes"):
            figures.add(row, who, len(row))
    system = {"versions": {"Python": "3.11"}, "file system": "tmpfs", "day": "today", "cores": 2}
    kinds = {
        "ours": {"label": "ours, fsync=False", "durability": "process", "jobs": 3000},
        "ours-fsync": {"label": "ours", "durability": "power", "jobs": 1000},
    }
    return {"system": system, "kinds": kinds, "rounds": 5, "quick": False}, figures


def test_the_table_of_a_tmpfs_shows_what_does_not_wait_for_a_disk(modules: Any) -> None:
    told = modules("table").of_tmpfs(run_on_tmpfs(modules))

    assert "today, tmpfs, 2 cores; Python 3.11; 5 rounds" in told
    rows = told.split("   * - ")
    assert rows[1:] == [
        "ours, fsync=False\n     - process\n     - 3 000\n     - 7\n     - 5\n     - 5\n"
        "     - 17\n     - 1.13\n"
    ]


def test_without_a_run_on_a_tmpfs_the_page_says_nothing_of_it(modules: Any) -> None:
    told = modules("table").of_tmpfs(None)

    assert [line for line in told.splitlines() if line and not line.startswith("..")] == []


def test_the_documented_table_of_a_tmpfs_is_that_of_the_documented_figures(modules: Any) -> None:
    kept = DOCUMENTED / "tmpfs.json"
    run = None
    if kept.exists():
        data = json.loads(kept.read_text(encoding="utf-8"))
        run = (data, modules("figures").figures_of(data["figures"]))

    table = modules("table").of_tmpfs(run)

    assert table == (DOCUMENTED / "tmpfs.inc").read_text(encoding="utf-8")
