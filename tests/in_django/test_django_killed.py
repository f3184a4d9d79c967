"""A worker process that is killed in the middle of a task."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from in_django.projects import project, works

from semiont_jobs import WorkerCrashed
from semiont_jobs.django import TaskWorker
from semiont_jobs.django.compat import FRAMEWORK, TaskResultStatus
from semiont_jobs.testing.inline import work_off
from semiont_jobs.testing.waiting import eventually

ROOT = Path(__file__).parents[2]

WORKER = """
import sys
import django
from django.conf import settings

settings.configure(
    TASKS={"default": {
        "BACKEND": "semiont_jobs.django.JobsBackend", "OPTIONS": {"data_dir": sys.argv[1]}
    }},
    INSTALLED_APPS=sys.argv[2:],
    USE_TZ=True,
)
django.setup()

from semiont_jobs.django import TaskWorker
from semiont_jobs.django.compat import task_started

task_started.connect(lambda **_: print("started", flush=True), weak=False)
TaskWorker(worker_id="killed").run()
"""


def test_a_task_whose_worker_is_killed_is_run_again_by_another(tmp_path: Path) -> None:
    apps = ["django_tasks"] if FRAMEWORK == "django_tasks" else []
    with project(data_dir=tmp_path / "data") as backend:
        works.calls.clear()
        result = works.hang_at_first.enqueue()
        worker: Any = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / "data"), *apps],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert worker.stdout.readline() == "started\n"
            running = backend.get_result(result.id)
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.communicate(timeout=30)
        eventually(lambda: work_off(TaskWorker(worker_id="second")))
        result.refresh()

    assert (running.status, running.worker_ids) == (TaskResultStatus.RUNNING, ["killed"])
    assert result.return_value == 2
    assert result.worker_ids == ["killed", "second"]
    assert [error.exception_class for error in result.errors] == [WorkerCrashed]


def test_a_worker_that_is_told_to_stop_finishes_its_task(tmp_path: Path) -> None:
    works.entered.clear()
    works.released.clear()
    with project(data_dir=tmp_path):
        result = works.wait_until_released.enqueue()
        worker = TaskWorker()
        worker.start()
        assert works.entered.wait(30)
        in_time = worker.stop(timeout=0)
        works.released.set()
        stopped = worker.stop(timeout=30)
        result.refresh()
        works.released.clear()

    assert (in_time, stopped) == (False, True)
    assert result.return_value == "released"
