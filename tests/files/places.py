"""What stands in a data directory, read with nothing of the library.

It must not import the library but for making queues.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import tenacity
from files.disks import WatchedDisk

from semiont_jobs import FileStore, JobMetadata, JobQueue, PendingJob, RetryPolicy, job_id, keeper
from semiont_jobs.claim import AnyClaim
from semiont_jobs.stores.files.forcing import Durability

T = TypeVar("T")

FOLDERS = ("pending", "running", "complete", "failed", "cancelled")
PATIENCE = 60.0
AT_ONCE = RetryPolicy(wait=tenacity.wait_none())


class Place:
    """A data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.jobs = path / "jobs"

    def copies(self, job_id: str = "j") -> dict[str, int]:
        """In which folders copies of a job stand, and the revision of each."""
        found = {}
        for folder in FOLDERS:
            path = self.jobs / folder / f"{job_id}.json"
            if path.exists():
                found[folder] = self.document(folder, job_id)["metadata"].get("revision", 0)
        return found

    def document(self, folder: str, job_id: str = "j") -> Any:
        """The text of a copy, decoded."""
        return json.loads((self.jobs / folder / f"{job_id}.json").read_text("utf-8"))

    def names(self, folder: str) -> list[str]:
        """What stands in a folder."""
        return sorted(path.name for path in (self.jobs / folder).iterdir())

    def everything(self) -> dict[str, list[str]]:
        """What stands in the five folders, ``.tmp`` and ``.cancel``; empty ones left out."""
        return {
            folder: names
            for folder in (*FOLDERS, ".tmp", ".cancel")
            if (names := self.names(folder))
        }

    def put(self, folder: str, text: str | bytes, name: str = "j.json") -> Path:
        """Write a file as a foreign program would."""
        path = self.jobs / folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path


class Unattended(JobQueue):
    """A queue that does nothing by itself, so that a test decides who acts when."""

    disk: WatchedDisk

    def reset_after_fork(self) -> None:
        super().reset_after_fork()
        self.committer.look = lambda: True  # type: ignore[method-assign]

    def keep_house(self) -> float:
        """Leave it to the test."""
        return keeper.PERIOD

    def _rescue_if_due(self) -> None:
        """Leave it to the test."""


class Actors:
    """Makes the actors of a test: queues on one directory, each with a disk of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = Place(path)
        self._queues: list[Unattended] = []

    def __call__(
        self, *, fsync: bool = False, durability: Durability | None = None, **settings: Any
    ) -> Unattended:
        disk = WatchedDisk()
        store = FileStore(
            self.path, fsync=fsync or durability is not None, durability=durability, disk=disk
        )
        queue = Unattended(store, **{"retry_policy": AT_ONCE, **settings})
        queue.disk = disk
        self._queues.append(queue)
        queue.initialize()
        disk.calls.clear()
        return queue

    def close(self) -> None:
        """End all of them."""
        for queue in self._queues:
            queue.disk.relent()
            queue.disk.bury()
            queue._keeper.stop()
            queue.committer._known.clear()  # the dead make nothing durable at the end
            end_journal(queue)


def end_journal(queue: JobQueue) -> None:
    """End the thread of a journal whose process is dead: it has nothing to tell later tests."""
    store: Any = queue.store
    journal = store._journal
    if journal is not None:
        with journal._lock:
            journal._is_closed = True
        journal._wake.put(None)


def job(id: str = "j", type: str = "task", **metadata: Any) -> PendingJob[Any]:
    """A new job."""
    params = metadata.pop("params", {"pages": [1, 2]})
    return PendingJob(metadata=JobMetadata(id=job_id(id), type=type, **metadata), params=params)


def claimed(queue: JobQueue, /, **filters: Any) -> AnyClaim:
    """Claim a job, which must be there."""
    claim = queue.claim_next_job(**filters)
    assert claim is not None
    return claim


def outcomes(claim: AnyClaim) -> dict[str, Callable[[], object]]:
    """What a holder does to its job, by verb."""
    return {
        "complete": claim.complete,
        "fail": lambda: claim.fail("broke"),
        "release": claim.release,
        "checkpoint": lambda: claim.checkpoint(["a"]),
        "cancel": claim.cancel,
    }


def seen(value: object) -> Any:
    """The value, which must not be None; untyped, because a test knows what it made."""
    assert value is not None
    return value


@contextmanager
def meanwhile(call: Callable[[], T]) -> Iterator[Future[T]]:
    """Make `call` in another thread, and have its answer at the end of the block."""
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(call)
        yield future
        future.exception(PATIENCE)


def journalled(actor: Actors, **settings: Any) -> Unattended:
    """A queue whose directory has a journal."""
    return actor(durability="journal", **settings)
