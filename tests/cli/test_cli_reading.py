"""list, show, stats and watch tell what is there, and change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from semiont_jobs import DetectionParams, JobQueue, PermanentError
from semiont_jobs.cli.main import cli

if TYPE_CHECKING:
    from conftest import Run


def snapshot(data: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in data.rglob("*.json")}


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("show", "a"), ("stats",), ("watch", "--once"), ("metrics",), ("doctor",)],
)
def test_a_command_that_reads_makes_no_directory(
    run: Run, data: Path, arguments: tuple[str, ...]
) -> None:
    ran = run(*arguments)

    assert ran.code == (2 if "doctor" in arguments else 1)
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("semiont-jobs: error: there is no data directory at ")
    assert not data.exists()


@pytest.mark.parametrize(
    "arguments", [("list",), ("stats",), ("watch", "--once"), ("metrics",), ("doctor",)]
)
def test_a_command_that_reads_changes_no_job(
    run: Run, data: Path, queue: JobQueue, arguments: tuple[str, ...]
) -> None:
    queue.enqueue({"n": 1}, type="t")
    before = snapshot(data)

    ran = run(*arguments)

    assert (0, "") == (ran.code, ran.err)
    assert before == snapshot(data)


def test_a_list_has_a_job_a_line_as_in_its_file(run: Run, data: Path, queue: JobQueue) -> None:
    queue.enqueue(DetectionParams(resource_id="r", entity_types=["Person"]), id="a")  # type: ignore[arg-type]
    queue.enqueue({"n": 1}, type="t", id="b")

    ran = run("list", "--json")

    files = [json.loads((data / f"jobs/pending/{name}.json").read_bytes()) for name in ("b", "a")]
    assert files == ran.lines


def test_a_list_is_filtered_and_limited(run: Run, queue: JobQueue) -> None:
    for name in ("a", "b", "c"):
        queue.enqueue({}, type="t", id=name, queue="q" if name == "c" else "default")

    assert ["c"] == [row["metadata"]["id"] for row in run("list", "--json", "--queue", "q").lines]
    assert [] == run("list", "--json", "--status", "failed").lines
    assert [] == run("list", "--json", "--type", "other").lines
    everything = run("list", "--json").lines
    assert everything[1:2] == run("list", "--json", "--limit", "1", "--offset", "1").lines
    assert 3 == len(run("list", "--json", "--all", "--limit", "1").lines)
    assert "no jobs\n" == run("list", "--user-id", "nobody").out


def test_a_job_is_shown_whole(run: Run, queue: JobQueue) -> None:
    queue.enqueue({"path": "x.png"}, type="t", id="a", max_retries=0)
    claim = queue.claim_next_job(worker="wanda")
    assert claim is not None
    claim.checkpoint(["first"])
    claim.fail(PermanentError("no such file"))

    shown = run("show", "a")
    for part in ("failed", "x.png", "wanda", "PermanentError: no such file", "first"):
        assert part in shown.out
    document = run("show", "a", "--json").json
    assert "failed" == document["status"]
    assert ["first"] == document["metadata"]["completedUnits"]


def test_a_long_value_is_shown_whole_on_a_line_of_its_own(run: Run, queue: JobQueue) -> None:
    words = "word " * 1000  # broken into lines, which takes time by the square, it is no line
    queue.enqueue({"text": words}, type="t", id="a")

    assert f"  text: {words}" in run("show", "a").out.splitlines()


def test_a_long_value_is_cut_on_a_terminal(
    run: Run, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue({"long": "x" * 9000, "short": "y" * 2000}, type="t", id="a")
    monkeypatch.setattr("rich.console.Console.is_terminal", True)

    shown = run("show", "a").out

    assert f"  long: {'x' * 2000}... 7,000 more characters: --json shows all\n" in shown
    assert f"  short: {'y' * 2000}\n" in shown


def test_a_running_job_is_shown_with_its_worker_and_progress(run: Run, queue: JobQueue) -> None:
    queue.enqueue({}, type="t", id="a")
    claim = queue.claim_next_job(worker="wanda")
    assert claim is not None
    claim.report({"percentage": 40, "stage": "drawing"})

    assert "wanda" in run("list").out
    assert "drawing" in run("show", "a").out
    watched = run("watch", "--once").out
    assert "40% drawing" in watched
    line = run("watch", "--once", "--json").json
    assert (1, "a") == (line["running"], line["runningJobs"][0]["metadata"]["id"])
    claim.release()


def test_counts_are_told_by_status(run: Run, queue: JobQueue) -> None:
    queue.enqueue({}, type="t")
    queue.enqueue({}, type="t", id="b")
    queue.cancel_job("b")

    counts: dict[str, Any] = run("stats", "--json").json

    wanted = {"pending": 1, "running": 0, "complete": 0, "failed": 0, "cancelled": 1, "total": 2}
    assert wanted == counts
    assert "cancelled" in run("stats").out


def test_nothing_in_a_job_reaches_the_terminal_unescaped(run: Run, queue: JobQueue) -> None:
    nasty = "a\nb\x1b[31m\u202e[red]x[/red]"
    queue.enqueue({nasty: nasty}, type=nasty, id="a", user_id=nasty, max_retries=0)
    claim = queue.claim_next_job(worker=nasty)
    assert claim is not None

    for arguments in (("list",), ("show", "a"), ("watch", "--once")):
        text = run(*arguments).out
        assert "\x1b" not in text
        assert "\u202e" not in text
    claim.fail(PermanentError(nasty))
    shown = run("show", "a").out
    assert "\\x1b[31m\\u202e[red]x[/red]" in shown


def test_an_unknown_job_is_an_error_of_one_line(run: Run, queue: JobQueue) -> None:
    queue.initialize()

    assert (1, "semiont-jobs: error: there is no job nope\n") == (
        run("show", "nope").code,
        run("show", "nope").err,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("list", "--status", "lost"),
        ("list", "--limit", "-1"),
        ("list", "--offset", "x"),
        ("show",),
        ("stats", "--colour"),
        ("watch", "--interval", "0"),
        ("cleanup",),
        ("cleanup", "--older-than", "yesterday"),
        ("enqueue",),
        ("enqueue", "t", "--params", "{"),
        ("enqueue", "t", "--params", "[]"),
        ("enqueue", "t", "--batch", "--id", "a"),
        ("enqueue", "t", "--run-after", "2030-01-01T00:00:00"),
        ("enqueue", "t", "--run-after", "soon"),
        ("enqueue", "t", "--timeout", "1y"),
        ("enqueue", "t", "--run-after", "999999w"),
        ("enqueue", "t", "--run-after", "9999-12-31T23:59:59-10:00"),
        ("enqueue", "t", "--run-after", "0001-01-01T00:00:00+10:00"),
        ("enqueue", "t", "--params", "[" * 100_000),
        ("cleanup", "--older-than", "999999w"),
        ("retry",),
        ("cancel",),
        ("cancel", "a", "--all"),
        ("cancel", "a", "--type", "t"),
        ("worker",),
        ("worker", "no-colon"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments)

    assert 2 == ran.code
    assert ran.err.startswith("semiont-jobs: error: ")
    assert 1 == ran.err.count("\n")


def test_no_data_directory_named_is_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEMIONT_JOBS_DIR")

    ran = run("stats")

    assert (2, True) == (ran.code, "SEMIONT_JOBS_DIR" in ran.err)


def test_the_data_directory_may_stand_before_and_after_the_command(
    run: Run, data: Path, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue({}, type="t")
    monkeypatch.delenv("SEMIONT_JOBS_DIR")

    before = run("--data-dir", str(data), "stats", "--json")
    after = run("stats", "--json", "--data-dir", str(data))

    assert 1 == before.json["pending"] == after.json["pending"]


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_has_help_and_so_has_each_of_its_options(run: Run, command: str) -> None:
    ran = run(command, "--help")

    assert 0 == ran.code
    assert ran.out.startswith(f"Usage: semiont-jobs {command}")
    options = [each for each in cli.commands[command].params if isinstance(each, click.Option)]
    assert [] == [option.name for option in options if not option.help]


def test_a_list_that_is_cut_says_so_unless_that_was_asked_for(run: Run, queue: JobQueue) -> None:
    queue.enqueue_many([{}] * 101, type="t")

    said = "these are the newest 100: --all lists all\n"
    cut, asked, whole = run("list"), run("list", "--limit", "100"), run("list", "--all", "--json")
    assert (said, "", "") == (cut.err, asked.err, whole.err)
    assert said == run("list", "--json").err
    assert [100, 101] == [len(run("list", "--json").lines), len(whole.lines)]
    assert "" == run("list", "--offset", "1").err
