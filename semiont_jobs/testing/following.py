"""Row 19: callers that wait for a job or follow it learn of its changes, whichever process makes
them.

It must not know how a store reports changes, only that it does so in time.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from semiont_jobs import CompleteJob, JobNotFound, JobQueue, JobTimeout, PendingJob, RunningJob
from semiont_jobs.testing.suite import PATIENCE, Suite, eventually, pytest, some

WHO = ("here", "elsewhere")
"""Whether the follower uses the queue object that acts, or another."""


class Following(Suite):
    """Followers see a job's states, never an older one after a later one."""

    def follower(self, queue: JobQueue, who: str) -> JobQueue:
        """The queue object to follow with."""
        return queue if who == "here" else self.another()

    @pytest.mark.parametrize("who", WHO)
    def test_a_follower_sees_each_state_and_the_progress(self, who: str) -> None:
        queue = self.queue()
        job = self.put(queue)
        states = self.follower(queue, who).follow(job.metadata.id, PATIENCE)

        seen: list[Any] = [next(states)]
        claim = self.claim(queue)
        seen.append(next(states))
        claim.report({"page": 1})
        seen.append(next(states))
        done = claim.complete({"pages": 1})
        seen += states

        assert [type(each) for each in seen] == [PendingJob, RunningJob, RunningJob, CompleteJob]
        assert [each.progress for each in seen[1:3]] == [{}, {"page": 1}]
        assert seen[-1] == done

    @pytest.mark.parametrize("who", WHO)
    def test_a_follower_sees_the_last_progress_of_a_work_that_goes_silent(self, who: str) -> None:
        queue = self.queue()
        claim = self.held(queue)
        states = self.follower(queue, who).follow(claim.job.metadata.id, PATIENCE)

        for page in range(5):
            claim.report({"page": page})

        last = next(each for each in states if isinstance(each, RunningJob) and each.progress)
        while last.progress != {"page": 4}:
            last = next(each for each in states if isinstance(each, RunningJob))
        assert last.status == "running"

    @pytest.mark.parametrize("who", WHO)
    def test_no_revision_is_seen_twice_and_the_finished_job_comes_last(self, who: str) -> None:
        queue = self.queue()
        job = self.put(queue)
        follower = self.follower(queue, who)
        states = follower.follow(job.metadata.id, PATIENCE)
        seen = [next(states)]

        def work() -> None:
            for _ in range(10):
                claim = self.claim(queue)
                claim.checkpoint(["a"])
                claim.release()
            self.claim(queue).complete()

        with ThreadPoolExecutor(1) as threads:
            working = threads.submit(work)
            seen += states
            working.result(PATIENCE)

        revisions = [each.metadata.revision for each in seen]
        assert revisions == sorted(set(revisions))
        assert [each.status == "complete" for each in seen] == [False] * (len(seen) - 1) + [True]

    def test_a_finished_job_is_followed_by_one_look(self) -> None:
        queue = self.queue()
        job = self.bring(queue, "failed")

        assert list(queue.follow(job.metadata.id)) == [job]
        assert queue.wait_for(job.metadata.id) == job

    @pytest.mark.parametrize("who", WHO)
    def test_a_job_that_is_removed_is_followed_no_further(self, who: str) -> None:
        queue = self.queue()
        job = self.put(queue)
        states = self.follower(queue, who).follow(job.metadata.id, PATIENCE)
        next(states)

        queue.cancel_job(job.metadata.id)
        self.later(10)
        queue.cleanup_completed_jobs(timedelta(seconds=5), cancelled=True)

        with pytest.raises(JobNotFound) as told:
            next(states)
        assert told.value.job_id == job.metadata.id

    def test_a_job_that_there_is_not_cannot_be_followed(self) -> None:
        queue = self.queue()

        with pytest.raises(JobNotFound):
            next(queue.follow("nobody", PATIENCE))

    def test_a_job_that_does_not_finish_in_time_goes_on(self) -> None:
        queue = self.queue()
        job = self.put(queue)

        with pytest.raises(JobTimeout, match=job.metadata.id):
            list(queue.follow(job.metadata.id, timeout=0.01))

        assert self.claim(queue).complete().metadata.id == job.metadata.id

    @pytest.mark.parametrize("who", WHO)
    def test_everyone_who_waits_for_a_job_is_told(self, who: str) -> None:
        queue = self.queue()
        claim = self.held(queue)
        follower = self.follower(queue, who)
        waiting = threading.Semaphore(0)

        def wait() -> Any:
            # Longer than its answer is waited for: the last look must not pass for being told.
            states = follower.follow(claim.job.metadata.id, 2 * PATIENCE)
            next(states)
            waiting.release()
            return list(states)[-1]

        with ThreadPoolExecutor(20) as threads:
            waits = [threads.submit(wait) for _ in range(20)]
            for _ in waits:
                assert waiting.acquire(timeout=PATIENCE)
            done = claim.complete()
            told = [each.result(PATIENCE) for each in waits]

        assert told == [done] * 20

    def test_the_rescue_and_the_next_attempt_are_followed(self) -> None:
        queue = self.queue()
        claim = self.held(queue)
        states = queue.follow(claim.job.metadata.id, PATIENCE)
        seen = [next(states).status]

        self.die(queue, claim)
        seen.append(next(states).status)
        again = self.claim(queue)
        seen.append(next(states).status)
        again.complete()
        seen += [each.status for each in states]

        assert seen == ["running", "pending", "running", "complete"]
        assert some(queue.get_job(claim.job.metadata.id)).metadata.crash_count == 1

    def test_a_retry_by_hand_is_followed_to_its_own_end(self) -> None:
        queue = self.queue()
        job = self.bring(queue, "failed")
        queue.retry_job(job.metadata.id)
        states = queue.follow(job.metadata.id, PATIENCE)

        seen = [next(states).status]
        eventually(queue.claim_next_job).complete()
        seen += [each.status for each in states]

        assert seen == ["pending", "complete"]
