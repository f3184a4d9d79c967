"""Ids from users, folders swapped under an open queue, second names of files, and files of other
users."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from files.places import Actors, Place, Unattended, claimed, job, seen
from proofs.hostile import FOLDERS, hurry, make_sweep_due, outside, text

from semiont_jobs import InvalidJob, JobMetadata, JobQueue, PendingJob, UnsafeStore
from semiont_jobs.cli.main import main
from semiont_jobs.testing.suite import eventually

SOON = timedelta(minutes=-1)


# -- ids from users ----------------------------------------------------------------------


NO_IDS: list[Any] = [
    "../outside/target", "..", ".", "a/b", "/etc/passwd", "", " ", "j ", " j", "j\n", "\nj", "j\0", "\0",
    "i" * 129, "i" * 300, "i" * 100_000, "j.json", "-j.", "j\u202e", "\u0458ob", "\uff4aob", "j\u0301",
    "\u0661", "\ud800", "j\x1b[31m", "%2e%2e", "~", "*", "j;rm", b"j", 7, 1.5, ["j"], object,
]  # fmt: skip

DOORS: dict[str, Callable[[Unattended, Any], object]] = {
    "get": lambda queue, id: queue.get_job(id),
    "wait": lambda queue, id: queue.wait_for(id, timeout=1),
    "cancel": lambda queue, id: queue.cancel_job(id),
    "retry": lambda queue, id: queue.retry_job(id),
    "enqueue": lambda queue, id: queue.enqueue({}, type="task", id=id),
    "create": lambda queue, id: queue.create_job(
        PendingJob(metadata=JobMetadata(id=id, type="task"), params={})
    ),
    "update": lambda queue, id: queue.update_job(
        PendingJob(metadata=JobMetadata(id=id, type="task"), params={})
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_id_reaches_no_system_call_at_any_door(actor: Actors, door: str) -> None:
    queue = actor()
    refused = []

    for bad in NO_IDS:
        with pytest.raises(InvalidJob) as told:
            DOORS[door](queue, bad)
        refused.append(str(told.value))

    assert queue.disk.calls == []
    assert all(each.isprintable() and len(each) < 300 for each in refused)


@pytest.mark.parametrize("command", ["show", "cancel", "retry"])
@pytest.mark.parametrize("bad", ["../outside/target", "j\n", "j\x1b[31m", "\u0458ob", "i" * 300])
def test_what_is_no_id_is_refused_in_one_line_on_the_command_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str, bad: str
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "target.json").write_bytes(text(id="target"))
    world = outside(tmp_path / "outside")
    with JobQueue(tmp_path / "data", fsync=False) as queue:
        queue.enqueue({}, type="task", id="j")

    code = main([command, "--data-dir", str(tmp_path / "data"), "--", bad])

    printed = capfd.readouterr()
    assert code == (2 if command == "show" else 1)  # of several ids, the others may be right
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.isprintable()
    assert outside(tmp_path / "outside") == world


def test_ids_that_differ_in_case_alone_are_two_jobs_where_names_are(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.create_job(job("Job-1", params={"n": 1}))
    queue.create_job(job("job-1", params={"n": 2}))

    assert queue.cancel_job("Job-1") is True

    assert place.everything() == {"pending": ["job-1.json"], "cancelled": ["Job-1.json"]}
    assert seen(queue.get_job("job-1")).params == {"n": 2}


# -- folders swapped while a queue is open -----------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Other people's files, old ones, some of them named as if they were the queue's."""
    root = tmp_path / "outside"
    root.mkdir()
    for name in ("passwd", "notes.json", "old", "x.1", ".hidden"):
        (root / name).write_text("{")
        os.utime(root / name, (1_700_000_000, 1_700_000_000))
    return root


def swap(place: Place, folder: str, root: Path) -> None:
    """Put a symlink to another place where a folder was."""
    path = place.jobs / folder
    path.rename(place.path / "swapped-out")
    path.symlink_to(root)


