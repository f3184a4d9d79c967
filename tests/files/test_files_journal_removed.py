"""Journals that another hand has removed or moved away: what is acknowledged then is where a replay
looks, and what was acknowledged before is made durable otherwise."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files.journals import another_start, files, small, told
from files.places import Actors, Place, Unattended, claimed, job, journalled

from semiont_jobs import JobQueue, StoreError


def unlink(place: Path) -> None:
    for path in files(place):
        path.unlink()


def remove_the_folder(place: Path) -> None:
    shutil.rmtree(place / "jobs" / ".journal")


def move_all_away(place: Path) -> None:
    place.rename(place.with_name("moved"))
    JobQueue(place, durability="process").initialize().close()


def put_a_copy_in_its_place(place: Path) -> None:
    (path,) = files(place)
    copied = path.with_suffix(".copied")
    shutil.copy(path, copied)
    copied.rename(path)


HANDS = (unlink, remove_the_folder, move_all_away, put_a_copy_in_its_place)


@pytest.fixture
def queue(actor: Actors, monkeypatch: pytest.MonkeyPatch) -> Unattended:
    """A queue with a journal that is emptied by whoever fills it, and a job."""
    small(monkeypatch, 64 * 1024)
    queue = journalled(actor)
    queue.create_job(job("first"))
    return queue


def names(place: Place) -> list[str]:
    return [job_id for job_id, _revision in told(place.path)]


@pytest.mark.parametrize("remove", HANDS)
def test_what_is_acknowledged_after_its_journal_was_removed_is_in_a_new_one(
    queue: Unattended, place: Place, remove: Callable[[Path], None]
) -> None:
    remove(place.path)

    for n in range(3):
        queue.create_job(job(f"j-{n}"))

    assert names(place)[-3:] == ["j-0", "j-1", "j-2"]
    assert files(place.path)[-1].stem.endswith("-2")


@pytest.mark.parametrize("remove", HANDS)
def test_a_power_cut_after_it_loses_nothing(
    queue: Unattended, actor: Actors, place: Place, remove: Callable[[Path], None]
) -> None:
    remove(place.path)
    queue.create_job(job("second"))
    queue.disk.bury()
    os.unlink(place.jobs / "pending" / "second.json")

    with another_start():
        found = actor().get_job("second")

    assert found is not None


def test_a_folder_made_again_is_durable_before_anything_in_it_is_acknowledged(
    queue: Unattended, place: Place
) -> None:
    remove_the_folder(place.path)
    queue.disk.calls.clear()

    queue.create_job(job())

    steps = queue.disk.trace()
    (name,) = [path.name for path in files(place.path)]
    made = steps.index("make_folder jobs/.journal")
    forced = steps.index(f"fsync_folder {place.path.name}/jobs", made)
    assert forced < steps.index(f"rename .journal/{name}")
    assert place.jobs.joinpath(".journal").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("remove", HANDS)
def test_what_was_acknowledged_before_is_forced_and_that_is_told_once(
    queue: Unattended, place: Place, remove: Callable[[Path], None], caplog: Any
) -> None:
    (first,) = files(place.path)
    remove(place.path)
    queue.disk.calls.clear()

    queue.create_job(job("a"))
    queue.create_job(job("b"))
    queue.close()

    assert queue.disk.count("syncfs") >= 1
    assert queue.disk.count("unlink", f".journal/{first.name}") == 0
    [record] = [each for each in caplog.records if "journal" in each.getMessage()]
    assert record.getMessage().startswith(f"the journal {first.name} was removed")


def test_a_claim_relies_on_no_record_of_a_journal_that_was_removed(
    queue: Unattended, place: Place
) -> None:
    unlink(place.path)

    claimed(queue)

    assert told(place.path) == [("first", 1)]


def test_a_batch_is_said_again_whole(queue: Unattended, place: Place) -> None:
    unlink(place.path)

    queue.create_jobs([job(f"j-{n}", params={"text": "x" * 2000}) for n in range(20)])

    assert names(place) == [f"j-{n}" for n in range(20)]


def test_a_removal_is_said_again(queue: Unattended, actor: Actors, place: Place) -> None:
    other = journalled(actor)
    other.create_job(job("other", type="other"))
    claimed(queue, types=["task"]).complete()
    for path in files(place.path):
        if path.name.startswith(f"{journal_of(queue)._stem}-"):
            path.unlink()

    queue.remove_job("first")

    assert ("first", None) in told(place.path)


def test_one_that_is_removed_again_and_again_refuses_the_call_and_not_the_next(
    queue: Unattended, place: Place
) -> None:
    queue.disk.before("fdatasync", "*", lambda: unlink(place.path), times=2)

    with pytest.raises(StoreError, match="the journal was removed"):
        queue.create_job(job())
    queue.create_job(job("next"))

    assert place.names("pending") == ["first.json", "next.json"]
    assert names(place) == ["next"]


def test_removals_are_told_on_though_the_file_that_did_was_removed(
    queue: Unattended, actor: Actors, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    other = journalled(actor)
    claimed(other).complete()
    other.remove_job("first")
    other.disk.refuse(errno.EMFILE, "syncfs")
    journal_of(other)._turn_over()
    for lost in (journal_of(other)._stuck[0], journal_of(other)._current):
        os.unlink(lost.path)
    assert ("first", None) not in told(place.path)

    journal_of(other).tend()

    assert ("first", None) in told(place.path)
    assert f"the journal {lost.name} was removed" in caplog.text


def test_a_queue_whose_directory_is_gone_ends_in_silence(
    queue: Unattended, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(place.path)

    queue.close()

    assert not place.path.exists()
    assert caplog.text == ""


def test_a_folder_removed_while_there_was_no_file_in_it_is_made_again(
    actor: Actors, place: Place
) -> None:
    queue = journalled(actor)
    remove_the_folder(place.path)

    queue.create_job(job())

    assert names(place) == ["j"]


def journal_of(queue: JobQueue) -> Any:
    store: Any = queue.store
    return store._journal
