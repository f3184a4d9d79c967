"""A loop of your own that claims jobs one by one, without a worker class.

Use it in a program that has a main loop, or to process all due jobs from a script.
"""

import tempfile

from semiont_jobs import JobQueue


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        queue = JobQueue(data_dir)
        for number in (3, 0, 4):
            queue.enqueue({"divisor": number}, type="divide", max_retries=0)
        queue.enqueue({"divisor": 6}, type="divide", priority=10)
        queue.enqueue({}, type="something-else")

        while (claim := queue.claim_next_job(types=["divide"])) is not None:
            divisor = claim.job.params["divisor"]
            try:
                # An exception that leaves the block fails the job, and is raised here too.
                with claim:
                    claim.complete({"quotient": 12 / divisor})
            except ZeroDivisionError as error:
                print(divisor, "failed:", error)
            else:
                print(divisor, "complete")

        stats = queue.get_stats()
        print(stats.complete, "complete,", stats.failed, "failed,", stats.pending, "pending")
        queue.close()


if __name__ == "__main__":
    main()

# Output:
# 6 complete
# 3 complete
# 0 failed: division by zero
# 4 complete
# 3 complete, 1 failed, 1 pending
