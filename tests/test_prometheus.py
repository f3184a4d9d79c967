"""What Prometheus is given, read by its own parser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from semiont_jobs import FileStore, JobQueue, prometheus_text
from semiont_jobs.metrics import BOUNDS
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.waiting import eventually

NASTY = 'a\\b"c"\nd{e="f"} 7\u2028'


def families(text: str) -> dict[str, Any]:
    found = {each.name: each for each in text_string_to_metric_families(text)}
    assert all(each.startswith("semiont_jobs_") for each in found)
    return found


def value(family: Any, suffix: str = "", **labels: str) -> float:
    [found] = [
        sample.value
        for sample in family.samples
        if sample.name == family.name + suffix and labels.items() <= sample.labels.items()
    ]
    return float(found)


@pytest.fixture
def queue(tmp_path: Path) -> JobQueue:
    clock = FakeClock()
    queue = JobQueue(tmp_path, fsync=False, clock=clock)
    queue.enqueue({}, type="t", id="done")
    clock.advance(3)
    claim = eventually(queue.claim_next_job)
    clock.advance(0.25)
    claim.complete()
    queue.enqueue({}, type=NASTY, queue=NASTY)
    clock.advance(7)
    return queue


def test_what_is_stored_is_read_as_it_was_counted(queue: JobQueue) -> None:
    found = families(prometheus_text(queue.metrics()))

    jobs = found["semiont_jobs_stored_jobs"]
    assert (1, 0) == (
        value(jobs, type="t", status="complete"),
        value(jobs, type="t", status="pending"),
    )
    assert 1 == value(jobs, type=NASTY, queue=NASTY, status="pending")
    assert 7.0 == value(found["semiont_jobs_oldest_due_age_seconds"], type=NASTY)
    assert 1 == value(found["semiont_jobs_due_jobs"], type=NASTY)
    assert 0 == value(found["semiont_jobs_unreadable_entries"])


@pytest.mark.parametrize(
    ("name", "total"), [("stored_wait", 3.0), ("stored_run", 0.25), ("wait", 3.0), ("run", 0.25)]
)
def test_a_histogram_is_whole(queue: JobQueue, name: str, total: float) -> None:
    family = families(prometheus_text(queue.metrics()))[f"semiont_jobs_{name}_seconds"]

    buckets = [
        (float(sample.labels["le"]), sample.value)
        for sample in family.samples
        if sample.name.endswith("_bucket") and sample.labels["type"] == "t"
    ]
    assert "histogram" == family.type
    assert [*BOUNDS, float("inf")] == [bound for bound, _ in buckets]
    assert [float(bound >= total) for bound, _ in buckets] == [count for _, count in buckets]
    assert (1, total) == (value(family, "_count", type="t"), value(family, "_sum", type="t"))


def test_what_lasts_longer_than_all_bounds_is_in_the_last_bucket_only(tmp_path: Path) -> None:
    clock = FakeClock()
    queue = JobQueue(tmp_path, fsync=False, clock=clock)
    queue.enqueue({}, type="t")
    clock.advance(2 * BOUNDS[-1])
    eventually(queue.claim_next_job).complete()

    waits = families(prometheus_text(queue.metrics()))["semiont_jobs_stored_wait_seconds"]

    assert (0, 1) == (
        value(waits, "_bucket", le=str(BOUNDS[-1])),
        value(waits, "_bucket", le="+Inf"),
    )


def test_counters_are_totals_of_this_process_and_gauges_are_not(queue: JobQueue) -> None:
    found = families(prometheus_text(queue.metrics()))

    for name, family in found.items():
        ends = {sample.name.removeprefix(name) for sample in family.samples}
        assert (family.type == "counter") == (ends == {"_total"}), name
        assert family.documentation, name
    assert 1 == value(found["semiont_jobs_completed"], "_total", type="t")
    assert 1 == value(found["semiont_jobs_created"], "_total", type="t")
    assert 0 == value(found["semiont_jobs_in_flight_jobs"], type="t")


def test_who_only_looks_tells_of_what_is_stored_only(queue: JobQueue, tmp_path: Path) -> None:
    looking = JobQueue(FileStore(tmp_path, read_only=True))

    found = families(prometheus_text(looking.metrics()))

    assert all(family.type != "counter" for family in found.values())
    assert "semiont_jobs_stored_jobs" in found


def test_a_text_that_has_no_utf_8_form_is_escaped(queue: JobQueue, tmp_path: Path) -> None:
    path = next((tmp_path / "jobs/complete").iterdir())
    path.write_text(path.read_text().replace('"t"', '"\\ud800"'))

    text = prometheus_text(JobQueue(FileStore(tmp_path, read_only=True)).metrics())

    assert 'type="\\\\ud800"' in text
    assert text.encode("utf-8")


def test_an_empty_queue_has_figures_too(tmp_path: Path) -> None:
    text = prometheus_text(JobQueue(tmp_path / "new", fsync=False).metrics())

    assert 0 == value(families(text)["semiont_jobs_unreadable_entries"])
