"""``manage.py jobs_worker``."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from in_django.projects import project, works

from semiont_jobs.django import JobsBackend
from semiont_jobs.django.compat import FRAMEWORK
from semiont_jobs.testing.waiting import eventually

ROOT = Path(__file__).parents[2]

SETTINGS = """
SECRET_KEY = "for tests only"
USE_TZ = True
INSTALLED_APPS = {apps!r}
TASKS = {{"default": {{
    "BACKEND": "semiont_jobs.django.JobsBackend",
    "OPTIONS": {{"data_dir": {place!r}, "fsync": False}},
}}}}
"""

MANAGE = """
import logging
import os
import sys

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop_settings"
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
"""


@pytest.fixture
def backend() -> Iterator[JobsBackend]:
    with project(queues=["default", "mail", "slow"], max_retries=0) as backend:
        works.calls.clear()
        yield backend


@pytest.fixture(autouse=True)
def _logs_are_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (FRAMEWORK, "semiont_jobs")]
    before = [(logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, (level, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.handlers[:] = handlers


def work(verbosity: int = 0, **options: Any) -> str:
    out = StringIO()
    with override_settings(INSTALLED_APPS=["semiont_jobs.django"]):
        call_command("jobs_worker", batch=True, verbosity=verbosity, stdout=out, **options)
    return out.getvalue()


def test_a_batch_runs_what_is_due_and_ends(backend: JobsBackend) -> None:
    result = works.give.enqueue(1)

    work()
    result.refresh()

    assert result.return_value == 1


def test_it_takes_the_queues_that_it_is_told_to(backend: JobsBackend) -> None:
    for name in ("default", "mail", "slow"):
        works.give.using(queue_name=name).enqueue(name)

    work()
    default = list(works.calls)
    work(queue_name="mail,default")
    mail = list(works.calls)
    work(queue_name="*", exclude_queues="slow")
    excluded = list(works.calls)
    work(queue_name="*")

    assert (default, mail, excluded) == (["default"], ["default", "mail"], ["default", "mail"])
    assert works.calls == ["default", "mail", "slow"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "queue default"),
        ({"queue_name": "mail,slow"}, "queue mail,slow"),
        ({"queue_name": "*"}, "any queue"),
        ({"queue_name": "*", "exclude_queues": "slow"}, "any queue but slow"),
    ],
)
def test_it_says_which_queues_it_takes_tasks_from(
    backend: JobsBackend, options: dict[str, str], said: str
) -> None:
    assert work(verbosity=1, **options).startswith(f"At work on tasks of {said}\n")
    assert work(**options) == ""


def test_it_ends_after_so_many_tasks(backend: JobsBackend) -> None:
    for number in range(5):
        works.give.enqueue(number)

    work(max_tasks=2)

    assert works.calls == [0, 1]


def test_a_worker_s_id_is_in_its_results(backend: JobsBackend) -> None:
    result = works.give.enqueue(1)

    work(worker_id="mine", threads=2)
    result.refresh()

    assert result.worker_ids[0].startswith("mine-")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"exclude_queues": "mail"}, "can only be used with --queue-name"),
        ({"backend": "unknown"}, "unknown"),
        ({"max_tasks": 1, "processes": 2}, "one process"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    backend: JobsBackend, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        work(**options)


@pytest.mark.parametrize(
    "wrong", ["--interval=0", "--interval=nan", "--threads=0", "--max-tasks=-1", "--worker-id="]
)
def test_a_value_that_cannot_be_is_refused(backend: JobsBackend, wrong: str) -> None:
    with (
        override_settings(INSTALLED_APPS=["semiont_jobs.django"]),
        pytest.raises(CommandError, match="argument"),
    ):
        call_command("jobs_worker", wrong)


@pytest.mark.parametrize("processes", [1, 2])
def test_as_a_process_it_runs_tasks_until_it_is_told_to_stop(
    tmp_path: Path, processes: int
) -> None:
    apps = ["semiont_jobs.django", *(["django_tasks"] if FRAMEWORK == "django_tasks" else [])]
    place = str(tmp_path / "data")
    (tmp_path / "shop_settings.py").write_text(SETTINGS.format(apps=apps, place=place))
    (tmp_path / "manage.py").write_text(MANAGE)
    with project(data_dir=place, fsync=False) as backend:
        results = [works.is_django_set_up.enqueue() for _ in range(3)]
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "jobs_worker", f"--processes={processes}"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            eventually(lambda: backend.queue.get_stats().complete == 3)
        finally:
            worker.send_signal(signal.SIGTERM)
            said, _none = worker.communicate(timeout=60)
        for result in results:
            result.refresh()

    assert worker.returncode == 0, said
    assert [result.return_value for result in results] == [True] * 3
