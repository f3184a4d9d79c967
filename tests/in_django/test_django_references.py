"""The kit on other backends: that it can be used by any, and what it finds in them.

What fails there is on the page ``docs/django-conformance.rst``, with the versions it was found in;
a finding that is mended upstream fails here, so that the page can be mended too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import TestCase, expectedFailure

import pytest
from django.core.management import call_command
from django.test import override_settings

from semiont_jobs.django.compat import FRAMEWORK
from semiont_jobs.testing.django import BackendConformanceMixin
from semiont_jobs.testing.waiting import eventually


def with_findings(**findings: str) -> Any:
    """A decorator of a test class: what the kit finds there, by the name of the test. A test that
    does not fail any more fails for that."""

    def decorate(kit: Any) -> Any:
        for name in findings:
            test = getattr(kit, f"test_{name}")

            def expected(self: Any, _test: Any = test) -> None:
                _test(self)

            expected.asked_if = getattr(test, "asked_if", ((), ("later", "at once", "never")))
            setattr(kit, f"test_{name}", expectedFailure(expected))
        kit.FINDINGS = findings
        return kit

    return decorate


PAGE = Path(__file__).parents[2] / "docs" / "django-conformance.rst"


class TestImmediate(BackendConformanceMixin, TestCase):
    BACKEND = f"{FRAMEWORK}.backends.immediate.ImmediateBackend"
    RUNS = "at once"


class TestDummy(BackendConformanceMixin, TestCase):
    BACKEND = f"{FRAMEWORK}.backends.dummy.DummyBackend"
    RUNS = "never"


@with_findings(
    a_receiver_that_fails_does_not_bring_the_worker_down="""
        A receiver of ``task_finished`` that raises ends the worker: the signal is sent again while
        the first error is handled.""",
    a_result_of_a_queue_that_is_no_more_can_be_read="""
        A queue taken out of ``QUEUES`` makes its results unreadable: ``get_result`` raises
        ``InvalidTask``.""",
    a_result_says_from_json_what_the_task_gets="""
        ``enqueue({1: "one"})`` returns a result that says ``{1: ...}``; the task gets ``{"1": ...}``.""",
    a_result_whose_task_cannot_be_imported_any_more_can_be_read="""
        A task that was renamed or removed makes its results unreadable: ``get_result`` raises
        ``ImportError``.""",
    nan_is_refused_or_arrives="""
        NaN as an argument is refused by the database (SQLite): ``IntegrityError``, which ends the
        transaction of the caller.""",
    the_sender_of_every_signal_is_the_backend_s_class="""
        The worker sends ``task_started`` and ``task_finished`` with the backend object as sender, so
        a receiver connected for the class is not called.""",
)
class DatabaseKit(BackendConformanceMixin):
    BACKEND = "django_tasks_db.backend.DatabaseBackend"
    TRANSACTIONS = "joined"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        call_command("migrate", verbosity=0)

    def setUp(self) -> None:
        super().setUp()
        from django_tasks_db.models import DBTaskResult

        DBTaskResult.objects.all().delete()

    def run_pending(self) -> None:
        from django_tasks_db.management.commands.db_worker import Worker

        Worker(
            queue_names=["*"],
            interval=0,
            batch=True,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id="worker",
            excluded_queue_names=[],
        ).run()


@with_findings(
    a_malformed_id_is_said_not_to_exist="""
        An id with other characters than letters, digits, ``_`` and ``-`` raises ``ValueError``.""",
    a_result_of_a_queue_that_is_no_more_can_be_read="""
        A queue taken out of ``QUEUES`` makes its results unreadable: ``get_result`` raises
        ``InvalidTask``.""",
    a_result_that_json_cannot_hold_fails_the_task="""
        What a task returns is pickled: a set makes it successful.""",
    a_result_whose_task_cannot_be_imported_any_more_can_be_read="""
        A task that was renamed or removed makes its results unreadable: ``get_result`` raises
        ``ValueError``.""",
    a_task_s_time_is_kept_with_it="""
        ``run_after`` loses its fraction of a second.""",
    a_task_that_returns_is_successful="""
        ``last_attempted_at`` is when the attempt ended.""",
    any_queue_will_do_where_the_settings_have_an_empty_list="""
        ``QUEUES: []`` means the queues of ``RQ_QUEUES``: another one is refused.""",
    what_is_returned_is_kept_as_json_has_it="""
        What a task returns is pickled: a tuple stays one.""",
)
class RqKit(BackendConformanceMixin):
    BACKEND = "django_tasks_rq.backend.RQBackend"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        socket = os.path.join(folder, "redis.sock")
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", folder, "--save", ""],
            stdout=subprocess.DEVNULL,
        )
        cls.addClassCleanup(server.wait, 30)
        cls.addClassCleanup(server.terminate)
        eventually(lambda: os.path.exists(socket))
        queues = {name: {"URL": f"unix://{socket}"} for name in ("default", "other")}
        cls.enterClassContext(override_settings(RQ_QUEUES=queues))

    def setUp(self) -> None:
        super().setUp()
        import django_rq

        django_rq.get_connection().flushall()

    def run_pending(self) -> None:
        import django_rq
        from django_tasks_rq.backend import Job
        from rq import SimpleWorker
        from rq.scheduler import RQScheduler

        queues = django_rq.queues.get_queues("default", "other", job_class=Job)
        connection = django_rq.get_connection()
        # What `rqworker --with-scheduler` does every second, in a process of its own.
        scheduler = RQScheduler(queues, connection=connection)
        scheduler.acquire_locks()
        scheduler.enqueue_scheduled_jobs()
        scheduler.release_locks()
        SimpleWorker(queues, connection=connection, job_class=Job).work(burst=True)


HAS_DATABASE = find_spec("django_tasks_db") is not None
HAS_RQ = FRAMEWORK == "django_tasks" and find_spec("django_tasks_rq") is not None
HAS_REDIS = shutil.which("redis-server") is not None

if HAS_DATABASE:

    class TestDatabase(DatabaseKit, TestCase):
        pass


if HAS_RQ and HAS_REDIS:

    class TestRq(RqKit, TestCase):
        pass


@pytest.mark.parametrize(
    ("is_there", "reason"),
    [
        pytest.param(HAS_DATABASE, "django-tasks-db is not installed", id="database"),
        pytest.param(
            HAS_RQ, "django-tasks-rq, which knows the backport only, is not installed", id="rq"
        ),
        pytest.param(HAS_REDIS, "there is no redis-server", id="redis"),
    ],
)
def test_the_kit_was_run_on_what_is_there(is_there: bool, reason: str) -> None:
    if not is_there:
        pytest.skip(reason)

    assert ("TestDatabase" in globals(), "TestRq" in globals()) == (
        HAS_DATABASE,
        HAS_RQ and HAS_REDIS,
    )


def test_the_documentation_says_what_was_found() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    for kit in (DatabaseKit, RqKit):
        for text in kit.FINDINGS.values():
            assert f"* {' '.join(text.split())}" in page
