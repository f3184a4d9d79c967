"""What foreign programs leave in the folders, and what becomes of it."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from files.places import Actors, Place, Unattended, claimed, job, seen

from semiont_jobs import ClaimLost, JobDecodeError, JobExists, JobQueue
from semiont_jobs.testing.suite import eventually

FOLDERS = ("pending", "running", "complete")
SOON = timedelta(minutes=-1)


def document(status: str = "pending", id: str = "j", **changes: Any) -> dict[str, Any]:
    """A job as the TypeScript package would write it."""
    made: dict[str, Any] = {
        "status": status,
        "metadata": {
            "id": id,
            "type": "task",
            "userId": "local",
            "created": "2026-01-01T00:00:00.000Z",
            "retryCount": 0,
            "maxRetries": 3,
        },
        "params": {},
    }
    if status != "pending":
        made["startedAt"] = "2026-01-01T00:00:01.000Z"
    if status == "running":
        made["progress"] = {}
    if status == "complete":
        made |= {"completedAt": "2026-01-01T00:00:02.000Z", "result": {"by": "another"}}
    made["metadata"] |= changes
    return made


def text(status: str = "pending", id: str = "j", **changes: Any) -> str:
    return json.dumps(document(status, id, **changes), indent=2, ensure_ascii=False)


def look_after(queue: JobQueue) -> None:
    """Claim, rescue and clean: whoever comes upon a bad entry sets it aside."""
    queue.claim_next_job(types=["nothing"])
    queue.rescue_orphans()
    queue.cleanup_completed_jobs(SOON)


def set_aside(queue: Unattended, place: Place) -> str:
    """Look after the queue until something is in quarantine; its name there."""

    def look() -> list[str]:
        look_after(queue)
        return [name for name in place.names(".quarantine") if not name.endswith(".why")]

    (name,) = eventually(look)
    return name


# -- what is no job ----------------------------------------------------------------------

BAD = {
    "empty": b"",
    "truncated": text().encode()[:80],
    "filled with NUL": bytes(200),
    "not UTF-8": text().encode("utf-16"),
    "a list": b"[]",
    "a number": b"7",
    "of another id": text(id="other").encode(),
    "of an unknown status": text().replace("pending", "waiting").encode(),
    "text where a number belongs": text(retryCount="none").encode(),
    "17 MiB": b" " * (17 << 20),
    "200 000 deep": b"[" * 200_000,
    "an integer of 5 000 digits": b'{"status": ' + b"9" * 5000 + b"}",
    "NaN": text().replace("{}", '{"n": NaN}').encode(),
}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_job_is_set_aside_whole_and_once(
    actor: Actors, place: Place, kind: str, folder: str
) -> None:
    queue = actor()
    queue._store._copies.grace = 0.02  # type: ignore[attr-defined]
    events: list[str] = []
    queue.subscribe(lambda event: events.append(event.name))
    place.put(folder, BAD[kind])

    name = set_aside(queue, place)
    look_after(queue)

    assert (place.jobs / ".quarantine" / name).read_bytes() == BAD[kind]
    assert f"{folder}/" in (place.jobs / ".quarantine" / f"{name}.why").read_text()
    assert place.names(folder) == []
    assert events == ["quarantined"]


def test_a_byte_order_mark_is_accepted(actor: Actors, place: Place) -> None:
    queue = actor()
    place.put("pending", b"\xef\xbb\xbf" + text().encode())

    assert claimed(queue).complete().status == "complete"


@pytest.mark.parametrize(
    "strange",
    [
        text().replace("{}", '{"lone": "\\ud800"}'),
        text().replace('"params"', '"params": {"first": 1}, "params"'),
        text().replace("{}", '{"__proto__": {"polluted": true}}'),
    ],
    ids=["lone surrogate", "duplicate keys", "__proto__"],
)
def test_what_is_strange_but_json_is_processed_and_written_as_json(
    actor: Actors, place: Place, strange: str
) -> None:
    queue = actor()
    place.put("pending", strange)

    claimed(queue).complete()

    assert place.document("complete")["params"] == json.loads(strange)["params"]


# -- what is no file ---------------------------------------------------------------------


def make_fifo(path: Path, _target: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path, _target: Path) -> None:
    # Bound by a relative name: the path of a test's directory may be too long for a socket.
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def make_folder(path: Path, _target: Path) -> None:
    path.mkdir()
    (path / "kept.txt").write_text("kept")


def make_symlink(path: Path, target: Path) -> None:
    path.symlink_to(target)


ODD: dict[str, Callable[[Path, Path], None]] = {
    "FIFO": make_fifo,
    "socket": make_socket,
    "folder": make_folder,
    "symlink": make_symlink,
}


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_is_set_aside_unopened_and_unfollowed(
    actor: Actors, place: Place, tmp_path: Path, kind: str, folder: str
) -> None:
    queue = actor()
    queue._store._copies.grace = 0.02  # type: ignore[attr-defined]
    target = tmp_path / "target.json"
    target.write_text(text(folder))
    before = target.stat().st_mtime_ns
    ODD[kind](place.jobs / folder / "j.json", target)

    name = set_aside(queue, place)

    kept = (place.jobs / ".quarantine" / name).lstat()
    assert not stat.S_ISREG(kept.st_mode)
    assert place.names(folder) == []
    assert (target.read_text(), target.stat().st_mtime_ns) == (text(folder), before)


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", ODD)
def test_what_is_no_file_hinders_no_verb(
    actor: Actors, place: Place, tmp_path: Path, kind: str, folder: str
) -> None:
    queue, dead = actor(), actor()
    dead.create_job(job("orphan"))
    claimed(dead)
    dead.disk.bury()
    target = tmp_path / "target.json"
    target.write_text(text(folder))
    ODD[kind](place.jobs / folder / "a-bad-one.json", target)

    queue.create_job(job("k"))
    assert claimed(queue).complete().metadata.id == "k"
    assert queue.rescue_orphans() == 1
    assert claimed(queue).complete().metadata.id == "orphan"
    assert queue.cleanup_completed_jobs(SOON) == 2


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("verb", ["get", "cancel", "retry", "create"])
def test_what_is_no_file_is_told_of_to_whoever_names_it(
    actor: Actors, place: Place, tmp_path: Path, kind: str, verb: str
) -> None:
    queue = actor()
    queue._store._copies.grace = 0.02  # type: ignore[attr-defined]
    target = tmp_path / "target.json"
    target.write_text(text())
    ODD[kind](place.jobs / "pending" / "j.json", target)
    verbs: dict[str, Callable[[], object]] = {
        "get": lambda: queue.get_job("j"),
        "cancel": lambda: queue.cancel_job("j"),
        "retry": lambda: queue.retry_job("j"),
        "create": lambda: queue.create_job(job()),
    }

    with pytest.raises((JobDecodeError, JobExists)) as told:
        verbs[verb]()

    assert "job j:" in str(told.value)
    assert target.read_text() == text()


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", ["notes.txt", ".DS_Store", "j.json.tmp", "a b.json", "..json"])
def test_a_file_whose_name_is_no_jobs_is_set_aside(
    actor: Actors, place: Place, name: str, folder: str
) -> None:
    queue = actor()
    queue._store._copies.grace = 0.02  # type: ignore[attr-defined]
    place.put(folder, text(folder), name)

    kept = set_aside(queue, place)

    assert (place.jobs / ".quarantine" / kept).read_text() == text(folder)
    assert place.names(folder) == []


# -- programs that write while we look ---------------------------------------------------


def rewritten(path: Path, queue: Unattended) -> threading.Timer:
    """Truncate a file now, and write it again 50 ms later, as the TypeScript package does; on a
    busy machine that may be a second."""
    queue._store._copies.grace = 10.0  # type: ignore[attr-defined]
    whole = path.read_bytes()
    path.write_bytes(b"")
    timer = threading.Timer(0.05, path.write_bytes, (whole,))
    timer.start()
    return timer


@pytest.mark.parametrize("is_known", [False, True])
def test_a_waiting_job_that_is_being_rewritten_is_claimed_when_whole(
    actor: Actors, place: Place, is_known: bool
) -> None:
    queue = actor()
    path = place.put("pending", text())
    if is_known:
        # Long enough ago that nothing but the file itself tells that there is news.
        os.utime(place.jobs / "pending", (1_700_000_000, 1_700_000_000))
        seen(queue.poll_next_pending_job())
    timer = rewritten(path, queue)

    claim = eventually(queue.claim_next_job)
    timer.join()

    assert claim.job.metadata.id == "j"
    assert place.names(".quarantine") == []


def test_a_finished_job_that_is_being_rewritten_is_read_when_whole(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    path = place.put("complete", text("complete"))
    timer = rewritten(path, queue)

    look_after(queue)
    found = seen(queue.get_job("j"))
    timer.join()

    assert found.status == "complete"
    assert place.names(".quarantine") == []


def test_a_file_that_grows_is_not_bad_however_long_it_takes(actor: Actors, place: Place) -> None:
    queue = actor()
    # Shorter than it takes to grow, much longer than one claim looks at it.
    queue._store._copies.grace = 0.5  # type: ignore[attr-defined]
    whole = text()
    for end in range(1, len(whole), 7):
        place.put("pending", whole[:end])
        queue.claim_next_job()
        threading.Event().wait(0.01)
    place.put("pending", whole)

    assert eventually(queue.claim_next_job).job.metadata.id == "j"
    assert place.names(".quarantine") == []


def test_a_file_that_is_written_whole_right_before_it_would_be_set_aside_stays(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue._store._copies.grace = 0.02  # type: ignore[attr-defined]
    place.put("complete", text("complete")[:90])
    mended: list[bool] = []

    def mend() -> None:
        place.put("complete", text("complete"))
        mended.append(True)

    queue.disk.before("open", "complete/j.json", mend)
    eventually(lambda: queue.query_jobs() or queue.rescue_orphans() or mended)
    queue.rescue_orphans()

    assert seen(queue.get_job("j")).status == "complete"
    assert place.names(".quarantine") == []


def test_a_job_that_is_unlinked_and_then_written_elsewhere_is_found(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    path = place.put("pending", text())
    assert seen(queue.get_job("j")).status == "pending"

    path.unlink()
    timer = threading.Timer(0.001, place.put, ("running", text("running")))
    timer.start()
    queue.claim_next_job()
    timer.join()

    assert seen(queue.get_job("j")).status == "running"
    assert queue.claim_next_job() is None
    assert list(place.copies()) == ["running"]


@pytest.mark.parametrize("verb", ["complete", "fail", "release", "checkpoint", "cancel"])
@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_job_that_another_program_took_from_us_is_lost_and_not_copied(
    actor: Actors, place: Place, how: str, verb: str
) -> None:
    queue = actor()
    queue.create_job(job())
    claim = claimed(queue)
    path = place.jobs / "running" / "j.json"
    path.unlink()
    if how == "moved":
        place.put("cancelled", text("complete").replace("complete", "cancelled"))
    elif how == "replaced":
        place.put("running", text("running"))
    before = place.copies()

    with pytest.raises(ClaimLost):
        claim.raise_if_cancelled()
    verbs: dict[str, Callable[[], object]] = {
        "complete": claim.complete,
        "fail": lambda: claim.fail("broke"),
        "release": claim.release,
        "checkpoint": lambda: claim.checkpoint(["a"]),
        "cancel": claim.cancel,
    }
    with pytest.raises(ClaimLost):
        verbs[verb]()

    assert place.copies() == before
    assert place.names(".tmp") == []


def test_a_cleaner_goes_on_when_another_program_removes_a_job_before_it(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    for name in ("a", "b", "c"):
        place.put("complete", text("complete", name), f"{name}.json")
    other = place.jobs / "complete" / "b.json"
    for name in ("a", "c"):
        queue.disk.before("unlink", f"complete/{name}.json", lambda: other.unlink(missing_ok=True))

    queue.cleanup_completed_jobs(SOON)

    assert place.names("complete") == []


# -- jobs that others run ----------------------------------------------------------------


def test_a_running_job_without_a_claim_is_left_alone_until_it_is_stale(
    actor: Actors, place: Place
) -> None:
    queue = actor(foreign_stale_after=timedelta(minutes=30))
    path = place.put("running", text("running"))
    assert queue.rescue_orphans() == 0
    assert place.copies() == {"running": 0}

    an_hour_ago = datetime.now(UTC).timestamp() - 3600
    os.utime(path, (an_hour_ago, an_hour_ago))

    assert queue.rescue_orphans() == 1
    assert place.copies() == {"pending": 1}
    assert place.document("pending")["metadata"]["crashCount"] == 1


# -- two copies --------------------------------------------------------------------------


def test_of_two_names_of_one_file_the_one_goes_whose_folder_is_not_its_status(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    path = place.put("running", text("running", claim=_stamp()))
    (place.jobs / "pending" / "j.json").hardlink_to(path)

    queue.claim_next_job()
    queue.rescue_orphans()

    assert place.copies() == {"pending": 1}
    assert place.document("pending")["status"] == "pending"


def test_of_two_names_of_one_finished_file_cleaning_leaves_none(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    path = place.put("complete", text("complete"))
    (place.jobs / "running" / "j.json").hardlink_to(path)

    assert queue.rescue_orphans() == 0
    assert seen(queue.get_job("j")).status == "complete"
    assert queue.cleanup_completed_jobs(SOON) == 1
    assert place.copies() == {}


@pytest.mark.parametrize(
    ("one", "other", "stays"),
    [("pending", "running", "running"), ("running", "complete", "complete"),
     ("pending", "complete", "complete")],
)  # fmt: skip
def test_of_two_copies_of_one_revision_the_loser_is_kept_in_quarantine(
    actor: Actors, place: Place, one: str, other: str, stays: str
) -> None:
    queue = actor()
    place.put(one, text(one, claim=_stamp()) if one == "running" else text(one))
    place.put(other, text(other, claim=_stamp()) if other == "running" else text(other))
    lost = place.document(one)

    queue.claim_next_job()
    queue._store.hold("j").let_go()

    assert list(place.copies()) == [stays]
    (kept,) = [name for name in place.names(".quarantine") if not name.endswith(".why")]
    assert json.loads((place.jobs / ".quarantine" / kept).read_text()) == lost


@pytest.mark.parametrize("torn", [b"", b'{"status": ', bytes(100)])
def test_a_torn_copy_beside_a_whole_one_is_the_debris_of_a_power_cut(
    actor: Actors, place: Place, torn: bytes
) -> None:
    queue = actor()
    queue._store._copies.grace = 0.02  # type: ignore[attr-defined]
    place.put("pending", text())
    place.put("running", torn)
    assert seen(queue.get_job("j")).status == "pending"

    claim = eventually(queue.claim_next_job)

    assert place.copies() == {"running": 1}
    assert claim.complete().status == "complete"
    assert place.everything() == {"complete": ["j.json"]}


def test_hard_links_made_by_a_backup_tool_change_nothing(
    actor: Actors, place: Place, tmp_path: Path
) -> None:
    queue, other = actor(), actor()
    queue.create_job(job())
    (tmp_path / "backup.json").hardlink_to(place.jobs / "pending" / "j.json")

    claim = claimed(queue)
    (tmp_path / "backup-2.json").hardlink_to(place.jobs / "running" / "j.json")

    assert other.claim_next_job() is None
    assert other.rescue_orphans() == 0
    assert claim.complete().status == "complete"
    assert place.everything() == {"complete": ["j.json"]}
    assert json.loads((tmp_path / "backup.json").read_text())["status"] == "pending"


def _stamp() -> dict[str, Any]:
    return {"token": "t", "worker": "w", "host": "h", "pid": 1}


def test_a_bad_entry_is_looked_at_again_without_blocking_other_jobs(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    place.put("pending", b"{", "bad.json")
    done = []
    for number in range(20):
        queue.create_job(job(f"k{number}"))
        done.append(claimed(queue).complete().metadata.id)

    assert done == [f"k{number}" for number in range(20)]
