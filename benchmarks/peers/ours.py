"""semiont_jobs itself, and the bare system calls that are its limit, as measured queues.

It must not know other queues.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from attrs import evolve
from bare import BareLoop
from planting import plant

from peers.peer import RESULT, Kind, Payload, Peer, SimplePeer, Span, Work, payload_of
from semiont_jobs import CompleteJob, JobMetadata, JobQueue, JobWorker, PendingJob, RunningJob

JOB_TYPE: Final = "bench"
PENDING_BYTES: Final = 245
"""Bytes of a pending job's file around its params, as our codec writes them. The tests compare
these three with real files."""
RUNNING_BYTES: Final = 455
"""The same for a running job: with the claim."""
COMPLETE_BYTES: Final = 630
"""The same for a complete one: with the attempt and the result."""


def new_job(payload: Payload, job_type: str = JOB_TYPE) -> PendingJob[Payload]:
    return PendingJob(metadata=JobMetadata(type=job_type), params=payload)


class Ours(SimplePeer):
    """A `JobQueue`, used as a caller does."""

    def __init__(self, place: Path, *, durability: str, url: str | None = None) -> None:
        super().__init__()
        self.place = place
        self.queue = JobQueue(url or place, durability=durability).initialize()
        self.puts_off = durability != "process" and url is None

    def put(self, payload: Payload) -> None:
        self.queue.enqueue(payload, type=JOB_TYPE)

    def enqueue_given(self, payloads: Sequence[Payload]) -> Span:
        jobs = [new_job(payload) for payload in payloads]
        create = self.queue.create_job
        began = time.monotonic()
        for job in jobs:
            create(job)
        return Span(began, time.monotonic())

    def enqueue_batch(self, payloads: Sequence[Payload]) -> Span:
        began = time.monotonic()
        self.queue.enqueue_many(payloads, type=JOB_TYPE)
        return Span(began, time.monotonic())

    def settle(self) -> None:
        """Have the whole index read."""
        assert self.queue.claim_next_job(["nobody's"]) is None

    def fill(self, payloads: Sequence[Payload]) -> None:
        first = payloads[0]["n"]
        plant(self.queue, self.place, new_job(payloads[0]), len(payloads), first)

    def drain(self, most: int) -> Span:
        """Run a worker's loop, if it puts off waiting for the disk."""
        if not self.puts_off:
            return self.drain_singly(most)
        note, left = self._note, most
        worker = self.worker(lambda payload, _started: note(payload))
        began = time.monotonic()
        with self.queue.claimer(worker=worker.get_worker_name()) as claimer:
            while left and (claim := claimer()) is not None:
                worker.work_on(claim)
                claimer.commit_if_due()
                left -= 1
        return Span(began, time.monotonic())

    def drain_singly(self, most: int) -> Span:
        note, left = self._note, most
        began = ended = time.monotonic()
        for claim in self.queue.claims():
            claim.complete(note(claim.job.params))
            ended = time.monotonic()
            left -= 1
            if not left:
                break
        return Span(began, ended)

    def run_one(self, work: Callable[[Payload], object]) -> bool:
        claim = self.queue.claim_next_job()
        if claim is None:
            return False
        claim.complete(work(claim.job.params))
        return True

    def serve(self, work: Work) -> None:
        self.worker(work).run()

    def worker(self, work: Work) -> JobWorker:
        """A worker with its default settings, not started."""
        return _Server(self.queue, work)

    def working(self, work: Work) -> JobWorker:
        return self.worker(work)

    def fill_finished(self, count: int) -> None:
        done = self.run_first()
        plant(self.queue, self.place, done, count - 1, first=1)

    def run_first(self) -> CompleteJob[Payload, Any]:
        """Enqueue a job and complete it."""
        self.put(payload_of(0))
        claim = self.queue.claim_next_job()
        assert claim is not None
        return claim.complete(RESULT)

    def list_finished(self) -> object:
        return self.queue.query_jobs()

    def count_finished(self) -> object:
        return self.queue.get_stats()

    def fate(self) -> str:
        stats = self.queue.get_stats()
        return f"{stats.pending} pending, {stats.running} running"

    def close(self) -> None:
        self.queue.close()


