"""enqueue, retry, cancel, cleanup, remove, rescue and doctor do what they say."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from semiont_jobs import DetectionParams, FileStore, JobQueue, PendingJob, now

if TYPE_CHECKING:
    from conftest import Run


def test_enqueue_makes_the_directory_and_prints_the_id(run: Run, queue: JobQueue) -> None:
    ran = run("enqueue", "thumbnail", "--params", '{"path": "é.png"}')

    job = queue.get_job(ran.out.strip())
    assert isinstance(job, PendingJob)
    assert ("thumbnail", {"path": "é.png"}) == (job.metadata.type, job.params)


def test_enqueue_takes_every_option(run: Run, queue: JobQueue) -> None:
    run(
        *("enqueue", "t", "--id", "a", "--user-id", "ann", "--queue", "q", "--priority", "7"),
        *("--run-after", "2030-01-01T00:00:00Z", "--max-retries", "1", "--timeout", "2.5"),
    )

    job = queue.get_job("a")
    assert job is not None
    assert ("ann", "q", 7, datetime(2030, 1, 1, tzinfo=UTC), 1, 2.5) == (
        job.metadata.user_id,
        job.metadata.queue,
        job.metadata.priority,
        job.metadata.run_after,
        job.metadata.max_retries,
        job.metadata.timeout,
    )


def test_a_span_means_from_now(run: Run, queue: JobQueue) -> None:
    run("enqueue", "t", "--id", "a", "--run-after", "2h")

    job = queue.get_job("a")
    assert job is not None
    assert job.metadata.run_after is not None
    assert timedelta(hours=1) < job.metadata.run_after - now() <= timedelta(hours=2)


def test_a_span_means_so_many_seconds(run: Run, queue: JobQueue) -> None:
    run("enqueue", "t", "--id", "a", "--timeout", "30m")

    job = queue.get_job("a")
    assert job is not None
    assert 1800 == job.metadata.timeout


def test_params_come_from_a_file_or_standard_input(
    run: Run, queue: JobQueue, tmp_path: Path
) -> None:
    file = tmp_path / "params.json"
    file.write_text('{"from": "file"}')

    run("enqueue", "t", "--id", "a", "--params", f"@{file}")
    run("enqueue", "t", "--id", "b", "--params", "-", stdin='{"from": "stdin"}')

    assert ["stdin", "file"] == [job.params["from"] for job in queue.query_jobs()]


def test_params_that_are_no_text_are_told_in_one_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_bytes(b'{"name": "Bj\xf6rn"}')

    ran = run("enqueue", "t", "--params", f"@{file}")

    assert (2, 1) == (ran.code, ran.err.count("\n"))
    assert "--params is not UTF-8" in ran.err


def test_a_batch_has_one_job_a_line_in_order(run: Run, queue: JobQueue) -> None:
    ran = run("enqueue", "t", "--batch", "--json", "--params", "-", stdin='{"n":1}\n\n{"n":2}\n')

    found = [queue.get_job(line["id"]) for line in ran.lines]
    assert [1, 2] == [job.params["n"] for job in found if job]


@pytest.mark.parametrize(
    ("third", "message"),
    [
        ("{", "line 3 of --params is not JSON: "),
        ("[]", "line 3 of --params must be a JSON object"),
        ("[" * 100_000, "line 3 of --params is nested too deeply"),
        ('{"n": "\\ud800"}', "line 3 of --params: "),
    ],
)
def test_a_line_of_a_batch_that_is_wrong_is_named(
    run: Run, queue: JobQueue, third: str, message: str
) -> None:
    ran = run("enqueue", "t", "--batch", "--params", "-", stdin=f'{{"n":1}}\n\n{third}\n')

    assert ran.code in (1, 2)
    assert ran.err.startswith(f"semiont-jobs: error: {message}")
    assert 0 == queue.get_stats().total


def test_a_batch_of_nothing_is_wrong_usage(run: Run) -> None:
    ran = run("enqueue", "t", "--batch", stdin='{"n":1}\n')

    assert 2 == ran.code
    assert "--params @FILE, or - for standard input" in ran.err


def test_only_the_end_of_a_line_parts_a_batch(run: Run, queue: JobQueue) -> None:
    text = "one\u2028two\x85three"

    run("enqueue", "t", "--batch", "--params", "-", stdin=f'{{"text":"{text}"}}\r\n')

    assert [{"text": text}] == [job.params for job in queue.query_jobs()]


def test_params_of_a_known_type_are_checked(run: Run, queue: JobQueue) -> None:
    good = run("enqueue", "detection", "--params", '{"resourceId": "r", "entityTypes": []}')
    missing = run("enqueue", "detection", "--params", '{"resourceId": "r"}')
    unknown = run("enqueue", "highlight-detection", "--params", '{"resourceId":"r","dens":1}')
    outside = run("enqueue", "highlight-detection", "--params", '{"resourceId":"r","density":99}')

    job = queue.get_job(good.out.strip())
    assert job is not None
    assert DetectionParams(resource_id="r", entity_types=()) == job.params  # type: ignore[arg-type]
    assert "params.entityTypes: missing" in missing.err
    assert "params.dens" in unknown.err
    assert "params.density: density is from 1 to 15" in outside.err
    assert [1, 1, 1] == [missing.code, unknown.code, outside.code]
    assert 1 == queue.get_stats().total


@pytest.mark.parametrize(
    "arguments",
    [
        ("t", "--params", '{"a": NaN}'),
        ("t", "--params", '{"a": -Infinity}'),
        ("t", "--params", '{"a": 1e999}'),
        ("t", "--params", "{}", "--priority", "1000"),
        ("t", "--params", "{}", "--timeout", "nan"),
        ("t", "--params", "{}", "--id", "../x"),
        ("detection", "--params", "{}"),
        ("t", "--params", "-"),
    ],
)
def test_a_refused_job_leaves_nothing_behind(
    run: Run, data: Path, arguments: tuple[str, ...]
) -> None:
    too_large = f'{{"a": "{"x" * 15_000_000}"}}'

    ran = run("enqueue", *arguments, stdin=too_large)

    assert ran.code in (1, 2)
    assert 1 == ran.err.count("\n")
    assert not data.exists()


@pytest.mark.parametrize("id_", ["../x", "a/b", "", "x" * 129])
def test_an_id_that_no_job_may_have_is_refused(run: Run, id_: str) -> None:
    ran = run("enqueue", "t", "--id", id_)

    assert (2, True) == (ran.code, "metadata.id" in ran.err)


def test_an_id_that_exists_is_refused(run: Run) -> None:
    run("enqueue", "t", "--id", "a")

    ran = run("enqueue", "t", "--id", "a")

    assert (1, True) == (ran.code, "exists already" in ran.err)


def test_jobs_are_cancelled_and_retried_each_told(run: Run, queue: JobQueue) -> None:
    for name in ("a", "b"):
        queue.enqueue({}, type="t", id=name)

    cancelled = run("cancel", "a", "nope", "b")
    retried = run("retry", "a", "--json")
    refused = run("retry", "a")

    assert (1, "a cancelled\nb cancelled\n") == (cancelled.code, cancelled.out)
    assert "nope" in cancelled.err
    assert [{"id": "a", "done": True, "error": None}] == retried.lines
    assert (1, True) == (refused.code, "cannot retry a pending job" in refused.err)
    assert (1, 1) == (queue.get_stats().pending, queue.get_stats().cancelled)


@pytest.mark.parametrize("everything", [(), ("--all",)])
def test_jobs_are_cancelled_by_filter(
    run: Run, queue: JobQueue, everything: tuple[str, ...]
) -> None:
    queue.enqueue({}, type="keep", queue="q")
    queue.enqueue({}, type="drop", queue="q")
    queue.enqueue({}, type="drop", queue="q")

    ran = run("cancel", *everything, "--type", "drop", "--queue", "q", "--json")

    assert {"cancelled": 2} == ran.json
    assert 1 == queue.get_stats().pending


def test_jobs_are_retried_by_filter(run: Run, queue: JobQueue) -> None:
    for type_, status in (("a", "failed"), ("a", "failed"), ("b", "failed"), ("b", "cancelled")):
        job = queue.enqueue({}, type=type_, max_retries=0)
        if status == "cancelled":
            queue.cancel_job(job.metadata.id)
        else:
            claim = queue.claim_next_job()
            assert claim is not None
            claim.fail("no")

    assert (2, True) == ((unsaid := run("retry")).code, "give filters" in unsaid.err)
    assert 2 == run("retry", "a", "--all").code
    assert {"retried": 2} == run("retry", "--type", "a", "--json").json
    assert "1 retried\n" == run("retry", "--all").out
    assert "0 retried\n" == run("retry", "--all").out
    assert "1 retried\n" == run("retry", "--status", "cancelled", "--type", "b").out
    assert 4 == queue.get_stats().pending


def test_a_running_job_is_asked_to_stop(run: Run, queue: JobQueue) -> None:
    queue.enqueue({}, type="t", id="a")
    claim = queue.claim_next_job()
    assert claim is not None

    ran = run("cancel", "a")

    claim.watch()
    assert (0, "a asked to stop\n") == (ran.code, ran.out)
    assert claim.cancelled.is_set()
    claim.cancel()


def test_a_job_that_is_complete_after_it_was_asked_to_stop_is_not_called_cancelled(
    run: Run, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue({}, type="t", id="a")
    claim = queue.claim_next_job()
    assert claim is not None
    really = JobQueue.cancel_job

    def cancel(self: JobQueue, id_: str) -> bool:
        is_asked = really(self, id_)
        claim.complete()
        return is_asked

    monkeypatch.setattr(JobQueue, "cancel_job", cancel)
    ran = run("cancel", "a")

    assert (0, "a asked to stop\n") == (ran.code, ran.out)


def test_only_what_ended_long_ago_is_removed(run: Run, queue: JobQueue) -> None:
    queue.enqueue({}, type="t")
    claim = queue.claim_next_job()
    assert claim is not None
    claim.complete()

    assert {"removed": 0} == run("cleanup", "--older-than", "1h", "--json").json
    threading.Event().wait(0.01)  # an end in this very millisecond is not long ago
    assert "1 removed\n" == run("cleanup", "--older-than", "0s").out
    assert 0 == queue.get_stats().total


def ended(queue: JobQueue) -> None:
    """One job of each status."""
    for status in ("complete", "failed", "cancelled", "running", "pending"):
        queue.enqueue({}, type="t", id=status, max_retries=0)
        if status == "cancelled":
            queue.cancel_job(status)
        elif status != "pending":
            claim = queue.claim_next_job()
            assert claim is not None
            if status == "complete":
                claim.complete()
            elif status == "failed":
                claim.fail("no")
            else:
                queue.keep(claim)


def ids(queue: JobQueue) -> list[str]:
    return sorted(job.metadata.id for job in queue.query_jobs())


def test_only_what_ended_in_one_way_is_removed(run: Run, queue: JobQueue) -> None:
    ended(queue)
    threading.Event().wait(0.01)

    removed = run("cleanup", "--older-than", "0s", "--status", "complete")
    both = run("cleanup", "--older-than", "0s", "--status", "failed", "--cancelled")
    unfinished = run("cleanup", "--older-than", "0s", "--status", "pending")

    assert "1 removed\n" == removed.out
    assert (2, True) == (both.code, "either --cancelled or --status" in both.err)
    assert 2 == unfinished.code
    assert ["cancelled", "failed", "pending", "running"] == ids(queue)


def test_finished_jobs_are_removed_by_name(run: Run, queue: JobQueue) -> None:
    ended(queue)

    removed = run("remove", "complete", "running", "nope", "failed")
    again = run("remove", "cancelled", "--json")
    none = run("remove")

    assert (1, "complete removed\nfailed removed\n") == (removed.code, removed.out)
    assert "cannot remove a running job" in removed.err
    assert "nope" in removed.err
    assert (0, [{"id": "cancelled", "done": True, "error": None}]) == (again.code, again.lines)
    assert 2 == none.code
    assert ["pending", "running"] == ids(queue)


def test_the_jobs_of_dead_workers_are_rescued(run: Run, data: Path) -> None:
    store = FileStore(data, fsync=False)
    queue = JobQueue(store)
    queue.enqueue({}, type="t", id="a")
    queue.claim_next_job()
    store.kill_holder("a")
    queue.close()  # else its own look-out for the dead may be first

    assert {"orphans": ["a"]} == {"orphans": run("doctor", "--json").json["orphans"]}
    ran = run("rescue", "--json")

    assert {"rescued": 1} == ran.json
    assert 1 == run("stats", "--json").json["pending"]


def test_a_healthy_directory_is_told_so(run: Run, queue: JobQueue) -> None:
    queue.initialize()

    assert (0, True) == (run("doctor").code, run("doctor", "--json").json["healthy"])


def test_the_doctor_finds_bad_files_duplicates_and_what_was_set_aside(
    run: Run, data: Path, queue: JobQueue
) -> None:
    queue.enqueue({}, type="t", id="a")
    jobs = data / "jobs"
    (jobs / "complete" / "bad.json").write_text("{")
    (jobs / "complete" / "odd-name").write_text("")
    text = (jobs / "pending" / "a.json").read_text()
    (jobs / "cancelled" / "a.json").write_text(
        text.replace('"pending"', '"cancelled"', 1)[:-2]
        + ',\n  "completedAt": "2026-01-01T00:00:00.000Z"\n}'
    )
    (jobs / ".quarantine" / "x-old.json").write_text("")

    ran = run("doctor", "--json")

    assert 1 == ran.code
    found = ran.json
    assert ["complete/bad.json", "complete/odd-name"] == [each["path"] for each in found["bad"]]
    assert (["a"], ["x-old.json"], False) == (
        found["duplicates"],
        found["quarantined"],
        found["healthy"],
    )
    assert "LOOK  duplicates" in run("doctor").out


def test_a_job_that_waited_long_is_found(run: Run, queue: JobQueue) -> None:
    old = now() - timedelta(hours=3)
    queue.enqueue({}, type="t", run_after=old)

    ran = run("doctor")

    assert (1, True) == (ran.code, "LOOK  pending      the oldest waits 3h" in ran.out)
