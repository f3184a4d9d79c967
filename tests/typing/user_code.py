"""Ordinary code of a user: both type checkers accept it as it stands."""

from __future__ import annotations

from typing import Any, assert_type

from attrs import frozen

from semiont_jobs import (
    AnyJob,
    Claim,
    DetectionParams,
    DetectionProgress,
    DetectionResult,
    Job,
    JobQueue,
    JobType,
    JobWorker,
    PendingJob,
    RunningJob,
    WorkerPool,
    entity_type,
    is_running_job,
    job_handler,
    resource_id,
)


@frozen
class Params:
    path: str


@frozen
class Progress:
    percentage: int


@frozen
class Result:
    path: str


THUMBNAIL = JobType("thumbnail", Params, Progress, Result)


class Thumbnailer(JobWorker):
    job_types = ("thumbnail",)

    def can_process_job(self, job: AnyJob) -> bool:
        return job.metadata.priority >= 0

    def execute_job(self, job: RunningJob[Params, Progress]) -> object:
        self.update_job_progress(Progress(percentage=50))
        self.raise_if_cancelled()
        return Result(path=job.params.path + ".png")


def tell(job: Job[DetectionParams, DetectionProgress, DetectionResult]) -> str:
    if job.status == "running":
        assert_type(job.progress, DetectionProgress | None)
        return f"since {job.started_at}: {job.progress}"
    if job.status == "complete":
        assert_type(job.result, DetectionResult | None)
        return f"done: {job.result.total_found if job.result else 0}"
    if job.status == "failed":
        return job.error
    if job.status == "cancelled":
        return f"cancelled at {job.completed_at}"
    return f"waits, due {job.metadata.run_after}"


def use(queue: JobQueue) -> None:
    job = queue.enqueue(
        DetectionParams(resource_id=resource_id("r"), entity_types=(entity_type("Person"),))
    )
    assert_type(job, PendingJob[DetectionParams])
    claim: Claim[Any, Any, Any] | None = queue.claim_next_job(types=["detection"])
    if claim is not None:
        with claim:
            claim.complete({"found": 1})
    found = queue.get_job(job.metadata.id)
    if found is not None and is_running_job(found):
        print(found.started_at)


@job_handler("thumbnail", timeout=60)
def thumbnail(params: Params, claim: Claim[Params, Progress, Result]) -> Result:
    claim.report(Progress(percentage=50))
    return Result(path=params.path + ".png")


def run(queue: JobQueue) -> int:
    assert_type(thumbnail.type, str)
    with WorkerPool(queue, [Thumbnailer, thumbnail, lambda: Thumbnailer(queue)]) as pool:
        for length in pool.map(len, ["a", "bc"], name="lengths", key=str):
            assert_type(length, int)
        for outcome in pool.as_completed(len, ["a"]):
            print(outcome.index, outcome.result())
    return WorkerPool(queue, [thumbnail], threads=2, processes=2).run()
