"""Monitor a queue: count its events, and see how old the backlog is."""

import tempfile
from collections import Counter

from tenacity import wait_none

from semiont_jobs import Event, JobQueue, JobWorker, RetryPolicy, RunningJob, now


class Metrics:
    """A hook that counts events by type; pass the counts to your metrics system."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0

    def __call__(self, event: Event) -> None:
        kind = event.job.metadata.type if event.job else "unreadable"
        self.counts[f"{kind} {event.name}"] += 1
        if event.job and event.job.status == "complete":
            self.seconds += (event.job.completed_at - event.job.started_at).total_seconds()


class Mailer(JobWorker):
    job_types = ("mail",)
    retry_policy = RetryPolicy(wait=wait_none())

    def execute_job(self, job: RunningJob) -> object:
        if job.params["to"] == "bob" and job.metadata.retry_count == 0:
            raise ConnectionError("try again")
        return None


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        metrics = Metrics()
        queue = JobQueue(data_dir, hooks=[metrics])
        jobs = [queue.enqueue({"to": name}, type="mail") for name in ("ann", "bob", "eve")]

        oldest = queue.query_jobs(status="pending", limit=None)[-1]
        age = (now() - oldest.metadata.created).total_seconds()
        print("oldest waiting:", oldest.params["to"], "- less than a minute:", age < 60)

        with Mailer(queue):
            for job in jobs:
                queue.wait_for(job.metadata.id, timeout=30)

        for what, count in sorted(metrics.counts.items()):
            print(f"{what}: {count}")
        queue.close()


if __name__ == "__main__":
    main()

# Output:
# oldest waiting: ann - less than a minute: True
# mail claimed: 4
# mail completed: 3
# mail created: 3
# mail retrying: 1
