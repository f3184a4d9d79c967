"""``manage.py jobs``."""

from __future__ import annotations

import json
import os
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

from semiont_jobs import JobQueue
from semiont_jobs.django import JobsBackend
from semiont_jobs.django.compat import FRAMEWORK

pytest.importorskip("rich", reason="the commands need semiont_jobs[cli]")

ROOT = Path(__file__).parents[2]

MANAGE = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(
    INSTALLED_APPS=["semiont_jobs.django"],
    TASKS={{"default": {{
        "BACKEND": "semiont_jobs.django.JobsBackend", "OPTIONS": {{"data_dir": {place!r}}}
    }}}},
)
execute_from_command_line(sys.argv)
"""


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsBackend]:
    # The command line's own variable means another place: this command has the backend's.
    monkeypatch.setenv("SEMIONT_JOBS_DIR", "/nowhere")
    with project(data_dir=tmp_path, fsync=False) as backend:
        yield backend


def jobs(*arguments: str, **options: Any) -> str:
    out = StringIO()
    with override_settings(INSTALLED_APPS=["semiont_jobs.django"]):
        call_command("jobs", *arguments, stdout=out, **options)
    return out.getvalue()


def test_it_looks_at_the_backend_s_tasks(backend: JobsBackend) -> None:
    result = works.give.enqueue("Emma")

    [listed] = [json.loads(line) for line in jobs("list", "--json").splitlines()]

    assert listed["metadata"]["id"] == result.id
    assert "in_django.works.give" in jobs("show", result.id)
    assert json.loads(jobs("stats", "--json"))["pending"] == 1
    assert "a second process is kept out" in jobs("doctor")


def test_a_task_is_listed_and_found_by_its_path(backend: JobsBackend, tmp_path: Path) -> None:
    path = "in_django.works.give"
    first, second = (works.give.enqueue(name) for name in ("Emma", "Jane"))
    backend.queue.enqueue({}, type="plain", id="plain")
    backend.queue.enqueue({"task": path}, type="of its own", id="own")
    with JobQueue(tmp_path, fsync=False) as others:
        others.enqueue({"task": 1}, type="django.task", id="odd")

    rows = {row.split()[0]: row for row in jobs("list").splitlines()[3:] if row.strip()}

    assert path in rows[first.id]
    assert [" plain " in rows["plain"], " of its own " in rows["own"]] == [True, True]
    assert " django.task " in rows["odd"]
    listed = ["list", "--json", "--type", path]
    assert [json.loads(line)["metadata"]["id"] for line in jobs(*listed).splitlines()] == [
        second.id,
        first.id,
    ]
    [paged] = jobs(*listed, "--offset", "1", "--limit", "1").splitlines()
    assert json.loads(paged)["metadata"]["id"] == first.id
    assert jobs("list", "--type", "in_django.works.none") == "no jobs\n"
    assert jobs("cancel", "--type", path, "--status", "running") == (
        "0 cancelled or asked to stop\n"
    )
    assert jobs("cancel", "--type", path) == "2 cancelled or asked to stop\n"
    assert jobs("cancel", "--type", path) == "0 cancelled or asked to stop\n"
    assert json.loads(jobs("stats", "--json"))["pending"] == 3
    assert jobs("retry", "--type", path, "--status", "cancelled") == "2 retried\n"
    assert jobs("retry", "--type", path) == "0 retried\n"


def test_it_acts_on_the_backend_s_tasks(backend: JobsBackend) -> None:
    result = works.give.enqueue("Emma")

    said = [
        jobs("cancel", result.id),
        jobs("retry", result.id),
        jobs("cancel", "--all"),
        jobs("cleanup", "--older-than", "0s", "--cancelled"),
    ]

    assert said == [
        f"{result.id} cancelled\n",
        f"{result.id} retried\n",
        "1 cancelled or asked to stop\n",
        "1 removed\n",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "job-unknown"], 1, "there is no job job-unknown"),
        (["show", "../x"], 2, "id"),
        (["enqueue", "t"], 2, "No such command"),
        (["list", "--data-dir", "/tmp"], 2, "No such option"),
        ([], 2, "Usage: manage.py jobs"),
    ],
)
def test_what_fails_is_told_as_django_tells_it(
    backend: JobsBackend, arguments: list[str], code: int, said: str
) -> None:
    backend.queue.initialize()

    with pytest.raises(CommandError, match=said) as raised:
        jobs(*arguments)

    assert raised.value.returncode == code


def test_a_command_that_found_something_has_its_exit_code(backend: JobsBackend) -> None:
    path = Path(backend.queue.initialize().store.layout.root) / "pending" / "bad.json"  # type: ignore[attr-defined]
    path.write_text("{}")

    with pytest.raises(SystemExit) as raised:
        jobs("doctor")

    assert raised.value.code == 1


def test_a_backend_without_a_directory_has_no_commands() -> None:
    with project(data_dir="memory:"), pytest.raises(CommandError, match="in one process only"):
        jobs("list")
    dummy = {"BACKEND": f"{FRAMEWORK}.backends.dummy.DummyBackend"}
    with override_settings(TASKS={"default": dummy}):
        with pytest.raises(CommandError, match="is no JobsBackend"):
            jobs("list")
        with pytest.raises(CommandError, match="unknown"):
            jobs("--backend", "unknown", "list")


def test_another_backend_is_named_before_the_command(tmp_path: Path) -> None:
    other = {"BACKEND": "semiont_jobs.django.JobsBackend", "OPTIONS": {"data_dir": tmp_path}}
    with override_settings(TASKS={"other": other}):
        works.give.using(backend="other").enqueue(1)

        assert json.loads(jobs("--backend", "other", "stats", "--json"))["pending"] == 1


@pytest.mark.skipif(FRAMEWORK == "django_tasks", reason="written for Django's own settings")
def test_manage_py_finds_it_and_checks_its_tasks(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text(MANAGE.format(place=str(tmp_path / "var")))

    checked = manage(tmp_path, "check")
    with project(data_dir=tmp_path / "var"):
        works.give.enqueue(1)
    counted = manage(tmp_path, "jobs", "stats", "--json")

    assert "semiont_jobs.W001" in checked.stderr
    assert (counted.stderr, counted.returncode) == ("", 0)
    assert json.loads(counted.stdout)["pending"] == 1


def manage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
