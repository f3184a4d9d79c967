"""What a worker tells on standard error: the outcome of every job, and why it cannot begin."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from semiont_jobs import JobQueue

TIMEOUT = 60.0

WORKERS = """
from semiont_jobs import JobWorker, PermanentError

class Works(JobWorker):
    def can_process_job(self, job):
        if job.metadata.type == "odd":
            raise LookupError("which?\\nINFO completed odd")
        return True
    def execute_job(self, job):
        if "error" in job.params:
            raise PermanentError(job.params["error"])
"""


def told_by_a_worker(place: Path, module: str, queue: JobQueue, *waited_for: str) -> list[str]:
    """The lines of a worker that ran until these jobs had an outcome."""
    (place / "work.py").write_text(module)
    process = subprocess.Popen(
        [sys.executable, "-m", "semiont_jobs", "worker", "work:Works", "--data-dir", "data"],
        cwd=place,
        stderr=subprocess.PIPE,
        text=True,
    )
    for id_ in waited_for:
        queue.wait_for(id_, TIMEOUT)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=TIMEOUT)
    assert 0 == process.returncode, told
    return told.splitlines()


def test_a_worker_tells_how_each_job_ended_in_a_line_each_and_where_it_failed(
    tmp_path: Path,
) -> None:
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({"error": "no such page\n2026 INFO completed bad\x1b[31m"}, type="t", id="bad")
    queue.enqueue({}, type="t", id="good")

    lines = told_by_a_worker(tmp_path, WORKERS, queue, "bad", "good")

    own = [re.sub(r"^\S+ \S+ ", "", line) for line in lines if not line.startswith("  ")]
    about = [line for line in own if " bad" in line or " good" in line]
    assert 2 == len(about)
    assert about[0].startswith("ERROR failed bad: ")
    assert "no such page\\" in about[0]
    assert "\x1b" not in about[0]
    assert "INFO completed good" == about[1]
    assert "  Traceback (most recent call last):" in lines
    assert any(line.endswith("in execute_job") for line in lines if line.startswith("  "))
    assert not any("\x1b" in line for line in lines)


def test_a_traceback_is_indented_so_that_no_line_of_it_passes_for_a_message(
    tmp_path: Path,
) -> None:
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({}, type="odd")
    queue.enqueue({}, type="t", id="good")

    lines = told_by_a_worker(tmp_path, WORKERS, queue, "good")

    assert any(line.endswith("ERROR Works.can_process_job failed") for line in lines)
    assert "  LookupError: which?" in lines
    assert "  INFO completed odd" in lines


def test_a_module_that_sets_logging_up_keeps_what_it_chose(tmp_path: Path) -> None:
    chosen = "import logging\nlogging.basicConfig(format='MINE %(message)s', level='INFO')\n"
    queue = JobQueue(tmp_path / "data", fsync=False)
    queue.enqueue({}, type="t", id="good")

    lines = told_by_a_worker(tmp_path, chosen + WORKERS, queue, "good")

    assert ["MINE claimed good", "MINE completed good"] == [
        line for line in lines if "good" in line
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("leaves:X", "cannot import leaves: SystemExit: not like this"),
        ("stumbles:X", "cannot import stumbles: AttributeError: "),
        ("leads:X", "cannot import leads: AttributeError: "),
    ],
)
def test_an_import_that_fails_says_where(tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "leaves.py").write_text("import sys; sys.exit('not like this')")
    (tmp_path / "stumbles.py").write_text("import sys; sys.nothing")
    (tmp_path / "leads.py").write_text("import stumbles")

    ran = subprocess.run(
        [sys.executable, "-m", "semiont_jobs", "worker", target, "--data-dir", "data"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    *where, told = ran.stderr.splitlines()
    assert 1 == ran.returncode
    assert told.startswith(f"semiont-jobs: error: {message}")
    innermost = "leaves" if target == "leaves:X" else "stumbles"
    assert f"{innermost}.py" in [line for line in where if "File" in line][-1]
    assert not [line for line in where if "importlib" in line or "semiont_jobs" in line]
