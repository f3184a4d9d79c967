"""The application ``semiont_jobs.django``: in INSTALLED_APPS it brings ``manage.py jobs`` and
``jobs_worker``, and
has ``manage.py check`` look at TASKS.

It must not be needed for tasks: a backend works without it.
"""

from __future__ import annotations

import importlib

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """No models, so no migrations."""

    name = "semiont_jobs.django"
    label = "semiont_jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Have the system checks of TASKS registered: Django does that when its framework is
        first imported, which nothing in ``manage.py check`` need do."""
        importlib.import_module("semiont_jobs.django.compat")
