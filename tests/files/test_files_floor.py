"""Threads of one process claim and end jobs one after the other, and none waits for what another one's work, hook,
question or disk takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from files.places import job
from workers import TIMEOUT, Worker

from semiont_jobs import Event, FileStore, JobQueue, MemoryStore, WorkerPool, desk, floor
from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files import door
from semiont_jobs.stores.files.forcing import Durability

pytestmark = pytest.mark.usefixtures("with_gil")


@pytest.fixture(autouse=True)
def nobody_goes_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the floor waits for ever, and nobody leaves it to look for the dead."""
    monkeypatch.setattr(floor, "PATIENCE", 3600.0)
    monkeypatch.setattr(desk, "RESCUE_INTERVAL", 3600.0)


@pytest.fixture(params=["process", "fsync", "journal"])
def durability(request: pytest.FixtureRequest) -> Durability:
    found: Durability = request.param
    return found


@pytest.fixture
def queue(tmp_path: Path, durability: Durability) -> Iterator[JobQueue]:
    with JobQueue(tmp_path, durability=durability) as opened:
        for each in "ab":
            opened.create_job(job(each))
        opened.rescue_orphans()
        yield opened


class Meeting:
    """Where two threads meet: neither goes on before both are there."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)

    def __call__(self, *_anything: object) -> None:
        self._barrier.wait(TIMEOUT)


def worked_off_by_two(
    queue: JobQueue, work: Callable[..., object], worker: type[Worker] = Worker
) -> None:
    """Both jobs are complete, each by a worker of its own."""
    with ExitStack() as workers:
        for _ in range(2):
            workers.enter_context(worker(queue, work))
        for each in "ab":
            assert queue.wait_for(each, TIMEOUT).status == "complete"


def test_works_go_on_side_by_side(queue: JobQueue) -> None:
    worked_off_by_two(queue, Meeting())


def test_works_of_a_pool_do(queue: JobQueue) -> None:
    meet = Meeting()

    with WorkerPool(queue, [lambda: Worker(None, meet)], threads=2):
        for each in "ab":
            assert queue.wait_for(each, TIMEOUT).status == "complete"


def test_works_by_hand_do(queue: JobQueue) -> None:
    meet = Meeting()

    def work_off() -> None:
        for claim in queue.claims():
            meet()
            claim.complete()

    threads = [threading.Thread(target=work_off) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)

    assert queue.get_stats().complete == 2


def test_questions_whether_a_job_is_wanted_keep_nobody(queue: JobQueue) -> None:
    meet, met = Meeting(), threading.local()

    class Choosy(Worker):
        def can_process_job(self, job: AnyJob) -> bool:
            if not hasattr(met, "once"):
                met.once = True
                meet()
            return True

    worked_off_by_two(queue, lambda *_: None, Choosy)


@pytest.mark.parametrize("name", ["claimed", "completed"])
def test_hooks_keep_nobody(queue: JobQueue, name: str) -> None:
    meet, met, second = Meeting(), threading.local(), Meeting()

    def hook(event: Event) -> None:
        if event.name == name and not hasattr(met, "once"):
            met.once = True
            meet()

    queue.subscribe(hook)

    def work(*_: Any) -> None:
        if name == "completed":
            second()  # so that each has one of the two

    worked_off_by_two(queue, work)


@pytest.mark.parametrize("durability", ["fsync", "journal"])
def test_the_disk_of_one_keeps_nobody(
    queue: JobQueue, durability: Durability, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, goes_on = threading.Event(), threading.Event()

    def forced(step: Callable[[int], None]) -> Callable[[int], None]:
        def wait(fd: int) -> None:
            if threading.current_thread().name == "waits" and not waits.is_set():
                waits.set()
                assert goes_on.wait(TIMEOUT)
            step(fd)

        return wait

    def work_off_one() -> None:
        with queue.claimer() as claimer:
            claim = claimer()
            assert claim is not None
            claim.complete()

    for name in ("_full_fsync", "_fdatasync"):
        monkeypatch.setattr(door, name, forced(getattr(door, name)))
    thread = threading.Thread(target=work_off_one, name="waits")
    thread.start()
    assert waits.wait(TIMEOUT)
    try:
        queue.floor.take()
        assert queue.floor.is_mine
        queue.floor.leave()
    finally:
        goes_on.set()
        thread.join(TIMEOUT)


def test_an_idle_worker_keeps_nobody(tmp_path: Path) -> None:
    with JobQueue(tmp_path, fsync=False) as queue, Worker(queue, lambda *_: None):
        for number in range(3):
            created = queue.enqueue({}, type="task")
            assert queue.wait_for(created.metadata.id, TIMEOUT).status == "complete", number
        claim = queue.claim_next_job()

        assert claim is None


def test_a_loop_that_ends_leaves_it(queue: JobQueue) -> None:
    with queue.claimer() as claimer:
        assert claimer() is not None
        assert queue.floor.is_mine

    assert not queue.floor.is_mine


def test_what_waits_for_a_network_or_for_no_call_has_an_open_one(tmp_path: Path) -> None:
    with (
        JobQueue(FileStore(tmp_path, allow_network_fs=True)) as far,
        JobQueue(MemoryStore()) as memory,
    ):
        assert far.floor is memory.floor is floor.OPEN
