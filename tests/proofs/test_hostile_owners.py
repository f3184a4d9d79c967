"""Files of other users, of mode 0600 in a folder that admits us: we can neither read them nor
try their locks. Somebody may be running what is in them."""

from __future__ import annotations

import errno
import logging
import os
from contextlib import suppress
from datetime import timedelta

import pytest
from files.places import Actors, Place, Unattended, claimed, job, seen
from proofs.hostile import FOLDERS, hurry, store_of, text

from semiont_jobs import JobHeld, StoreError
from semiont_jobs.stores.files.pending import CLOSED_DELAY
from semiont_jobs.testing.suite import eventually

STAMP = {"token": "t", "worker": "w", "host": "h", "pid": 1}


def refuse_to_open(queue: Unattended, place: str, code: int = errno.EACCES) -> None:
    """Let that file be another user's, of mode 0600."""
    for verb in ("open", "open_to_read"):
        queue.disk.refuse(code, verb, place, times=100_000)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_file_that_may_not_be_opened_is_left_alone_told_of_once_and_keeps_no_job_waiting(
    actor: Actors, place: Place, caplog: pytest.LogCaptureFixture, folder: str, code: int
) -> None:
    queue = actor()
    hurry(queue, 0.02)
    before = place.put(folder, text(folder, "closed"), "closed.json").stat()
    refuse_to_open(queue, f"{folder}/closed.json", code)

    with caplog.at_level(logging.ERROR, "semiont_jobs"):
        for number in range(5):
            queue.create_job(job(f"k{number}"))
            assert claimed(queue).complete().status == "complete"
            queue.query_jobs()
            eventually(lambda: queue.rescue_orphans() or "left alone" in caplog.text)

    (told,) = [each.getMessage() for each in caplog.records]
    assert f"{folder}/'closed.json'" in told
    assert (place.jobs / folder / "closed.json").stat() == before
    assert place.names(".quarantine") == []
    assert queue.cleanup_completed_jobs(timedelta(minutes=-1), cancelled=True) == 5


def test_a_live_job_of_another_user_is_not_robbed_and_its_worker_completes_it(
    actor: Actors, place: Place
) -> None:
    queue, theirs = actor(), actor()
    hurry(queue, 0)
    theirs.create_job(job())
    claim = claimed(theirs)
    refuse_to_open(queue, "*/j.json")

    for _ in range(4):
        queue.query_jobs()
        queue.rescue_orphans()

    assert claim.complete().status == "complete"
    assert place.everything() == {"complete": ["j.json"]}


def test_a_closed_file_costs_an_idle_worker_no_look_at_it(actor: Actors, place: Place) -> None:
    queue = actor()
    hurry(queue, 0)
    place.put("pending", text("pending", "closed"), "closed.json")
    os.utime(place.jobs / "pending", (1_700_000_000, 1_700_000_000))
    refuse_to_open(queue, "pending/closed.json")
    for _ in range(3):
        queue.claim_next_job()
        store_of(queue)._pending._listed_at -= 1.0  # a second later
    queue.disk.calls.clear()

    for _ in range(100):
        assert queue.claim_next_job() is None

    assert queue.disk.trace() == ["stat jobs/pending"] * 100


def test_a_closed_file_that_is_opened_to_us_is_claimed_although_the_folder_does_not_change(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    hurry(queue, 0)
    place.put("pending", text("pending", "closed"), "closed.json")
    os.utime(place.jobs / "pending", (1_700_000_000, 1_700_000_000))
    refuse_to_open(queue, "pending/closed.json")
    for _ in range(3):
        queue.claim_next_job()
        store_of(queue)._pending._listed_at -= 1.0
    queue.disk.relent()

    assert queue.claim_next_job() is None
    store_of(queue)._pending._listed_at -= CLOSED_DELAY
    assert claimed(queue).job.metadata.id == "closed"


def test_a_job_of_which_another_copy_is_closed_waits_and_those_behind_it_do_not(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    hurry(queue, 0)
    place.put("pending", text("pending", "j"))
    place.put("running", text("running", "j"))
    refuse_to_open(queue, "running/j.json")
    queue.create_job(job("behind"))

    done = eventually(queue.claim_next_job).complete()
    for _ in range(3):
        queue.rescue_orphans()
        with pytest.raises(JobHeld):
            store_of(queue).hold("j")

    assert done.metadata.id == "behind"
    assert place.everything() == {
        "pending": ["j.json"], "running": ["j.json"], "complete": ["behind.json"],
    }  # fmt: skip
    assert place.names(".quarantine") == []


def test_an_orphan_of_which_a_lower_copy_may_be_read_but_not_locked_waits(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    hurry(queue, 0)
    place.put("pending", text("pending", "j"))
    place.put("running", text("running", "j", revision=1, claim=STAMP))
    # As of a file that nobody may change, not even root.
    queue.disk.refuse(errno.EPERM, "open", "pending/j.json", times=100_000)

    assert [queue.rescue_orphans() for _ in range(3)] == [0, 0, 0]
    assert place.everything() == {"pending": ["j.json"], "running": ["j.json"]}


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO])
def test_what_the_disk_refuses_says_nothing_of_a_copy_that_stands_in_a_jobs_way(
    actor: Actors, place: Place, code: int
) -> None:
    queue = actor()
    hurry(queue, 0)
    queue.create_job(job())
    place.put("running", b"{")
    seen(queue.poll_next_pending_job())
    eventually(lambda: queue.get_job("j"))
    queue.disk.refuse(code, "open", "running/j.json", times=100)

    for _ in range(3):
        with suppress(StoreError):
            queue.claim_next_job()

    assert place.names(".quarantine") == []
    assert place.everything() == {"pending": ["j.json"], "running": ["j.json"]}
