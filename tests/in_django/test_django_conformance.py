"""The kit, on our backend in all its shapes and on those that can be installed beside it."""

from __future__ import annotations

import tempfile
from typing import Any, ClassVar
from unittest import TestCase

from semiont_jobs.django import TaskWorker
from semiont_jobs.testing.django import BackendConformanceMixin, TransactionsRoom
from semiont_jobs.testing.inline import work_off


class OnFiles:
    """Our backend, on a directory of each test's own."""

    BACKEND = "semiont_jobs.django.JobsBackend"
    OPTIONS: ClassVar[dict[str, Any]] = {"fsync": False, "max_retries": 0}
    TRANSACTIONS = "ignored"

    def setUp(self) -> None:
        self.folder = self.enterContext(tempfile.TemporaryDirectory())  # type: ignore[attr-defined]
        super().setUp()  # type: ignore[misc]

    def make_options(self) -> dict[str, Any]:
        return {**self.OPTIONS, "data_dir": self.folder}

    def run_pending(self) -> None:
        work_off(TaskWorker())


class TestOnFiles(OnFiles, BackendConformanceMixin, TestCase):
    pass


class TestOnCommit(OnFiles, TransactionsRoom, TestCase):
    OPTIONS: ClassVar[dict[str, Any]] = {**OnFiles.OPTIONS, "enqueue_on_commit": True}
    TRANSACTIONS = "on commit"


class TestInMemory(OnFiles, BackendConformanceMixin, TestCase):
    def make_options(self) -> dict[str, Any]:
        return {"url": "memory:", "max_retries": 0}

    def keeps_results(self) -> bool:
        return False  # other settings, another queue
