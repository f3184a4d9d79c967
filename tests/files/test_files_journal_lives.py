"""Whose journal it is, dead or living, and which options give a directory one."""

from __future__ import annotations

import errno
import logging
import os
import pickle
from pathlib import Path

import pytest
from files.children import Children
from files.journals import files, told
from files.places import PATIENCE, Actors, Place, job, journalled

from semiont_jobs import FileStore, InvalidValue, JobQueue, UnsafeStore
from semiont_jobs.stores import open_store
from semiont_jobs.stores.files.journal import boot, segment
from semiont_jobs.stores.files.journal.records import records_in
from semiont_jobs.testing.waiting import eventually

# -- dead and living -------------------------------------------------------------------------


def test_a_closed_queue_leaves_no_journal(actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    queue.create_job(job())

    queue.close()

    assert files(place.path) == []


DIES = """
queue = JobQueue(data, durability="journal")
queue.create_job(new("j"))
witness("created")
os.kill(os.getpid(), 9)
"""

LIVES = """
queue = JobQueue(data, durability="journal")
queue.create_job(new("j"))
witness("created")
wait_for("enough")
"""


def test_the_journal_of_a_killed_process_goes_with_the_next_sweep(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start(DIES).wait(PATIENCE)
        left = told(children.data)
        with JobQueue(children.data) as queue:
            found = queue.get_job("j")

    assert [("j", 0)] == left
    assert files(children.data) == []
    assert found is not None


def test_the_journal_of_a_living_process_is_not_touched(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.start(LIVES)
        eventually(lambda: children.log.exists())
        with JobQueue(children.data, durability="journal") as queue:
            queue.create_job(job("k"))
        left = told(children.data)
        (tmp_path / "enough").touch()
        assert child.wait(PATIENCE) == 0

    assert [("j", 0)] == left


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_writes_to_a_journal_of_its_own(actor: Actors, place: Place) -> None:
    queue = journalled(actor)
    queue.create_job(job("parents"))
    (parents,) = files(place.path)
    pid = os.fork()
    if pid == 0:
        try:
            queue.create_job(job("childs"))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

    queue.create_job(job("parents-second"))

    (childs,) = (path for path in files(place.path) if path != parents)
    found = {
        path: [each.job_id for each in records_in(path.read_bytes()[segment.HEADER_BYTES :])]
        for path in (parents, childs)
    }
    assert found == {parents: ["parents", "parents-second"], childs: ["childs"]}


# -- options ---------------------------------------------------------------------------------


def test_a_durability_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="durability"):
        JobQueue(tmp_path, durability="paper")


def test_two_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="durability"):
        JobQueue(tmp_path, fsync=False, durability="journal")


def test_the_short_names_mean_what_they_say(tmp_path: Path) -> None:
    assert FileStore(tmp_path, fsync=True).durability == "fsync"
    assert FileStore(tmp_path, fsync=False).durability == "process"
    assert FileStore(tmp_path).durability == "fsync"


def test_a_pickled_store_keeps_its_durability(tmp_path: Path) -> None:
    store = FileStore(tmp_path, durability="journal")

    assert pickle.loads(pickle.dumps(store)).durability == "journal"


def test_the_memory_store_takes_any_durability() -> None:
    for durability in ("journal", "fsync", "process"):
        open_store("memory:", durability=durability)
    with pytest.raises(InvalidValue):
        open_store("memory:", durability="paper")


def test_a_journal_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "file_system_of", lambda _path: "nfs4")

    with pytest.raises(UnsafeStore, match="nfs4"):
        JobQueue(tmp_path, durability="journal", allow_network_fs=True).initialize()


def test_a_journal_where_nobody_knows_of_starts_of_the_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "current", lambda: "")

    with pytest.raises(UnsafeStore, match="started again"):
        JobQueue(tmp_path, durability="journal").initialize()


def test_a_journal_in_a_container_with_a_start_of_its_own_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path / "boot_id"
    name.write_text("0f8fad5b-d9cb-469f-a165-70867728950e")
    monkeypatch.setattr(boot, "BOOT_ID", str(name))

    with pytest.raises(UnsafeStore, match="container"):
        JobQueue(tmp_path / "data", durability="journal").initialize()


def test_this_start_of_the_machine_has_a_name() -> None:
    assert boot.current()
    assert boot.current() == boot.current()


def test_a_journal_that_cannot_be_removed_is_told_of_and_stays(
    actor: Actors, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    queue = journalled(actor)
    queue.create_job(job())
    queue.disk.refuse(errno.EACCES, "unlink", ".journal/*")

    with caplog.at_level(logging.ERROR, "semiont_jobs"):
        queue.close()

    assert told(place.path) == [("j", 0)]
    assert "is kept" in caplog.text


def test_processes_that_open_at_once_after_a_power_cut_find_every_job(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        actor = Actors(children.data)
        past = actor(durability="journal")
        past.create_jobs([job(f"j-{n}") for n in range(50)])
        past.disk.bury()
        for path in (children.data / "jobs" / "pending").iterdir():
            path.unlink()
        script = """
from semiont_jobs.stores.files.journal import boot
boot.current = lambda: "another start"
wait_for("go")
witness(queue.get_stats().pending)
"""
        crowd = [children.start(script) for _ in range(4)]
        (tmp_path / "go").touch()
        assert [each.wait(PATIENCE) for each in crowd] == [0] * 4
        eventually(lambda: len(children.log.read_text().splitlines()) == 4)
        counts = [line.split()[0] for line in children.log.read_text().splitlines()]

    assert counts == ["50"] * 4
