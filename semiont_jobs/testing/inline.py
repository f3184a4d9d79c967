"""A worker's jobs, done in the calling thread: no second thread to wait for.

It must not know what the jobs do.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from semiont_jobs.claim import AnyClaim
from semiont_jobs.events import Event
from semiont_jobs.model import PendingJob
from semiont_jobs.worker import JobWorker


def claim_for(worker: JobWorker, job_id: str | None = None) -> AnyClaim | None:
    """Claim what the worker would claim next, in the same way; or that job, if the worker accepts
    it."""
    accept = worker.accepts
    if job_id is not None:

        def accept(job: PendingJob[Any]) -> bool:
            return job.metadata.id == job_id and worker.accepts(job)

    return worker.queue.claim_next_job(
        types=None if worker.job_types is None else tuple(worker.job_types),
        queue=worker.queue_name,
        accept=accept,
        worker=worker.get_worker_name(),
        retry_policy=worker.retry_policy,
    )


def work_on(worker: JobWorker, claim: AnyClaim) -> str:
    """Run the job and record the outcome as the worker does; return the event that ended it, such
    as ``completed``, ``retrying`` or ``snoozed``."""
    mine = claim.job.metadata.id
    ended: list[str] = []

    def listen(event: Event) -> None:
        if event.job_id == mine and not claim.is_open:
            ended.append(event.name)

    stop_listening = worker.queue.subscribe(listen)
    try:
        worker.work_on(claim)
    finally:
        stop_listening()
    return ended[-1] if ended else "lost"


def work_off(*workers: JobWorker) -> Counter[str]:
    """Let the workers do all due jobs, including those that these create, until none is found;
    return how many attempts ended in which way."""
    outcomes: Counter[str] = Counter()
    busy = True
    while busy:
        busy = False
        for worker in workers:
            while (claim := claim_for(worker)) is not None:
                outcomes[work_on(worker, claim)] += 1
                busy = True
    return outcomes
