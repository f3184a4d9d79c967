"""The Flask extension: a queue per application, its config, its workers' context."""

from __future__ import annotations

import threading
from collections.abc import Callable
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
        ({"DIR": "memory:", "TIMEOUT": "10"}, "SEMIONT_JOBS_TIMEOUT"),
        ({"DIR": "memory:", "MAX_RETRIES": -1}, "SEMIONT_JOBS_MAX_RETRIES"),
        ({"DIR": "data", "FSYNC": "no"}, "True or False is needed"),
        ({"DIR": "data", "DIR_MODE": "0700"}, "permission bits are needed"),
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
