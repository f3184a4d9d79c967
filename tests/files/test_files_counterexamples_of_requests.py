"""The counterexamples of requests to cancel, of whole moves and of readers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from files.disks import Died
from files.dying import dies
from files.places import Actors, Place, Unattended, claimed, job, meanwhile, seen

from semiont_jobs import JobCancelled

# -- requests to cancel ------------------------------------------------------------------


def test_c11_a_request_meant_for_one_life_does_not_hit_the_next(
    actor: Actors, place: Place
) -> None:
    worker, other = actor(), actor()
    worker.create_job(job(max_retries=0))
    claim = claimed(worker)
    assert other.cancel_job("j") is True
    asked = place.names(".cancel")
    claim.fail("broke before it looked")
    other.retry_job("j")

    claim = claimed(worker)

    assert len(asked) == 1
    claim.raise_if_cancelled()
    assert claim.complete().status == "complete"


@pytest.mark.parametrize("step", ["link pending", "unlink running"])
def test_c12_a_request_outlives_the_rescuer_that_held_the_job(
    actor: Actors, place: Place, step: str
) -> None:
    worker, rescuer, canceller, other = actor(), actor(), actor(), actor()
    worker.create_job(job())
    claimed(worker)
    worker.disk.bury()
    answers: list[bool] = []

    verb, folder = step.split()
    # The request comes before anything of the rescue is seen; the death, here or later.
    rescuer.disk.before("link", "pending/j.json", lambda: answers.append(canceller.cancel_job("j")))
    rescuer.disk.die_before(verb, f"{folder}/j.json")
    dies(rescuer.rescue_orphans)

    other.rescue_orphans()
    claim = other.claim_next_job()

    assert answers == [True]
    assert claim is None
    assert list(place.copies()) == ["cancelled"]


def test_c13_a_finished_job_whose_worker_is_not_done_moving_it_is_not_asked_to_stop(
    actor: Actors, place: Place
) -> None:
    worker, canceller = actor(), actor()
    worker.create_job(job())
    claim = claimed(worker)
    answers: list[bool] = []
    worker.disk.before(
        "unlink", "running/j.json", lambda: answers.append(canceller.cancel_job("j"))
    )

    claim.complete()

    assert answers == [False]
    assert place.everything() == {"complete": ["j.json"]}


@pytest.mark.parametrize("step", ["create .cancel/*", "open_to_read pending/j.json"])
def test_c13_a_request_that_comes_too_late_is_taken_back(
    actor: Actors, place: Place, step: str
) -> None:
    worker, canceller = actor(), actor()
    worker.create_job(job())
    claim = claimed(worker)
    verb, where = step.split()
    # Of the reads of a canceller the first tells it that the job runs, the second is too late.
    canceller.disk.before(verb, where, claim.complete, skip=int(verb == "open_to_read"))

    answer = canceller.cancel_job("j")

    assert answer is False
    assert place.everything() == {"complete": ["j.json"]}


def test_a_request_that_was_obeyed_before_the_canceller_looked_again_is_not_denied(
    actor: Actors, place: Place
) -> None:
    worker, canceller = actor(), actor()
    worker.create_job(job())
    claim = claimed(worker)

    def obey() -> None:
        with pytest.raises(JobCancelled):
            claim.raise_if_cancelled()
        claim.cancel()

    # The second of its looks: the request stands already.
    canceller.disk.before("open_to_read", "pending/j.json", obey, skip=1)

    answer = canceller.cancel_job("j")

    assert answer is True
    assert place.everything() == {"cancelled": ["j.json"]}


@pytest.mark.parametrize(
    ("left", "by_hand"),
    [
        (["pending"], lambda queue: queue.retry_job("j")),
        ([], lambda queue: queue.cleanup_completed_jobs(timedelta(minutes=-1), cancelled=True)),
    ],
)
def test_a_request_that_was_obeyed_is_not_denied_whatever_became_of_the_job_since(
    actor: Actors, place: Place, left: list[str], by_hand: Callable[[Unattended], object]
) -> None:
    worker, canceller, claimer = actor(), actor(), actor()
    worker.create_job(job())
    claim = claimed(worker)

    def obey() -> None:
        claim.release()
        assert claimer.claim_next_job() is None
        assert list(place.copies()) == ["cancelled"]
        by_hand(claimer)

    canceller.disk.before("open_to_read", "pending/j.json", obey, skip=1)

    answer = canceller.cancel_job("j")

    assert answer is True
    assert list(place.copies()) == left
    assert place.names(".cancel") == []


# -- moves -------------------------------------------------------------------------------


MOVES = {
    "claim": "pending",
    "complete": "running",
    "fail": "running",
    "give up": "running",
    "release": "running",
    "cancel": "pending",
    "retry": "failed",
    "rescue": "running",
}


def mover(
    actor: Actors, verb: str, *, fsync: bool = False
) -> tuple[Unattended, Callable[[], object]]:
    """An actor, and the move it is about to make."""
    worker = actor(fsync=fsync)
    worker.create_job(job(max_retries=0 if verb in ("give up", "retry") else 3))
    if verb == "claim":
        return worker, worker.claim_next_job
    if verb == "cancel":
        return worker, lambda: worker.cancel_job("j")
    claim = claimed(worker)
    if verb == "rescue":
        worker.disk.bury()
        rescuer = actor(fsync=fsync)
        return rescuer, rescuer.rescue_orphans
    if verb == "retry":
        claim.fail("broken")
        return worker, lambda: worker.retry_job("j")
    verbs: dict[str, Callable[[], object]] = {"complete": claim.complete, "release": claim.release}
    return worker, verbs.get(verb, lambda: claim.fail("broken"))


@pytest.mark.parametrize("fsync", [False, True])
@pytest.mark.parametrize("verb", MOVES)
def test_c15_c16_a_move_that_ends_at_any_step_leaves_whole_copies_and_one_true_one(
    tmp_path: Path, verb: str, fsync: bool
) -> None:
    step = 0
    while True:
        actor = Actors(tmp_path / f"{verb}{step}")
        queue, move = mover(actor, verb, fsync=fsync)
        before = max(actor.place.copies().values())
        queue.disk.before("*", "*", queue.disk.kill, skip=step)
        try:
            move()
        except Died:
            copies = actor.place.copies()
        else:
            actor.close()
            break

        assert copies, f"lost before step {step}"
        assert len(set(copies.values())) == len(copies), f"undecidable before step {step}"
        other = actor()
        other.rescue_orphans()
        found = seen(other.get_job("j"))
        assert found.metadata.revision >= max(copies.values())
        assert found.status != "running"
        claim = other.claim_next_job()
        assert (claim is not None) == (found.status == "pending")
        if claim is not None:
            claim.complete()
        if found.status not in ("failed", "cancelled", "complete"):
            assert list(actor.place.copies()) == ["complete"]
        assert before <= found.metadata.revision
        actor.close()
        step += 1

    assert step > 5


# -- readers -----------------------------------------------------------------------------


@pytest.mark.parametrize("moved_before", ["running", "complete", "failed", "cancelled"])
def test_c17_a_reader_does_not_tell_of_a_copy_that_went_while_it_looked(
    actor: Actors, moved_before: str
) -> None:
    worker, reader, other = actor(), actor(), actor()
    worker.create_job(job())
    others: list[int] = []

    def go_round() -> None:
        claim = claimed(worker)
        others.append(seen(other.get_job("j")).metadata.revision)
        claim.fail("back where the reader has looked already")

    reader.disk.before("open_to_read", f"{moved_before}/j.json", go_round)

    found = seen(reader.get_job("j"))

    assert others == [1]
    assert found.metadata.revision == 2


def test_an_id_that_was_never_used_is_absent_at_once_and_in_the_end(actor: Actors) -> None:
    reader = actor()
    with meanwhile(lambda: reader.get_job("never")) as found:
        pass

    assert found.result() is None


@pytest.mark.parametrize(
    ("folder", "copy"), [("running", "pending"), ("complete", "running")], ids=["claim", "complete"]
)
def test_a_list_of_one_status_has_no_job_that_a_dead_mover_left_there(
    actor: Actors, place: Place, folder: str, copy: str
) -> None:
    mover = actor()
    mover.create_job(job())
    if folder == "complete":
        claim = claimed(mover)
    mover.disk.die_before("unlink", f"{copy}/j.json")
    with pytest.raises(Died):
        claim.complete() if folder == "complete" else mover.claim_next_job()
    assert {copy, folder} == set(place.copies())

    listed = {status: actor().query_jobs(status=status) for status in (copy, folder)}

    assert {copy: [], folder: ["j"]} == {
        status: [each.metadata.id for each in jobs] for status, jobs in listed.items()
    }
