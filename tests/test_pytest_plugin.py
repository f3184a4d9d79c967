"""The pytest plugin: the fixture `jobs` and what it can do."""

from __future__ import annotations

import configparser
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from tenacity import wait_fixed

from semiont_jobs import (
    Claim,
    FailedJob,
    JobQueue,
    JobType,
    JobWorker,
    PendingJob,
    PermanentError,
    RetryPolicy,
    RunningJob,
    Snooze,
    get_job_queue,
    job_handler,
)
from semiont_jobs.testing import FakeClock, Jobs

pytest_plugins = ["pytester", "semiont_jobs_pytest"]

ROOT = Path(__file__).parents[1]


@attrs.frozen
class Order:
    title: str
    copies: int = 1


class Printer(JobWorker):
    job_types = ("order",)

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        for copy in range(job.params.copies):
            self.checkpoint([f"copy {copy}"])
        if job.params.title == "unreadable":
            raise ValueError("cannot be read")
        if job.params.title == "forbidden":
            raise PermanentError("must not be printed")
        if job.params.title == "tomorrow":
            raise Snooze(timedelta(days=1))
        if job.params.title == "series":
            self.queue.enqueue(Order("sequel"))
        return {"printed": job.params.title}


class Sleeper(JobWorker):
    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        raise Snooze(60)


@pytest.fixture
def jobs_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {
        "data_dir": "memory:",
        "job_types": [JobType("order", Order)],
        "retry_policy": RetryPolicy(wait=wait_fixed(60)),
    }


