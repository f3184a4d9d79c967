"""The application ``semiont_jobs.django``: in INSTALLED_APPS it adds ``manage.py jobs`` and
``jobs_worker``, the jobs' pages in the admin, and the checks of TASKS to ``manage.py check``.

It must not be needed for tasks: a backend works without it.
"""

from __future__ import annotations

import importlib

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from semiont_jobs.django.permissions import make_permissions


class JobsConfig(AppConfig):
    """No models, so no migrations."""

    name = "semiont_jobs.django"
    label = "semiont_jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        """Register the system checks of TASKS: Django does that when its framework is first
        imported, which may not happen in ``manage.py check``."""
        importlib.import_module("semiont_jobs.django.compat")
        if apps.is_installed("django.contrib.auth"):
            # Django does not send this application's own signal, since it has no models.
            auth = apps.get_app_config("auth")
            post_migrate.connect(make_permissions, sender=auth, dispatch_uid=self.label)
