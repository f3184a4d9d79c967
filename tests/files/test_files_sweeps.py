"""Left-overs, and readers that know nothing of us."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from files.places import FOLDERS, Actors, Place, claimed, job, seen

from semiont_jobs import FileStore, JobQueue
from semiont_jobs.stores.files import sweep
from semiont_jobs.testing.suite import eventually

AN_HOUR_AGO = datetime.now(UTC).timestamp() - 3600


def aged(path: Path) -> Path:
    """The same file, last changed an hour ago."""
    os.utime(path, (AN_HOUR_AGO, AN_HOUR_AGO))
    return path


def test_ten_thousand_left_over_files_are_swept_at_the_start(tmp_path: Path) -> None:
    JobQueue(tmp_path / "data", fsync=False).initialize().close()
    tmp = tmp_path / "data" / "jobs" / ".tmp"
    for number in range(10_000):
        path = tmp / f"left-{number}"
        os.close(os.open(path, os.O_CREAT, 0o600))
        os.utime(path, (AN_HOUR_AGO, AN_HOUR_AGO))
    begun = time.monotonic()

    with JobQueue(tmp_path / "data", fsync=False) as queue:
        queue.create_job(job())
        took = time.monotonic() - begun

    assert list(tmp.iterdir()) == []
    assert took < 20


def test_young_and_locked_left_overs_stay(actor: Actors, place: Place) -> None:
    actor()
    tmp = place.jobs / ".tmp"
    (tmp / "young").write_text("being written")
    locked = aged_file(tmp / "locked")
    with locked.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        actor()

        assert place.names(".tmp") == ["locked", "young"]
    actor()
    assert place.names(".tmp") == ["young"]


def aged_file(path: Path) -> Path:
    path.write_text("left over")
    return aged(path)


def test_a_left_over_second_name_of_a_job_is_taken_away_and_the_job_is_untouched(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.create_job(job())
    path = place.jobs / "pending" / "j.json"
    (place.jobs / ".tmp" / "second-name").hardlink_to(path)
    before = aged(path).read_bytes()

    actor()

    assert place.names(".tmp") == []
    assert path.read_bytes() == before
    assert claimed(queue).complete().status == "complete"


@pytest.mark.parametrize("kind", ["folder", "symlink", "FIFO"])
def test_what_is_no_left_over_file_does_not_disturb_the_sweep(
    actor: Actors, place: Place, tmp_path: Path, kind: str
) -> None:
    actor()
    odd = place.jobs / ".tmp" / "odd"
    target = tmp_path / "target"
    target.write_text("kept")
    if kind == "folder":
        odd.mkdir()
    elif kind == "symlink":
        odd.symlink_to(target)
    else:
        os.mkfifo(odd)
    os.utime(odd, (AN_HOUR_AGO, AN_HOUR_AGO), follow_symlinks=False)
    aged_file(place.jobs / ".tmp" / "left")

    actor().create_job(job())

    assert "left" not in place.names(".tmp")
    assert target.read_text() == "kept"


# -- requests to cancel ------------------------------------------------------------------


def test_requests_of_lives_that_are_over_are_swept_and_others_stay(
    actor: Actors, place: Place
) -> None:
    queue, other = actor(), actor()
    for name in ("running", "finished", "retried"):
        queue.create_job(job(name, max_retries=0))
    claims = {str(claim.job.metadata.id): claim for claim in (claimed(queue) for _ in range(3))}
    for name in claims:
        assert other.cancel_job(name) is True
    claims["finished"].complete()
    claims["retried"].fail("broken")
    other.retry_job("retried")
    cancel = place.jobs / ".cancel"
    for odd in ("never-was.123", "running.of-another-life", "no job's name.1", "nothing"):
        (cancel / odd).touch()
    for path in cancel.iterdir():
        aged(path)

    actor()

    life = claims["running"].job.metadata.life
    assert place.names(".cancel") == [f"running.{life}"]
    claims["running"].cancelled.clear()
    with pytest.raises(Exception, match="cancelled"):
        claims["running"].raise_if_cancelled()
    assert claimed(queue).job.metadata.id == "retried"


def test_a_request_just_made_is_not_swept(actor: Actors, place: Place) -> None:
    actor()
    (place.jobs / ".cancel" / "j.123").touch()

    actor()

    assert place.names(".cancel") == ["j.123"]


def test_left_overs_are_swept_while_a_queue_is_in_use_too(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "SWEEP_INTERVAL", 0.0)
    queue = actor()
    aged_file(place.jobs / ".tmp" / "left")

    queue.rescue_orphans()

    assert place.names(".tmp") == []


# -- a foreign reader --------------------------------------------------------------------


class ForeignReader(threading.Thread):
    """Reads as the TypeScript package does: takes whatever stands there for a job."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self.place = place
        self.stop = threading.Event()
        self.read = 0
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.stop.is_set():
            for folder in FOLDERS:
                for name in os.listdir(self.place.jobs / folder):
                    self._look(folder, name)

    def _look(self, folder: str, name: str) -> None:
        try:
            text = (self.place.jobs / folder / name).read_text("utf-8")
        except FileNotFoundError:
            return  # moved on: that is allowed
        try:
            found = json.loads(text)
            if (found["status"], f"{found['metadata']['id']}.json") != (folder, name):
                self.faults.append(f"{folder}/{name} holds {found['status']}")
        except (ValueError, KeyError, TypeError) as error:
            self.faults.append(f"{folder}/{name}: {error}")
        self.read += 1


def test_a_foreign_reader_meets_nothing_but_whole_jobs_through_two_thousand_transitions(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path / "data")
    queue = JobQueue(FileStore(place.path, fsync=False), max_crashes=10_000).initialize()
    reader = ForeignReader(place)
    reader.start()
    transitions: list[str] = []
    queue.subscribe(lambda event: transitions.append(event.name))
    payload: dict[str, Any] = {"text": "x" * 20_000}

    number = 0
    while len(transitions) < 2_000:
        number += 1
        queue.create_job(job(f"j{number}", params=payload, max_retries=0))
        claim = claimed(queue)
        claim.report({"at": number})
        claim.checkpoint([str(number)])
        match number % 4:
            case 0:
                claim.complete({"done": payload})
            case 1:
                claim.fail("broken")
                queue.retry_job(f"j{number}")
                queue.cancel_job(f"j{number}")
            case 2:
                claim.release()
                claimed(queue).snooze(3600)
            case _:
                queue._store.kill_holder(f"j{number}")  # type: ignore[attr-defined]
                queue.forget(claim)
                assert queue.rescue_orphans() == 1
                claimed(queue).complete()
    eventually(lambda: reader.read > 0)
    reader.stop.set()
    reader.join(60)
    queue.close()

    assert reader.faults == []
    assert not reader.is_alive()
    assert seen(queue.get_job("j1")).status == "cancelled"
    queue.close()
