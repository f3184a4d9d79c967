"""What our backend does beyond what every backend of tasks must."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
import pytest
from django.test import override_settings
from django.utils import timezone
from in_django.backends import AT_ONCE, finished_of
from in_django.projects import BACKEND, project, works

from semiont_jobs import JobCancelled, WorkerCrashed
from semiont_jobs.django import JobsBackend, JobTask, TaskWorker
from semiont_jobs.django.compat import (
    FRAMEWORK,
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task,
    task_backends,
    task_finished,
)
from semiont_jobs.django.tasks import TASK_TYPE
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.inline import claim_for, work_off, work_on

ROOT = Path(__file__).parents[2]


@pytest.fixture
def backend() -> Iterator[JobsBackend]:
    with project(retry_policy=AT_ONCE) as backend:
        works.calls.clear()
        yield backend


@pytest.fixture
def finished() -> Iterator[list[Any]]:
    sent: list[Any] = []
    receiver = finished_of(sent)
    task_finished.connect(receiver)
    yield sent
    task_finished.disconnect(receiver)


# -- what it is --------------------------------------------------------------------------


def test_it_supports_all_that_a_backend_can(backend: JobsBackend) -> None:
    flags = [
        backend.supports_defer,
        backend.supports_async_task,
        backend.supports_get_result,
        backend.supports_priority,
    ]

    assert flags == [True, True, True, True]


def test_backends_of_all_threads_share_one_queue(backend: JobsBackend) -> None:
    found: list[JobsBackend] = []

    thread = threading.Thread(target=lambda: found.append(task_backends["default"]))
    thread.start()
    thread.join()

    assert found[0] is not backend
    assert found[0].queue is backend.queue


def test_two_aliases_of_one_place_share_its_queue_but_no_results(tmp_path: Path) -> None:
    one = {"BACKEND": BACKEND, "OPTIONS": {"data_dir": str(tmp_path)}}
    two = {"BACKEND": BACKEND, "OPTIONS": {"data_dir": tmp_path}}
    with override_settings(TASKS={"default": one, "two": two}):
        result = works.give.using(backend="two").enqueue(1)
        nobody_s = work_off(TaskWorker())

        assert task_backends["default"].queue is task_backends["two"].queue
        assert nobody_s == {}
        with pytest.raises(TaskResultDoesNotExist):
            task_backends["default"].get_result(result.id)
        assert work_off(TaskWorker("two")) == {"completed": 1}


def test_a_process_that_changes_its_directory_keeps_its_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    found: list[Any] = []
    monkeypatch.chdir(tmp_path)
    with project(data_dir="var") as backend:
        works.give.enqueue(1)
        monkeypatch.chdir("elsewhere")
        thread = threading.Thread(target=lambda: found.append(works.give.enqueue(2).job))
        thread.start()
        thread.join()

        assert len(backend.queue.query_jobs()) == 2
        assert found[0].metadata.id in {job.metadata.id for job in backend.queue.query_jobs()}
        assert list((tmp_path / "elsewhere").iterdir()) == []


def test_other_settings_make_another_queue(tmp_path: Path) -> None:
    with project(data_dir=tmp_path) as one, project(data_dir=tmp_path, fsync=False) as two:
        assert one.queue is not two.queue


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_enqueues_on_its_parent_s_backend(tmp_path: Path) -> None:
    with project(data_dir=tmp_path) as backend:
        works.give.enqueue("parent")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                works.give.enqueue("child")
                code = 0
            finally:
                os._exit(code)
        _pid, status = os.waitpid(pid, 0)

        assert status == 0
        assert sorted(job.params.args[0] for job in backend.queue.query_jobs()) == [
            "child",
            "parent",
        ]


def test_a_task_s_job_can_be_read_by_people(tmp_path: Path) -> None:
    with project(data_dir=tmp_path, max_retries=7, timeout=60):
        result = works.give.using(priority=5).enqueue({"user_id": 1})

    text = (tmp_path / "jobs" / "pending" / f"{result.id}.json").read_text()
    for line in (
        f'"type": "{TASK_TYPE}"',
        '"task": "in_django.works.give"',
        '"user_id": 1',
        '"backend": "default"',
        '"priority": 5',
        '"maxRetries": 7',
        '"timeout": 60',
    ):
        assert line in text


# -- retries -----------------------------------------------------------------------------


def test_a_task_that_failed_is_ready_again_with_its_error_on_record(backend: JobsBackend) -> None:
    result = works.fail_at_first.enqueue(1)
    worker = TaskWorker()

    ended = work_on(worker, claim_for(worker))
    result.refresh()

    assert (ended, result.status, result.attempts) == ("retrying", TaskResultStatus.READY, 1)
    assert [error.exception_class for error in result.errors] == [LookupError]
    assert result.started_at == result.last_attempted_at
    assert result.finished_at is None


def test_there_is_one_error_per_failed_attempt_and_one_worker_per_attempt(
    backend: JobsBackend, finished: list[Any]
) -> None:
    result = works.fail_at_first.enqueue(2)

    outcomes = work_off(TaskWorker(worker_id="w"))
    result.refresh()

    assert outcomes == {"retrying": 2, "completed": 1}
    assert works.calls == [1, 2, 3]
    assert result.return_value == 3
    assert ["attempt 1" in e.traceback or "attempt 2" in e.traceback for e in result.errors] == [
        True,
        True,
    ]
    assert result.worker_ids == ["w", "w", "w"]
    assert result.started_at <= result.last_attempted_at <= result.finished_at
    assert finished == [(result.id, "SUCCESSFUL")]


def test_a_result_says_when_it_was_started_and_when_it_was_tried_last(
    backend: JobsBackend,
) -> None:
    clock = backend.queue.clock = FakeClock()
    began = clock()
    result = works.fail_at_first.enqueue(2)
    worker = TaskWorker()
    for _attempt in range(3):
        clock.tick(minutes=1)
        work_on(worker, claim_for(worker))
    result.refresh()

    assert result.enqueued_at == began
    assert result.started_at == began + timedelta(minutes=1)
    assert result.last_attempted_at == result.finished_at
    assert result.last_attempted_at == began + timedelta(minutes=3)


def test_a_task_fails_when_its_retries_are_used_up(
    backend: JobsBackend, finished: list[Any]
) -> None:
    result = works.fail.enqueue("no")

    outcomes = work_off(TaskWorker())
    result.refresh()

    assert outcomes == {"retrying": 3, "failed": 1}
    assert (result.status, len(result.errors)) == (TaskResultStatus.FAILED, 4)
    assert finished == [(result.id, "FAILED")]


def test_a_task_may_say_how_often_it_is_tried_again(backend: JobsBackend) -> None:
    result = works.fail.using(max_retries=1, timeout=30.5).enqueue("no")

    assert work_off(TaskWorker()) == {"retrying": 1, "failed": 1}
    assert result.job.metadata.timeout == 30.5
    assert backend.get_result(result.id).task == works.fail.using(max_retries=1, timeout=30.5)


def test_options_say_it_for_tasks_that_do_not() -> None:
    with project(max_retries=0, timeout=20):
        own, other = works.give.using(max_retries=2).enqueue(), works.give.enqueue()

        assert (own.job.metadata.max_retries, other.job.metadata.max_retries) == (2, 0)
        assert other.job.metadata.timeout == 20
        assert other.task == works.give


def test_the_decorator_takes_retries_where_django_passes_arguments_on(
    backend: JobsBackend,
) -> None:
    if django.VERSION[:2] == (6, 0) and FRAMEWORK == "django.tasks":
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            task(max_retries=5)
        # There `using` is the way.
        made = task()(works.plain).using(max_retries=5, timeout=1.5)
    else:
        made = task(max_retries=5, timeout=1.5)(works.plain)

    assert isinstance(made, JobTask)
    assert (made.max_retries, made.timeout) == (5, 1.5)
    assert made.using(priority=3) == made.using(priority=3, max_retries=5)


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "3"])
def test_a_number_of_retries_that_is_none_is_refused(backend: JobsBackend, wrong: object) -> None:
    with pytest.raises(InvalidTask, match=r"^max_retries must be a whole number from 0\.$"):
        works.give.using(max_retries=wrong)


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), True, "3"])
def test_a_time_limit_that_is_none_is_refused(backend: JobsBackend, wrong: object) -> None:
    with pytest.raises(InvalidTask, match=r"^timeout must be a positive number of seconds\.$"):
        works.give.using(timeout=wrong)


def test_a_retry_policy_may_be_named_by_its_path() -> None:
    with project(retry_policy=f"{__name__}.AT_ONCE") as backend:
        assert backend.queue.retry_policy is AT_ONCE


# -- other ends --------------------------------------------------------------------------


def test_a_cancelled_task_has_failed_and_says_so(backend: JobsBackend, finished: list[Any]) -> None:
    result = works.give.enqueue(1)

    cancelled = result.cancel()
    result.refresh()

    assert cancelled
    assert result.status == TaskResultStatus.FAILED
    assert [error.exception_class for error in result.errors] == [JobCancelled]
    assert result.finished_at is not None
    assert finished == [(result.id, "FAILED")]
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


def test_a_running_task_can_be_cancelled(backend: JobsBackend, finished: list[Any]) -> None:
    works.entered.clear()
    result = works.wait_for_the_end.enqueue()

    with TaskWorker():
        assert works.entered.wait(30)
        running = backend.get_result(result.id)
        result.cancel()
        backend.queue.wait_for(result.id, timeout=30)
    result.refresh()

    assert (running.status, running.attempts) == (TaskResultStatus.RUNNING, 1)
    assert [error.exception_class for error in result.errors] == [JobCancelled]
    assert result.attempts == 1
    assert finished == [(result.id, "FAILED")]


def test_a_crash_is_an_error_and_the_task_is_ready_again(
    backend: JobsBackend, finished: list[Any]
) -> None:
    result = works.give.enqueue(1)
    claim_for(TaskWorker(worker_id="dead"))
    backend.queue.store.kill_holder(result.id)

    backend.queue.rescue_orphans()
    result.refresh()

    assert (result.status, result.worker_ids) == (TaskResultStatus.READY, ["dead"])
    assert [error.exception_class for error in result.errors] == [WorkerCrashed]
    assert "the worker dead died" in result.errors[0].traceback
    assert finished == []


def test_a_task_that_kills_its_workers_has_finished_when_it_is_given_up(
    finished: list[Any],
) -> None:
    with project(max_crashes=0) as backend:
        result = works.give.enqueue(1)
        claim_for(TaskWorker())
        backend.queue.store.kill_holder(result.id)
        backend.queue.rescue_orphans()
        result.refresh()

        assert result.status == TaskResultStatus.FAILED
        assert finished == [(result.id, "FAILED")]


def test_the_end_of_a_task_of_other_settings_is_told_to_nobody(
    tmp_path: Path, finished: list[Any]
) -> None:
    other = {"BACKEND": BACKEND, "OPTIONS": {"data_dir": tmp_path}}
    with override_settings(TASKS={"other": other}):
        result = works.give.using(backend="other").enqueue(1)
    with project(data_dir=tmp_path) as backend:
        cancelled = backend.queue.cancel_job(result.id)

    assert (cancelled, finished) == (True, [])


def test_a_retry_by_hand_finishes_a_task_again(backend: JobsBackend, finished: list[Any]) -> None:
    result = works.give.enqueue(1)
    result.cancel()

    backend.queue.retry_job(result.id)
    work_off(TaskWorker())
    removed = backend.queue.cleanup_completed_jobs(timezone.now() + timedelta(hours=1))

    assert removed == 1
    assert finished == [(result.id, "FAILED"), (result.id, "SUCCESSFUL")]


def test_the_traceback_is_that_of_the_task(backend: JobsBackend) -> None:
    seen: list[str] = []

    def receive(task_result: Any, **_: Any) -> None:
        import traceback

        seen.append(traceback.format_exc())

    task_finished.connect(receive)
    try:
        result = works.fail.using(max_retries=0).enqueue("here")
        work_off(TaskWorker())
    finally:
        task_finished.disconnect(receive)
    result.refresh()

    assert result.errors[0].traceback == seen[0]
    assert "_record" not in seen[0]
    assert seen[0].endswith("LookupError: here\n")
