"""What the backend takes for a task, and what it tells of one."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django
import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from in_django.backends import AT_ONCE, finished_of
from in_django.projects import BACKEND, project, works

from semiont_jobs import JobEncodeError, JobTooLarge
from semiont_jobs.codec.documents import MAX_NEW_JOB_BYTES
from semiont_jobs.django import JobsBackend, TaskWorker
from semiont_jobs.django.compat import (
    FRAMEWORK,
    InvalidTask,
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    task_enqueued,
)
from semiont_jobs.testing.inline import work_off


@pytest.fixture
def backend() -> Iterator[JobsBackend]:
    with project(retry_policy=AT_ONCE) as backend:
        works.calls.clear()
        yield backend


# -- what is enqueued --------------------------------------------------------------------


def test_a_time_may_be_a_span_from_the_moment_of_enqueueing(backend: JobsBackend) -> None:
    task = works.give.using(run_after=timedelta(hours=1))
    before = timezone.now()

    result = task.enqueue(1)

    after_that = result.task.run_after - before - timedelta(hours=1)
    # What is stored is cut to milliseconds.
    assert timedelta(milliseconds=-1) < after_that < timedelta(minutes=1)
    assert result.job.metadata.run_after == result.task.run_after
    assert backend.get_result(result.id).task == result.task
    assert work_off(TaskWorker()) == {}


@pytest.mark.parametrize("wrong", [5, "tomorrow", 1.5])
def test_a_time_that_is_none_is_refused(backend: JobsBackend, wrong: object) -> None:
    with pytest.raises(InvalidTask, match="run_after must be an aware datetime"):
        works.give.using(run_after=wrong)


def test_without_time_zones_times_are_naive_in_the_project_s_zone() -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="Europe/Vienna"), project() as backend:
        at = datetime(2027, 7, 1, 12, 0)
        result = works.give.using(run_after=at).enqueue(1)

        assert result.job.metadata.run_after == datetime(2027, 7, 1, 10, 0, tzinfo=UTC)
        assert backend.get_result(result.id).task.run_after == at
        assert backend.get_result(result.id).enqueued_at.tzinfo is None


def test_arguments_make_a_real_round_trip_through_json(backend: JobsBackend) -> None:
    result = works.give.enqueue({1: ("a", b"b")})

    work_off(TaskWorker())

    assert result.args == [{"1": ["a", "b"]}]
    assert works.calls == [{"1": ["a", "b"]}]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_has_not_is_refused(backend: JobsBackend, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        works.give.enqueue([number])

    assert backend.queue.get_stats().total == 0


def test_with_enqueue_on_commit_nothing_is_told_or_kept_before_the_commit() -> None:
    sent: list[Any] = []
    receiver = finished_of(sent)
    task_enqueued.connect(receiver)
    try:
        with project(enqueue_on_commit=True) as backend:
            with transaction.atomic():
                result = works.give.enqueue(1)
                before = (list(sent), backend.queue.get_stats().total, result.enqueued_at)
                in_hand = timezone.now()
            result.refresh()

            assert before == ([], 0, None)
            assert sent == [(result.id, "READY")]
            assert result.enqueued_at >= in_hand - timedelta(milliseconds=1)
            assert works.give.enqueue(2).id in {j.metadata.id for j in backend.queue.query_jobs()}
    finally:
        task_enqueued.disconnect(receiver)


def test_with_enqueue_on_commit_what_cannot_be_stored_is_refused_where_it_is_enqueued() -> None:
    with project(enqueue_on_commit=True) as backend:
        with transaction.atomic():
            with pytest.raises(JobEncodeError):
                works.give.enqueue("\ud800")
            with pytest.raises(JobTooLarge):
                works.give.enqueue("x" * MAX_NEW_JOB_BYTES)

        assert backend.queue.get_stats().total == 0


# -- what is read ------------------------------------------------------------------------


def test_a_job_of_another_type_is_no_result(backend: JobsBackend) -> None:
    job = backend.queue.enqueue({}, type="other")

    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(job.metadata.id)


@pytest.mark.parametrize("result_id", [None, 7, b"x", object()])
def test_an_id_that_is_no_text_is_said_not_to_exist(
    backend: JobsBackend, result_id: object
) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(result_id)


def test_a_file_that_is_no_job_is_said_not_to_exist(tmp_path: Path) -> None:
    with project(data_dir=tmp_path) as backend:
        result = works.give.enqueue(1)
        path = tmp_path / "jobs" / "pending" / f"{result.id}.json"
        path.write_text("{}")

        with pytest.raises(TaskResultDoesNotExist):
            backend.get_result(result.id)


def test_a_result_knows_its_job(backend: JobsBackend) -> None:
    result = works.count_to.enqueue(2)

    work_off(TaskWorker())

    assert works.calls[0] == {"done": 1}
    assert result.job.status == "complete"


def test_an_id_is_short_and_sorts_by_time(backend: JobsBackend) -> None:
    ids = [works.give.enqueue(1).id for _ in range(3)]

    assert ids == sorted(ids)
    assert {len(result_id) for result_id in ids} == {30}


@pytest.mark.skipif(FRAMEWORK == "django_tasks", reason="the backport's tasks cannot be pickled")
def test_a_task_can_be_pickled_where_django_s_can(backend: JobsBackend) -> None:
    task = works.give.using(max_retries=9)
    if django.VERSION < (6, 1):
        with pytest.raises(pickle.PicklingError):
            pickle.dumps(task)
        return

    assert pickle.loads(pickle.dumps(task)) == task


# -- settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "neither 'data_dir' nor 'url'"),
        ({"data_dir": "a", "url": "b"}, "both 'data_dir' and 'url'"),
        ({"data_dir": "a", "datadir": "b"}, "does not know: datadir"),
        ({"data_dir": "memory:", "max_retries": -1}, "max_retries must be"),
    ],
)
def test_wrong_options_are_said_at_the_first_use(options: dict[str, Any], said: str) -> None:
    settings = {"default": {"BACKEND": BACKEND, "OPTIONS": options}}
    with override_settings(TASKS=settings):
        with pytest.raises(InvalidTaskBackend, match=said):
            works.give.enqueue(1)
        with pytest.raises(InvalidTaskBackend, match=r"TASKS\['default'\]"):
            TaskWorker()
