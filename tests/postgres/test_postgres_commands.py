"""The command line on a database: the same commands, and one place at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Run, runner
from postgres.servers import sql

from semiont_jobs import JobQueue

PATIENCE = 60.0
Make = Callable[..., JobQueue]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("SEMIONT_JOBS_DIR", raising=False)
    return runner(capsys, monkeypatch)


def test_a_job_is_put_in_looked_at_cancelled_and_retried_by_url(run: Run, url: str) -> None:
    put = run("enqueue", "task", "--url", url, "--id", "j", "--params", '{"page": 1}')
    listed = run("--url", url, "list", "--json")
    cancelled = run("cancel", "--url", url, "j")
    retried = run("retry", "--url", url, "j")
    counted = run("stats", "--url", url, "--json")

    assert [0] * 5 == [each.code for each in (put, listed, cancelled, retried, counted)]
    assert [each["metadata"]["id"] for each in listed.lines] == ["j"]
    assert counted.json["pending"] == 1


@pytest.mark.parametrize(
    "command", [("list",), ("show", "j"), ("stats",), ("watch", "--once"), ("metrics",)]
)
def test_every_reading_command_reads_a_database(
    run: Run, make_queue: Make, url: str, command: tuple[str, ...]
) -> None:
    make_queue().enqueue({"page": 1}, type="a-type-of-job", id="j")

    ran = run(*command, "--url", url)

    assert (ran.code, ran.err) == (0, "")
    assert "a-type-of-job" in ran.out or "pending" in ran.out


@pytest.mark.parametrize("command", [("list",), ("cancel", "j"), ("rescue",)])
def test_a_command_makes_no_schema_where_there_is_none(
    run: Run, url: str, server_url: str, schema: str, command: tuple[str, ...]
) -> None:
    ran = run(*command, "--url", url)

    assert ran.code == 1
    assert "the schema is not there" in ran.err
    query = "SELECT count(*) FROM pg_namespace WHERE nspname = %s"
    assert sql(server_url, query, schema) == [(0,)]


def test_what_is_typed_goes_before_the_environment(
    run: Run, make_queue: Make, url: str, tmp_path: Path, monkeypatch: Any
) -> None:
    make_queue().enqueue({}, type="task", id="in-the-database")
    JobQueue(tmp_path, fsync=False).enqueue({}, type="task", id="in-the-folder")
    monkeypatch.setenv("SEMIONT_JOBS_DIR", str(tmp_path))
    by_url = run("list", "--url", url).out
    by_environment = run("list").out
    monkeypatch.setenv("SEMIONT_JOBS_URL", url)

    both = run("list")

    assert "in-the-database" in by_url
    assert "in-the-folder" in by_environment
    assert (both.code, "not both" in both.err) == (2, True)
    assert "in-the-folder" in run("--data-dir", str(tmp_path), "list").out


@pytest.mark.parametrize("wrong", ["mysql://me:secret@host/db", "/some/folder"])
def test_a_url_of_something_else_is_refused_without_its_password(run: Run, wrong: str) -> None:
    ran = run("list", "--url", wrong)

    assert ran.code == 2
    assert "postgresql://" in ran.err
    assert "secret" not in ran.err


def test_the_doctor_finds_a_healthy_database_healthy_and_changes_nothing(
    run: Run, make_queue: Make, url: str
) -> None:
    make_queue().enqueue({}, type="task", id="j")

    ran = run("doctor", "--url", url)
    figures = run("doctor", "--url", url, "--json").json

    assert (0, "") == (ran.code, ran.err)
    assert all(line.startswith("ok  ") for line in ran.out.splitlines())
    assert "a second session is kept out" in ran.out
    assert "notifications arrive" in ran.out
    assert "the oldest waits" in ran.out
    assert (True, [], 0) == (figures["healthy"], figures["bad"], figures["arriving"])


def test_the_doctor_finds_what_is_no_job_dead_workers_and_broken_off_transfers(
    run: Run, make_queue: Make, url: str, server_url: str, schema: str
) -> None:
    queue = make_queue()
    for job_id in ("bad", "dead", "old"):
        queue.enqueue({}, type="task", id=job_id)
    claim = queue.claim_next_job(accept=lambda job: bool(job.metadata.id == "dead"))
    assert claim is not None
    queue.store.arrive("halfway", b"{}", "0" * 32)  # type: ignore[attr-defined]
    for change in (
        "UPDATE {s}.jobs SET document = '{{}}' WHERE id = 'bad'",
        "UPDATE {s}.jobs SET owner = 7 WHERE id = 'dead'",
        "UPDATE {s}.jobs SET due = now() - interval '2 hours' WHERE id = 'old'",
        "INSERT INTO {s}.quarantine (name, reason, document) VALUES ('q', 'no job', '')",
    ):
        sql(server_url, change.format(s=schema))

    ran = run("doctor", "--url", url, "--json")
    figures = ran.json
    looks = [line.split()[1] for line in run("doctor", "--url", url).out.splitlines()
             if line.startswith("LOOK")]  # fmt: skip

    assert (1, False) == (ran.code, figures["healthy"])
    assert ["bad"] == [each["id"] for each in figures["bad"]]
    assert (["dead"], ["q"], 1) == (
        figures["orphans"],
        figures["quarantined"],
        figures["arriving"],
    )
    assert figures["oldestPendingAge"] > 7000
    assert {"rows", "orphans", "quarantine", "arriving", "pending"} <= set(looks)


WORKER = """
from semiont_jobs import job_handler

@job_handler("task")
def work(params):
    return params["page"] + 1
"""


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_worker_works_off_what_is_in_a_database(
    make_queue: Make, url: str, tmp_path: Path, processes: str
) -> None:
    (tmp_path / "labour.py").write_text(WORKER)
    queue = make_queue()
    for page in range(6):
        queue.enqueue({"page": page}, type="task", id=f"j-{page}")
    command = [sys.executable, "-m", "semiont_jobs", "worker", "labour:work", "--url", url]

    ran = subprocess.run(
        [*command, "--burst", "--processes", processes],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    jobs: list[Any] = queue.query_jobs(status="complete")
    assert sorted(job.result["value"] for job in jobs) == [1, 2, 3, 4, 5, 6]
