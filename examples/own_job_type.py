"""A job type of your own, with progress, and with checkpoints that survive a failed attempt.

The first attempt fails in the middle; the second continues there.
"""

import tempfile

from attrs import frozen
from tenacity import wait_none

from semiont_jobs import JobQueue, JobType, JobWorker, RetryPolicy, RunningJob


@frozen
class IndexParams:
    pages: list[str]


@frozen
class IndexProgress:
    pages_done: int
    percentage: float


@frozen
class IndexResult:
    words: int


INDEX = JobType("index", IndexParams, IndexProgress, IndexResult)


class Indexer(JobWorker):
    job_types = (INDEX.name,)
    retry_policy = RetryPolicy(wait=wait_none())

    def execute_job(self, job: RunningJob[IndexParams, IndexProgress]) -> IndexResult:
        # A cursor survives retries and crashes; a variable does not.
        words = job.metadata.unit_cursors.get("words", 0)
        pages = job.params.pages
        for number, text in enumerate(pages, start=1):
            unit = f"page-{number}"
            if unit in job.metadata.completed_units:
                continue
            if number == 3 and job.metadata.retry_count == 0:
                raise ConnectionError("the page server is away")
            print("indexing", unit)
            words += len(text.split())
            self.checkpoint([unit], {"words": words})
            self.update_job_progress(IndexProgress(number, 100 * number / len(pages)))
        return IndexResult(words)


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        queue = JobQueue(data_dir, job_types=[INDEX])
        job = queue.enqueue(IndexParams(pages=["to be", "or not", "to be that is"]))

        with Indexer(queue):
            done = queue.wait_for(job.metadata.id, timeout=30)

        print(done.result, "in", done.metadata.attempt_count, "attempts")
        queue.close()


if __name__ == "__main__":
    main()

# Output:
# indexing page-1
# indexing page-2
# indexing page-3
# IndexResult(words=8) in 2 attempts
