"""What happens when the disk refuses: nothing acknowledged is lost, nothing is left behind,
and the same call works once the disk is well again."""

from __future__ import annotations

import errno

import pytest
from files.disks import Died
from files.places import Actors, Place, claimed, job, seen
from files.refusals import ERRNOS, outcome, refuse, refused

from semiont_jobs import Event
from semiont_jobs.codec import MAX_JOB_BYTES
from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.testing.suite import eventually

WRITING = ("create .tmp/*", "lock .tmp/*", "write .tmp/*")
FORCING = ("fsync *", "fsync_folder *")


# -- create ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ERRNOS)
@pytest.mark.parametrize("step", [*WRITING, "link pending/*", "exists complete/*", *FORCING])
def test_a_create_that_the_disk_refuses_leaves_nothing_and_works_later(
    actor: Actors, place: Place, step: str, code: int
) -> None:
    queue = actor(fsync=True)
    refuse(queue, code, step)

    error = refused(lambda: queue.create_job(job()))

    assert error.errno == code
    assert error.job_id == "j"
    assert place.everything() == {}
    assert queue.create_job(job()).metadata.id == "j"
    assert place.everything() == {"pending": ["j.json"]}


@pytest.mark.parametrize(
    ("durability", "step"),
    [
        ("process", "write .tmp/*"),
        ("fsync", "fsync pending/*"),
        ("journal", "write_at .journal/*"),
        ("journal", "fdatasync .journal/*"),
    ],
)
def test_where_the_system_names_no_path_the_data_directory_is_named(
    actor: Actors, place: Place, durability: Durability, step: str
) -> None:
    queue = actor(durability=durability, fsync=durability != "process")

    def no_space() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as write and fsync do

    queue.disk.before(*step.split(), no_space)

    error = refused(lambda: queue.create_job(job()))

    assert str(error) == f"job j: [Errno 28] No space left on device: '{place.path}'"


def test_a_create_that_was_refused_is_told_to_no_hook(actor: Actors) -> None:
    queue = actor()
    events: list[str] = []
    queue.subscribe(lambda event: events.append(event.name))
    refuse(queue, errno.ENOSPC, "write .tmp/*")

    refused(lambda: queue.create_job(job()))

    assert events == []


# -- claim -------------------------------------------------------------------------------


OF_ONE_FILE = ("open_to_read pending/*", "open pending/*", "lock pending/*")


@pytest.mark.parametrize("code", ERRNOS)
@pytest.mark.parametrize(
    "step",
    ["names jobs/pending", "open_to_read pending/*", "open pending/*", "lock pending/*",
     "read pending/*", *WRITING, "rename running/*", *FORCING],
)  # fmt: skip
def test_a_claim_that_the_disk_refuses_leaves_the_job_waiting_and_uses_no_retry(
    actor: Actors, place: Place, step: str, code: int
) -> None:
    actor().create_job(job())
    queue = actor(fsync=True)
    refuse(queue, code, step)
    if (code, step) == (errno.EACCES, "open pending/*"):
        # After the look for the index, the lock is tried on a file opened only to read.
        queue.disk.refuse(code, "open_to_read", "pending/*", skip=1)

    if code == errno.EACCES and step in OF_ONE_FILE:
        # The fault of one file, as it seems: it must cost the others nothing.
        assert queue.claim_next_job() is None
    else:
        assert refused(queue.claim_next_job).errno == code

    assert place.everything() == {"pending": ["j.json"]}
    assert place.copies() == {"pending": 0}
    claim = eventually(queue.claim_next_job)
    assert claim.job.metadata.retry_count == 0
    assert place.everything() == {"running": ["j.json"]}


@pytest.mark.parametrize("step", [*WRITING, "rename running/*", *FORCING])
def test_an_error_while_a_job_is_moved_names_the_job(actor: Actors, step: str) -> None:
    queue = actor(fsync=True)
    queue.create_job(job())
    refuse(queue, errno.ENOSPC, step)

    assert refused(queue.claim_next_job).job_id == "j"


