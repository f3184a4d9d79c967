"""Limits of the system are met and told in words that say what to do."""

from __future__ import annotations

import errno
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from files.places import Actors, Place, claimed, job, seen
from proofs.hostile import AT_THE_LIMIT, NEW_AT_THE_LIMIT, deep, document, hurry, padded, text

from semiont_jobs import (
    Event,
    JobDecodeError,
    JobEncodeError,
    JobQueue,
    JobTooLarge,
    JobWorker,
    PendingJob,
    RunningJob,
)
from semiont_jobs.codec import documents
from semiont_jobs.testing.suite import eventually

PATIENCE = 60.0


# -- at the limits -----------------------------------------------------------------------


def filled(queue: JobQueue, size: int, id: str = "j") -> PendingJob[Any]:
    """A job whose text has that many bytes."""
    empty = job(id, params={"t": ""})
    return job(
        id,
        params={"t": "x" * (size - len(queue.codec.encode(empty)))},
        created=empty.metadata.created,
    )


def test_a_job_of_14_mib_is_created_and_one_byte_more_is_refused(
    actor: Actors, place: Place
) -> None:
    queue = actor()

    queue.create_job(filled(queue, NEW_AT_THE_LIMIT, "at"))
    with pytest.raises(JobTooLarge, match="beyond"):
        queue.create_job(filled(queue, NEW_AT_THE_LIMIT + 1, "beyond"))

    assert place.everything() == {"pending": ["at.json"]}
    assert (place.jobs / "pending" / "at.json").stat().st_size == NEW_AT_THE_LIMIT


def test_a_file_of_16_mib_is_read_and_one_byte_more_is_not(actor: Actors, place: Place) -> None:
    queue = actor()
    hurry(queue)
    place.put("complete", padded(text("complete", "at"), AT_THE_LIMIT), "at.json")
    place.put("complete", padded(text("complete", "beyond"), AT_THE_LIMIT + 1), "beyond.json")

    assert seen(queue.get_job("at")).status == "complete"
    with pytest.raises(JobDecodeError, match="more than 16777216 bytes"):
        queue.get_job("beyond")


