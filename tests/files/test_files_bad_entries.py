"""What foreign programs leave in the folders, and what becomes of it."""

from __future__ import annotations

import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files.entries import SOON, look_after, text
from files.places import Actors, Place, Unattended, claimed, job, seen

from semiont_jobs import JobDecodeError, JobExists
from semiont_jobs.testing.suite import eventually

FOLDERS = ("pending", "running", "complete")


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
