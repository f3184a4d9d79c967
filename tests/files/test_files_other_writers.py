"""Programs that write while we look are waited for, and jobs that they run left alone."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from files.entries import SOON, look_after, text
from files.places import Actors, Place, Unattended, claimed, job, outcomes, seen

from semiont_jobs import ClaimLost
from semiont_jobs.testing.suite import eventually

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
    actor: Actors, place: Place, how: str, verb: str, caplog: pytest.LogCaptureFixture
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
    with pytest.raises(ClaimLost):
        outcomes(claim)[verb]()

    assert caplog.text.count("job j was moved or removed by somebody else") == 1
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
