"""What happens when the disk refuses: nothing acknowledged is lost, nothing is left behind,
and the same call works once the disk is well again."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from files.disks import Died, WatchedDisk
from files.places import Actors, Place, Unattended, claimed, job, seen

from semiont_jobs import (
    AnyJob,
    Event,
    FileStore,
    JobQueue,
    JobWorker,
    PermanentError,
    RunningJob,
    StoreError,
    WorkerPool,
)
from semiont_jobs import claim as claim_module
from semiont_jobs.asking import StopRequest
from semiont_jobs.stores.files import pending
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import eventually

ERRNOS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)

WRITING = ("create .tmp/*", "lock .tmp/*", "write .tmp/*")
FORCING = ("fsync *", "fsync_folder *")


def refuse(queue: Unattended, code: int, step: str, *, times: int = 1) -> None:
    verb, place = step.split()
    queue.disk.refuse(code, verb, place, times=times)


def refused(call: Callable[[], object]) -> StoreError:
    with pytest.raises(StoreError) as told:
        call()
    return told.value


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


# -- outcomes ----------------------------------------------------------------------------

OUTCOMES = ("complete", "fail", "give up", "release", "snooze", "cancel")


def outcome(queue: Unattended, verb: str) -> tuple[Callable[[], object], str]:
    """A claim's outcome to be stored, and the status it leads to."""
    queue.create_job(job(max_retries=0 if verb == "give up" else 3))
    claim = claimed(queue)
    match verb:
        case "complete":
            return lambda: claim.complete({"n": 1}), "complete"
        case "fail":
            return lambda: claim.fail("broke"), "pending"
        case "give up":
            return lambda: claim.fail("broke"), "failed"
        case "release":
            return claim.release, "pending"
        case "snooze":
            return lambda: claim.snooze(0), "pending"
        case _:
            return claim.cancel, "cancelled"


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
    queue.disk.refuse(errno.ENOSPC, "write", ".tmp/*", times=3)
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


# -- by hand -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", ERRNOS)
@pytest.mark.parametrize("verb", ["cancel", "retry", "rescue", "clean"])
def test_a_verb_by_hand_that_the_disk_refuses_changes_nothing_and_works_later(
    actor: Actors, place: Place, verb: str, code: int
) -> None:
    worker, queue = actor(), actor(fsync=True)
    worker.create_job(job(max_retries=0))
    if verb == "rescue":
        claimed(worker)
        worker.disk.bury()
    elif verb in ("retry", "clean"):
        claimed(worker).fail("broken")
    before = place.everything(), place.copies()
    verbs: dict[str, tuple[Callable[[], object], str, list[str]]] = {
        "cancel": (lambda: queue.cancel_job("j"), "rename cancelled/*", ["cancelled"]),
        "retry": (lambda: queue.retry_job("j"), "link pending/*", ["pending"]),
        "rescue": (queue.rescue_orphans, "link pending/*", ["pending"]),
        "clean": (
            lambda: queue.cleanup_completed_jobs(timedelta(minutes=-1), cancelled=True),
            "unlink failed/*",
            [],
        ),
    }
    act, step, after = verbs[verb]
    refuse(queue, code, step)

    assert refused(act).errno == code
    assert (place.everything(), place.copies()) == before

    act()
    assert list(place.copies()) == after


@pytest.mark.parametrize("code", ERRNOS)
def test_a_request_to_cancel_that_cannot_be_written_is_not_acknowledged(
    actor: Actors, place: Place, code: int
) -> None:
    worker, canceller = actor(), actor()
    worker.create_job(job())
    claim = claimed(worker)
    refuse(canceller, code, "create .cancel/*")

    error = refused(lambda: canceller.cancel_job("j"))

    assert (error.errno, error.job_id) == (code, "j")
    claim.raise_if_cancelled()
    assert canceller.cancel_job("j") is True
    assert len(place.names(".cancel")) == 1


@pytest.mark.parametrize("code", ERRNOS)
@pytest.mark.parametrize("step", ["open_to_read", "stat_of", "read"])
def test_a_job_that_cannot_be_read_for_the_disks_sake_does_not_count_as_absent(
    actor: Actors, step: str, code: int
) -> None:
    queue = actor()
    queue.create_job(job())
    queue.disk.refuse(code, step, "pending/*")

    if (code, step) == (errno.EACCES, "open_to_read"):
        found = queue.get_job("j")  # the file's own fault, so it is looked at again
    else:
        assert refused(lambda: queue.get_job("j")).errno == code
        found = queue.get_job("j")

    assert seen(found).metadata.id == "j"