@pytest.mark.parametrize("folder", [*FOLDERS, ".tmp", ".cancel", ".quarantine"])
def test_whoever_goes_over_a_folder_that_was_swapped_for_a_symlink_touches_nothing_there(
    actor: Actors, place: Place, world: Path, folder: str
) -> None:
    queue = actor()
    hurry(queue)
    place.put("complete" if folder != "complete" else "failed", b"{", "bad.json")
    swap(place, folder, world)
    before = outside(world)
    refused: list[str] = []
    pause = threading.Event()

    for _ in range(5):
        for act in (
            lambda: queue.claim_next_job(),
            queue.rescue_orphans,
            lambda: queue.cleanup_completed_jobs(SOON, cancelled=True),
        ):
            make_sweep_due(queue)
            try:
                act()
            except UnsafeStore as error:
                refused.append(str(error.filename))
        queue.query_jobs()
        pause.wait(0.03)

    assert outside(world) == before
    # Into quarantine nothing is put then, and that is logged; all else is an error.
    wanted = set() if folder == ".quarantine" else {str(place.jobs / folder)}
    assert set(refused) == wanted


def test_a_root_that_was_swapped_for_a_symlink_is_refused(
    actor: Actors, place: Place, world: Path
) -> None:
    queue = actor()
    queue.create_job(job())
    shutil.copytree(place.jobs, world / "jobs")
    place.jobs.rename(place.path / "swapped-out")
    place.jobs.symlink_to(world / "jobs")
    before = outside(world)

    for act in (
        queue.claim_next_job,
        queue.rescue_orphans,
        lambda: queue.cleanup_completed_jobs(SOON),
    ):
        with pytest.raises(UnsafeStore, match="symlink"):
            act()

    assert outside(world) == before


@pytest.mark.parametrize("folder", [*FOLDERS, ".tmp", ".cancel", ".quarantine", "."])
def test_a_swapped_folder_is_refused_by_the_next_opening(
    actor: Actors, place: Place, world: Path, folder: str
) -> None:
    actor()
    if folder == ".":
        place.jobs.rename(place.path / "swapped-out")
        place.jobs.symlink_to(place.path / "swapped-out")
    else:
        swap(place, folder, world)
    before = outside(world)

    with pytest.raises(UnsafeStore, match="symlink"):
        actor()

    assert outside(world) == before


def test_a_job_in_hand_whose_folder_was_swapped_is_refused_its_outcome(
    actor: Actors, place: Place, world: Path
) -> None:
    queue = actor()
    queue.create_job(job())
    claim = claimed(queue)
    swap(place, "running", world)
    before = outside(world)

    with pytest.raises(Exception, match="somebody else moved or removed"):
        claim.complete()

    assert outside(world) == before


# -- second names of one file ------------------------------------------------------------


def test_a_backup_by_hard_links_keeps_what_it_had_and_hinders_nobody(
    actor: Actors, place: Place, tmp_path: Path
) -> None:
    queue, dead = actor(), actor()
    for name in ("a", "b", "c"):
        queue.create_job(job(name))
    claimed(dead)
    dead.disk.bury()
    shutil.copytree(place.jobs, tmp_path / "backup", copy_function=os.link)
    before = {path.name: path.read_bytes() for path in (tmp_path / "backup").rglob("*.json")}

    def claim(_number: int) -> str | None:
        held = queue.claim_next_job()
        return None if held is None else held.job.metadata.id

    with ThreadPoolExecutor(8) as threads:
        won = [each for each in threads.map(claim, range(16)) if each]
    assert sorted(won) == ["b", "c"]
    assert queue.rescue_orphans() == 1
    assert claimed(queue).complete().metadata.id == "a"

    assert {p.name: p.read_bytes() for p in (tmp_path / "backup").rglob("*.json")} == before
    assert place.everything() == {"running": ["b.json", "c.json"], "complete": ["a.json"]}


