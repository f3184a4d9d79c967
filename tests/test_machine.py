"""Random histories agree with the plain model, over every store."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

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


class FileMachine(JobQueueMachine):
    def make_queue(self, **settings: Any) -> JobQueue:
        self.place = tempfile.TemporaryDirectory()
        self.settings = settings
        self.stores: list[FileStore] = []
        return self.reopen()

    def reopen(self) -> JobQueue:
        self.stores.append(FileStore(Path(self.place.name, "data"), fsync=False))
        return JobQueue(self.stores[-1], **self.settings)

    def kill_holder(self, claim: AnyClaim) -> None:
        for store in self.stores:
            with suppress(KeyError):  # another queue object's claim
                store.kill_holder(claim.job.metadata.id)

    def teardown(self) -> None:
        super().teardown()
        self.place.cleanup()


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, derandomize=True
)
TestFiles = FileMachine.TestCase
TestFiles.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