def test_a_file_of_200_levels_is_claimed_and_one_level_more_is_not(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    hurry(queue)
    place.put("pending", deep(200), "bad.json")
    assert claimed(queue).complete().status == "complete"
    place.put("failed", deep(201, "failed"), "deeper.json")

    with pytest.raises(JobDecodeError, match="200 levels"):
        queue.get_job("deeper")
    nested: Any = {}
    for _ in range(200):
        nested = [nested]
    with pytest.raises(JobEncodeError, match="200 levels"):
        queue.enqueue({"in": nested}, type="task")


def test_a_file_that_fits_but_not_with_its_claim_is_set_aside_and_keeps_nobody_waiting(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    reasons: list[str] = []
    queue.subscribe(lambda event: event.name == "quarantined" and reasons.append(event.reason))
    place.put("pending", queue.codec.encode(filled(queue, AT_THE_LIMIT, "at")), "at.json")
    queue.create_job(job("behind"))

    assert claimed(queue).complete().metadata.id == "behind"

    assert queue.claim_next_job() is None
    assert place.everything() == {"complete": ["behind.json"]}
    assert len(reasons) == 1
    assert "may have at most 16777216 bytes" in reasons[0]


def test_an_orphan_too_large_for_one_attempt_more_is_told_once_and_keeps_no_other_from_rescue(
    actor: Actors, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    queue, dead = actor(), actor()
    made = document("running", "at", claim={"token": "t", "worker": "w", "host": "h", "pid": 1})
    made["params"] = {"t": "x" * (AT_THE_LIMIT - 600)}
    place.put("running", json.dumps(made, indent=2), "at.json")
    dead.create_job(job("other"))
    claimed(dead)
    dead.disk.bury()

    with caplog.at_level(logging.ERROR, "semiont_jobs"):
        assert [1, 0, 0] == [queue.rescue_orphans() for _ in range(3)]

    assert place.names("running") == ["at.json"]
    assert ["cannot be rescued: job at" in each.getMessage() for each in caplog.records] == [True]


def test_a_worker_whose_failure_has_no_room_in_its_job_does_not_spin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A low limit: one try to write 16 MiB takes so long that nothing spins.
    monkeypatch.setattr(documents, "MAX_JOB_BYTES", 8192)

    class Failing(JobWorker):
        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            raise RuntimeError("n" * 8000)

    with JobQueue(tmp_path, fsync=False) as queue:
        queue.create_job(filled(queue, 8192 - 500))
        worker = Failing(queue, poll_interval=0.02, error_backoff=2.0)
        worker.start()

        with caplog.at_level(logging.ERROR, "semiont_jobs"):
            eventually(lambda: "outcome not stored yet" in caplog.text)
            worker.stop(timeout=0.5)

        assert caplog.text.count("outcome not stored yet") < 5
        seen(queue._claims.get("j")).release()
        assert worker.stop()


def test_attempts_beyond_a_hundred_in_a_file_are_cut_when_one_is_added(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    attempt = {
        "number": 1,
        "startedAt": "2026-01-01T00:00:00.000Z",
        "endedAt": "2026-01-01T00:00:01.000Z",
        "worker": "w",
        "outcome": "failed",
        "traceback": "t" * 20_000,
    }
    place.put("pending", text(id="j", attempts=[attempt] * 300, attemptCount=300))

    claim = claimed(queue)
    assert len(claim.job.metadata.attempts) == 300
    claim.fail("x" * 20_000)

    metadata = place.document("pending")["metadata"]
    assert metadata["attemptCount"] == 301
    assert len(metadata["attempts"]) == 100
    assert sum("traceback" in each for each in metadata["attempts"]) <= 10
    assert len(metadata["attempts"][-1]["message"]) <= 8 * 1024


# -- what is told ------------------------------------------------------------------------


def test_no_line_of_the_log_holds_what_a_terminal_would_obey(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nasty = "a\nERROR forged\x1b[31m\u202e"

    class Failing(JobWorker):
        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            raise ValueError(nasty)

    with caplog.at_level(logging.DEBUG, "semiont_jobs"), JobQueue(tmp_path, fsync=False) as queue:
        hurry(queue)
        with Failing(queue, poll_interval=0.02):
            queue.enqueue({nasty: nasty}, type=nasty, id="j", user_id=nasty, max_retries=0)
            assert queue.wait_for("j", 60).status == "failed"
            Place(tmp_path).put("pending", nasty, f"{nasty}.json".replace("/", ""))
            eventually(lambda: "quarantined" in caplog.text)

    lines = [record.getMessage() for record in caplog.records]
    assert any(line.startswith("failed j: ") for line in lines)
    assert all(line.isprintable() for line in lines)


def test_a_hook_that_raises_at_every_event_costs_no_bad_entry_its_place_in_quarantine(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    hurry(queue)

    def broken(_event: object) -> None:
        raise OSError(errno.ENOSPC, "the hook's own disk is full")

    queue.subscribe(broken)
    place.put("pending", b"{", "bad.json")
    queue.create_job(job())

    assert claimed(queue).complete().status == "complete"
    eventually(lambda: queue.claim_next_job() or place.names(".quarantine"))
    assert place.everything() == {"complete": ["j.json"]}


@pytest.mark.parametrize(("event", "folder"), [("claimed", "running"), ("completed", "complete")])
def test_a_hook_that_blocks_harms_no_job_and_keeps_no_other_worker_waiting(
    actor: Actors, place: Place, event: str, folder: str
) -> None:
    queue, other = actor(), actor()
    is_blocked, go_on = threading.Event(), threading.Event()

    def block(told: Event) -> None:
        if told.name == event:
            is_blocked.set()
            go_on.wait(PATIENCE)

    queue.subscribe(block)
    queue.create_jobs([job("a"), job("b")])
    worker = threading.Thread(target=lambda: claimed(queue).complete())
    worker.start()
    assert is_blocked.wait(PATIENCE)
    begun = place.everything()

    rescued = other.rescue_orphans()
    done = claimed(other).complete().metadata.id
    go_on.set()
    worker.join(PATIENCE)

    assert begun == {folder: ["a.json"], "pending": ["b.json"]}
    assert (rescued, done) == (0, "b")
    assert place.everything() == {"complete": ["a.json", "b.json"]}
