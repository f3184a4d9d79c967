"""The command line as a process: signals, pipes, a missing extra, the demonstration."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from semiont_jobs import JobQueue, PendingJob
from semiont_jobs.demo.run import OURS

TIMEOUT = 60.0

WORKERS = """
import threading
from attrs import frozen
from semiont_jobs import JobType, JobWorker

@frozen
class Params:
    path: str

THUMBNAIL = JobType("thumbnail", Params)

class Quick(JobWorker):
    job_types = ("thumbnail",)
    def execute_job(self, job):
        return {"made": job.params.path + ".png"}

class Endless(JobWorker):
    job_types = ("endless",)
    def execute_job(self, job):
        self.checkpoint(["begun"])
        threading.Event().wait()

class Nameless(Quick):
    def get_worker_name(self):
        return None

# What the class itself says is refused where it is written.
class Texted(Quick):
    job_types = property(lambda self: "thumbnail")

class Numbered(Quick):
    job_types = property(lambda self: 7)

class Demanding(Quick):
    def __init__(self, queue, more):
        super().__init__(queue)

class Leaves(Quick):
    def __init__(self, queue):
        raise SystemExit("not like this")

def __getattr__(name):
    if name == "Broken":
        raise RuntimeError("can't start\\na new thread")
    raise AttributeError(name)
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "semiont_jobs", *arguments]


def run(*arguments: str, cwd: Path, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=os.environ | options,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def eventually(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not look():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(WORKERS)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_does_jobs_until_a_signal(place: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        command("worker", "work:Quick", "work:THUMBNAIL", "--data-dir", "data", "--threads", "2"),
        cwd=place,
        stderr=subprocess.PIPE,
        text=True,
    )
    queue = JobQueue(place / "data")
    eventually((place / "data/jobs/.format").exists)
    job = queue.enqueue({"path": "a"}, type="thumbnail")

    done = queue.wait_for(job.metadata.id, TIMEOUT)
    process.send_signal(number)
    _, told = process.communicate(timeout=TIMEOUT)

    assert "complete" == done.status
    assert {"made": "a.png"} == done.result
    assert 0 == process.returncode, told
    assert re.search("^2 workers at work on /.*/data: Quick$", told, re.MULTILINE)


def test_a_worker_with_a_journal_leaves_none_when_it_ends(place: Path) -> None:
    process = subprocess.Popen(
        command(
            "worker",
            "work:Quick",
            "work:THUMBNAIL",
            "--data-dir",
            "data",
            "--durability",
            "journal",
        ),
        cwd=place,
    )
    journals = place / "data/jobs/.journal"
    queue = JobQueue(place / "data")
    eventually(journals.is_dir)
    job = queue.enqueue({"path": "a"}, type="thumbnail")

    done = queue.wait_for(job.metadata.id, TIMEOUT)
    meanwhile = list(journals.iterdir())
    process.send_signal(signal.SIGTERM)

    assert 0 == process.wait(TIMEOUT)
    assert "complete" == done.status
    assert 1 == len(meanwhile)
    assert [] == list(journals.iterdir())


def has_begun(queue: JobQueue) -> bool:
    """Whether the work is at its job: one that is claimed only is given back at a signal."""
    return any(job.metadata.completed_units for job in queue.query_jobs(status="running"))


def test_a_job_that_does_not_end_is_given_back_without_an_attempt(place: Path) -> None:
    queue = JobQueue(place / "data")
    job = queue.enqueue({}, type="endless")
    process = subprocess.Popen(
        command("worker", "work:Endless", "--data-dir", "data", "--grace", "0.2"), cwd=place
    )
    eventually(lambda: has_begun(queue))

    process.send_signal(signal.SIGTERM)
    code = process.wait(TIMEOUT)

    given_back = queue.get_job(job.metadata.id)
    assert 3 == code
    assert isinstance(given_back, PendingJob)
    assert (0, 0) == (given_back.metadata.attempt_count, given_back.metadata.crash_count)


def test_a_second_signal_does_not_wait(place: Path) -> None:
    queue = JobQueue(place / "data")
    queue.enqueue({}, type="endless")
    process = subprocess.Popen(
        command("worker", "work:Endless", "--data-dir", "data"),
        cwd=place,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    eventually(lambda: has_begun(queue))

    process.send_signal(signal.SIGTERM)
    line = process.stderr.readline()
    while "stopping" not in line:
        line = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=TIMEOUT)

    assert 3 == process.returncode
    assert 1 == queue.get_stats().pending


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:X", "cannot import nowhere"),
        ("work:Missing", "module work has no Missing"),
        ("work:Params", "is neither a JobWorker class nor a JobType"),
    ],
)
def test_a_worker_that_cannot_be_found_is_an_error_of_one_line(
    place: Path, target: str, message: str
) -> None:
    ran = run("worker", target, "--data-dir", "data", cwd=place)

    assert 1 == ran.returncode
    assert message in ran.stderr
    assert 1 == ran.stderr.count("\n")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("semiont_jobs:JobWorker", "cannot make a worker of semiont_jobs:JobWorker: TypeError: "),
        ("work:Demanding", "cannot make a worker of work:Demanding: TypeError: "),
        ("work:Leaves", "cannot make a worker of work:Leaves: SystemExit: not like this"),
        ("work:Nameless", "work:Nameless: get_worker_name() returns None, not a name"),
        ("work:Texted", "work:Texted: job_types is 'thumbnail', not a list of type names"),
        ("work:Numbered", "work:Numbered: job_types is 7, not a list of type names"),
    ],
)
def test_a_class_that_makes_no_worker_is_an_error_of_one_line(
    place: Path, target: str, message: str
) -> None:
    ran = run("worker", target, "work:Quick", "--data-dir", "data", cwd=place)

    assert 1 == ran.returncode
    assert ran.stderr.startswith(f"semiont-jobs: error: {message}")
    assert 1 == ran.stderr.count("\n")
    assert not (place / "data").exists()


