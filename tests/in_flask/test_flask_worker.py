"""``flask jobs worker`` and ``@jobs.handler``: work within the application's context."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flask", reason="Flask is not installed")

import attrs
import flask

from semiont_jobs import Handler, InvalidValue, JobQueue, JobWorker, RunningJob
from semiont_jobs.flask import SemiontJobs
from semiont_jobs.testing.inline import work_off
from semiont_jobs.testing.waiting import eventually

ROOT = Path(__file__).parents[2]
TIMEOUT = 60.0


@attrs.frozen
class Picture:
    name: str
    broken: bool = False


@attrs.frozen
class Other:
    size: int


def other(params: Other) -> None: ...


def thumbnail(params: Picture, claim: Any) -> str:
    claim.report({"percentage": 50})
    if params.broken:
        raise LookupError("no such picture")
    return f"{flask.current_app.name}:{params.name}"


def an_app(extension: SemiontJobs, place: object = "memory:") -> flask.Flask:
    app = flask.Flask("shop")
    app.config["SEMIONT_JOBS_DIR"] = place
    app.config["SEMIONT_JOBS_FSYNC"] = False
    extension.init_app(app)
    return app


def own(app: flask.Flask) -> Any:
    return app.extensions["semiont_jobs"]


def run(app: flask.Flask, *arguments: str) -> Any:
    return app.test_cli_runner().invoke(args=["jobs", "worker", *arguments])


# -- handlers ----------------------------------------------------------------------------


def test_a_handler_does_its_jobs_within_the_context_of_the_application() -> None:
    jobs = SemiontJobs()
    app = an_app(jobs)
    ended: list[BaseException | None] = []
    app.teardown_appcontext(ended.append)
    jobs.handler("thumbnail")(thumbnail)
    done = own(app).enqueue(Picture("a"))
    own(app).enqueue(Picture("b", broken=True), max_retries=0)

    outcomes = work_off(*(make() for make in own(app).workers()))

    assert {"completed": 1, "failed": 1} == outcomes
    assert {"value": "shop:a"} == own(app).queue.get_job(done.metadata.id).result
    assert [type(None), LookupError] == [type(error) for error in ended]


@pytest.mark.parametrize("is_made_first", [True, False])
def test_every_application_knows_the_type_of_a_handler_s_jobs(is_made_first: bool) -> None:
    jobs = SemiontJobs()
    apps = [an_app(jobs)] if is_made_first else []
    jobs.handler("thumbnail")(thumbnail)
    apps.append(an_app(jobs))

    types = [own(app).enqueue(Picture("a")).metadata.type for app in apps]

    assert ["thumbnail"] * len(apps) == types


def test_a_handler_of_the_extension_is_one_like_any_other() -> None:
    handler = SemiontJobs().handler("thumbnail", queue="slow", timeout=5)(thumbnail)

    assert isinstance(handler, Handler)
    assert ("thumbnail", "slow", 5) == (handler.type, handler.queue_name, handler.timeout)
    assert thumbnail is handler.function


def test_what_is_no_handler_is_refused_and_none_of_the_workers() -> None:
    jobs = SemiontJobs()
    app = an_app(jobs)

    with pytest.raises(InvalidValue, match="a handler is a function"):
        jobs.handler("thumbnail")(Picture)

    assert [] == own(app).workers()


def test_two_handlers_whose_types_differ_under_one_name_are_refused() -> None:
    jobs = SemiontJobs()
    app = an_app(jobs)
    jobs.handler("thumbnail")(thumbnail)

    with pytest.raises(InvalidValue, match="'thumbnail' jobs have Picture"):
        jobs.handler("thumbnail")(other)

    assert len(own(app).workers()) == 1


# -- the command -------------------------------------------------------------------------


class Printer(JobWorker):
    job_types = ("order",)

    def __init__(self) -> None:  # takes no queue: a pool gives it one
        super().__init__()

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return {"by": flask.current_app.name}


def test_the_command_does_the_jobs_of_classes_and_handlers(tmp_path: Path) -> None:
    jobs = SemiontJobs()
    jobs.worker(Printer)
    jobs.handler("thumbnail")(thumbnail)
    app = an_app(jobs, tmp_path)
    ids = [own(app).enqueue(each, type=kind).metadata.id
           for each, kind in ((Picture("a"), None), ({}, "order"))]  # fmt: skip

    ran = run(app, "--burst", "--threads", "2")

    assert 0 == ran.exit_code
    assert f"2 workers at work on {tmp_path}: Printer, thumbnail\n" in ran.output
    with JobQueue(tmp_path, fsync=False) as queue:
        results = [queue.get_job(each).result for each in ids]  # type: ignore[union-attr]
    assert [{"value": "shop:a"}, {"by": "shop"}] == results


def test_an_application_without_workers_is_told_how_to_get_some(tmp_path: Path) -> None:
    ran = run(an_app(SemiontJobs(), tmp_path))

    assert 1 == ran.exit_code
    assert "Error: the application has no workers: give them to the extension" in ran.output
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threads", "0"], "Invalid value for '--threads'"),
        (["--types", "invoice"], "Invalid value for --types"),
        (["--processes", "2"], "another process cannot import it"),
    ],
)
def test_a_wrong_option_is_told_in_a_line_before_anything_starts(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    jobs = SemiontJobs()
    jobs.worker(Printer)

    ran = run(an_app(jobs, tmp_path), *arguments)

    assert ran.exit_code in (1, 2)
    assert said in ran.output.splitlines()[-1]
    assert [] == list(tmp_path.iterdir())


# -- as a user runs it -------------------------------------------------------------------

SHOP = """
import os, threading
from pathlib import Path

