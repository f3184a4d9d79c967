"""metrics tells figures of a directory, in Prometheus' format and as JSON, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from semiont_jobs import JobQueue

if TYPE_CHECKING:
    from conftest import Run


def a_few_jobs(queue: JobQueue) -> None:
    queue.enqueue({}, type="t")
    claim = queue.claim_next_job()
    assert claim is not None
    claim.complete()
    queue.enqueue({}, type='odd "type"\n', queue="night")


def test_figures_are_told_in_prometheus_format(run: Run, queue: JobQueue) -> None:
    a_few_jobs(queue)

    ran = run("metrics")

    assert (0, "") == (ran.code, ran.err)
    lines = ran.out.splitlines()
    assert 'semiont_jobs_stored_jobs{type="t",queue="default",status="complete"} 1' in lines
    assert r'semiont_jobs_due_jobs{type="odd \"type\"\n",queue="night"} 1' in lines
    assert "# TYPE semiont_jobs_stored_run_seconds histogram" in lines
    assert not any("_total" in line for line in lines)


def test_figures_are_told_as_json(run: Run, queue: JobQueue) -> None:
    a_few_jobs(queue)

    found = run("metrics", "--json").json

    by_type = {one["type"]: one for one in found["stored"]}
    assert (1, 1, 0) == (found["due"], by_type["t"]["jobs"]["complete"], found["unreadable"])
    assert (1, 1) == (by_type["t"]["runSeconds"]["count"], by_type["t"]["waitSeconds"]["count"])
    assert found["oldestDueAge"] == by_type['odd "type"\n']["oldestDueAge"] >= 0


def test_a_directory_that_there_is_not_is_refused(run: Run, data: Path) -> None:
    ran = run("metrics")

    assert (1, True) == (ran.code, "there is no data directory" in ran.err)
    assert not data.exists()
