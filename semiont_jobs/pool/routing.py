"""Which jobs the workers of one thread want, and which of them does a job.

It must not know threads, or how jobs are claimed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from semiont_jobs.model import OF_RUNS, AnyJob, PendingJob
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import Post
from semiont_jobs.store import Accept
from semiont_jobs.worker import JobWorker


class Routing:
    """One filter for all workers of a thread, so that their jobs come in one order.

    A worker that names a job's type goes before one that takes any type; then the first given.

    :param guests: temporary workers, each of which names its types; the orders narrow only the
        others.
    """

    def __init__(
        self, workers: Sequence[JobWorker], orders: Orders, *, guests: Sequence[JobWorker] = ()
    ) -> None:
        self._guest_types = _union(guests) or frozenset()
        types = _narrowed(_union(workers), orders.types)
        self.types: frozenset[str] | None = None if types is None else types | self._guest_types
        """The only types to claim; None: any type, and those in `runs`."""
        self.runs: frozenset[str] = self._guest_types if self.types is None else frozenset()
        workers = [*workers, *guests]
        names = {worker.queue_name for worker in workers}
        self._queues = orders.queues
        self.queue = next(iter(names)) if len(names) == 1 else None
        """The only named queue to claim from; None: any that `accepts` allows."""
        is_one = len(names) == 1 and not guests and self._queues and len(self._queues) == 1
        if self.queue is None and self._queues and is_one:
            self.queue = next(iter(self._queues))
        self.has_to_ask: bool = (
            len(names) > 1
            or (self._queues is not None and self._queues != {self.queue})
            or any(worker.is_choosy for worker in workers)
        )
        """Whether types and queue are not enough, so that `accepts` is asked about each job."""

    def accepts(self, workers: Sequence[JobWorker], job: PendingJob[Any]) -> JobWorker | None:
        """The worker that takes an offered job, or None."""
        is_ours = self._queues is None or job.metadata.queue in self._queues
        if not is_ours and job.metadata.type not in self._guest_types:
            return None
        return next((one for one in _fitting(workers, job) if _takes(one, job)), None)

    def worker_for(self, workers: Sequence[JobWorker], job: AnyJob) -> JobWorker:
        """The worker of a job that was claimed without asking."""
        return workers[0] if len(workers) == 1 else next(_fitting(workers, job))


@frozen(eq=False)
class Shift:
    """Whose jobs the threads of a crew do, until that changes."""

    routing: Routing
    guests: tuple[Post, ...]
    accepts: Accept
    """The same for all threads, so that they share one view of what is pending. A new one after
    each change, since a refusal is final."""

    def has(self, guest: Post) -> bool:
        """Whether that post is among the guests."""
        return any(each is guest for each in self.guests)


def _fitting(workers: Sequence[JobWorker], job: AnyJob) -> Iterator[JobWorker]:
    type_name = job.metadata.type
    yield from (one for one in workers if one.job_types and type_name in one.job_types)
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
    if only is None:
        return types
    if types is None:
        return frozenset(name for name in only if not name.startswith(OF_RUNS))
    return types & only