def test_a_claim_with_no_descriptor_free_is_an_error_and_goes_on_when_there_is_one(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.create_job(job())
    queue.disk.refuse(errno.EMFILE, "open", "pending/*")

    assert refused(queue.claim_next_job).errno == errno.EMFILE

    assert place.copies() == {"pending": 0}
    assert claimed(queue).job.metadata.attempt_count == 0


def test_a_job_that_is_too_large_to_be_claimed_and_cannot_be_set_aside_is_later(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.create_job(job())
    path = place.jobs / "pending" / "j.json"
    text = path.read_text()
    # By another hand: it reads well, and a claim has no room in it.
    spare = MAX_JOB_BYTES - len(text) - 20
    path.write_text(text.replace('"params": {', '"params": {"a": "' + "x" * (spare - 20) + '",', 1))
    queue.disk.refuse(errno.ENOSPC, "rename", ".quarantine/*")

    assert refused(queue.claim_next_job).errno == errno.ENOSPC
    eventually(lambda: queue.claim_next_job() or not place.names("pending"))

    assert len(place.names(".quarantine")) == 2


# -- outcomes ----------------------------------------------------------------------------


OUTCOMES = ("complete", "fail", "give up", "release", "snooze", "cancel")


@pytest.mark.parametrize("code", ERRNOS)
@pytest.mark.parametrize("verb", OUTCOMES)
def test_an_outcome_that_the_disk_refuses_keeps_the_claim_and_is_stored_later(
    actor: Actors, place: Place, verb: str, code: int
) -> None:
    queue = actor(fsync=True)
    store, status = outcome(queue, verb)
    publish = "link" if status == "pending" else "rename"
    for step in (*WRITING, f"{publish} {status}/*", *FORCING):
        refuse(queue, code, step)

        error = refused(store)

        assert error.errno == code, step
        assert error.job_id == "j", step
        assert place.everything() == {"running": ["j.json"]}, step
        assert actor().rescue_orphans() == 0, step

    store()

    assert place.everything() == {status: ["j.json"]}


def test_an_fsync_that_failed_is_not_made_again_on_the_same_file(actor: Actors) -> None:
    queue = actor(fsync=True)
    store, _status = outcome(queue, "complete")
    queue.disk.calls.clear()
    refuse(queue, errno.EIO, "fsync *")

    refused(store)
    store()

    assert queue.disk.count("create", ".tmp/*") == 2
    assert queue.disk.count("fsync", "complete/*") == 1


@pytest.mark.parametrize("step", [*WRITING, "fsync *", "rename running/*"])
def test_a_checkpoint_that_the_disk_refuses_leaves_the_last_one(
    actor: Actors, place: Place, step: str
) -> None:
    queue = actor(fsync=True)
    queue.create_job(job())
    claim = claimed(queue)
    claim.checkpoint(["first"])
    before = place.document("running")
    refuse(queue, errno.ENOSPC, step)

    error = refused(lambda: claim.checkpoint(["second"]))

    assert (error.errno, error.job_id) == (errno.ENOSPC, "j")
    assert place.document("running") == before
    assert place.everything() == {"running": ["j.json"]}
    claim.checkpoint(["third"])
    assert claim.complete().metadata.completed_units == ("first", "third")


@pytest.mark.parametrize("step", [*WRITING, "fsync *", "rename running/*"])
@pytest.mark.parametrize("code", ERRNOS)
def test_a_report_that_the_disk_refuses_is_kept_and_written_later(
    actor: Actors, place: Place, step: str, code: int
) -> None:
    queue = actor(fsync=True)
    queue.create_job(job())
    claim = claimed(queue)
    before = place.document("running")
    refuse(queue, code, step)

    claim.report({"page": 1})

    assert place.document("running") == before
    assert claim.job.progress == {"page": 1}
    claim._written_at = None  # as if half a second were over
    claim.flush_if_due()
    assert seen(actor().get_job("j")).progress == {"page": 1}
    assert place.everything() == {"running": ["j.json"]}


def test_reports_that_the_disk_refuses_are_told_of_once_and_tried_once_an_interval(
    actor: Actors, caplog: pytest.LogCaptureFixture
) -> None:
    queue = actor()
    queue.create_job(job())
    claim = claimed(queue)
    tries: list[None] = []

    def no_space() -> None:
        tries.append(None)
        raise OSError(errno.ENOSPC, "refused")

    queue.disk.before("write", ".tmp/*", no_space, times=1_000_000)
    for page in range(100):
        claim.report({"page": page})
    for _ in range(3):
        claim._written_at = None
        claim.flush_if_due()

    assert 4 == len(tries)
    [record] = [each for each in caplog.records if "not stored" in each.getMessage()]
    assert "progress is not stored yet: job j:" in record.getMessage()
    queue.disk.relent()
    assert claim.complete().status == "complete"


def test_a_report_that_was_refused_with_the_outcome_goes_with_the_next_one(
    actor: Actors,
) -> None:
    queue = actor()
    events: list[Event] = []
    queue.create_job(job())
    claim = claimed(queue)
    queue.subscribe(events.append)
    queue.disk.refuse(errno.ENOSPC, "write", ".tmp/*", times=4)
    claim.report({"page": 1})

    refused(claim.complete)
    claim.complete()

    assert ["reported", "completed"] == [event.name for event in events]
    assert {"page": 1} == seen(events[0].job).progress


@pytest.mark.parametrize("verb", ["checkpoint", "report"])
def test_no_two_copies_have_one_revision_although_a_rewrite_was_not_made_durable(
    actor: Actors, place: Place, verb: str
) -> None:
    queue = actor(fsync=True)
    queue.create_job(job())
    claim = claimed(queue)
    # The new file stands already when its folder cannot be forced to the disk.
    refuse(queue, errno.EIO, "fsync_folder jobs/running")
    if verb == "checkpoint":
        refused(lambda: claim.checkpoint(["a"]))
    else:
        claim.report({"at": 1})
    standing = place.copies()["running"]

    queue.disk.die_before("unlink", "running/j.json")
    with pytest.raises(Died):
        claim.complete()

    copies = place.copies()
    assert copies["running"] >= standing
    assert copies["complete"] > copies["running"]


def test_a_job_whose_rewrite_was_not_made_durable_is_still_held(
    actor: Actors, place: Place
) -> None:
    queue = actor(fsync=True)
    queue.create_job(job())
    claim = claimed(queue)
    refuse(queue, errno.EIO, "fsync_folder jobs/running")

    refused(lambda: claim.checkpoint(["a"]))

    assert actor().rescue_orphans() == 0
    assert claim.complete().status == "complete"
    assert place.everything() == {"complete": ["j.json"]}
