"""The counterexamples of the protocol: what would go wrong without one of its rules, set up
step by step, and does not go wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from files.dying import dies
from files.places import PATIENCE, Actors, Place, Unattended, claimed, job, seen

from semiont_jobs import JobExists, JobHeld, JobNotFound, StoreError

SOON = timedelta(seconds=-60)
"""A cutoff a minute ahead: everything finished is older."""


def is_refused(creator: Unattended) -> bool:
    with pytest.raises(JobExists):
        creator.create_job(job())
    return True


# -- what a mover that died leaves behind ------------------------------------------------


def completed_by_a_worker_that_died(actor: Actors) -> None:
    """C3 is published, R2 still stands."""
    worker = actor()
    worker.create_job(job())
    claim = claimed(worker)
    worker.disk.die_before("unlink", "running/j.json")
    dies(lambda: claim.complete({"n": 1}))
    assert actor.place.copies() == {"running": 1, "complete": 2}


def rescued_by_one_that_died(actor: Actors) -> None:
    """P3 is published, R2 still stands."""
    worker, rescuer = actor(), actor()
    worker.create_job(job())
    claimed(worker)
    worker.disk.bury()
    rescuer.disk.die_before("unlink", "running/j.json")
    dies(rescuer.rescue_orphans)
    assert actor.place.copies() == {"pending": 2, "running": 1}


def test_c1_cleaning_a_finished_job_takes_its_left_over_running_copy_too(
    actor: Actors, place: Place
) -> None:
    completed_by_a_worker_that_died(actor)
    other = actor()

    removed = other.cleanup_completed_jobs(SOON)

    assert removed == 1
    assert place.copies() == {}
    assert other.rescue_orphans() == 0
    assert other.claim_next_job() is None


@pytest.mark.parametrize("verb", ["claim", "cancel", "rescue", "create", "clean"])
def test_c2_nobody_gets_hold_of_a_copy_that_its_mover_is_about_to_unlink(
    actor: Actors, place: Place, verb: str
) -> None:
    worker, other = actor(), actor()
    worker.create_job(job())
    said: list[object] = []
    acts: dict[str, Callable[[], object]] = {
        "claim": other.claim_next_job,
        "cancel": lambda: other._try_cancel("j", ("pending", "running")),
        "rescue": other.rescue_orphans,
        "create": lambda: is_refused(other),
        "clean": lambda: other.cleanup_completed_jobs(SOON),
    }
    worker.disk.before("unlink", "pending/j.json", lambda: said.append(acts[verb]()))

    claim = claimed(worker)

    assert len(said) == 1
    assert place.copies() == {"running": 1}
    assert claim.fail("again").status == "pending"
    assert place.copies() == {"pending": 2}


@pytest.mark.parametrize("source", ["pending", "running"])
def test_c2_a_mover_lets_go_of_the_old_copy_only_when_its_name_is_gone(
    actor: Actors, source: str
) -> None:
    worker = actor()
    worker.create_job(job())
    claim = claimed(worker)
    claim.complete()

    trace = worker.disk.trace()
    unlinked = trace.index(f"unlink {source}/j.json")
    opened = next(
        at
        for at, step in enumerate(trace)
        if step in ("open pending/j.json", "rename running/j.json")
    )
    assert f"close {source}/j.json" not in trace[opened:unlinked]
    assert f"close {source}/j.json" in trace[unlinked:]


def test_c3_a_lower_copy_that_goes_meanwhile_is_not_missed(actor: Actors, place: Place) -> None:
    rescued_by_one_that_died(actor)
    claimer, rescuer = actor(), actor()
    claimer.disk.before("open", "running/j.json", rescuer.rescue_orphans)

    claim = claimed(claimer)

    assert place.copies() == {"running": 3}
    assert claim.complete().metadata.crash_count == 1
    assert place.copies() == {"complete": 4}


def test_c4_a_job_whose_lower_copy_is_in_other_hands_is_left_alone(
    actor: Actors, place: Place
) -> None:
    rescued_by_one_that_died(actor)
    claimer, other = actor(), actor()
    fd = other.disk.open(str(place.jobs / "running" / "j.json"))
    assert other.disk.lock(fd)

    claim = claimer.claim_next_job()

    assert claim is None
    assert place.copies() == {"pending": 2, "running": 1}
    with pytest.raises(JobHeld):
        claimer._store.hold("j")
    other.disk.close(fd)
    claimer._store.hold("j").let_go()
    assert place.copies() == {"pending": 2}


# -- creators ----------------------------------------------------------------------------


class Race:
    """A creator that is stopped when all its first looks found nothing. Meanwhile the job is
    created and claimed by others, so that the duplicate stands in ``pending`` for a moment."""

    def __init__(self, actor: Actors) -> None:
        self.creator, self.worker = actor(), actor()
        self.place = actor.place
        self.creator.disk.before("link", "pending/j.json", self._create_and_claim)

    def _create_and_claim(self) -> None:
        self.worker.create_job(job(params={"by": "the first"}))
        self.claim = claimed(self.worker)

    def when_it_stands(self, act: Callable[[], object]) -> None:
        """Act while the duplicate stands beside the running job."""
        self.creator.disk.before("exists", "running/j.json", act)

    def lose(self) -> None:
        """The creator goes on, and is refused."""
        with pytest.raises(JobExists):
            self.creator.create_job(job(params={"by": "the second"}))


def test_c5_c14_a_retry_waits_for_a_refused_duplicate_to_go_and_loses_nothing(
    actor: Actors, place: Place
) -> None:
    race = Race(actor)
    has_tried = threading.Event()
    race.worker.disk.before("link", "pending/j.json", has_tried.set, skip=1)
    failing: list[threading.Thread] = []

    def fail_meanwhile() -> None:
        failing.append(threading.Thread(target=race.claim.fail, args=("again",)))
        failing[0].start()
        assert has_tried.wait(PATIENCE)

    race.when_it_stands(fail_meanwhile)
    race.lose()
    failing[0].join(PATIENCE)

    assert place.copies() == {"pending": 2}
    assert place.document("pending")["params"] == {"by": "the first"}
    assert place.document("pending")["metadata"]["retryCount"] == 1


def test_c10_a_create_that_will_be_refused_cannot_be_claimed(actor: Actors, place: Place) -> None:
    race, other = Race(actor), actor()
    said: list[object] = []
    race.when_it_stands(lambda: said.append(other.claim_next_job()))

    race.lose()

    assert said == [None]
    assert other.disk.count("unlink", "pending/*") == 0  # nor can it be taken for debris
    assert place.copies() == {"running": 1}
    assert race.claim.complete().params == {"by": "the first"}
    assert place.everything() == {"complete": ["j.json"]}


def test_c10_of_two_creators_the_later_is_refused_although_the_job_left_pending(
    actor: Actors, place: Place
) -> None:
    race = Race(actor)

    race.lose()

    assert place.copies() == {"running": 1}
    assert place.document("running")["params"] == {"by": "the first"}
    assert place.names(".tmp") == []


def test_c10_a_creator_that_dies_beside_the_job_does_not_bring_it_back(
    actor: Actors, place: Place
) -> None:
    race, other = Race(actor), actor()
    race.creator.disk.die_before("exists", "running/j.json")
    dies(lambda: race.creator.create_job(job()))
    assert place.copies() == {"pending": 0, "running": 1}

    assert other.claim_next_job() is None

    assert race.claim.complete().status == "complete"
    assert other.claim_next_job() is None
    assert place.copies() == {"complete": 2}


def test_c14_a_retry_removes_the_duplicate_of_a_creator_that_died(
    actor: Actors, place: Place
) -> None:
    race = Race(actor)
    race.creator.disk.die_before("exists", "running/j.json")
    dies(lambda: race.creator.create_job(job()))

    again = race.claim.fail("again")

    assert again.status == "pending"
    assert place.copies() == {"pending": 2}
    assert place.document("pending")["params"] == {"by": "the first"}


def test_c14_a_retry_that_cannot_be_published_yet_keeps_the_claim(
    actor: Actors, place: Place
) -> None:
    race = Race(actor)
    errors: list[StoreError] = []

    def try_in_vain() -> None:
        with pytest.raises(StoreError) as told:
            race.claim.fail("again")
        errors.append(told.value)

    race.when_it_stands(try_in_vain)
    race.lose()

    assert errors[0].job_id == "j"
    assert place.copies() == {"running": 1}
    assert race.claim.is_open
    assert race.claim.fail("again").status == "pending"
    assert place.copies() == {"pending": 3}  # what was refused has used up a revision


# -- after the death of a mover ----------------------------------------------------------


def test_c6_a_job_whose_canceller_died_after_publishing_does_not_run(
    actor: Actors, place: Place
) -> None:
    canceller, worker = actor(), actor()
    canceller.create_job(job())
    canceller.disk.die_before("unlink", "pending/j.json")
    dies(lambda: canceller.cancel_job("j"))
    assert place.copies() == {"pending": 0, "cancelled": 1}

    claim = worker.claim_next_job()

    assert claim is None
    assert place.copies() == {"cancelled": 1}


def test_c7_a_job_whose_worker_died_after_completing_it_is_not_rescued(
    actor: Actors, place: Place
) -> None:
    completed_by_a_worker_that_died(actor)
    rescuer = actor()

    rescued = rescuer.rescue_orphans()

    assert rescued == 0
    assert place.copies() == {"complete": 2}
    assert place.document("complete")["result"] == {"n": 1}


def test_c7_the_outcome_of_a_worker_that_died_after_it_is_what_readers_see(actor: Actors) -> None:
    completed_by_a_worker_that_died(actor)
    reader = actor()

    assert seen(reader.get_job("j")).status == "complete"
    assert [each.status for each in reader.query_jobs()] == ["complete"]
    assert (reader.get_stats().running, reader.get_stats().complete) == (0, 1)


def test_c8_cancelling_a_job_whose_rescuer_died_cancels_the_rescued_copy(
    actor: Actors, place: Place
) -> None:
    rescued_by_one_that_died(actor)
    canceller = actor()

    assert canceller.cancel_job("j") is True

    assert place.copies() == {"cancelled": 3}
    assert place.document("cancelled")["metadata"]["crashCount"] == 1


def test_c9_a_job_that_was_removed_while_somebody_opened_it_does_not_return(
    actor: Actors, place: Place
) -> None:
    retrier, cleaner = actor(), actor()
    retrier.create_job(job(max_retries=0))
    claimed(retrier).fail("broken")
    retrier.disk.before("lock", "failed/j.json", lambda: cleaner.cleanup_completed_jobs(SOON))

    with pytest.raises(JobNotFound):
        retrier.retry_job("j")

    assert place.everything() == {}
