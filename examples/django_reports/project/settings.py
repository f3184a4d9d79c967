"""Django's usual settings for a small site, and ``TASKS`` for the background tasks."""

import os
from pathlib import Path

BASE = Path(os.environ.get("REPORTS_DIR", Path(__file__).parents[1]))

SECRET_KEY = "an example needs no secret"
DEBUG = True
USE_TZ = True
ROOT_URLCONF = "project.urls"
STATIC_URL = "/static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "semiont_jobs.django",
    "reports",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
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
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "db.sqlite3"}}

TASKS = {
    "default": {
        "BACKEND": "semiont_jobs.django.JobsBackend",
        "OPTIONS": {"data_dir": BASE / "jobs", "max_retries": 0},
    }
}