@pytest.fixture(params=["memory", "files"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, jobs_settings: dict[str, Any]) -> Any:
    place = "memory:" if request.param == "memory" else tmp_path / "data"
    with Jobs(**{**jobs_settings, "data_dir": place}) as jobs:
        yield jobs


def titles(jobs: list[Any]) -> list[str]:
    return [job.params.title for job in jobs]


# -- the fixture -------------------------------------------------------------------------


def test_the_fixture_s_queue_is_the_application_s(jobs: Jobs) -> None:
    assert get_job_queue() is jobs.queue


def test_a_test_has_a_directory_of_its_own_under_xdist_too(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import pytest
        from semiont_jobs import QueueNotInitialized, get_job_queue

        @pytest.mark.parametrize("n", range(4))
        def test_alone(jobs, tmp_path, n):
            jobs.queue.enqueue({"n": n}, type="t")

            assert [job.params for job in jobs.all()] == [{"n": n}]
            assert len(list(tmp_path.glob("jobs-data/jobs/pending/*.json"))) == 1
            assert get_job_queue() is jobs.queue

        def test_nothing_is_left():
            with pytest.raises(QueueNotInitialized):
                get_job_queue()
        """
    )

    result = pytester.runpytest_subprocess("-p", "semiont_jobs_pytest", "-n", "2")

    result.assert_outcomes(passed=5)


def test_loading_the_plugin_does_not_import_the_library() -> None:
    code = "import sys, semiont_jobs_pytest; print('semiont_jobs' in sys.modules)"

    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert run.stdout == "False\n"


def test_pytest_finds_the_plugin_where_the_library_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")

    points = setup["options.entry_points"]["pytest11"].split()

    assert points == ["semiont_jobs_pytest", "=", "semiont_jobs_pytest"]
    assert setup["options"]["py_modules"] == "semiont_jobs_pytest"


# -- what was enqueued -------------------------------------------------------------------


def test_what_was_enqueued_is_found_by_type_class_params_and_fields(jobs: Jobs) -> None:
    job = jobs.queue.enqueue(Order("Emma", 3))
    other = jobs.queue.enqueue({"title": "Emma"}, type="other")

    assert jobs.assert_enqueued(Order) == job
    assert jobs.assert_enqueued("order", title="Emma", copies=3) == job
    assert jobs.assert_enqueued(Order("Emma", 3), times=1) == job
    assert jobs.assert_enqueued("other", title="Emma") == other
    assert jobs.assert_enqueued({"title": "Emma"}) == other
    assert jobs.all() == [job, other]


def test_a_job_that_is_done_was_enqueued(jobs: Jobs) -> None:
    jobs.queue.enqueue(Order("Emma"))
    jobs.drain(Printer)

    assert jobs.assert_enqueued(Order).status == "complete"


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("unknown", {}),
        (Printer, {}),
        (Order("Emma", 2), {}),
        (Order, {"title": "Persuasion"}),
        (Order, {"colour": None}),
        (Order, {"times": 2}),
    ],
)
def test_what_was_not_enqueued_is_said_with_what_was(
    jobs: Jobs, what: object, fields: dict[str, Any]
) -> None:
    jobs.queue.enqueue(Order("Emma"))

    with pytest.raises(AssertionError, match=r"Order.title='Emma', copies=1"):
        jobs.assert_enqueued(what, **fields)


def test_what_must_not_be_enqueued_is_refuted(jobs: Jobs) -> None:
    jobs.refute_enqueued(Order)
    jobs.queue.enqueue(Order("Emma"))

    jobs.refute_enqueued(Order, title="Persuasion")
    with pytest.raises(AssertionError, match="enqueued: Order, title='Emma'"):
        jobs.refute_enqueued(Order, title="Emma")


# -- work --------------------------------------------------------------------------------


def test_performing_params_enqueues_and_does_them(anywhere: Jobs) -> None:
    job = anywhere.perform(Printer, Order("Emma"), priority=7)

    assert (job.status, job.metadata.priority) == ("complete", 7)
    assert job.result == {"printed": "Emma"}
    assert job.metadata.attempts[0].worker == "Printer"


def test_performing_a_job_does_that_one(jobs: Jobs) -> None:
    first, second = jobs.queue.enqueue(Order("Emma")), jobs.queue.enqueue(Order("Persuasion"))

    done = jobs.perform(Printer(jobs.queue), second)
    again = jobs.perform(Printer, first.metadata.id)

    assert [done.metadata.id, again.metadata.id] == [second.metadata.id, first.metadata.id]


def test_a_job_that_fails_comes_back_after_its_back_off(jobs: Jobs) -> None:
    job = jobs.perform(Printer, Order("unreadable"))
    with pytest.raises(AssertionError, match="not due for 0:01:00"):
        jobs.perform(Printer, job)
    jobs.clock.tick(minutes=1)
    again = jobs.perform(Printer, job)

    assert isinstance(job, PendingJob)
    assert [attempt.message for attempt in again.metadata.attempts] == ["cannot be read"] * 2


def test_what_a_worker_does_not_take_is_said(jobs: Jobs) -> None:
    other = jobs.queue.enqueue({}, type="other")
    done = jobs.perform(Printer, Order("Emma"))

    with pytest.raises(AssertionError, match=r"Printer does not take job .* of type 'other'"):
        jobs.perform(Printer, other)
    with pytest.raises(AssertionError, match="is complete, not pending"):
        jobs.perform(Printer, done)


def test_a_job_that_its_worker_refuses_is_not_performed(jobs: Jobs) -> None:
    class Choosy(Printer):
        def can_process_job(self, job: Any) -> bool:
            return bool(job.params.title != "Emma")

    refused = jobs.queue.enqueue(Order("Emma"))

    with pytest.raises(AssertionError, match="Choosy does not take job"):
        jobs.perform(Choosy, refused)
    assert jobs.drain(Choosy, delayed=True) == {}


def test_a_worker_of_another_queue_is_refused(jobs: Jobs) -> None:
    for wrong in (Printer(JobQueue("memory:")), lambda _queue: "worker"):
        with pytest.raises(TypeError, match="no worker of this queue"):
            jobs.drain(wrong)  # type: ignore[arg-type]


@attrs.frozen
class Thumbnail:
    path: str
    sizes: int = 2


@job_handler("thumbnail")
def thumbnail(params: Thumbnail, claim: Claim[Any, Any, Any]) -> str:
    for size in range(params.sizes):
        claim.report({"done": size + 1})
    return f"{params.path}.png"


def test_a_handler_works_as_a_worker_does(anywhere: Jobs) -> None:
    done = anywhere.perform(thumbnail, Thumbnail("ada"))
    crashed = anywhere.crash(thumbnail, Thumbnail("grace"), after=1)
    with anywhere.inline(thumbnail) as outcomes:
        anywhere.queue.enqueue(Thumbnail("emmy"))
    anywhere.queue.enqueue(Thumbnail("mary"))

    assert done.result == {"value": "ada.png"}
    assert (crashed.status, crashed.metadata.crash_count) == ("pending", 1)
    assert outcomes == {"completed": 2}
    assert anywhere.drain(thumbnail) == {"completed": 1}


def test_draining_counts_attempts_by_outcome(anywhere: Jobs) -> None:
    for title in ("Emma", "series", "unreadable", "forbidden", "tomorrow"):
        anywhere.queue.enqueue(Order(title))

    assert anywhere.drain(Printer) == {
        "completed": 3,
        "retrying": 1,
        "failed": 1,
        "snoozed": 1,
    }
    assert titles(anywhere.all())[-1] == "sequel"
    assert anywhere.drain(Printer) == {}


def test_draining_with_what_is_delayed_moves_the_clock(jobs: Jobs) -> None:
    began = jobs.clock()
    jobs.queue.enqueue(Order("Emma"), run_after=timedelta(hours=1))
    jobs.queue.enqueue(Order("unreadable"))

    outcomes = jobs.drain(Printer, delayed=True)

    assert outcomes == {"completed": 1, "retrying": 3, "failed": 1}
    assert jobs.clock() - began == timedelta(hours=1)


def test_a_job_that_snoozes_for_ever_does_not_hang_the_test(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.testing.jobs.MOST_ROUNDS", 5)
    jobs.queue.enqueue({}, type="sleep")

    with pytest.raises(AssertionError, match="still not drained after 5 rounds"):
        jobs.drain(Sleeper, delayed=True)


def test_inline_a_job_is_done_before_enqueue_returns(jobs: Jobs) -> None:
    with jobs.inline(Printer) as outcomes:
        job = jobs.queue.enqueue(Order("series"))
        done = jobs.queue.get_job(job.metadata.id)
        late = jobs.queue.enqueue(Order("Emma"), run_after=60)
    after = jobs.queue.enqueue(Order("Persuasion"))

    assert done is not None
    assert done.status == "complete"
    assert outcomes == {"completed": 2}
    assert [job.status for job in jobs.all()] == ["complete", "complete", "pending", "pending"]
    assert {late.metadata.id, after.metadata.id} == {
        job.metadata.id for job in jobs.queue.query_jobs(status="pending")
    }


def test_inline_jobs_of_several_threads_are_all_done(jobs: Jobs) -> None:
    left: list[str] = []

    def order(number: int) -> None:
        job = jobs.queue.enqueue(Order(f"book {number}"))
        left.append(jobs.queue.get_job(job.metadata.id).status)  # type: ignore[union-attr]

    with jobs.inline(Printer):
        threads = [threading.Thread(target=order, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert left == ["complete"] * 8


# -- a clock and a crash -----------------------------------------------------------------


def test_the_clock_stands_still_until_it_is_moved(jobs: Jobs) -> None:
    began = jobs.clock()

    assert jobs.clock() == began
    assert jobs.clock.tick() == began + timedelta(seconds=1)
    assert jobs.clock.tick(hours=1, minutes=1) == began + timedelta(seconds=3661)


def test_another_clock_will_do(jobs_settings: dict[str, Any]) -> None:
    clock = FakeClock()

    with Jobs(**jobs_settings, clock=clock) as jobs:
        assert jobs.queue.enqueue(Order("Emma")).metadata.created == clock()


def test_after_a_crash_the_job_is_pending_with_its_checkpoint(anywhere: Jobs) -> None:
    job = anywhere.crash(Printer, Order("Emma", 3), after=2)

    assert isinstance(job, PendingJob)
    assert (job.metadata.crash_count, job.metadata.retry_count) == (1, 0)
    assert job.metadata.attempts[0].error_type == "WorkerCrashed"
    assert job.metadata.completed_units == ("copy 0", "copy 1")
    assert anywhere.drain(Printer) == {"completed": 1}


def test_a_crash_before_the_work_begins_leaves_nothing_of_it(anywhere: Jobs) -> None:
    job = anywhere.crash(Printer, Order("Emma"))

    assert job.metadata.completed_units == ()
    assert job.metadata.crash_count == 1


def test_a_job_that_keeps_crashing_fails(anywhere: Jobs) -> None:
    job: Any = anywhere.crash(Printer, Order("Emma"))
    while job.status == "pending":
        job = anywhere.crash(Printer, job)

    assert isinstance(job, FailedJob)
    assert job.metadata.crash_count == 4


def test_a_crash_that_comes_too_late_is_said_and_the_job_goes_back(jobs: Jobs) -> None:
    job = jobs.queue.enqueue(Order("Emma", 1))

    with pytest.raises(AssertionError, match="ended before it had reported 2 times"):
        jobs.crash(Printer, job, after=2)

    assert jobs.drain(Printer) == {"completed": 1}
