"""A pool's threads claim the next job in the midst of an outcome, where that saves a wait for the
disk, and leave none in nobody's hands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from files.disks import WatchedDisk
from files.places import PATIENCE, Place, job, meanwhile

from semiont_jobs import (
    Event,
    FileStore,
    JobQueue,
    JobWorker,
    RunningJob,
    WorkerPool,
)
from semiont_jobs import claim as claims
from semiont_jobs.pool.crew import Crew
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import tried_roster
from semiont_jobs.pool.watch import Watch
from semiont_jobs.stores.files import pending
from semiont_jobs.testing.waiting import eventually


class Plain(JobWorker):
    """Does nothing."""

    job_types = ("task",)

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Nothing."""


@pytest.fixture
def disk() -> WatchedDisk:
    return WatchedDisk()


@pytest.fixture
def queue(tmp_path: Path, disk: WatchedDisk, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobQueue]:
    """One that waits for its disk, with three jobs; only their own loop gives jobs back."""
    monkeypatch.setattr(pending, "BUSY_SHARE", 10**9)
    monkeypatch.setattr(claims, "AHEAD_TIME", PATIENCE)
    with JobQueue(FileStore(tmp_path / "data", disk=disk)) as one:
        for job_id in "abc":
            one.create_job(job(job_id))
        one.poll_next_pending_job()
        yield one


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "data")


def seen_running(disk: WatchedDisk, place: Place) -> list[list[str]]:
    """What stands in ``running`` whenever the older copy of a claimed job goes."""
    found: list[list[str]] = []
    disk.before("unlink", "pending/*", lambda: found.append(place.names("running")), times=10)
    return found


def test_a_pools_thread_claims_in_the_midst_of_its_outcomes(
    queue: JobQueue, disk: WatchedDisk, place: Place
) -> None:
    found = seen_running(disk, place)

    WorkerPool(queue, [Plain], threads=1, burst=True).run()

    assert found == [["a.json"], ["a.json", "b.json"], ["b.json", "c.json"]]
    assert len(place.names("complete")) == 3


def test_a_pool_that_is_to_do_so_many_jobs_claims_no_more_ahead(
    queue: JobQueue, disk: WatchedDisk, place: Place
) -> None:
    found = seen_running(disk, place)

    watch = Watch(Crew(queue, tried_roster([Plain], queue)[0], Orders(threads=1, max_jobs=2)))
    watch.start()
    assert watch.wait(PATIENCE)

    assert found == [["a.json"], ["b.json"]]
    assert place.names("pending") == ["c.json"]


def test_a_pool_that_stops_gives_back_what_its_threads_have_ahead(
    queue: JobQueue, place: Place
) -> None:
    is_done, goes_on = threading.Event(), threading.Event()

    def hear(event: Event) -> None:
        if event.name == "completed":
            is_done.set()
            assert goes_on.wait(PATIENCE)

    queue.subscribe(hear)
    with WorkerPool(queue, [Plain], threads=1) as pool:
        assert is_done.wait(PATIENCE)
        assert place.names("running") == ["b.json"]
        stopping = threading.Thread(target=pool.stop)
        stopping.start()
        eventually(lambda: queue.get_stats().complete == 1)
        goes_on.set()
        stopping.join(PATIENCE)

    assert place.names("running") == []
    assert queue.get_stats().pending + queue.get_stats().complete == 3
    assert all(each.metadata.crash_count == 0 for each in queue.query_jobs(limit=None))


def test_a_thread_that_a_pool_gives_up_has_nothing_ahead(queue: JobQueue, place: Place) -> None:
    is_done, goes_on = threading.Event(), threading.Event()

    def hear(event: Event) -> None:
        if event.name == "completed" and event.job_id == "a":
            is_done.set()
            assert goes_on.wait(PATIENCE)

    queue.subscribe(hear)
    options = {"timeout": 0.05, "stuck_after": 0.05}
    with WorkerPool(queue, [Plain], threads=1, **options):
        assert is_done.wait(PATIENCE)
        eventually(lambda: len(place.names("complete")) == 3)
        goes_on.set()


class Waits(JobWorker):
    """Waits until it may end."""

    job_types = ("own",)
    poll_interval = 0.02
    is_at_work, may_end = threading.Event(), threading.Event()

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        """Wait."""
        self.is_at_work.set()
        assert self.may_end.wait(PATIENCE)


def test_a_run_that_ends_while_one_of_its_jobs_is_ahead_leaves_none(
    queue: JobQueue, disk: WatchedDisk
) -> None:
    is_done, goes_on, is_over = threading.Event(), threading.Event(), threading.Event()

    def hear(event: Event) -> None:
        if event.name == "completed" and event.job_id == "own":
            is_done.set()
            assert goes_on.wait(PATIENCE)

    queue.subscribe(hear)
    with WorkerPool(queue, [Waits], threads=1) as pool:
        run = pool.map(len, ["x"] * 300)
        next(run)
        queue.create_job(job("own", "own", priority=9))
        assert Waits.is_at_work.wait(PATIENCE)
        Waits.may_end.set()
        assert is_done.wait(PATIENCE)
        ahead = queue.query_jobs(status="running", limit=None)
        # A run that does not wait for its job ahead is over before that is given back.
        disk.before("link", "pending/map-*", lambda: is_over.wait(0.5))

        def close() -> None:
            run.close()
            is_over.set()

        with meanwhile(close):
            threading.Timer(0.2, goes_on.set).start()

    assert len(ahead) == 1  # of the run: it was claimed in the midst of the other's outcome
    left = [each for each in queue.query_jobs(limit=None) if each.metadata.type.startswith("map")]
    assert left == []
