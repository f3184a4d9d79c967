"""All the steps: open a directory, create jobs, run them, read the results."""

import tempfile

from semiont_jobs import JobQueue, JobWorker, RunningJob


class Greeter(JobWorker):
    job_types = ("greet",)

    def execute_job(self, job: RunningJob) -> object:
        return {"text": f"Hello, {job.params['name']}!"}


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        queue = JobQueue(data_dir)
        jobs = [queue.enqueue({"name": name}, type="greet") for name in ("Ada", "Grace")]

        with Greeter(queue):
            for job in jobs:
                done = queue.wait_for(job.metadata.id, timeout=30)
                print(done.status, done.result)

        queue.close()


if __name__ == "__main__":
    main()

# Output:
# complete {'text': 'Hello, Ada!'}
# complete {'text': 'Hello, Grace!'}