class _Server(JobWorker):
    def __init__(self, queue: JobQueue, work: Work) -> None:
        super().__init__(queue)
        self._work_given = work

    def execute_job(self, job: RunningJob[Payload, Any]) -> object:
        return self._work_given(job.params, time.time())


class Bare(Peer):
    """The bare loop, with files as long as ours."""

    def __init__(self, place: Path, *, fsync: bool) -> None:
        super().__init__()
        self.loop = BareLoop(place, fsync=fsync)
        self.share = (0, 1)
        self.made: set[str] = set()
        """Made here: ours does not read these for their place in the order, either."""

    def took_share(self, index: int, of: int) -> None:
        self.share = (index, of)

    def enqueue(self, payloads: Sequence[Payload]) -> Span:
        return self._enqueue(payloads, is_given=False)

    def enqueue_given(self, payloads: Sequence[Payload]) -> Span:
        return self._enqueue(payloads, is_given=True)

    def _enqueue(self, payloads: Sequence[Payload], *, is_given: bool) -> Span:
        texts = [(f"job-{payload['n']:026}", _text(payload, PENDING_BYTES)) for payload in payloads]
        began = time.monotonic()
        for name, text in texts:
            self.loop.create(name, text, is_given=is_given)
        span = Span(began, time.monotonic())
        self.made.update(name for name, _text in texts)
        return span

    def enqueue_batch(self, payloads: Sequence[Payload]) -> Span:
        return self.enqueue(payloads)

    def drain(self, most: int) -> Span:
        """Let each process take its own share, if there are several: a limit has no contention."""
        index, of = self.share
        running, complete = (_text(payload_of(0), n) for n in (RUNNING_BYTES, COMPLETE_BYTES))
        loop = self.loop
        began = time.monotonic()
        listed = (name.removesuffix(".json") for name in os.listdir(loop.folders["pending"]))
        names = [name for name in listed if _number(name) % of == index][:most]
        for name in names:
            if name not in self.made:
                loop.look(name)
        for name in names:
            loop.complete(name, loop.claim(name, running), complete)
        ended = time.monotonic()
        self.ran += map(_number, names)
        return Span(began, ended)

    def serve(self, work: Work) -> None:
        raise NotImplementedError("a loop of system calls has no worker")

    def close(self) -> None:
        self.loop.close()


def _number(name: str) -> int:
    return int(name.removeprefix("job-"))


def _text(payload: Payload, around: int) -> bytes:
    return json.dumps(payload).encode() + b" " * around


def _no_watch() -> str:
    try:
        extras = metadata("semiont_jobs").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return "semiont_jobs is not installed, so its extras are not known"
    if "watch" not in extras:
        return "this version has no extra of that name"
    return "" if find_spec("watchdog") else "watchdog is not installed"


_OURS: Final = Kind(
    name="ours",
    label="semiont_jobs, fsync=False",
    durability="process",
    open=partial(Ours, durability="process"),
    threads=True,
    batches=True,
    takes_ids=True,
    wakes_within=True,
    lists="query_jobs()",
    counts="get_stats()",
    hidden=("watchdog",),
)
_BARE: Final = Kind(
    name="bare",
    label="bare system calls",
    durability="process",
    open=partial(Bare, fsync=False),
    has_worker=False,
    wakes=False,
    outcomes="as many bytes",
    takes_ids=True,
    backlog=False,
)
KINDS: Final = (
    _BARE,
    _OURS,
    evolve(
        _BARE,
        name="bare-fsync",
        label="bare system calls with fsync",
        durability="power",
        open=partial(Bare, fsync=True),
    ),
    evolve(
        _OURS,
        name="ours-fsync",
        label="semiont_jobs",
        durability="power",
        open=partial(Ours, durability="fsync"),
        wakes_within=False,
        backlog=False,
        ends_singly=True,
    ),
    evolve(
        _OURS,
        name="ours-journal",
        label='semiont_jobs, durability="journal"',
        durability="power",
        open=partial(Ours, durability="journal"),
        wakes_within=False,
        backlog=False,
        ends_singly=True,
    ),
    evolve(
        _OURS,
        name="ours-watch",
        label="semiont_jobs[watch], fsync=False",
        missing=_no_watch,
        waits_only=True,
        hidden=(),
    ),
)
