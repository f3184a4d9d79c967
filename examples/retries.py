"""Which errors are retried, when, and which are not."""

import tempfile

from tenacity import retry_if_exception_type, wait_fixed

from semiont_jobs import JobQueue, JobWorker, PermanentError, RetryPolicy, RunningJob


class NoSuchImage(PermanentError):
    """Never retried: a retry would not find the image either."""


class Thumbnailer(JobWorker):
    job_types = ("thumbnail",)
    retry_policy = RetryPolicy(
        wait=wait_fixed(0.1),  # seconds; in production wait longer
        retry=retry_if_exception_type((ConnectionError, TimeoutError)),
    )

    def execute_job(self, job: RunningJob) -> object:
        match job.params["image"]:
            case "slow.jpg" if job.metadata.retry_count < 2:
                raise ConnectionError("the store did not answer")
            case "gone.jpg":
                raise NoSuchImage("gone.jpg")
            case "broken.jpg":
                raise ValueError("not an image")  # the policy does not retry this one
        return {"thumbnail": f"small-{job.params['image']}"}


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        queue = JobQueue(data_dir)
        images = ("good.jpg", "slow.jpg", "gone.jpg", "broken.jpg")
        jobs = [queue.enqueue({"image": image}, type="thumbnail") for image in images]

        with Thumbnailer(queue):
            for job in jobs:
                done = queue.wait_for(job.metadata.id, timeout=30)
                told = done.error if done.status == "failed" else done.result
                print(done.status, done.metadata.attempt_count, told)

        # The image has been repaired: give its job a fresh budget of retries.
        print(queue.retry_job(jobs[-1].metadata.id).status)
        queue.close()


if __name__ == "__main__":
    main()

# Output:
# complete 1 {'thumbnail': 'small-good.jpg'}
# complete 3 {'thumbnail': 'small-slow.jpg'}
# failed 1 NoSuchImage: gone.jpg
# failed 1 ValueError: not an image
# pending
