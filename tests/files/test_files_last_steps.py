"""The last step of a change, refused or too late: what was not acknowledged is not seen, nor taken
for what was."""

from __future__ import annotations

import errno

import pytest
from files.disks import Died
from files.places import Actors, Place, claimed, job, outcomes, seen

from semiont_jobs import ClaimLost, PermanentError, StoreError


def test_an_outcome_after_a_refused_one_is_of_a_higher_revision_should_that_stand(
    actor: Actors, place: Place
) -> None:
    queue = actor(fsync=True)
    queue.create_job(job())
    claim = claimed(queue)
    # The complete job stands, and can neither be made durable nor taken away.
    queue.disk.refuse(errno.EIO, "fsync_folder", "jobs/complete")
    queue.disk.refuse(errno.EIO, "unlink", "complete/j.json")
    with pytest.raises(StoreError):
        claim.complete()

    queue.disk.die_before("unlink", "running/j.json")
    with pytest.raises(Died):
        claim.fail(PermanentError("broke"))

    assert place.copies() == {"running": 1, "complete": 2, "failed": 3}
    assert seen(actor().get_job("j")).status == "failed"


@pytest.mark.parametrize("step", ["link pending/j5.json", "fsync_folder jobs/pending"])
def test_a_batch_whose_publication_is_refused_is_taken_back_and_works_later(
    actor: Actors, place: Place, step: str
) -> None:
    queue = actor(fsync=True)
    queue.disk.refuse(errno.EIO, *step.split())

    with pytest.raises(StoreError):
        queue.create_jobs([job(f"j{n}") for n in range(10)])

    assert place.everything() == {}
    queue.create_jobs([job(f"j{n}") for n in range(10)])
    assert len(place.names("pending")) == 10


@pytest.mark.parametrize("verb", ["complete", "fail", "release", "checkpoint", "cancel"])
@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_an_outcome_notices_by_itself_that_another_program_took_the_job(
    actor: Actors, place: Place, how: str, verb: str
) -> None:
    queue = actor()
    queue.create_job(job())
    claim = claimed(queue)
    path = place.jobs / "running" / "j.json"
    text = path.read_text()
    path.unlink()
    if how == "moved":
        place.put("pending", text.replace('"running"', '"pending"'))
    elif how == "replaced":
        place.put("running", text)
    before = place.everything()

    with pytest.raises(ClaimLost):
        outcomes(claim)[verb]()

    assert place.everything() == before
