"""The standard streams of a command: closed, broken off, full, or of few letters."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from semiont_jobs import JobMetadata, JobQueue, PendingJob

TIMEOUT = 60.0

WORK = """
from semiont_jobs import job_handler

@job_handler("quick")
def quick(params: dict) -> None:
    pass
"""

on_linux = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "semiont_jobs", *arguments]


def in_shell(place: Path, line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the redirections of `line`."""
    return subprocess.run(
        f"{' '.join(command(*arguments, '--data-dir', 'data'))} {line}",
        shell=True,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def ids(place: Path) -> list[str]:
    return [job.metadata.id for job in JobQueue(place / "data").query_jobs()]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_error(tmp_path: Path, closed: str) -> None:
    ran = in_shell(tmp_path, closed, "enqueue", "t", "--id", "a")

    assert (0, "") == (ran.returncode, ran.stderr)
    assert ran.stdout in ("a\n", "")
    assert ["a"] == ids(tmp_path)


# -- a reader that is gone -----------------------------------------------------------------


def _jobs(count: int) -> list[PendingJob[dict[str, str]]]:
    return [
        PendingJob(metadata=JobMetadata(type="t"), params={"text": "x" * 200}) for _ in range(count)
    ]


@pytest.mark.parametrize(
    "arguments", [("list", "--all", "--json"), ("list", "--all"), ("watch", "--interval", "0.1")]
)
def test_a_reader_that_has_seen_enough_is_no_error(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.create_jobs([*_jobs(2000)])  # much more than a pipe holds
    process = subprocess.Popen(
        command(*arguments, "--data-dir", "data"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None

    process.stdout.readline()
    process.stdout.close()

    with process.stderr:
        assert (0, "") == (process.wait(TIMEOUT), process.stderr.read())


# -- a full disk ---------------------------------------------------------------------------


@on_linux
def test_what_cannot_be_printed_is_told_of_standard_output(tmp_path: Path) -> None:
    JobQueue(tmp_path / "data", fsync=False).enqueue({}, type="t")

    ran = in_shell(tmp_path, ">/dev/full", "stats")

    told = "semiont-jobs: error: standard output: No space left on device\n"
    assert (1, told) == (ran.returncode, ran.stderr)


@on_linux
def test_a_job_whose_id_cannot_be_printed_is_told_to_be_there(tmp_path: Path) -> None:
    ran = in_shell(tmp_path, ">/dev/full", "enqueue", "t")

    [id_] = ids(tmp_path)
    told = f"standard output: No space left on device; 1 created all the same: {id_}\n"
    assert (1, f"semiont-jobs: error: {told}") == (ran.returncode, ran.stderr)


@on_linux
@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_worker_works_whose_logs_cannot_be_written(tmp_path: Path, processes: str) -> None:
    (tmp_path / "work.py").write_text(WORK)
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({}, type="quick")

    arguments = ("worker", "work:quick", "--burst", "--processes", processes)
    ran = in_shell(tmp_path, "2>/dev/full", *arguments)

    assert (0, 1) == (ran.returncode, queue.get_stats().complete)


@on_linux
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("stats", "--unknown"), 2), (("show", "missing"), 1), (("list",), 0)],
)
def test_an_error_that_cannot_be_told_keeps_its_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    JobQueue(tmp_path / "data", fsync=False).create_jobs(_jobs(101))

    assert code == in_shell(tmp_path, "2>/dev/full", *arguments).returncode


def test_params_that_cannot_be_read_are_told_of_standard_input(tmp_path: Path) -> None:
    ran = in_shell(tmp_path, "0>out", "enqueue", "t", "--params", "-")

    told = "semiont-jobs: error: standard input: Bad file descriptor\n"
    assert (1, told) == (ran.returncode, ran.stderr)


# -- an encoding without some letters ------------------------------------------------------


@pytest.mark.parametrize("arguments", [("list",), ("show", "a"), ("watch", "--once")])
def test_letters_that_an_output_has_not_are_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    JobQueue(tmp_path / "data", fsync=False).enqueue({}, type="t\xfcp", id="a")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    ran = in_shell(tmp_path, "", *arguments)

    assert (0, "") == (ran.returncode, ran.stderr)
    assert r"t\xfcp" in ran.stdout