import flask
from semiont_jobs import JobWorker
from semiont_jobs.flask import SemiontJobs

jobs = SemiontJobs()

@jobs.handler("order")
def order(params: dict, claim) -> list:
    claim.report({"pid": os.getpid()})
    while not Path(params["go"]).exists():
        threading.Event().wait(0.01)
    return [flask.current_app.name, os.getpid()]

def create_app():
    app = flask.Flask(__name__, instance_path=__file__ + ".d")
    app.config.from_mapping(SEMIONT_JOBS_DIR="var", SEMIONT_JOBS_FSYNC=False)
    jobs.init_app(app)
    return app
"""


@contextmanager
def worker_process(project: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "shop", "jobs", "worker", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path


def pid_at_work(queue: JobQueue, job_id: str) -> int:
    def look() -> Any:
        job = queue.get_job(job_id)
        return job is not None and job.status == "running" and (job.progress or {}).get("pid")

    return int(eventually(look, TIMEOUT))


def test_a_killed_process_s_job_is_finished_by_another(project: Path) -> None:
    with (
        JobQueue(project / "shop.py.d" / "var", fsync=False) as queue,
        worker_process(project, "--processes", "2") as worker,
    ):
        job_id = queue.enqueue({"go": str(project / "go")}, type="order").metadata.id
        killed = pid_at_work(queue, job_id)
        os.kill(killed, signal.SIGKILL)
        other = eventually(lambda: (pid := pid_at_work(queue, job_id)) != killed and pid, TIMEOUT)
        (project / "go").touch()
        done = queue.wait_for(job_id, timeout=TIMEOUT)
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(timeout=TIMEOUT)

    assert done.status == "complete"
    assert {"value": ["shop", other]} == done.result
    assert (0, 1) == (code, done.metadata.crash_count)


def test_a_change_of_the_application_starts_the_worker_again(project: Path) -> None:
    (project / "go").touch()
    with (
        JobQueue(project / "shop.py.d" / "var", fsync=False) as queue,
        worker_process(project, "--reload") as worker,
    ):
        assert worker.stderr is not None
        lines = iter(worker.stderr.readline, "")
        assert next(line for line in lines if "at work" in line)
        (project / "shop.py").write_text(SHOP.replace("flask.current_app.name", '"changed"'))
        assert next(line for line in lines if "starting again" in line)
        assert next(line for line in lines if "at work" in line)
        job_id = queue.enqueue({"go": str(project / "go")}, type="order").metadata.id
        done = queue.wait_for(job_id, timeout=TIMEOUT)

    assert done.status == "complete"
    assert "changed" == done.result["value"][0]
