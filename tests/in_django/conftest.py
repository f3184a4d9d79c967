"""A Django project for the tests: a database in a file, settings that each test overrides.

Without Django, or without the backport where Django has no tasks of its own, nothing in this
folder can be collected, and pytest says so.
"""

from __future__ import annotations

import atexit
import os
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

HAS_DJANGO = find_spec("django") is not None and (
    find_spec("django.tasks") is not None or find_spec("django_tasks") is not None
)

if HAS_DJANGO:
    import django
    from django.conf import settings

    # A file: each thread has a connection of its own, and must see what the others wrote.
    FOLDER = tempfile.TemporaryDirectory(prefix="semiont-jobs-django-")
    atexit.register(FOLDER.cleanup)  # left to itself it warns
    settings.configure(
        SECRET_KEY="for tests only",
        USE_TZ=True,
        TIME_ZONE="Europe/Vienna",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.path.join(FOLDER.name, "db.sqlite3"),
            }
        },
        RQ_QUEUES={"default": {"URL": "unix:///nowhere"}, "other": {"URL": "unix:///nowhere"}},
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        STATIC_URL="/static/",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.staticfiles",
            "semiont_jobs.django",
            *(["django_tasks"] if find_spec("django.tasks") is None else []),
            *(["django_tasks_db"] if find_spec("django_tasks_db") is not None else []),
            *(["django_rq"] if find_spec("django_rq") is not None else []),
        ],
    )
    django.setup()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # The reason is told by the one test file that needs no Django.
    if not HAS_DJANGO and collection_path.name.startswith("test_") and collection_path.is_file():
        return None if collection_path.name == "test_django_is_there.py" else True
    return None


@pytest.fixture(autouse=True)
def _no_connection_outlives_its_test() -> Iterator[None]:
    yield
    if HAS_DJANGO:
        from django.db import connections

        connections.close_all()
