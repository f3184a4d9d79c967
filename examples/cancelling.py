"""Code that stops when its job is cancelled: at a stopping point, and during a wait."""

import tempfile
import threading

from semiont_jobs import JobQueue, JobWorker, RunningJob

begun = threading.Event()


class Crawler(JobWorker):
    job_types = ("crawl",)

    def execute_job(self, job: RunningJob) -> object:
        for number, _url in enumerate(job.params["urls"], start=1):
            self.raise_if_cancelled()
            self.checkpoint([f"page-{number}"])
            begun.set()
            # A polite crawler pauses. Waiting on `cancelled` ends the pause at a request to cancel.
            self.cancelled.wait(10)
        return {"pages": len(job.params["urls"])}


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        queue = JobQueue(data_dir)
        running = queue.enqueue({"urls": ["/a", "/b", "/c"]}, type="crawl")
        waiting = queue.enqueue({"urls": ["/d"]}, type="crawl")

        with Crawler(queue):
            begun.wait(30)
            print(queue.cancel_job(waiting.metadata.id), queue.cancel_job(running.metadata.id))

            for job in (waiting, running):
                stopped = queue.wait_for(job.metadata.id, timeout=30)
                print(stopped.status, stopped.started_at is not None)
            print(stopped.metadata.completed_units)

        # A finished job can no longer be cancelled.
        print(queue.cancel_job(running.metadata.id))
        queue.close()


if __name__ == "__main__":
    main()

# Output:
# True True
# cancelled False
# cancelled True
# ('page-1',)
# False
