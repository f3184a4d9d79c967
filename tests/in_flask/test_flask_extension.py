"""The Flask extension: a queue per application, its config, its commands, its workers' context."""

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
from tenacity import wait_fixed

from semiont_jobs import (
    InvalidValue,
    JobQueue,
    JobType,
    JobWorker,
    QueueNotInitialized,
    RetryPolicy,
    RunningJob,
)
from semiont_jobs.flask import SemiontJobs
from semiont_jobs.testing import Jobs
from semiont_jobs.testing.inline import work_off
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


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., flask.Flask]:
    def make(extension: SemiontJobs | None = None, **config: Any) -> flask.Flask:
        app = flask.Flask("shop", instance_path=str(tmp_path))
        settings = config or {"DIR": "memory:"}
        app.config.update({f"SEMIONT_JOBS_{key}": value for key, value in settings.items()})
        (extension or SemiontJobs()).init_app(app)
        return app

    return make


def run(app: flask.Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["jobs", *arguments])


# -- the queue ---------------------------------------------------------------------------


def test_the_application_has_its_queue(make_app: Callable[..., flask.Flask]) -> None:
    jobs = SemiontJobs()
    app = make_app(jobs)

    with app.app_context():
        assert isinstance(jobs.queue, JobQueue)
        assert jobs.queue is app.extensions["semiont_jobs"].queue


def test_an_application_given_at_once_has_it_too(tmp_path: Path) -> None:
    app = flask.Flask("shop")
    app.config["SEMIONT_JOBS_DIR"] = tmp_path

    SemiontJobs(app)

    assert app.extensions["semiont_jobs"].place == str(tmp_path)


def test_two_applications_have_a_queue_each(make_app: Callable[..., flask.Flask]) -> None:
    jobs = SemiontJobs()
    one, two = make_app(jobs), make_app(jobs)

    with one.app_context():
        jobs.enqueue({}, type="order")
        with two.app_context():
            there = jobs.queue.get_stats().total
        here = jobs.queue.get_stats().total

    assert (here, there) == (1, 0)


def test_without_an_application_or_its_init_app_there_is_no_queue() -> None:
    jobs = SemiontJobs()

    with pytest.raises(RuntimeError, match="application context"):
        _ = jobs.queue
    with flask.Flask("shop").app_context(), pytest.raises(QueueNotInitialized, match="init_app"):
        _ = jobs.queue


def test_making_an_application_starts_and_writes_nothing(
    make_app: Callable[..., flask.Flask], tmp_path: Path
) -> None:
    threads = threading.active_count()

    make_app(DIR="var")

    assert threading.active_count() == threads
    assert list(tmp_path.iterdir()) == []


# -- the config --------------------------------------------------------------------------


def test_a_relative_directory_is_one_of_the_instance(
    make_app: Callable[..., flask.Flask], tmp_path: Path
) -> None:
    app = make_app(DIR="var")

    app.extensions["semiont_jobs"].enqueue({}, type="order")

    assert len(list((tmp_path / "var" / "jobs" / "pending").iterdir())) == 1


def test_a_store_s_url_is_passed_on(make_app: Callable[..., flask.Flask]) -> None:
    assert make_app(URL="memory:").extensions["semiont_jobs"].place == "memory:"


def test_retries_and_the_time_limit_hold_for_jobs_that_say_nothing(
    make_app: Callable[..., flask.Flask],
) -> None:
    jobs = make_app(DIR="memory:", MAX_RETRIES=7, TIMEOUT=60).extensions["semiont_jobs"]

    plain, own = jobs.enqueue({}, type="t"), jobs.enqueue({}, type="t", max_retries=1, timeout=2)

    assert (plain.metadata.max_retries, plain.metadata.timeout) == (7, 60)
    assert (own.metadata.max_retries, own.metadata.timeout) == (1, 2)


