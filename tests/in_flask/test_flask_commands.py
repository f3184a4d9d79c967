"""``flask jobs`` acts on the application's queue, as a user runs it too."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask", reason="Flask is not installed")
import flask

from semiont_jobs import JobQueue
from semiont_jobs.testing.waiting import eventually

ROOT = Path(__file__).parents[2]

APP = """
import flask
from semiont_jobs import JobWorker
from semiont_jobs.flask import SemiontJobs

jobs = SemiontJobs()

@jobs.handler("order")
def print_order(params: dict) -> None: ...

def create_app():
    app = flask.Flask(__name__, instance_path={instance!r})
    app.config.from_mapping(SEMIONT_JOBS_DIR="var", SEMIONT_JOBS_FSYNC=False)
    jobs.init_app(app)

    @app.post("/orders")
    def order():
        job = jobs.enqueue({{"pid": __import__("os").getpid()}}, type="order")
        return {{"id": job.metadata.id}}

    return app
"""


def run(app: flask.Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["jobs", *arguments])


# -- commands ----------------------------------------------------------------------------


@pytest.fixture
def app(make_app: Callable[..., flask.Flask], monkeypatch: pytest.MonkeyPatch) -> flask.Flask:
    # The command line's own variable means another place: these look at the application's.
    monkeypatch.setenv("SEMIONT_JOBS_DIR", "/nowhere")
    return make_app(DIR="var", FSYNC=False)


def test_the_commands_look_at_the_application_s_jobs(app: flask.Flask) -> None:
    job = app.extensions["semiont_jobs"].enqueue({"title": "Emma"}, type="order")

    listed = [json.loads(line) for line in run(app, "list", "--json").output.splitlines()]

    assert [each["metadata"]["id"] for each in listed] == [job.metadata.id]
    assert "Emma" in run(app, "show", job.metadata.id).output
    assert json.loads(run(app, "stats", "--json").output)["pending"] == 1
    assert run(app, "doctor").exit_code == 0


def test_the_commands_act_on_the_application_s_jobs(app: flask.Flask) -> None:
    queue = app.extensions["semiont_jobs"].queue
    job_id = queue.enqueue({}, type="order").metadata.id

    said = [
        run(app, "cancel", job_id).output,
        run(app, "retry", job_id).output,
        run(app, "cancel", "--all").output,
        run(app, "cleanup", "--older-than", "0s", "--cancelled").output,
    ]

    assert said == [
        f"{job_id} cancelled\n",
        f"{job_id} retried\n",
        "1 cancelled or asked to stop\n",
        "1 removed\n",
    ]


def test_the_commands_are_listed_and_take_no_directory(app: flask.Flask) -> None:
    _head, commands = run(app, "--help").output.split("Commands:")
    names = re.findall(r"^  (\w+) ", commands, re.MULTILINE)

    assert names == [
        *("cancel", "cleanup", "doctor", "list", "remove", "retry", "show", "stats", "worker")
    ]
    assert "--data-dir" not in run(app, "list", "--help").output
    assert "No such command" in run(app, "enqueue").output


def test_an_error_is_told_in_one_line(app: flask.Flask) -> None:
    app.extensions["semiont_jobs"].queue.initialize()

    result = run(app, "show", "../../etc/passwd")

    assert result.exit_code == 2
    assert re.search(r"^Error: .*id.*$", result.output, re.MULTILINE)


def test_jobs_in_memory_have_no_commands(make_app: Callable[..., flask.Flask]) -> None:
    result = run(make_app(DIR="memory:"), "list")

    assert (result.exit_code, "in one process only" in result.output) == (2, True)


# -- as a user runs it -------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP.format(instance=str(tmp_path / "instance")))
    return tmp_path


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{project}", "FLASK_APP": "shop"}


def posted(address: str) -> str:
    """The id of the job of an order that is posted."""
    request = urllib.request.Request(f"{address}/orders", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["id"])


def test_flask_finds_the_commands(project: Path) -> None:
    def flask_jobs(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flask", "jobs", *arguments],
            cwd=project,
            env=environment(project),
            capture_output=True,
            text=True,
            check=False,
        )

    before = flask_jobs("stats")
    JobQueue(project / "instance" / "var").enqueue({}, type="order")
    after = flask_jobs("stats", "--json")

    assert "no data directory" in before.stderr
    assert (before.returncode, after.returncode) == (1, 0)
    assert json.loads(after.stdout)["pending"] == 1


@pytest.mark.skipif(find_spec("gunicorn") is None, reason="gunicorn is not installed")
def test_workers_that_gunicorn_forks_share_the_queue(project: Path) -> None:
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gunicorn",
            "--preload",
            "--workers=2",
            "--bind=127.0.0.1:0",
            "shop:create_app()",
        ],
        cwd=project,
        env=environment(project),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        address = next(found[1] for line in lines if (found := re.search(r"at: (\S+)", line)))
        queue = JobQueue(project / "instance" / "var")
        ids: set[str] = set()

        def both_served() -> bool:
            # Together: of requests one after the other, one of the two may get all.
            with ThreadPoolExecutor(4) as threads:
                ids.update(threads.map(posted, [address] * 4))
            return len({job.params["pid"] for job in queue.query_jobs(limit=None)}) == 2

        eventually(both_served)
        stored = {job.metadata.id for job in queue.query_jobs(limit=None)}
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=30)

    assert stored == ids


def test_the_reloader_s_processes_share_the_queue_and_do_no_work(project: Path) -> None:
    # Not `flask run`: it takes watchdog where that is installed, which cannot be told not to.
    (project / "serve.py").write_text(
        "import shop\nshop.create_app().run(port=0, debug=True, reloader_type='stat')\n"
    )
    server = subprocess.Popen(
        [sys.executable, "serve.py"],
        cwd=project,
        env=environment(project),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # to end the server together with its child
    )
    watchdog = threading.Timer(60, os.killpg, (server.pid, signal.SIGKILL))
    watchdog.start()
    try:
        assert server.stderr is not None
        lines = iter(server.stderr.readline, "")
        address = next(found[1] for line in lines if (found := re.search(r"on (http\S+)", line)))
        next(line for line in lines if "Debugger is active" in line)
        before = posted(address)
        with (project / "shop.py").open("a") as module:
            module.write("# changed")
        next(line for line in lines if "Debugger is active" in line)
        after = posted(address)
        stored = JobQueue(project / "instance" / "var").query_jobs(status="pending")
    finally:
        watchdog.cancel()
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate(timeout=30)

    assert {job.metadata.id for job in stored} == {before, after}
    assert len({job.params["pid"] for job in stored} - {server.pid}) == 2