def test_a_passing_error_is_met_by_trying_again(actor: Actors, place: Place) -> None:
    queue = actor()
    queue.disk.refuse(errno.EAGAIN, "link", "pending/*", times=2)

    queue.create_job(job())

    assert place.everything() == {"pending": ["j.json"]}


# -- workers -----------------------------------------------------------------------------


class Counting(JobWorker):
    """Counts how often its work ran."""

    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue, poll_interval=0.05, error_backoff=0.05)
        self.ran: list[str] = []
        self.has_run = threading.Event()

    def execute_job(self, job: RunningJob[object, object]) -> object:
        self.ran.append(job.metadata.id)
        self.has_run.set()
        return {"by": "the only run"}


@pytest.mark.parametrize("code", ERRNOS)
def test_an_outcome_kept_by_a_worker_is_stored_when_there_is_space_and_the_work_ran_once(
    actor: Actors, place: Place, code: int
) -> None:
    queue = actor()
    tried = threading.Semaphore(0)
    worker = Counting(queue)

    def no_space() -> None:
        if worker.has_run.is_set():
            tried.release()
            raise OSError(code, "refused")

    queue.disk.before("write", ".tmp/*", no_space, times=1_000_000)
    queue._store.create(job())
    with worker:
        for _ in range(3):
            assert tried.acquire(timeout=60)
        standing = place.copies()
        queue.disk.relent()
        done = actor().wait_for("j", timeout=60)

    assert list(standing) == ["running"]
    assert done.status == "complete"
    assert done.result == {"by": "the only run"}
    assert worker.ran == ["j"]
    assert place.everything() == {"complete": ["j.json"]}


@pytest.mark.parametrize("code", ERRNOS)
def test_a_worker_that_cannot_claim_lives_on_and_claims_when_it_can(
    actor: Actors, code: int
) -> None:
    queue = actor()
    queue.create_job(job())
    tried = threading.Semaphore(0)

    def no_space() -> None:
        tried.release()
        raise OSError(code, "refused")

    queue.disk.before("write", ".tmp/*", no_space, times=1_000_000)
    worker = Counting(queue)
    with worker:
        for _ in range(3):
            assert tried.acquire(timeout=60)
        queue.disk.relent()
        done = actor().wait_for("j", timeout=60)

    assert done.status == "complete"
    assert done.metadata.retry_count == 0
    assert done.metadata.attempt_count == 1
    assert worker.ran == ["j"]


