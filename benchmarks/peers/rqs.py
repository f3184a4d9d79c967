"""RQ on Redis, as a measured queue.

It must not know other queues. Its `SimpleWorker` runs jobs in its own process, as all others
here do; its default worker forks for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from peers import servers
from peers.peer import RESULT, Kind, Payload, Peer, Span, Work, payload_of

AT_ONCE: Final = 1000
KEPT: Final = 3600.0
"""Seconds, so that none expires while it is measured."""
_work: list[Callable[[Payload], object]] = []


def run_job(payload: Payload) -> object:
    """What RQ finds by its name and calls."""
    return _work[-1](payload)


class Rq(Peer):
    """A `Queue` and a `SimpleWorker`."""

    def __init__(self, place: Path) -> None:
        import redis
        from rq import Queue

        super().__init__()
        self.connection = redis.Redis(connection_pool=servers.redis_pool())
        self.queue = Queue(place.name, connection=self.connection)

    def enqueue(self, payloads: Sequence[Payload]) -> Span:
        began = time.monotonic()
        for payload in payloads:
            self.queue.enqueue(run_job, payload)
        return Span(began, time.monotonic())

    def enqueue_batch(self, payloads: Sequence[Payload]) -> Span:
        began = time.monotonic()
        self.queue.enqueue_many([self.queue.prepare_data(run_job, (each,)) for each in payloads])
        return Span(began, time.monotonic())

    def drain(self, most: int) -> Span:
        def note(payload: Payload) -> object:
            self.ran.append(payload["n"])
            return RESULT

        _work.append(note)
        worker = self._worker()
        began = time.monotonic()
        worker.work(burst=True, max_jobs=most, logging_level="ERROR")
        return Span(began, time.monotonic())

    def serve(self, work: Work) -> None:
        _work.append(lambda payload: work(payload, time.time()))
        self._worker().work(logging_level="ERROR")

    def _worker(self):  # type: ignore[no-untyped-def]
        from rq import SimpleWorker

        return SimpleWorker([self.queue], connection=self.connection)

    def fill_finished(self, count: int) -> None:
        """Copy one that was run."""
        from rq.job import Job

        self.enqueue([payload_of(0)])
        self.drain(1)
        registry = self.queue.finished_job_registry
        (example,) = registry.get_job_ids()
        stored = self.connection.hgetall(Job.key_for(example))
        ids = [f"{number:036}" for number in range(1, count)]
        for start in range(0, len(ids), AT_ONCE):
            with self.connection.pipeline() as pipeline:
                for each in ids[start : start + AT_ONCE]:
                    pipeline.hset(Job.key_for(each), mapping=stored)
                    pipeline.zadd(registry.key, {each: time.time() + KEPT})
                pipeline.execute()

    def list_finished(self) -> object:
        from rq.job import Job

        ids = self.queue.finished_job_registry.get_job_ids(0, 99, desc=True)
        return Job.fetch_many(ids, connection=self.connection)

    def count_finished(self) -> object:
        return self.queue.finished_job_registry.count

    def fate(self) -> str:
        return f"{self.queue.count} in the queue, {self.queue.started_job_registry.count} started"

    def close(self) -> None:
        self.connection.close()


KINDS: Final = (
    Kind(
        name="rq",
        label="RQ on Redis, SimpleWorker",
        durability="1 s",
        open=Rq,
        package="rq",
        missing=servers.why_no_redis,
        most=1000,
        batches=True,
        lists="finished_job_registry, Job.fetch_many()",
        counts="finished_job_registry.count",
    ),
)
