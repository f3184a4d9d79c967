"""A disk that refuses what a worker's loop has put off: nothing is told that is not durable, nothing that
was published is lost, and what could not be forced is written anew."""

from __future__ import annotations

import errno
from datetime import timedelta

import pytest
from files.loops import refuse_forcing, taken, told, worked_off
from files.places import Place, Unattended, claimed

from semiont_jobs import ClaimLost, StoreError


def test_what_could_not_be_forced_is_not_told_and_its_older_copies_stand(
    queue: Unattended, place: Place
) -> None:
    heard = told(queue)
    worked_off(queue, 2)
    refuse_forcing(queue)

    with pytest.raises(StoreError):
        queue.committer.commit_all()

    assert {name for name, _job_id in heard} == {"claimed"}
    assert place.names("pending") == ["a.json", "b.json", "c.json"]


def test_what_is_not_durable_yet_is_logged_with_the_place(
    queue: Unattended, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    loop = worked_off(queue, 1)

    def no_space() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # without a path, as fsync does

    queue.disk.before("f*sync", "*", no_space)

    loop.end()

    told = f"not durable yet: [Errno 28] No space left on device: '{place.path}'"
    assert told in caplog.text


def test_what_could_not_be_forced_is_written_anew(queue: Unattended, place: Place) -> None:
    heard = told(queue)
    loop = worked_off(queue, 2)
    refuse_forcing(queue)
    loop.end()
    assert ("completed", "a") not in heard
    queue.disk.calls.clear()

    assert taken(loop).job.metadata.id == "c"

    assert queue.disk.count("rename", "complete/a.json") == 1
    assert queue.disk.count("rename", "complete/b.json") == 1
    loop.end()
    assert heard[-3:] == [("claimed", "c"), ("completed", "a"), ("completed", "b")]
    assert place.names("complete") == ["a.json", "b.json"]


def test_a_loop_claims_nothing_while_the_disk_refuses(queue: Unattended, place: Place) -> None:
    loop = worked_off(queue, 1)
    refuse_forcing(queue)
    loop.end()
    queue.disk.refuse(errno.ENOSPC, "create", ".tmp/*")

    with pytest.raises(StoreError, match="No space left"):
        loop()

    assert place.names("running") == ["a.json"]
    queue.disk.relent()
    assert taken(loop).job.metadata.id == "b"


def test_an_outcome_that_cannot_be_published_is_tried_again(
    queue: Unattended, place: Place
) -> None:
    loop = queue.claimer()
    claim = taken(loop)
    queue.disk.refuse(errno.ENOSPC, "rename", "complete/a.json")

    with pytest.raises(StoreError):
        claim.complete()
    assert claim.is_open
    claim.complete()
    loop.end()

    assert place.copies("a").keys() == {"complete"}


def test_a_claim_that_cannot_be_published_leaves_what_was_put_off_before_it(
    queue: Unattended, place: Place
) -> None:
    heard = told(queue)
    loop = worked_off(queue, 1)
    queue.disk.refuse(errno.ENOSPC, "rename", "running/b.json")

    with pytest.raises(StoreError):
        loop()

    assert place.copies("a").keys() == {"complete"}
    assert place.copies("b").keys() == {"pending"}
    loop.end()
    assert heard[-1] == ("completed", "a")
    assert taken(loop).job.metadata.id == "b"


def test_a_job_that_goes_back_waits_for_the_disk_first(queue: Unattended, place: Place) -> None:
    claim = taken(queue.claimer())
    queue.disk.refuse(errno.EIO, "fsync", "running/a.json")
    queue.disk.refuse(errno.EIO, "fdatasync", "*")

    with pytest.raises(StoreError):
        claim.release()
    assert place.copies("a").keys() == {"pending", "running"}
    claim.release()

    assert place.copies("a").keys() == {"pending"}


def test_an_outcome_of_a_job_that_was_taken_away_is_lost(queue: Unattended, place: Place) -> None:
    loop = queue.claimer()
    claim = taken(loop)
    (place.jobs / "running" / "a.json").unlink()

    with pytest.raises(ClaimLost):
        claim.complete()
    loop.end()

    assert place.names("complete") == []
    assert claimed(queue).job.metadata.id in ("a", "b")


def test_old_jobs_are_removed_though_the_disk_refuses_what_is_put_off(
    queue: Unattended, place: Place
) -> None:
    worked_off(queue, 1).end()
    loop = worked_off(queue, 1)
    refuse_forcing(queue, "complete/b.json")
    loop.end()
    queue.disk.refuse(errno.ENOSPC, "create", ".tmp/*")

    assert queue.cleanup_completed_jobs(timedelta(seconds=-1)) == 1

    assert place.copies("a") == {}
    assert place.copies("b").keys() == {"pending", "running", "complete"}