@pytest.mark.parametrize("how", ["worker", "pool"])
def test_a_worker_tells_of_a_disk_that_refuses_in_one_line_and_of_a_bug_with_its_traceback(
    actor: Actors, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    queue = actor()
    queue.create_job(job())
    errors = [OSError(errno.ENOSPC, "refused"), RuntimeError("a bug")]

    def refuse() -> None:
        if errors:
            raise errors.pop(0)

    queue.disk.before("write", ".tmp/*", refuse, times=1_000_000)
    worker = Counting(queue)
    with worker if how == "worker" else WorkerPool(queue, [lambda: worker]):
        actor().wait_for("j", timeout=60)

    told = [record for record in caplog.records if "cannot claim" in record.getMessage()]
    assert [bool(record.exc_info) for record in told] == [False, True]


def test_a_directory_that_cannot_be_listed_stops_no_worker(actor: Actors) -> None:
    queue = actor()
    queue.create_job(job())
    tried = threading.Semaphore(0)

    def no_entry() -> None:
        tried.release()
        raise OSError(errno.EACCES, "refused")

    queue.disk.before("*", "jobs/pending", no_entry, times=1_000_000)
    worker = Counting(queue)
    with worker:
        for _ in range(3):
            assert tried.acquire(timeout=60)
        queue.disk.relent()
        done = actor().wait_for("j", timeout=60)

    assert done.status == "complete"


def test_one_file_that_the_disk_refuses_does_not_keep_the_others_from_rescue(
    actor: Actors, place: Place
) -> None:
    dead, rescuer = actor(), actor()
    dead.create_jobs([job("a"), job("b")])
    for _ in range(2):
        claimed(dead)
    for name in ("a", "b"):
        dead.store.kill_holder(name)
    refuse(rescuer, errno.EIO, "open running/a.json")

    refused(rescuer.rescue_orphans)

    assert {"pending": ["b.json"], "running": ["a.json"]} == place.everything()
    assert 1 == rescuer.rescue_orphans()


class Careful(JobWorker):
    """Stores or asks something in the middle of its work, and counts how often that ran."""

    def __init__(self, queue: JobQueue, step: Callable[[JobWorker], object]) -> None:
        super().__init__(queue, poll_interval=0.05, error_backoff=0.05)
        self.step = step
        self.runs = 0

    def execute_job(self, job: RunningJob[object, object]) -> object:
        self.runs += 1
        self.step(self)
        return "done"


STEPS: dict[str, Callable[[JobWorker], object]] = {
    "checkpoint": lambda worker: worker.checkpoint(["a"]),
    "raise_if_cancelled": lambda worker: worker.raise_if_cancelled(),
}
REFUSALS = {"checkpoint": "write .tmp/*", "raise_if_cancelled": "stat running/*"}


@pytest.mark.parametrize("code", ERRNOS)
@pytest.mark.parametrize("step", STEPS)
def test_an_attempt_that_the_disk_cut_short_is_none_of_the_works(
    actor: Actors, monkeypatch: pytest.MonkeyPatch, code: int, step: str
) -> None:
    monkeypatch.setattr(claim_module, "REFUSED_PAUSE", 0.01)
    queue = actor()
    queue.create_job(job(max_retries=0))

    def cut_short(worker: JobWorker) -> None:
        if worker.runs == 1:
            refuse(queue, code, REFUSALS[step])
        STEPS[step](worker)

    worker = Careful(queue, cut_short)
    with worker:
        done = actor().wait_for("j", timeout=60)

    assert ("complete", 2) == (done.status, worker.runs)
    assert (1, 0) == (done.metadata.attempt_count, done.metadata.retry_count)


def test_a_job_that_the_disk_cut_short_is_not_offered_again_at_once(actor: Actors) -> None:
    clock = FakeClock()
    queue = actor(clock=clock)
    queue.create_job(job(max_retries=0, created=clock()))
    claim = claimed(queue)
    refuse(queue, errno.ENOSPC, "write .tmp/*")

    with pytest.raises(StoreError), claim:
        claim.checkpoint(["a"])

    assert queue.claim_next_job() is None
    clock.advance(claim_module.REFUSED_PAUSE)
    assert claimed(queue).complete().metadata.attempt_count == 1


def test_a_report_never_fails_the_work(actor: Actors) -> None:
    queue = actor()
    queue.create_job(job(max_retries=0))

    def report(worker: JobWorker) -> None:
        refuse(queue, errno.EMFILE, "create .tmp/*")
        worker.update_job_progress({"page": 1})

    worker = Careful(queue, report)
    with worker:
        done = actor().wait_for("j", timeout=60)

    assert ("complete", 1) == (done.status, worker.runs)


@pytest.mark.parametrize("claims", [True, False])
def test_an_error_of_another_queue_is_the_works(actor: Actors, claims: bool) -> None:
    queue, other = actor(), JobQueue("memory:")
    queue.create_job(job(max_retries=0))
    other.create_job(job())
    theirs = claimed(other)

    def meet_another(_worker: JobWorker) -> None:
        error = StoreError(errno.ENOSPC, "refused")
        if claims:
            theirs._note_refusal(error)
        raise error

    with Careful(queue, meet_another):
        failed = actor().wait_for("j", timeout=60)

    assert "failed" == failed.status
    theirs.release()


# -- what a fault at every step found ----------------------------------------------------


def test_a_batch_whose_lock_is_refused_leaves_no_file_open(actor: Actors, place: Place) -> None:
    queue = actor()
    queue.disk.refuse(errno.EIO, "lock", ".tmp/*", skip=2)

    refused(lambda: queue.create_jobs([job("a"), job("b")]))

    opened = queue.disk.count("open") + queue.disk.count("create")
    assert queue.disk.count("close") == opened
    assert place.everything() == {}


class BadAtClosing(WatchedDisk):
    """Closes, but says that it could not."""

    is_bad = False

    def close(self, fd: int) -> None:
        super().close(fd)
        if self.is_bad:
            raise OSError(errno.EIO, "refused")


def test_an_outcome_that_stands_is_acknowledged_although_closing_the_old_file_fails(
    actor: Actors, place: Place
) -> None:
    queue = Unattended(FileStore(actor.path, fsync=True, disk=BadAtClosing()))
    queue.create_job(job())
    claim = claimed(queue)
    queue.store._disk.is_bad = True

    done = claim.complete({"n": 1})

    queue.store._disk.is_bad = False
    queue.close()
    assert place.everything() == {"complete": ["j.json"]}
    assert place.copies() == {"complete": done.metadata.revision}


@pytest.mark.parametrize("verb", ["raise_if_cancelled", "update"])
@pytest.mark.parametrize("step", ["exists .cancel/*", "stat_of running/*", "stat running/*"])
def test_a_look_at_a_claim_that_the_disk_refuses_is_told_as_any_other_error(
    actor: Actors, step: str, verb: str
) -> None:
    queue = actor()
    queue.create_job(job())
    claim = claimed(queue)
    look: Callable[[], object] = {
        "raise_if_cancelled": claim.raise_if_cancelled,
        "update": lambda: queue.update_job(claim.job),
    }[verb]
    refuse(queue, errno.EIO, step)

    error = refused(look)

    assert (error.errno, error.job_id) == (errno.EIO, "j")
    look()
    assert claim.complete().status == "complete"


@pytest.mark.parametrize("step", ["exists .cancel/*", "stat_of running/*", "stat running/*"])
def test_a_report_is_made_although_the_disk_refuses_a_look_at_the_claim(
    actor: Actors, step: str
) -> None:
    queue = actor()
    queue.create_job(job())
    claim = claimed(queue)
    refuse(queue, errno.EIO, step)

    claim.report({"at": 1})

    assert claim.job.progress == {"at": 1}


@pytest.mark.parametrize("first", ["complete", "fail", "give up", "cancel"])
@pytest.mark.parametrize("then", ["complete", "fail", "cancel"])
def test_an_outcome_that_was_refused_and_could_not_be_taken_back_gives_way_to_the_next(
    actor: Actors, place: Place, first: str, then: str
) -> None:
    queue = actor(fsync=True)
    store, status = outcome(queue, first)
    claim = seen(queue._claims.get("j"))
    refuse(queue, errno.EIO, "fsync *")
    refuse(queue, errno.EIO, f"unlink {status}/*")
    refused(store)
    assert set(place.copies()) == {"running", status}

    act: dict[str, Callable[[], AnyJob]] = {
        "complete": lambda: claim.complete({"the": "second"}),
        "fail": lambda: claim.fail(PermanentError("the second")),
        "cancel": claim.cancel,
    }
    stored = act[then]()

    assert place.copies() == {stored.status: stored.metadata.revision}
    assert seen(actor().get_job("j")) == stored
    assert place.everything() == {stored.status: ["j.json"]}


def test_a_claim_that_the_disk_will_not_show_keeps_no_other_from_cancel_or_rescue(
    actor: Actors,
) -> None:
    dead, queue = actor(), actor()
    dead.create_jobs([job("a"), job("b"), job("orphan")])
    first, second = claimed(queue), claimed(queue)
    claimed(dead)
    dead.store.kill_holder("orphan")
    queue.cancel_job("b")
    second._asked = StopRequest()  # as if another process had asked
    queue.disk.refuse(errno.EIO, "exists", ".cancel/a.*")
    queue._rescued_at = float("-inf")

    with pytest.raises(StoreError):
        JobQueue.keep_house(queue)

    assert second.cancelled.is_set()
    assert not first.cancelled.is_set()
    JobQueue._rescue_if_due(queue)
    assert seen(queue.get_job("orphan")).status == "pending"


def test_a_job_in_a_claimers_hand_is_offered_again_when_the_folder_cannot_be_looked_at(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = actor()
    queue.create_jobs([job("a"), job("b")])
    claimed(queue)
    monkeypatch.setattr(pending, "BUSY_SHARE", 0)  # so that it is looked at
    queue.disk.refuse(errno.EIO, "stat", "jobs/pending")

    refused(queue.claim_next_job)

    assert eventually(queue.claim_next_job).job.metadata.id == "b"


def test_closing_gives_the_other_claims_back_although_the_disk_refuses_one(
    actor: Actors, place: Place
) -> None:
    queue = actor()
    queue.create_jobs([job("a"), job("b")])
    claimed(queue), claimed(queue)
    queue.disk.refuse(errno.EIO, "link", "pending/a.json")

    with pytest.raises(StoreError):
        queue.close()
    assert ["b.json"] == place.names("pending")
    assert 0 == actor().rescue_orphans()

    queue.close()

    assert ["a.json", "b.json"] == place.names("pending")
