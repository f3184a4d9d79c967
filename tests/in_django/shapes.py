"""Our backend in the shapes that the kit is run on."""

from __future__ import annotations

import tempfile
from typing import Any, ClassVar

from semiont_jobs.django import TaskWorker
from semiont_jobs.testing.inline import work_off


class OnFiles:
    """On a directory of each test's own."""

    BACKEND = "semiont_jobs.django.JobsBackend"
    OPTIONS: ClassVar[dict[str, Any]] = {"fsync": False, "max_retries": 0}
    TRANSACTIONS = "ignored"

    def setUp(self) -> None:
        self.folder = self.enterContext(tempfile.TemporaryDirectory())  # type: ignore[attr-defined]
        super().setUp()  # type: ignore[misc]

    def make_options(self) -> dict[str, Any]:
        return {**self.OPTIONS, "data_dir": self.folder}

    def run_pending(self) -> None:
        worker = TaskWorker()
        with worker.queue:  # else it is looked after when its directory is no more
            work_off(worker)


class InMemory(OnFiles):
    """In this process; other settings mean another queue."""

    def make_options(self) -> dict[str, Any]:
        return {"url": "memory:", "max_retries": 0}

    def keeps_results(self) -> bool:
        return False
