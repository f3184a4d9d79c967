"""Says why the tests of this folder did not run, where they did not."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


@pytest.mark.skipif(find_spec("django") is None, reason="Django is not installed")
def test_this_django_has_a_framework_for_tasks() -> None:
    if find_spec("django.tasks") is None and find_spec("django_tasks") is None:
        pytest.skip("this Django has no tasks, and the backport django-tasks is not installed")

    from semiont_jobs.django import compat

    assert compat.FRAMEWORK in ("django.tasks", "django_tasks")


@pytest.mark.skipif(find_spec("django") is not None, reason="Django is installed")
def test_without_django_the_backend_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"pip install 'semiont_jobs\[django\]'"):
        from semiont_jobs.django import JobsBackend  # noqa: F401
