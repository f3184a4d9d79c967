"""The example application, run as its README says, with its worker killed in the middle."""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import JobQueue, RunningJob
from semiont_jobs.testing.waiting import eventually

pytestmark = pytest.mark.skipif(
    find_spec("django.tasks") is None, reason="the example is for Django's own tasks framework"
)

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0


class Project:
    """A copy of the example, its processes, and a browser of a kind."""

    def __init__(self, place: Path) -> None:
        self.place = Path(shutil.copytree(ROOT / "examples" / "django_reports", place / "project"))
        self.processes: list[subprocess.Popen[str]] = []
        cookies = http.cookiejar.CookieJar()
        self.browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
        self.cookies = cookies
        self.address = ""

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "DJANGO_SUPERUSER_PASSWORD": "secret"}

    def manage(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.place,
            env=self.environment(),
            check=True,
            capture_output=True,
            timeout=TIMEOUT,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=self.place,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def serve(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.start("runserver", "--noreload", f"127.0.0.1:{port}")

        def answers() -> bool:
            try:
                return bool(self.get("/"))
            except urllib.error.URLError:
                return False

        eventually(answers, TIMEOUT)

    def end(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.communicate(timeout=TIMEOUT)

    def get(self, path: str) -> str:
        with self.browser.open(f"{self.address}{path}", timeout=TIMEOUT) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **fields: str) -> str:
        token = next(each.value for each in self.cookies if each.name == "csrftoken")
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token or ""})
        with self.browser.open(f"{self.address}{path}", data.encode(), timeout=TIMEOUT) as answer:
            return str(answer.read().decode())

    def order(self, year: int) -> str:
        return str(json.loads(self.post("/reports/", year=str(year)))["id"])

    def asked(self, result_id: str) -> Any:
        return json.loads(self.get(f"/reports/{result_id}/"))

    def ended(self, result_id: str) -> Any:
        def look() -> Any:
            found = self.asked(result_id)
            return found if found["status"] in ("SUCCESSFUL", "FAILED") else None

        return eventually(look, TIMEOUT)


def collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project(tmp_path)
    made.manage("migrate", "--verbosity=0")
    made.serve()
    yield made
    made.end()


def test_a_report_whose_worker_was_killed_goes_on_where_it_was(project: Project) -> None:
    project.start("jobs_worker", "--processes", "2")
    result_id = project.order(2026)
    with JobQueue(project.place / "jobs") as queue:

        def pid_in_the_middle() -> Any:
            job = queue.get_job(result_id)
            is_at_work = isinstance(job, RunningJob) and len(job.metadata.unit_cursors) > 0
            return job.metadata.claim.pid if is_at_work else None  # type: ignore[union-attr]

        os.kill(eventually(pid_in_the_middle, TIMEOUT), signal.SIGKILL)
        killed_at = len(queue.get_job(result_id).metadata.unit_cursors["sales"])  # type: ignore[union-attr]
        found = project.ended(result_id)
        job: Any = queue.get_job(result_id)

    assert "SUCCESSFUL" == found["status"]
    assert 12 == len(found["report"]["sales"])
    assert 1 <= killed_at < 12
    assert ["crashed", "completed"] == [each.outcome for each in job.metadata.attempts]


def test_a_report_that_failed_is_tried_again_from_the_admin(project: Project) -> None:
    project.manage("createsuperuser", "--noinput", "--username=ada", "--email=")
    worker = project.start("jobs_worker", "--reload")
    result_id = project.order(1)
    assert {"status": "FAILED", "error": "builtins.ValueError"} == project.ended(result_id)

    # The bug is mended while the worker runs, which starts afresh by itself.
    tasks = project.place / "reports" / "tasks.py"
    tasks.write_text(tasks.read_text().replace("not 1900 <=", "not 1 <="))
    lines: list[str] = []
    reader = threading.Thread(target=collect, args=(worker, lines))
    reader.start()

    def is_reloaded() -> bool:
        # Again and again: Django does not notice what changes before its first look at a file.
        os.utime(tasks)
        return any("tasks.py changed, reloading" in line for line in lines)

    eventually(is_reloaded, TIMEOUT)
    project.get("/admin/login/")
    project.post("/admin/login/?next=/admin/semiont_jobs/", username="ada", password="secret")
    project.get(f"/admin/semiont_jobs/default/{result_id}/")
    page = project.post("/admin/semiont_jobs/default/act/", action="retry", id=result_id)

    assert re.search("1 job put back to be run again", page)
    assert "SUCCESSFUL" == project.ended(result_id)["status"]
    worker.send_signal(signal.SIGTERM)
    reader.join(TIMEOUT)
