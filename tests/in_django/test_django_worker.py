"""The worker that runs tasks: what it takes, and how it treats the database."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings
from in_django.backends import AT_ONCE
from in_django.projects import project, works

from semiont_jobs import InvalidValue, JobMetadata, PendingJob
from semiont_jobs.django import JobsBackend, TaskWorker
from semiont_jobs.django.compat import (
    FRAMEWORK,
    InvalidTask,
    InvalidTaskBackend,
    TaskResultStatus,
    task_finished,
    task_started,
)
from semiont_jobs.django.tasks import TASK_TYPE, TaskCall
from semiont_jobs.testing.inline import claim_for, work_off


@pytest.fixture
def backend() -> Iterator[JobsBackend]:
    with project(queues=["default", "mail", "slow"], max_retries=0) as backend:
        works.calls.clear()
        yield backend


def test_it_runs_in_a_thread_of_its_own(backend: JobsBackend) -> None:
    result = works.give.enqueue("done")

    with TaskWorker():
        backend.queue.wait_for(result.id, timeout=30)
    result.refresh()

    assert result.return_value == "done"


def test_it_takes_the_queues_it_is_told_to(backend: JobsBackend) -> None:
    for name in ("default", "mail", "slow"):
        works.give.using(queue_name=name).enqueue(name)

    work_off(TaskWorker(queue_names=["mail", "slow"], exclude=["slow"]))
    some = list(works.calls)
    work_off(TaskWorker(exclude=["slow"]))
    more = list(works.calls)
    work_off(TaskWorker())

    assert some == ["mail"]
    assert more == ["mail", "default"]
    assert works.calls == ["mail", "default", "slow"]


def test_it_leaves_jobs_of_other_types_alone(backend: JobsBackend) -> None:
    backend.queue.enqueue({}, type="other")

    assert work_off(TaskWorker()) == {}


def test_workers_have_ids_of_their_own(backend: JobsBackend) -> None:
    names = {TaskWorker().get_worker_name(), TaskWorker().get_worker_name()}

    assert len(names) == 2
    assert all(0 < len(name) <= 64 for name in names)
    assert TaskWorker(worker_id="mine").get_worker_name() == "mine"


@pytest.mark.parametrize("wrong", ["", "x" * 65, 7])
def test_an_id_that_django_could_not_keep_is_refused(backend: JobsBackend, wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="worker_id"):
        TaskWorker(worker_id=wrong)


@pytest.mark.parametrize("wrong", ["mail", [7], 7])
def test_queue_names_are_a_list(backend: JobsBackend, wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="queue_names"):
        TaskWorker(queue_names=wrong)


def test_a_backend_that_is_not_ours_has_another_worker() -> None:
    dummy = {"BACKEND": f"{FRAMEWORK}.backends.dummy.DummyBackend"}
    with override_settings(TASKS={"default": dummy}):
        with pytest.raises(InvalidTaskBackend, match="is no JobsBackend"):
            TaskWorker()
        with pytest.raises(InvalidTaskBackend):
            TaskWorker("unknown")


# -- the database ------------------------------------------------------------------------


def test_connections_are_closed_before_and_after_a_task(backend: JobsBackend) -> None:
    result = works.query.enqueue(7)
    seen: list[tuple[str, bool]] = []

    def work() -> None:
        connection.ensure_connection()
        worker = TaskWorker()
        claim = claim_for(worker)
        old = connection.connection
        started = threading.Event()

        def look(**_: Any) -> None:
            seen.append(("at the start", connection.connection is old))
            started.set()

        task_started.connect(look)
        try:
            worker.work_on(claim)
        finally:
            task_started.disconnect(look)
        assert started.is_set()
        seen.append(("at the end", connection.connection is not None))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    result.refresh()

    assert result.return_value == 7
    assert works.calls == [True]
    assert seen == [("at the start", False), ("at the end", False)]


def test_connections_are_closed_after_a_task_that_failed(backend: JobsBackend) -> None:
    works.query.enqueue("too", "many")
    connection.ensure_connection()

    work_off(TaskWorker())

    assert connection.connection is None


def test_a_transaction_left_open_ends_with_its_task(backend: JobsBackend) -> None:
    works.leave_a_transaction_open.enqueue()
    works.query.enqueue(1)

    assert work_off(TaskWorker()) == {"completed": 2}
    assert connection.connection is None
    assert connection.get_autocommit()


def test_a_transaction_around_the_worker_is_left_alone(backend: JobsBackend) -> None:
    works.query.enqueue(1)

    with transaction.atomic():
        work_off(TaskWorker())
        still_there = connection.connection is not None and connection.in_atomic_block

    assert still_there


def test_a_connection_that_a_receiver_opens_is_closed(backend: JobsBackend) -> None:
    def receive(**_: Any) -> None:
        connection.ensure_connection()

    task_finished.connect(receive)
    try:
        works.give.enqueue(1).cancel()
        after_a_cancel = connection.connection
        connection.ensure_connection()
        works.give.enqueue(1).cancel()
        one_that_was_open = connection.connection
    finally:
        task_finished.disconnect(receive)

    assert after_a_cancel is None
    assert one_that_was_open is not None


# -- what cannot be run ------------------------------------------------------------------


def planted(backend: JobsBackend, path: str) -> Any:
    """The result of a job that names that path, as after a deploy or by a foreign hand."""
    call = TaskCall(task=path, backend="default")
    job = backend.queue.create_job(
        PendingJob(metadata=JobMetadata(type=TASK_TYPE, max_retries=0), params=call)
    )
    return backend.get_result(job.metadata.id)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("in_django.works.gone", ImportError),
        ("no_such_module.task", ModuleNotFoundError),
        ("nodots", ImportError),
        ("", ImportError),
        ("os.system", InvalidTask),
        ("in_django.works.plain", InvalidTask),
        ("in_django.works.not_a_task", InvalidTask),
    ],
)
def test_a_path_that_leads_to_no_task_fails_that_task(
    backend: JobsBackend, path: str, error: type[Exception]
) -> None:
    result = planted(backend, path)
    other = works.give.enqueue("fine")

    outcomes = work_off(TaskWorker())
    result.refresh()
    other.refresh()

    assert outcomes == {"failed": 1, "completed": 1}
    assert (result.status, other.status) == (
        TaskResultStatus.FAILED,
        TaskResultStatus.SUCCESSFUL,
    )
    assert [each.exception_class for each in result.errors] == [error]


def test_a_time_that_a_foreign_hand_wrote_does_not_make_a_result_unreadable(
    backend: JobsBackend,
) -> None:
    call = TaskCall(task="in_django.works.give", backend="default", run_after="tomorrow")
    job = backend.queue.create_job(PendingJob(metadata=JobMetadata(type=TASK_TYPE), params=call))

    assert backend.get_result(job.metadata.id).task.run_after is None


def test_params_that_are_no_call_fail_that_job(tmp_path: Path) -> None:
    with project(data_dir=tmp_path, max_retries=0) as backend:
        result = works.give.enqueue(1)
        path = tmp_path / "jobs" / "pending" / f"{result.id}.json"
        path.write_text(path.read_text().replace('"args": [', '"arguments": ['))
        path.write_text(path.read_text().replace('"task": "', '"tusk": "'))

        assert work_off(TaskWorker()) == {"failed": 1}
        assert "JobDecodeError" in backend.queue.get_job(result.id).error


def test_a_receiver_of_task_finished_that_fails_changes_nothing_and_keeps_no_other_from_it(
    backend: JobsBackend, caplog: pytest.LogCaptureFixture
) -> None:
    def receive(**_: Any) -> None:
        raise RuntimeError("a receiver's own error")

    told: list[str] = []

    def listen(task_result: Any, **_: Any) -> None:
        told.append(task_result.id)

    task_finished.connect(receive)
    task_finished.connect(listen)
    try:
        result = works.give.enqueue("fine")
        work_off(TaskWorker())
    finally:
        task_finished.disconnect(receive)
        task_finished.disconnect(listen)
    result.refresh()

    assert result.return_value == "fine"
    assert told == [result.id]
    assert "a receiver's own error" in caplog.text


def test_receivers_are_called_by_the_workers_thread_with_the_tasks_error(tmp_path: Path) -> None:
    seen: dict[str, tuple[str, str]] = {}

    def receive(task_result: Any, **_: Any) -> None:
        error = traceback.format_exc().splitlines()[-1]
        seen[task_result.id] = (threading.current_thread().name, error)

    task_finished.connect(receive)
    try:
        with project(data_dir=str(tmp_path), retry_policy=AT_ONCE) as backend:
            works.calls.clear()
            good = [works.give.enqueue(number).id for number in range(8)]
            bad = works.fail.using(max_retries=0).enqueue("here").id
            with TaskWorker(worker_id="worker-1"):
                for each in (*good, bad):
                    backend.queue.wait_for(each, 30)
            backend.queue.close()
    finally:
        task_finished.disconnect(receive)

    assert {seen[each] for each in good} == {("worker-1", "NoneType: None")}
    assert seen[bad] == ("worker-1", "LookupError: here")
