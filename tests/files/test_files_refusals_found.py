"""What errors of the disk at every step once broke, and no longer do; and verbs by hand."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from files.disks import WatchedDisk
from files.places import Actors, Place, Unattended, claimed, job, seen
from files.refusals import ERRNOS, outcome, refuse, refused

from semiont_jobs import AnyJob, FileStore, JobQueue, PermanentError, StoreError
from semiont_jobs.asking import StopRequest
from semiont_jobs.stores.files import pending
from semiont_jobs.testing.suite import eventually

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


# -- what a fault at every step found ----------------------------------------------------


def test_a_batch_whose_lock_is_refused_leaves_no_file_open(actor: Actors, place: Place) -> None:
    queue = actor()
    queue.disk.refuse(errno.EIO, "lock", ".tmp/*", skip=1)

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
    actor: Actors, caplog: pytest.LogCaptureFixture
) -> None:
    dead, queue = actor(), actor()
    dead.create_jobs([job("a"), job("b"), job("orphan")])
    first, second = claimed(queue), claimed(queue)
    claimed(dead)
    dead.store.kill_holder("orphan")
    queue.cancel_job("b")
    second._asked = StopRequest()  # as if another process had asked
    queue.disk.refuse(errno.EIO, "exists", ".cancel/a.*", times=2)
    queue._rescued_at = float("-inf")

    for _ in range(2):
        JobQueue.keep_house(queue)

    assert [r.getMessage() for r in caplog.records if "looked after" in r.getMessage()] == [
        "job a cannot be looked after: job a: [Errno 5] Input/output error: '.cancel/a.*'"
    ]
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


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_hooks_hear_of_each_job_that_a_clean_up_removed_though_the_disk_keeps_others(
    actor: Actors, place: Place, code: int
) -> None:
    queue = actor()
    for name in ("a", "b", "c", "d"):
        queue.create_job(job(name))
        claimed(queue).complete()
    heard: list[str] = []
    queue.subscribe(lambda event: heard.append(event.job_id))
    queue.disk.refuse(code, "unlink", "complete/*", skip=2)

    with suppress(StoreError):
        queue.cleanup_completed_jobs(timedelta(minutes=-1))

    left = {name.removesuffix(".json") for name in place.names("complete")}
    assert sorted([*heard, *left]) == ["a", "b", "c", "d"]
    assert sum(each.events["removed"] for each in queue.process_metrics()) == len(heard)
    queue.cleanup_completed_jobs(timedelta(minutes=-1))
    assert sorted(heard) == ["a", "b", "c", "d"]
