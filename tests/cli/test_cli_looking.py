"""Commands that read change nothing, not a name, and ask for no more than to read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from files.journals import another_start, files

from semiont_jobs import FileStore, JobQueue, StoreError
from semiont_jobs.cli import watching

if TYPE_CHECKING:
    from conftest import Run

READING = [
    ("list",),
    ("show", "a"),
    ("stats",),
    ("watch", "--once"),
    ("metrics",),
    ("doctor",),
]


def everything(data: Path) -> dict[str, tuple[int, int, int]]:
    """All that stands in a directory, with what a change of any of it would change."""
    found = {}
    for path in (data, *data.rglob("*")):
        seen = path.lstat()
        found[str(path)] = (seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
    return found


@pytest.mark.parametrize("arguments", READING)
def test_a_directory_half_made_by_others_stays_half_made(
    run: Run, data: Path, queue: JobQueue, arguments: tuple[str, ...]
) -> None:
    queue.enqueue({}, type="t", id="a")
    queue.close()
    for path in (data / "jobs").iterdir():
        if path.name != "pending":
            path.unlink() if path.is_file() else path.rmdir()
    before = everything(data)

    ran = run(*arguments)

    assert (0, "") == (ran.code, ran.err)
    assert before == everything(data)


@pytest.mark.parametrize("arguments", [*READING[:1], *READING[2:]])
def test_a_directory_without_any_folder_has_no_jobs(
    run: Run, data: Path, arguments: tuple[str, ...]
) -> None:
    (data / "jobs").mkdir(parents=True)
    before = everything(data)

    assert 0 == run(*arguments).code
    assert (1, "semiont-jobs: error: there is no job a\n") == (
        run("show", "a").code,
        run("show", "a").err,
    )
    assert before == everything(data)


@pytest.mark.parametrize("arguments", READING)
def test_what_is_left_over_stays(
    run: Run, data: Path, queue: JobQueue, arguments: tuple[str, ...]
) -> None:
    queue.enqueue({}, type="t", id="a")
    for name in (".tmp/old", ".cancel/nobody.life"):
        (data / "jobs" / name).touch()
        os.utime(data / "jobs" / name, (0, 0))
    before = everything(data)

    run(*arguments)

    assert before == everything(data)


def test_what_is_left_over_is_no_trouble_to_the_doctor(
    run: Run, data: Path, queue: JobQueue
) -> None:
    queue.initialize()
    (data / "jobs/.tmp/old").touch()
    os.utime(data / "jobs/.tmp/old", (0, 0))

    ran = run("doctor")

    assert (0, True) == (
        ran.code,
        "ok    left over    1 old files in .tmp, which the next worker removes" in ran.out,
    )


def test_a_disk_that_was_mounted_again_to_be_read_only_is_trouble(
    run: Run, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.initialize()
    asked = os.statvfs

    def statvfs(path: str) -> Any:
        found = list(asked(path))
        found[8] |= os.ST_RDONLY  # f_flag
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", statvfs)

    ran, as_json = run("doctor"), run("doctor", "--json")

    assert (1, True) == (ran.code, "MiB free, mounted read-only" in ran.out)
    assert (False, True) == (as_json.json["healthy"], as_json.json["isReadOnly"])


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_watch_whose_directory_goes_says_so_and_ends(
    run: Run,
    data: Path,
    queue: JobQueue,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    queue.initialize()
    monkeypatch.setattr(watching, "_wait", lambda *_: shutil.rmtree(data))

    ran = run("watch", *arguments)

    assert 1 == ran.code
    assert ran.out
    assert ran.err.startswith("semiont-jobs: error: there is no data directory at ")


def test_the_doctor_tells_of_journals_and_of_one_that_waits_to_be_replayed(
    run: Run, data: Path
) -> None:
    with JobQueue(data, durability="journal") as living:
        living.enqueue({}, type="t")
        healthy = run("doctor")
        (path,) = files(data)
        with another_start():
            in_use = run("doctor", "--json")
        copy = path.with_name("1-dead-1.journal")
        shutil.copy(path, copy)
        with another_start():
            waiting = run("doctor")

    assert (0, True) == (healthy.code, "ok    journals     1 in use; 0.1 MiB" in healthy.out)
    (told,) = json.loads(in_use.out)["journals"]
    assert ("in use", True) == (told["condition"], told["bytes"] > 0)
    assert (1, True) == (
        waiting.code,
        "LOOK  journals     1 to be replayed, 1 in use" in waiting.out,
    )


AS_NOBODY = """
import os, sys
from semiont_jobs.cli.main import main
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def of_another_user() -> Iterator[Path]:
    """A data directory that whoever runs `AS_NOBODY` may read, and not write."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    with JobQueue(path / "data", fsync=False, dir_mode=0o755, file_mode=0o644) as queue:
        queue.enqueue({}, type="t", id="a")
    folders = [path / "data", *(each for each in path.rglob("*") if each.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield path / "data"
    for folder in folders:
        folder.chmod(0o755)
    shutil.rmtree(path)


@pytest.mark.parametrize("arguments", READING)
def test_who_may_only_read_a_directory_can_look_at_it(
    of_another_user: Path, arguments: tuple[str, ...]
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *arguments, "--data-dir", str(of_another_user)],
        capture_output=True,
        text=True,
        check=False,
        # Nobody may not write where root measures coverage.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
    )

    assert (0, "") == (ran.returncode, ran.stderr), ran.stdout


def test_a_store_opened_to_look_refuses_every_change(data: Path, queue: JobQueue) -> None:
    queue.enqueue({}, type="t", id="a")
    queue.cancel_job("a")
    queue.enqueue({}, type="t", id="b")
    before = everything(data)

    with JobQueue(FileStore(data, read_only=True)) as looking:
        for change in (
            lambda: looking.enqueue({}, type="t"),
            lambda: looking.create_jobs([]) or looking.claim_next_job(),
            lambda: looking.cancel_job("b"),
            lambda: looking.retry_job("a"),
        ):
            with pytest.raises(StoreError, match="opened only to look"):
                change()

    assert before == everything(data)
