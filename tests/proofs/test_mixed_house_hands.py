"""The other language's hands on jobs that we run, also caught between two of their steps."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from files.places import Actors, Place, Unattended, claimed, job, seen
from proofs.neighbours import PATIENCE
from proofs.typescript import TypeScript, new_job

from semiont_jobs import ClaimLost, JobQueue, JobWorker, RunningJob
from semiont_jobs.testing.suite import eventually

pytestmark = pytest.mark.scaled


# -- hands on jobs that we run, or ran ---------------------------------------------------


@pytest.mark.parametrize("verb", ["complete", "fail", "release", "checkpoint", "report"])
def test_a_job_that_the_other_side_cancels_under_our_hands_is_refused_and_stands_once(
    actor: Actors, place: Place, verb: str
) -> None:
    queue = actor()
    package = TypeScript(actor.path)
    package.create_job(new_job("j"))
    claim = claimed(queue)
    assert package.cancel_job("j") is True
    verbs: dict[str, Callable[[], object]] = {
        "complete": claim.complete,
        "fail": lambda: claim.fail("broke"),
        "release": claim.release,
        "checkpoint": lambda: claim.checkpoint(["a"]),
        "report": lambda: claim.report({"percentage": 1}),
    }

    with pytest.raises(ClaimLost):
        verbs[verb]()

    assert list(place.copies()) == ["cancelled"]
    assert seen(queue.get_job("j")).status == "cancelled"
    assert queue.claim_next_job() is None
    assert place.names(".tmp") == []


def test_work_is_told_that_the_other_side_cancelled_its_job_and_its_worker_goes_on(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    began, told = threading.Event(), threading.Event()

    class Slow(JobWorker):
        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            if job.metadata.id == "slow":
                began.set()
                if self.cancelled.wait(PATIENCE):
                    told.set()
            return {}

    with JobQueue(data, fsync=False) as queue, Slow(queue, poll_interval=0.02):
        package = TypeScript(data)
        package.create_job(new_job("slow"))
        assert began.wait(PATIENCE)
        package.cancel_job("slow")
        assert told.wait(PATIENCE)
        package.create_job(new_job("next"))

        assert queue.wait_for("next", PATIENCE).status == "complete"
        assert seen(queue.get_job("slow")).status == "cancelled"


@pytest.mark.parametrize("again", ["retry", "by hand"])
def test_a_job_that_failed_here_is_retried_there_and_done_here(
    actor: Actors, place: Place, again: str
) -> None:
    queue = actor()
    package = TypeScript(actor.path)
    queue.create_job(job(max_retries=0))
    claimed(queue).fail("broke")

    package.retry("j") if again == "retry" else package.update_job(
        seen(package.get_job("j")) | {"status": "pending"}, "failed"
    )

    assert eventually(queue.claim_next_job).complete().status == "complete"
    assert place.everything() == {"complete": ["j.json"]}
    attempts = place.document("complete")["metadata"]["attempts"]
    assert ["failed", "completed"] == [each["outcome"] for each in attempts]


def test_what_the_other_side_cleans_away_is_gone_here_too(actor: Actors, place: Place) -> None:
    queue = actor()
    package = TypeScript(actor.path)
    for name in ("a", "b"):
        queue.create_job(job(name))
        claimed(queue).complete()

    assert package.cleanup("9999") == 2

    assert queue.get_job("a") is None
    assert queue.query_jobs() == []
    assert queue.create_job(job("a")).metadata.id == "a"


# -- writers caught between two of their steps -------------------------------------------


def polled(queue: Unattended, times: int = 3) -> Callable[[str], None]:
    """Between two steps of a slow writer we claim, rescue and list, for longer than a poll."""

    def between(_next: str) -> None:
        pause = threading.Event()
        for _ in range(times):
            assert queue.claim_next_job() is None
            assert queue.rescue_orphans() == 0
            pause.wait(0.06)

    return between


@pytest.mark.parametrize("verb", ["create", "rewrite", "start"])
def test_a_file_empty_or_half_for_longer_than_a_poll_is_read_when_it_is_whole(
    actor: Actors, place: Place, verb: str
) -> None:
    queue = actor()
    package = TypeScript(actor.path)
    slow = TypeScript(actor.path, polled(queue))
    if verb != "create":
        package.create_job(new_job("j", queue="x"))

    if verb == "create":
        slow.create_job(new_job("j"))
    elif verb == "rewrite":
        slow.update_job(new_job("j", changed=True))
    else:
        slow.start(seen(package.poll_next_pending_job()))

    assert place.names(".quarantine") == []
    assert seen(queue.get_job("j")).status == ("running" if verb == "start" else "pending")
    if verb != "start":
        assert eventually(queue.claim_next_job).complete().status == "complete"


def test_a_job_taken_out_of_one_folder_and_not_yet_put_into_the_next_is_found_by_a_reader(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    package = TypeScript(actor.path)
    package.create_job(new_job("j"))
    assert seen(queue.poll_next_pending_job()).metadata.id == "j"
    gap, resume = threading.Event(), threading.Event()

    def stand_nowhere(step: str) -> None:
        if step == "publish":
            # However slow this machine is: the folder changed a moment ago.
            os.utime(place.jobs / "pending", (soon := time.time() + PATIENCE, soon))
            gap.set()
            resume.wait(PATIENCE)

    def go_on() -> None:
        resume.set()
        mover.join(PATIENCE)

    slow = TypeScript(actor.path, stand_nowhere)
    mover = threading.Thread(target=slow.start, args=(seen(package.poll_next_pending_job()),))
    mover.start()
    gap.wait(PATIENCE)
    # The first pass finds it nowhere; it is put back before the second.
    queue.disk.before("stat", "jobs/pending", go_on, skip=1)

    found = queue.get_job("j")

    assert seen(found).status == "running"
    assert queue.claim_next_job() is None
    assert place.copies() == {"running": 0}


@pytest.mark.parametrize("move", ["start", "complete", "cancel"])
def test_no_worker_recreates_a_job_that_stands_nowhere_for_a_moment(
    actor: Actors, place: Place, move: str
) -> None:
    queue, other = actor(), actor()
    package = TypeScript(actor.path)
    package.create_job(new_job("j"))
    seen(queue.poll_next_pending_job())
    standing: list[dict[str, int]] = []

    def between(step: str) -> None:
        if step == "publish":
            standing.append(place.copies())
            for each in (queue, other):
                assert each.claim_next_job() is None
                each.rescue_orphans()
            standing.append(place.copies())

    slow = TypeScript(actor.path, between)
    waiting = seen(package.poll_next_pending_job())
    if move == "complete":
        slow.complete(package.start(waiting), {})
    elif move == "cancel":
        slow.cancel_job("j")
    else:
        slow.start(waiting)

    assert [{}, {}] == standing
    wanted = {"start": "running", "complete": "complete", "cancel": "cancelled"}[move]
    assert place.everything() == {wanted: ["j.json"]}
