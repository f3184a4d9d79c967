"""Django's tasks on a job queue: ``"BACKEND": "semiont_jobs.django.JobsBackend"``.

This module only passes names on, each imported when it is first used: Django imports an installed
application's package before its settings and its registry are complete.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if find_spec("django") is None:
    raise ImportError(
        "semiont_jobs.django needs Django, which is not installed: "
        "pip install 'semiont_jobs[django]'"
    )

if TYPE_CHECKING:
    from semiont_jobs.django.backend import JobsBackend
    from semiont_jobs.django.execution import JobContext, TaskWorker
    from semiont_jobs.django.results import JobResult
    from semiont_jobs.django.tasks import JobTask

__all__ = ["JobContext", "JobResult", "JobTask", "JobsBackend", "TaskWorker"]

_HOMES: Final = {
    "JobContext": "execution",
    "JobResult": "results",
    "JobTask": "tasks",
    "JobsBackend": "backend",
    "TaskWorker": "execution",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(home, name)
