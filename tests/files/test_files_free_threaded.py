"""In a free-threaded Python threads claim, end and create jobs side by side: they have no interpreter to wait for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from files.crowds import crowd
from files.places import PATIENCE, Actors, job

from semiont_jobs import JobQueue, desk, floor

pytestmark = pytest.mark.usefixtures("without_gil")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for the floor waits for ever, and nobody leaves it to look for the dead."""
    monkeypatch.setattr(floor, "PATIENCE", 3600.0)
    monkeypatch.setattr(desk, "RESCUE_INTERVAL", 3600.0)


@pytest.fixture
def queue(tmp_path: Path, patient: None) -> Iterator[JobQueue]:
    with JobQueue(tmp_path, fsync=False) as opened:
        opened.rescue_orphans()
        yield opened


def test_every_thread_has_the_floor(queue: JobQueue) -> None:
    assert queue.floor is floor.OPEN


def test_two_loops_are_between_two_jobs_at_the_same_time(queue: JobQueue) -> None:
    for each in "ab":
        queue.create_job(job(each))
    both = threading.Barrier(2)

    def work_off_one() -> str:
        with queue.claimer() as claimer:
            claim = claimer()
            assert claim is not None
            both.wait(PATIENCE)  # where it would have the floor, until its job's code begins
            claim.complete()
        return claim.job.metadata.id

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(work_off_one) for _ in range(2)]
        assert {"a", "b"} == {each.result(PATIENCE) for each in done}
    assert queue.get_stats().complete == 2


def test_nobody_waits_for_another_to_create_a_job(actor: Actors) -> None:
    queue = actor()

    with crowd(queue) as them:
        them.overtake()
        them.go_on()
