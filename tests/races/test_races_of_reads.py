"""What another thread may clear at any moment is read once."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from files.loops import filled, taken
from files.places import Actors, Place
from races.moments import Moment
from workers import Worker

from semiont_jobs import JobQueue
from semiont_jobs.pool.pool import WorkerPool
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.watch import Watch
from semiont_jobs.testing.suite import some


def test_a_job_may_be_stored_at_the_moment_at_which_its_claim_becomes_durable(
    actor: Actors, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = filled(actor(fsync=True), 1).claimer()
    claim = taken(loop)
    moment = Moment(monkeypatch, FileHold, "_committing", after=some(loop.deferred).commit)

    moment.arm()
    claim.checkpoint(["page 1"])
    claim.complete()
    loop.end()

    assert place.everything() == {"complete": ["a.json"]}
    assert place.document("complete", "a")["metadata"]["completedUnits"] == ["page 1"]


def test_a_thread_that_waits_for_jobs_may_meet_a_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(str(tmp_path), threading.Event().set)
    rung: Any = SimpleNamespace(is_armed=True, close=lambda: None)
    watch._bell = rung
    moment = Moment(monkeypatch, Watch, "_bell", after=watch.close)

    moment.arm()
    assert watch.is_armed
    assert not watch.is_armed


def test_a_thread_of_a_jobs_code_may_ask_for_the_claim_at_its_end(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(memory, lambda _worker, _job: None)
    memory.enqueue({}, type="task")
    claim = some(memory.claim_next_job())
    worker._claim = claim
    moment = Moment(monkeypatch, Worker, "_claim", after=lambda: setattr(worker, "_claim", None))

    moment.arm()
    assert worker.claim is claim


def test_a_pool_whose_start_fails_meanwhile_has_given_nothing_back(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = WorkerPool(memory, [lambda: Worker(None, lambda _worker, _job: None)])
    started: Any = SimpleNamespace(given_back=0)
    pool._staff = started
    moment = Moment(monkeypatch, WorkerPool, "_staff", after=lambda: setattr(pool, "_staff", None))

    moment.arm()
    assert pool.given_back == 0
    assert pool._staff is None
