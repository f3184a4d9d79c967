"""Threads that use one queue in every way at once neither lose a job nor run one twice."""

from __future__ import annotations

import gc
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from races.crew import Crew

from semiont_jobs import JobQueue
from semiont_jobs.stores.files.descriptors import HELD
from semiont_jobs.stores.files.journal import segment
from semiont_jobs.testing.waiting import eventually

WORKS = ("is done", "is done", "fails", "snoozes", "reports")
JOBS = 200


@pytest.fixture(params=["memory", "process", "fsync", "journal"])
def queue(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JobQueue]:
    """Of each kind; journals are small, so that they are emptied all the time."""
    monkeypatch.setattr(segment, "MOST_BYTES", 64 * 1024)
    monkeypatch.setattr(segment, "FIRST_STEP", 8 * 1024)
    monkeypatch.setattr(segment, "LARGEST_STEP", 8 * 1024)
    if request.param == "memory":
        queue = JobQueue("memory:")
    else:
        queue = JobQueue(tmp_path / "data", durability=request.param)
    with queue:
        yield queue


def put_some(queue: JobQueue, works: tuple[str, ...], rng: random.Random) -> None:
    params = [{"work": rng.choice(works)} for _ in range(rng.choice([1, 1, 1, 10]))]
    if len(params) == 1:
        queue.enqueue(params[0], type="task", priority=rng.randrange(3))
    else:
        queue.enqueue_many(params, type="task")


def is_over(crew: Crew) -> bool:
    """Whether enough was created, and all of it has ended."""
    stats = crew.queue.get_stats()
    return crew.told["created"] >= JOBS and not stats.pending and not stats.running


def put_until_enough(crew: Crew, works: tuple[str, ...], rng: random.Random) -> None:
    if crew.told["created"] < JOBS:
        put_some(crew.queue, works, rng)
    else:
        crew.stop.wait(0.05)


def agree(crew: Crew) -> None:
    """What was counted is what was told, and nothing is held any more."""
    queue: Any = crew.queue
    queue.finish_telling()
    counted: Counter[str] = Counter()
    for each in queue.process_metrics():
        counted.update(each.events)
        assert each.in_flight == 0
    assert counted == crew.told
    assert not queue._claims._known
    assert not queue._claims._kept


def test_each_job_is_run_once(queue: JobQueue, tmp_path: Path) -> None:
    crew = Crew(queue)
    for number in range(2):
        crew.go(
            lambda rng: put_until_enough(crew, ("is done", "fails", "reports"), rng), seed=number
        )
        crew.go(crew.claim, seed=number)
        crew.go(crew.hire, seed=number)

    crew.work(until=lambda: is_over(crew))

    assert set(crew.ran.values()) == {1}
    assert set(crew.ended.values()) == {1}
    assert len(crew.ran) == len(crew.ended) == crew.told["created"]
    agree(crew)


def test_a_queue_that_is_closed_again_and_again_loses_no_job(
    queue: JobQueue, tmp_path: Path
) -> None:
    crew = Crew(queue)
    crew.go(lambda rng: put_until_enough(crew, WORKS, rng))
    for act in (crew.claim, crew.give_back, crew.hire, crew.hire, crew.meddle, crew.close):
        crew.go(act, seed=len(crew.ran))

    crew.work(until=lambda: is_over(crew))

    # Every life ends once: that of a creation, and that of each retry by hand.
    assert crew.told["created"] + crew.told["retried"] == crew.ended.total()
    agree(crew)
    queue.close()
    gc.collect()
    eventually(lambda: not _left_open(tmp_path))
    assert not list(tmp_path.glob("data/jobs/.tmp/*"))
    assert not list(tmp_path.glob("data/jobs/.quarantine/*"))


def _left_open(path: Path) -> list[str]:
    assert not HELD._dropped
    folder = Path("/proc/self/fd")
    if not folder.exists():
        return []
    found = []
    for each in folder.iterdir():
        try:
            found.append(os.readlink(each))
        except FileNotFoundError:
            continue
    return [each for each in found if str(path) in each]
