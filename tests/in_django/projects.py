"""Settings of a project for one test: our backend on a place of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.test import override_settings

from semiont_jobs.django import JobsBackend
from semiont_jobs.django.compat import task_backends

BACKEND = "semiont_jobs.django.JobsBackend"


@contextmanager
def project(*, queues: list[str] | None = None, **options: Any) -> Iterator[JobsBackend]:
    """TASKS with these OPTIONS; in memory unless they name a place."""
    if not {"data_dir", "url"} & options.keys():
        options["data_dir"] = "memory:"
    settings = {"BACKEND": BACKEND, "OPTIONS": options}
    if queues is not None:
        settings["QUEUES"] = queues
    with override_settings(TASKS={"default": settings}):
        yield task_backends["default"]


with project():
    from in_django import works

__all__ = ["works"]
