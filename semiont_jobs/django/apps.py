"""The application ``semiont_jobs.django``: in INSTALLED_APPS it brings ``manage.py jobs`` and
``jobs_worker``, the jobs' pages in the admin, and has ``manage.py check`` look at TASKS.

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
        """Have the system checks of TASKS registered: Django does that when its framework is
        first imported, which nothing in ``manage.py check`` need do."""
        importlib.import_module("semiont_jobs.django.compat")
        if apps.is_installed("django.contrib.auth"):
            # Of this application Django tells nothing then, since it has no models.
            auth = apps.get_app_config("auth")
            post_migrate.connect(make_permissions, sender=auth, dispatch_uid=self.label)
