"""``semiont-jobs worker``: the pool as a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import JobQueue
from semiont_jobs.cli import main

TIMEOUT = 60.0

WORK = """
import os
from semiont_jobs import JobWorker, job_handler

@job_handler("upper")
def upper(params: dict) -> str:
    return params["text"].upper()

class Pid(JobWorker):
    job_types = ("pid",)
    def execute_job(self, job):
        return os.getpid()

def make():
    return Pid()

class Dear(JobWorker):
    job_types = ("dear",)
    def __init__(self, queue):
        super().__init__(queue)
        print("made", flush=True)
    def execute_job(self, job):
        return None

ALL = [upper, make]
TWICE = [Pid, upper, upper]
"""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    (tmp_path / "work.py").write_text(WORK)
    with JobQueue(tmp_path / "data", fsync=False) as opened:
        yield opened


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "semiont_jobs", "worker", "--data-dir", "data", *arguments]


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=place,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_a_worker_of_a_single_thread_is_made_once(queue: JobQueue, tmp_path: Path) -> None:
    queue.enqueue({}, type="dear", id="j")

    ran = run(tmp_path, "work:Dear", "--burst", "--threads", "1")

    assert (ran.returncode, ran.stdout) == (0, "made\n")
    assert queue.wait_for("j", TIMEOUT).status == "complete"


def test_a_burst_tells_of_jobs_that_no_worker_takes(queue: JobQueue, tmp_path: Path) -> None:
    queue.enqueue({"text": "a"}, type="upper", id="letter")
    queue.enqueue({}, type="uper", queue="mail")
    queue.enqueue({}, type="later", priority=9, run_after=3600)

    ran = run(tmp_path, "work:upper", "--burst", "--threads", "1")

    assert ran.returncode == 0
    told = "left: jobs are due that no worker here takes, such as of type 'uper' in queue 'mail'"
    assert told in ran.stderr
    assert queue.wait_for("letter", TIMEOUT).status == "complete"


def test_a_burst_of_processes_does_everything_tells_it_and_leaves(
    queue: JobQueue, tmp_path: Path
) -> None:
    queue.enqueue({"text": "a"}, type="upper", id="letter")
    queue.enqueue({}, type="pid", id="number")

    ran = run(tmp_path, "work:ALL", "--burst", "--processes", "2", "--threads", "2")

    assert 0 == ran.returncode, ran.stderr
    letter: Any = queue.get_job("letter")
    number: Any = queue.get_job("number")
    assert ("complete", {"value": "A"}) == (letter.status, letter.result)
    assert "complete" == number.status
    assert f"4 workers at work on {tmp_path / 'data'}: Pid, upper\n" in ran.stderr
    assert "INFO completed letter" in ran.stderr  # a child logs as its parent does


def test_types_and_queues_are_lists_with_commas(queue: JobQueue, tmp_path: Path) -> None:
    queue.enqueue({"text": "a"}, type="upper", id="a", queue="mail")
    queue.enqueue({"text": "b"}, type="upper", id="b")
    queue.enqueue({}, type="pid", id="c", queue="mail")

    ran = run(tmp_path, "work:ALL", "--burst", "--types", "upper,else", "--queues", "mail, more")

    assert 0 == ran.returncode, ran.stderr
    assert ["a"] == [job.metadata.id for job in queue.query_jobs(status="complete")]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("work:TWICE",), 1, "upper does 'upper' jobs already"),
        (("work:ALL", "--types", "nothing"), 2, "none of the workers does jobs of these types"),
        (("work:ALL", "--types", "a,,b"), 2, "has an empty name in it"),
        (("work:ALL", "--max-rss", "much"), 2, "is no number of bytes: 500000, 800M or 2G"),
        (("work:ALL", "--max-rss", "0"), 2, "is no number of bytes: 500000, 800M or 2G"),
        (("work:ALL", "--threads", "0"), 2, "0 is not in the range x>=1"),
        (("work:ALL", "--grace", "nan"), 2, "--grace: a number of seconds from 0 is needed"),
        (("work:ALL", "--grace", "1e400"), 2, "--grace: a number of seconds from 0 is needed"),
        (("work:ALL", "--timeout", "0m"), 2, "--timeout: a positive number of seconds is needed"),
        (("work:ALL", "--timeout", "0"), 2, "--timeout: a positive number of seconds is needed"),
        (("work",), 2, "is not of the form MODULE:NAME"),
        (("work:WORK",), 1, "module work has no WORK"),
    ],
)
def test_wrong_usage_is_an_error_of_one_line_before_anything_starts(
    queue: JobQueue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "work", raising=False)

    ended = main(["worker", *arguments, "--data-dir", "new"])

    error = capsys.readouterr().err
    assert (code, True) == (ended, told in error), error
    assert 1 == error.count("\n")
    assert not (tmp_path / "new").exists()
    sys.modules.pop("work", None)


def awaited(process: subprocess.Popen[str], word: str) -> None:
    """Read on to the line that has this word."""
    assert process.stderr is not None
    patience = threading.Timer(TIMEOUT, process.kill)
    patience.start()
    told = []
    for line in process.stderr:
        told.append(line)
        if word in line:
            patience.cancel()
            return
    process.communicate()
    raise AssertionError(f"it never told {word!r}: {told}")


def test_it_starts_again_when_a_module_changes_also_from_an_error(
    queue: JobQueue, tmp_path: Path
) -> None:
    module = tmp_path / "changing.py"
    text = WORK.replace("upper()", "{}")
    module.write_text(text.format("lower()"))
    process = subprocess.Popen(
        command("changing:upper", "--reload"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )

    def said() -> Any:
        job = queue.enqueue({"text": "Ab"}, type="upper")
        done: Any = queue.wait_for(job.metadata.id, TIMEOUT)
        return done.result["value"]

    awaited(process, "at work")
    first = said()
    module.write_text(text.format("no code at all ((("))
    awaited(process, "starting again")
    awaited(process, "waiting for a change")
    module.write_text(text.format("swapcase()"))
    awaited(process, "at work")
    second = said()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT)

    assert ("ab", "aB", 0) == (first, second, process.returncode)


def test_ctrl_c_while_it_waits_for_a_change_ends_it(queue: JobQueue, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("missing:upper", "--reload"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    awaited(process, "waiting for a change")

    process.send_signal(signal.SIGINT)

    process.communicate(timeout=TIMEOUT)
    assert 130 == process.returncode
