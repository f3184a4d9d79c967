"""The names in a directory are those of the other language, and ids that are names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from files.disks import WatchedDisk
from files.places import FOLDERS, Actors, Place, job, meanwhile

from semiont_jobs import FileStore, JobQueue

GOLDEN = Path(__file__).parent.parent / "golden" / "jobs"


# -- the other language ------------------------------------------------------------------


@pytest.fixture
def typescript(tmp_path: Path) -> Place:
    """A directory that the TypeScript package wrote."""
    data = tmp_path / "data"
    shutil.copytree(GOLDEN, data / "jobs")
    for path in [data / "jobs", *(data / "jobs").rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    return Place(data)


def test_a_directory_of_the_typescript_package_is_read_whole(typescript: Place) -> None:
    standing = {folder: len(typescript.names(folder)) for folder in FOLDERS}
    before = {path: path.read_bytes() for path in typescript.jobs.rglob("*.json")}

    with JobQueue(typescript.path, fsync=False) as queue:
        stats = queue.get_stats()
        listed = queue.query_jobs(limit=None)

    assert {folder: getattr(stats, folder) for folder in FOLDERS} == standing
    assert sorted((each.status, each.metadata.id) for each in listed) == sorted(
        (path.parent.name, path.stem) for path in before
    )
    assert {path: path.read_bytes() for path in typescript.jobs.rglob("*.json")} == before


def test_the_jobs_of_the_typescript_package_are_claimed_and_finished(typescript: Place) -> None:
    waiting = {
        name.removesuffix(".json"): typescript.document("pending", name.removesuffix(".json"))
        for name in typescript.names("pending")
    }

    with JobQueue(typescript.path, fsync=False) as queue:
        while (claim := queue.claim_next_job()) is not None:
            claim.complete()

    assert typescript.names("pending") == []
    for job_id, before in waiting.items():
        after = typescript.document("complete", job_id)
        assert after["params"] == before["params"]
        assert after["metadata"].items() >= before["metadata"].items()
        assert (after["status"], after["result"]) == ("complete", {})


def test_what_the_typescript_package_runs_is_not_taken_from_it(typescript: Place) -> None:
    running = typescript.names("running")
    for name in running:
        os.utime(typescript.jobs / "running" / name)

    with JobQueue(typescript.path, fsync=False) as queue:
        assert queue.rescue_orphans() == 0

    assert typescript.names("running") == running


# -- ids ---------------------------------------------------------------------------------


NO_IDS = [
    "../../etc/passwd",
    "a/b",
    "..",
    ".x",
    "",
    "a\0b",
    "a" * 129,
    "ä",
    "j\n",
    None,
    5,
    "j.json",
]


@pytest.mark.parametrize("bad", NO_IDS)
@pytest.mark.parametrize("verb", ["get_job", "cancel_job", "retry_job", "wait_for", "enqueue"])
def test_what_cannot_be_an_id_is_refused_before_any_system_call(
    actor: Actors, verb: str, bad: Any
) -> None:
    queue = actor()
    if verb == "enqueue":
        if bad is None:
            bad = 5.0  # None asks for a new id
        with pytest.raises(ValueError, match="id"):
            queue.enqueue({}, type="task", id=bad)
    else:
        with pytest.raises(ValueError, match="id"):
            getattr(queue, verb)(bad)

    assert queue.disk.calls == []


class IgnoresCase(WatchedDisk):
    """A file system for which ``Job-1`` and ``job-1`` are one name."""

    def _folded(self, path: str) -> str:
        folder, name = os.path.split(path)
        return f"{folder}/{name.lower()}"

    def exists(self, path: str) -> bool:
        return super().exists(self._folded(path))

    def link(self, source: str, target: str) -> None:
        super().link(source, self._folded(target))

    def stat(self, path: str) -> os.stat_result:
        return super().stat(self._folded(path))


@pytest.mark.parametrize("verb", ["create_job", "create_jobs"])
def test_on_a_file_system_that_ignores_case_the_second_of_two_alike_ids_is_refused(
    tmp_path: Path, verb: str
) -> None:
    queue = JobQueue(FileStore(tmp_path / "data", disk=IgnoresCase()))
    queue.create_job(job("Job-1"))

    with pytest.raises(ValueError, match="exists"):
        queue.create_job(job("job-1")) if verb == "create_job" else queue.create_jobs(
            [job("job-1")]
        )

    assert Place(tmp_path / "data").everything() == {"pending": ["job-1.json"]}
    queue.close()


def test_a_queue_opened_in_many_threads_at_once_opens_once(actor: Actors) -> None:
    queue = actor()
    with meanwhile(queue.initialize) as first, meanwhile(queue.initialize) as second:
        pass

    assert first.result() is second.result() is queue
    assert queue.disk.count("make_folder") == 0
