"""Random histories agree with the plain model, over every store."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from reopening import Reopened

from semiont_jobs import FileStore, JobQueue, MemoryStore
from semiont_jobs.testing import JobQueueMachine
from semiont_jobs.testing.ground import AnyClaim


class MemoryMachine(JobQueueMachine):
    def make_queue(self, **settings: Any) -> JobQueue:
        self.store = MemoryStore()
        self.settings = settings
        return self.reopen()

    def reopen(self) -> JobQueue:
        return JobQueue(self.store, **self.settings)

    def kill_holder(self, claim: AnyClaim) -> None:
        self.store.kill_holder(claim.job.metadata.id)


class FileMachine(Reopened, JobQueueMachine):
    def make_queue(self, **settings: Any) -> JobQueue:
        self.place = tempfile.TemporaryDirectory()
        return self.open_first(**settings)

    def new_store(self) -> FileStore:
        return FileStore(Path(self.place.name, "data"), fsync=False)

    def teardown(self) -> None:
        super().teardown()
        self.place.cleanup()


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
TestFiles = FileMachine.TestCase
TestFiles.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
