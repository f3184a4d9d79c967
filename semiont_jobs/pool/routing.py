"""Which jobs the workers of one thread want, and which of them does a job.

It must not know threads, or how jobs are claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from semiont_jobs.model import AnyJob, PendingJob
from semiont_jobs.pool.orders import Orders
from semiont_jobs.worker import JobWorker


class Routing:
    """One filter for all workers of a thread, so that their jobs come in one order.

    A worker that names a job's type goes before one that takes any; else the first given.
    """

    def __init__(self, workers: Sequence[JobWorker], orders: Orders) -> None:
        self.types = _narrowed(_union(workers), orders.types)
        """The only types to claim; None: any."""
        names = {worker.queue_name for worker in workers}
        self._queues = orders.queues
        self.queue = next(iter(names)) if len(names) == 1 else None
        """The only named queue to claim from; None: any that `accepts` lets pass."""
        if self.queue is None and len(names) == 1 and self._queues and len(self._queues) == 1:
            self.queue = next(iter(self._queues))
        self.has_to_ask = (
            len(names) > 1
            or (self._queues is not None and self._queues != {self.queue})
            or any(worker.is_choosy for worker in workers)
        )
        """Whether types and queue do not say it all: then `accepts` is asked for each job."""

    def accepts(self, workers: Sequence[JobWorker], job: PendingJob[Any]) -> JobWorker | None:
        """The worker that takes a job that is offered, or None."""
        if self._queues is not None and job.metadata.queue not in self._queues:
            return None
        return next((one for one in _fitting(workers, job) if _takes(one, job)), None)

    def worker_for(self, workers: Sequence[JobWorker], job: AnyJob) -> JobWorker:
        """The worker of a job that was claimed without asking."""
        return workers[0] if len(workers) == 1 else next(_fitting(workers, job))


def _fitting(workers: Sequence[JobWorker], job: AnyJob) -> Iterator[JobWorker]:
    metadata = job.metadata
    yield from (one for one in workers if one.job_types and metadata.type in one.job_types)
    yield from (one for one in workers if one.job_types is None)


def _takes(worker: JobWorker, job: PendingJob[Any]) -> bool:
    if worker.queue_name not in (None, job.metadata.queue):
        return False
    return not worker.is_choosy or worker.accepts(job)


def _union(workers: Sequence[JobWorker]) -> frozenset[str] | None:
    names: set[str] = set()
    for worker in workers:
        if worker.job_types is None:
            return None
        names.update(worker.job_types)
    return frozenset(names)


def _narrowed(types: frozenset[str] | None, only: frozenset[str] | None) -> frozenset[str] | None:
    if types is None or only is None:
        return types if only is None else only
    return types & only
