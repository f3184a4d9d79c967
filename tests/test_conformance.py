"""The conformance suite over the stores of this library, and what only each of them can show."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from reopening import Reopened

from semiont_jobs import FileStore, JobQueue, MemoryStore
from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.testing import ProcessConformance, StoreConformance
from semiont_jobs.testing.suite import AnyClaim, eventually


class TestMemory(StoreConformance):
    """The oracle: its place is the store object itself."""

    store: MemoryStore
    settings: dict[str, Any]

    def make_queue(self, **settings: Any) -> JobQueue:
        self.store = MemoryStore()
        self.settings = settings
        return self.reopen()

    def reopen(self) -> JobQueue:
        return JobQueue(self.store, **self.settings)

    def kill_holder(self, claim: AnyClaim) -> None:
        self.store.kill_holder(claim.job.metadata.id)

    def plant_bad_entry(self, data: bytes) -> str:
        name = f"bad-{len(data)}-{len(self.store.quarantine)}-{id(data)}"
        self.store.plant(name, data)
        return name

    def test_what_was_set_aside_is_kept_whole(self) -> None:
        queue = self.queue()
        name = self.plant_bad_entry(b'{"half": ')

        queue.claim_next_job()

        data, reason = self.store.quarantine[name]
        assert data == b'{"half": '
        assert reason


class TestFiles(Reopened, ProcessConformance):
    """A directory; acknowledged changes survive the death of any process."""

    durability: ClassVar[Durability] = "process"
    path: Path
    planted = 0

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.path = tmp_path / "data"

    def make_queue(self, **settings: Any) -> JobQueue:
        return self.open_first(**settings)

    def new_store(self) -> FileStore:
        return FileStore(self.path, durability=self.durability)

    def plant_bad_entry(self, data: bytes) -> str:
        self.planted += 1
        name = f"bad-{self.planted}.json"
        folder = self.path / "jobs" / "pending"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        return name

    def opener(self) -> Callable[[], JobQueue]:
        return partial(JobQueue, self.path, durability=self.durability)

    def test_what_was_set_aside_is_kept_whole_beside_its_reason(self) -> None:
        queue = self.queue()
        self.plant_bad_entry(b'{"half": ')
        quarantine = self.path / "jobs" / ".quarantine"

        def reasons() -> list[str]:
            files = [path for path in self.files_in(quarantine) if path.suffix == ".why"]
            return [path.read_text() for path in files]

        # The queue's own thread may be the one that sets it aside, and be at it.
        eventually(lambda: queue.claim_next_job() or any(reasons()))

        kept = [path for path in self.files_in(quarantine) if path.suffix != ".why"]
        assert [path.read_bytes() for path in kept] == [b'{"half": ']
        assert len(reasons()) == 1

    def test_a_checkpoint_that_nobody_stored_leaves_no_key_in_the_file(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        job_id = claim.job.metadata.id

        claim.complete()

        text = (self.path / "jobs" / "complete" / f"{job_id}.json").read_text()
        assert {"completedUnits", "unitCursors"}.isdisjoint(json.loads(text)["metadata"])

    def test_nothing_but_job_files_is_left_in_the_five_folders(self) -> None:
        queue = self.queue()
        made = [
            self.bring(queue, status).metadata.id
            for status in ("pending", "running", "complete", "failed", "cancelled")  # type: ignore[arg-type]
        ]

        folders = [path for path in (self.path / "jobs").iterdir() if path.name[0] != "."]

        found = sorted(path.stem for folder in folders for path in self.files_in(folder))
        assert found == sorted(made)
        assert len(folders) == 5
        assert self.files_in(self.path / "jobs" / ".tmp") == []

    def files_in(self, folder: Path) -> list[Path]:
        return sorted(folder.iterdir()) if folder.is_dir() else []


@pytest.mark.proof
class TestDurableFiles(TestFiles):
    """The same with every change forced to the disk."""

    durability = "fsync"


@pytest.mark.proof
class TestJournalledDurableFiles(TestFiles):
    """The same with every change in the journal."""

    durability = "journal"