def test_a_restored_second_name_of_an_older_copy_does_not_run_a_finished_job_again(
    actor: Actors, place: Place, tmp_path: Path
) -> None:
    queue = actor()
    queue.create_job(job())
    os.link(place.jobs / "pending" / "j.json", tmp_path / "j.json")
    claimed(queue).complete({"by": "us"})

    os.link(tmp_path / "j.json", place.jobs / "pending" / "j.json")

    # Not at the first look: where a listing took long, the next is not made at once.
    eventually(lambda: queue.claim_next_job() or place.everything() == {"complete": ["j.json"]})
    assert queue.claim_next_job() is None
    assert seen(queue.get_job("j")).status == "complete"
    assert place.everything() == {"complete": ["j.json"]}


# -- files of another user ---------------------------------------------------------------


def test_a_job_that_may_be_read_but_not_written_is_done(actor: Actors, place: Place) -> None:
    queue = actor()
    place.put("pending", text(id="j"))
    queue.disk.refuse(errno.EACCES, "open", "pending/*", times=1000)

    assert claimed(queue).complete().metadata.id == "j"
    assert place.everything() == {"complete": ["j.json"]}


def test_a_job_that_another_user_runs_is_left_alone(actor: Actors, place: Place) -> None:
    queue = actor()
    hurry(queue, 0)
    place.put("running", text("running", "j"))
    queue.disk.refuse(errno.EACCES, "open", "running/*", times=1000)

    assert [0] * 4 == [queue.rescue_orphans() for _ in range(4)]
    assert place.names("running") == ["j.json"]
    assert place.names(".quarantine") == []


AS_NOBODY = """
import logging, os, sys, threading
from semiont_jobs import JobQueue
from semiont_jobs.testing.suite import eventually
import semiont_jobs.stores.files.upkeep, concurrent.futures
os.setgroups([]); os.setgid(65534); os.setuid(65534)
queue = JobQueue(sys.argv[1], fsync=False)
queue.initialize()
aside, told = [], []
queue.subscribe(lambda event: event.name == "quarantined" and aside.append(event.job_id))
class Told(logging.Handler):
    def emit(self, record):
        if "left alone" in record.getMessage():
            told.append(record.args[0] + " " + record.args[1])
logging.getLogger("semiont_jobs").addHandler(Told())
for _ in range(2):
    eventually(lambda: queue.claim_next_job()).complete()
def look():
    queue.claim_next_job(types=["nothing"])
    queue.query_jobs()
    queue.rescue_orphans()
    return len(told) >= 5
eventually(look)
for _ in range(3):
    look()
print(*sorted(told), *aside, sep="\\n")
queue.close()
"""


@pytest.fixture
def for_everyone() -> Iterator[Path]:
    """A directory that every user of the machine can reach."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
def test_files_of_root_in_a_queue_of_nobodys_are_done_or_left(
    for_everyone: Path,
) -> None:
    data = for_everyone / "data"
    JobQueue(data, fsync=False).initialize().close()
    for path in (data, *data.rglob("*")):
        os.chown(path, 65534, 65534)
    place = Place(data)
    place.put("pending", text(id="readable"), "readable.json").chmod(0o644)
    place.put("pending", text(id="free"), "free.json").chmod(0o666)
    place.put("running", text("running", "theirs"), "theirs.json").chmod(0o644)
    for folder in FOLDERS:
        place.put(folder, text(folder, f"closed-{folder}"), f"closed-{folder}.json").chmod(0o600)
    (place.jobs / "pending" / "immovable.json").mkdir(mode=0o755)

    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(data)],
        capture_output=True,
        text=True,
        check=False,
        # Nobody may not write where root measures coverage.
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{each} 'closed-{each}.json'" for each in sorted(FOLDERS)]
    assert place.everything() == {
        "pending": ["closed-pending.json", "immovable.json"],
        "running": ["closed-running.json", "theirs.json"],
        "complete": ["closed-complete.json", "free.json", "readable.json"],
        "failed": ["closed-failed.json"],
        "cancelled": ["closed-cancelled.json"],
    }