def test_what_nobody_expected_is_an_error_of_one_line_that_says_where(place: Path) -> None:
    ran = run("worker", "work:Broken", "--data-dir", "data", cwd=place)

    *_, last = ran.stderr.splitlines()
    assert 1 == ran.returncode
    assert r"unexpected RuntimeError: can't start\na new thread (please report" in last
    assert re.search(r"cli/main\.py:\d+(, cli/\w+\.py:\d+)+\)$", last)
    assert "Traceback" not in ran.stderr


# No file may grow in it: what a disk refuses when it is full, without filling one.
FULL = """
import resource, sys
from semiont_jobs.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("enqueue", "t", "--id", "new"), "job new: "),
        (("enqueue", "t", "--batch", "--params", "{}\n{}"), ""),
        (("cancel", "old"), "job old: "),
    ],
)
def test_what_a_full_disk_refuses_is_told_with_the_job_and_the_place(
    place: Path, arguments: tuple[str, ...], told: str
) -> None:
    queue = JobQueue(place / "data", fsync=False)
    queue.enqueue({}, type="t", id="old")

    ran = subprocess.run(
        [sys.executable, "-c", FULL, *arguments, "--data-dir", "data"],
        cwd=place,
        # Where coverage is measured it could not be written either, and would say so.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
        capture_output=True,
        text=True,
        check=False,
    )

    data = os.path.realpath(place / "data")
    error = f"semiont-jobs: error: {told}[Errno 27] File too large: '{data}'\n"
    assert (1, error, "") == (ran.returncode, ran.stderr, ran.stdout)
    assert ["old"] == [job.metadata.id for job in queue.query_jobs(status="pending")]


def test_only_job_types_are_no_workers(place: Path) -> None:
    ran = run("worker", "work:THUMBNAIL", "--data-dir", "data", cwd=place)

    assert (2, True) == (ran.returncode, "no worker class" in ran.stderr)


def test_a_missing_extra_is_an_error_of_one_line(place: Path) -> None:
    (place / "click.py").write_text("raise ModuleNotFoundError('no click', name='click')")

    ran = run("stats", cwd=place, PYTHONPATH=str(place))

    assert 1 == ran.returncode
    assert ran.stderr.startswith("semiont-jobs: error: the command line needs click")
    assert 1 == ran.stderr.count("\n")


def test_a_watch_ends_on_ctrl_c(place: Path) -> None:
    JobQueue(place / "data").initialize()
    process = subprocess.Popen(
        command("watch", "--json", "--interval", "0.1", "--data-dir", "data"),
        cwd=place,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        text=True,
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())

    process.send_signal(signal.SIGINT)

    assert 130 == process.wait(TIMEOUT)
    assert 0 == first["pending"]
    process.stdout.close()


def test_the_demonstration_survives_its_own_chaos(place: Path) -> None:
    ran = subprocess.run(
        command("demo", "--chaos", "--json", "--data-dir", "demo"),
        cwd=place,
        capture_output=True,
        text=True,
        timeout=5 * TIMEOUT,
        check=False,
    )

    assert 0 == ran.returncode, ran.stderr
    report = json.loads(ran.stdout)
    assert report["is_clean"]
    assert report["jobs"] == report["complete"] == 6 * report["documents"]
    assert report["workers_killed"] >= 5
    assert report["rescued"] >= report["workers_killed"]
    listed = run("stats", "--json", "--data-dir", "demo", cwd=place)
    assert report["jobs"] == json.loads(listed.stdout)["complete"]
    # So that the next one in this directory replaces it.
    assert {path.name for path in (place / "demo").iterdir()} <= OURS


def test_the_demonstration_replaces_only_its_own_directory(place: Path) -> None:
    (place / "mine").mkdir()
    (place / "mine/thesis.txt").write_text("years of work")

    ran = run("demo", "--data-dir", "mine", cwd=place)

    assert 2 == ran.returncode
    assert "not made by a demonstration" in ran.stderr
    assert ["thesis.txt"] == [path.name for path in (place / "mine").iterdir()]


def test_without_a_command_the_help_is_shown_as_it_is(tmp_path: Path) -> None:
    shown = run(cwd=tmp_path)

    assert 2 == shown.returncode
    assert shown.stderr.startswith("Usage: semiont-jobs [OPTIONS] COMMAND [ARGS]...\n")
    assert "\n  worker " in shown.stderr