def test_the_queue_has_the_settings_of_the_config_and_of_the_extension(
    make_app: Callable[..., flask.Flask],
) -> None:
    import attrs

    @attrs.frozen
    class Order:
        title: str

    policy = RetryPolicy(wait=wait_fixed(5))
    jobs = SemiontJobs(job_types=[JobType("order", Order)], retry_policy=RetryPolicy())
    app = make_app(jobs, DIR="memory:", RETRY_POLICY=policy)

    with app.app_context():
        assert jobs.enqueue(Order("Emma")).metadata.type == "order"
        assert jobs.queue.retry_policy is policy


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"FSYNC": True}, "exactly one of SEMIONT_JOBS_DIR and SEMIONT_JOBS_URL"),
        ({"DIR": "a", "URL": "b"}, "exactly one of"),
        ({"DIR": 7}, "a path is needed"),
        ({"DIR": "memory:", "RETRIES": 3}, "no such key"),
        ({"DIR": "memory:", "MAX_CRASHES": -1}, "a whole number"),
    ],
)
def test_a_config_that_cannot_be_is_refused_when_the_application_is_made(
    make_app: Callable[..., flask.Flask], config: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidValue, match=said):
        make_app(**config)


# -- workers -----------------------------------------------------------------------------


def worker_of(jobs: SemiontJobs) -> type[JobWorker]:
    @jobs.worker
    class Printer(JobWorker):
        job_types = ("order",)

        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            if job.params.get("broken"):
                raise LookupError("no paper")
            return {"app": flask.current_app.name, "worker": self.get_worker_name()}

    return Printer


def test_a_job_is_done_within_the_application_s_context(
    make_app: Callable[..., flask.Flask],
) -> None:
    jobs = SemiontJobs()
    worker_of(jobs)
    app = make_app(jobs)
    own = app.extensions["semiont_jobs"]
    job = own.enqueue({}, type="order")

    [make] = own.workers()
    with make():
        done = own.queue.wait_for(job.metadata.id, timeout=30)

    assert done.result == {"app": "shop", "worker": "Printer"}


def test_the_context_ends_with_each_job_and_knows_its_error(
    make_app: Callable[..., flask.Flask],
) -> None:
    jobs = SemiontJobs()
    worker_of(jobs)
    app = make_app(jobs)
    ended: list[BaseException | None] = []
    app.teardown_appcontext(ended.append)
    own = app.extensions["semiont_jobs"]
    own.enqueue({}, type="order")
    own.enqueue({"broken": True}, type="order", max_retries=0)

    [make] = own.workers()
    outcomes = work_off(make())

    assert outcomes == {"completed": 1, "failed": 1}
    assert [type(error) for error in ended] == [type(None), LookupError]


def test_the_decorator_leaves_a_worker_as_it_is(make_app: Callable[..., flask.Flask]) -> None:
    jobs = SemiontJobs()
    printer = worker_of(jobs)
    [make] = make_app(jobs).extensions["semiont_jobs"].workers()

    with Jobs() as other, pytest.raises(RuntimeError, match="application context"):
        printer.execute_job(printer(other.queue), other.queue.enqueue({}, type="order"))  # type: ignore[arg-type]
    assert type(make()).__module__ == printer.__module__
    assert type(make()).__qualname__ == printer.__qualname__


@pytest.mark.parametrize("wrong", [JobQueue, lambda job: None, "Printer"])
def test_what_is_no_worker_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="a subclass of JobWorker"):
        SemiontJobs().worker(wrong)


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

    assert names == ["cancel", "cleanup", "doctor", "list", "retry", "show", "stats", "worker"]
    assert "--data-dir" not in run(app, "list", "--help").output
    assert "No such command" in run(app, "enqueue").output


def test_an_error_is_told_in_one_line(app: flask.Flask) -> None:
    app.extensions["semiont_jobs"].queue.initialize()

    result = run(app, "show", "../../etc/passwd")

    assert result.exit_code == 1
    assert re.fullmatch(r"Error: .*id.*\n", result.output)


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
