"""What a worker's loop stores is published at once and forced together, and only then older copies go
and anybody is told."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from files.loops import changes, filled, taken, told, worked_off
from files.places import Actors, Place, Unattended, claimed, job, journalled

from semiont_jobs import PermanentError, claimer, committing
from semiont_jobs.stores.files.journal import by_journal

# -- what it saves -------------------------------------------------------------------------


def test_all_is_published_then_forced_and_only_then_the_older_copies_go(actor: Actors) -> None:
    queue = filled(actor(fsync=True), 2)

    worked_off(queue, 2).end()

    assert changes(queue) == [
        "rename running/a.json",
        "rename complete/a.json",
        "rename running/b.json",
        "rename complete/b.json",
        "fsync complete/a.json",
        "fsync complete/b.json",
        "fsync_folder jobs/complete",
        "unlink pending/a.json",
        "unlink running/a.json",
        "unlink pending/b.json",
        "unlink running/b.json",
    ]


def test_a_job_in_hand_is_forced_where_it_runs(actor: Actors) -> None:
    queue = filled(actor(fsync=True), 2)
    loop = worked_off(queue, 1)
    taken(loop)
    queue.disk.calls.clear()

    loop.end()

    assert changes(queue) == [
        "fsync complete/a.json",
        "fsync running/b.json",
        "fsync_folder jobs/complete",
        "fsync_folder jobs/running",
        "unlink pending/a.json",
        "unlink running/a.json",
        "unlink pending/b.json",
    ]


def test_the_kernel_is_told_to_write_what_is_not_forced_first(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = filled(actor(fsync=True))
    begun: list[int] = []
    monkeypatch.setattr(queue.disk, "start_writing", begun.append, raising=True)

    worked_off(queue).end()

    assert len(begun) == 2
    assert changes(queue)[6] == "fsync complete/a.json"


def test_all_records_are_one_write_and_forced_once(actor: Actors) -> None:
    filled(journalled(actor))
    queue = filled(journalled(actor), 0)  # whose journal tells nothing of these jobs
    loop = worked_off(queue)
    assert queue.disk.count("write_at") == 0

    loop.end()

    assert queue.disk.count("fdatasync") == 1
    assert queue.disk.count("write_at") == 2  # of which one makes room
    assert queue.disk.count("fsync", "complete/*") == 0


def test_a_claim_of_what_the_journal_tells_of_is_done_at_once(actor: Actors, place: Place) -> None:
    queue = filled(journalled(actor))
    loop = queue.claimer()

    taken(loop)

    assert place.names("pending") == ["b.json", "c.json"]
    assert queue.disk.count("fdatasync") == 0
    assert loop.deferred is not None
    assert len(loop.deferred) == 0


def test_what_is_too_large_for_the_journal_is_forced_by_itself(
    actor: Actors, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = filled(journalled(actor))
    monkeypatch.setattr(by_journal, "LARGEST", 1000)
    loop = queue.claimer()
    taken(loop).complete("x" * 1000)
    taken(loop).complete()

    loop.end()

    assert queue.disk.count("fsync", "complete/a.json") == 1
    assert queue.disk.count("fsync", "complete/b.json") == 0
    assert queue.disk.count("fdatasync") == 1


def test_where_nothing_is_forced_nothing_is_put_off(actor: Actors, place: Place) -> None:
    queue = filled(actor())
    heard = told(queue)

    loop = worked_off(queue)

    assert loop.deferred is None
    assert place.everything() == {"complete": ["a.json", "b.json", "c.json"]}
    assert heard.count(("completed", "c")) == 1


# -- when ----------------------------------------------------------------------------------


def test_nothing_is_told_before_it_is_durable(queue: Unattended) -> None:
    heard = told(queue)
    loop = worked_off(queue)
    assert {name for name, _job_id in heard} == {"claimed"}

    loop.end()

    assert heard[-3:] == [("completed", each) for each in "abc"]


def test_a_loop_that_finds_no_more_work_waits_for_its_disk(queue: Unattended, place: Place) -> None:
    loop = worked_off(queue)

    assert loop() is None

    assert place.everything() == {"complete": ["a.json", "b.json", "c.json"]}


def test_so_many_jobs_are_put_off(
    queue: Unattended, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "MOST", 2)
    heard = told(queue)
    loop = worked_off(queue, 1)
    loop.commit_if_due()
    assert ("completed", "a") not in heard

    taken(loop).complete()
    loop.commit_if_due()

    assert heard[-2:] == [("completed", "a"), ("completed", "b")]
    assert place.names("complete") == ["a.json", "b.json"]


def test_claims_that_have_no_outcome_are_put_off_for_so_many_jobs(
    queue: Unattended, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "MOST", 2)
    loop = queue.claimer()

    held = [loop() for _ in range(3)]

    assert len(held) == 3
    assert place.names("pending") == ["c.json"]


def test_a_loop_that_knows_of_no_more_work_waits_for_its_disk_at_once(queue: Unattended) -> None:
    heard = told(queue)
    loop = worked_off(queue, 2)
    loop.commit_if_due()
    assert ("completed", "a") not in heard

    taken(loop).complete()
    loop.commit_if_due()

    assert heard[-3:] == [("completed", each) for each in "abc"]


def test_where_jobs_take_long_a_loop_waits_after_each(
    queue: Unattended, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claimer, "SHORT", 0.0)
    heard = told(queue)

    loop = worked_off(queue, 1)
    loop.commit_if_due()

    assert heard == [("claimed", "a"), ("completed", "a")]
    assert place.names("pending") == ["b.json", "c.json"]


def test_of_a_job_that_took_long_the_outcome_is_not_put_off_though_its_claim_is_durable(
    queue: Unattended, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = told(queue)
    loop = queue.claimer()
    claim = taken(loop)
    queue.committer.commit_all()  # as the thread does, in the midst of the work
    monkeypatch.setattr(claimer, "SHORT", 0.001)
    threading.Event().wait(0.01)
    claim.complete()
    assert loop.deferred is not None
    since = loop.deferred.since
    assert since is not None
    monkeypatch.setattr(claimer, "time", _Standing(since))

    loop.commit_if_due()

    assert heard == [("claimed", "a"), ("completed", "a")]


def test_a_failure_is_not_put_off(queue: Unattended) -> None:
    heard = told(queue)

    taken(queue.claimer()).fail(PermanentError("never"))

    assert heard == [("claimed", "a"), ("failed", "a")]


def test_a_stop_in_the_midst_of_the_work_is_not_put_off(queue: Unattended, place: Place) -> None:
    """Only a worker that has run the work puts off; the work itself is told the truth."""
    loop = queue.claimer()
    claim = loop()
    assert claim is not None

    claim.complete()

    assert place.copies("a").keys() == {"complete"}


class _Standing:
    """A clock that stands."""

    def __init__(self, now: float) -> None:
        self._now = now

    def monotonic(self) -> float:
        """The time, always the same."""
        return self._now


# -- who waits for a verb -------------------------------------------------------------------


def test_what_a_loop_by_hand_completes_is_durable_at_once(actor: Actors) -> None:
    queue = filled(actor(fsync=True), 1)

    for claim in queue.claims():
        claim.complete()
        assert changes(queue) == [
            "rename running/a.json",
            "rename complete/a.json",
            "fsync complete/a.json",
            "fsync_folder jobs/complete",
            "unlink pending/a.json",
            "unlink running/a.json",
        ]


def test_a_report_makes_the_claim_durable(actor: Actors) -> None:
    queue = filled(actor(fsync=True), 1)
    claim = taken(queue.claimer())
    queue.disk.calls.clear()

    claim.report({"page": 1})

    assert [each for each in changes(queue) if "running" in each or "pending" in each] == [
        "rename running/a.json",
        "fsync_folder jobs/running",
        "unlink pending/a.json",
    ]


@pytest.mark.parametrize("verb", ["fail", "release"])
def test_a_job_that_goes_back_leaves_nothing_in_its_way(
    queue: Unattended, place: Place, verb: str
) -> None:
    claim = taken(queue.claimer())

    if verb == "fail":
        claim.fail("not now")
    else:
        claim.release()

    assert place.everything() == {"pending": ["a.json", "b.json", "c.json"]}
    assert queue.disk.count("link", "pending/a.json") == 1


def test_a_claim_by_hand_is_not_put_off(queue: Unattended, place: Place) -> None:
    claimed(queue)

    assert place.names("pending") == ["b.json", "c.json"]


# -- others --------------------------------------------------------------------------------


def test_others_leave_alone_what_is_put_off(queue: Unattended, actor: Actors) -> None:
    loop = worked_off(queue, 1)
    running = taken(loop)

    assert running.job.metadata.id == "b"
    assert claimed(actor()).job.metadata.id == "c"
    assert actor().claim_next_job() is None
    assert actor().rescue_orphans() == 0


def test_others_see_each_job_once_and_as_it_is(queue: Unattended, actor: Actors) -> None:
    loop = worked_off(queue, 1)
    taken(loop)

    other = actor()

    assert {job.metadata.id: job.status for job in other.query_jobs()} == {
        "a": "complete",
        "b": "running",
        "c": "pending",
    }
    stats = other.get_stats()
    assert (stats.complete, stats.running, stats.pending) == (1, 1, 1)


def test_a_doctor_takes_what_is_put_off_for_no_debris(
    queue: Unattended, actor: Actors, place: Place
) -> None:
    loop = worked_off(queue, 1)
    taken(loop)

    found = actor().store.inspect()  # type: ignore[attr-defined]

    assert place.copies("a").keys() == {"pending", "running", "complete"}
    assert found.duplicates == ()
    assert found.orphans == ()
    assert found.oldest_due.metadata.id == "c"


def test_a_listing_does_not_look_at_what_is_about_to_go(queue: Unattended, actor: Actors) -> None:
    loop = worked_off(queue, 2)
    actor().create_job(job("d"))
    queue.disk.calls.clear()

    assert [taken(loop).job.metadata.id for _ in range(2)] == ["c", "d"]

    assert queue.disk.count("open", "pending/a.json") == 0
    assert queue.disk.count("open_to_read", "pending/a.json") == 0


def test_old_jobs_are_removed_though_they_ended_a_moment_ago(queue: Unattended) -> None:
    worked_off(queue)

    assert queue.cleanup_completed_jobs(timedelta(seconds=-1)) == 3
