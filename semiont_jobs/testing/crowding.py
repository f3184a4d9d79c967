"""Rows 1, 3, 9 and 14 again, with real processes: they race, die and are stopped.

It must not know any store: it asks for a function that opens a queue in another process.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from semiont_jobs import CompleteJob, JobQueue, PendingJob, RunningJob
from semiont_jobs.testing.child import Child
from semiont_jobs.testing.suite import Suite, eventually, ids_of, pytest, some

CROWD: Final = 4
"""Processes in a race: more than the free cores of most machines that run tests, so that they are
interrupted in the middle of operations."""


class Crowding(Suite):
    """Processes share a place as threads do, and their deaths are noticed."""

    _children: list[Child]

    @abstractmethod
    def opener(self) -> Callable[[], JobQueue]:
        """Return a function that, once pickled, opens this test's place in another process."""

    @pytest.fixture(autouse=True)
    def _alone_again(self) -> Iterator[None]:
        self._children = []
        yield
        for child in self._children:
            child.kill()

    def child(self) -> Child:
        """A process that has opened this test's place."""
        child = Child(self.opener())
        self._children.append(child)
        return child

    def crowd(self) -> list[Child]:
        """Several such processes, all ready."""
        crowd = [self.child() for _ in range(CROWD)]
        for child in crowd:
            child.ask("ready")
        assert [child.answer() for child in crowd] == [True] * CROWD
        return crowd

    # -- rows 1 and 3: one winner --------------------------------------------------------

    def test_processes_that_race_for_jobs_and_ids_have_one_winner_each(self) -> None:
        queue = self.queue()
        crowd = self.crowd()

        for number in range(10):
            job_id = f"wanted-{number}"
            for child in crowd:
                child.ask("create", job_id)
            assert sorted(child.answer() for child in crowd) == [False] * (CROWD - 1) + [True]

            for child in crowd:
                child.ask("claim")
            winners = [child for child in crowd if child.answer() == job_id]
            assert len(winners) <= 1
            if not winners:  # the losers' looks kept the winner's hands off for a moment
                winners = [crowd[0]]
                eventually(lambda: crowd[0].call("claim") == job_id)  # noqa: B023 - called within this round
            assert winners[0].call("complete", {}) == "complete"

        assert queue.get_stats().complete == 10

    def test_processes_share_jobs_out_each_once(self) -> None:
        queue = self.queue()
        made = queue.create_jobs([self.job() for _ in range(120)])
        crowd = self.crowd()

        for child in crowd:
            child.ask("drain")
        done = [child.answer() for child in crowd]

        assert sorted(job_id for ids in done for job_id in ids) == ids_of(made)
        assert queue.get_stats().complete == 120
        results = {
            job.metadata.id: (job.result or {})["by"]
            for job in queue.query_jobs(limit=None)
            if isinstance(job, CompleteJob)
        }
        assert results == {
            job_id: child.pid for child, ids in zip(crowd, done, strict=True) for job_id in ids
        }

    def test_as_many_processes_as_jobs_each_win_another(self) -> None:
        queue = self.queue()
        made = queue.create_jobs([self.job() for _ in range(CROWD)])
        crowd = self.crowd()

        for child in crowd:
            child.ask("claim")
        claimed = [child.answer() for child in crowd]

        claimed = [
            job_id or eventually(partial(child.call, "claim"))
            for child, job_id in zip(crowd, claimed, strict=True)
        ]
        assert sorted(claimed) == ids_of(made)

    # -- row 9: rescue -------------------------------------------------------------------

    def test_a_killed_processs_job_is_back_with_its_crash_counted_and_its_checkpoint(self) -> None:
        queue = self.queue()
        job = self.put(queue, max_retries=0)
        child = self.child()
        assert child.call("claim") == job.metadata.id
        child.call("checkpoint", ["a", "b"])

        child.kill()

        again = self.claim(queue)
        assert again.job.metadata.id == job.metadata.id
        assert again.job.metadata.crash_count == 1
        assert again.job.metadata.completed_units == ("a", "b")
        assert again.complete().metadata.attempts[0].outcome == "crashed"

    def test_a_killed_processs_job_is_done_by_another_process(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        victim, heir = self.child(), self.child()
        assert victim.call("claim") == job.metadata.id
        assert heir.call("claim") is None

        victim.kill()

        assert eventually(lambda: heir.call("claim")) == job.metadata.id
        assert heir.call("complete", {"pages": 1}) == "complete"
        assert self.stored(queue, job, CompleteJob).result == {"pages": 1}

    def test_a_stopped_process_keeps_its_job_and_finishes_it(self) -> None:
        queue = self.queue()
        job = self.put(queue)
        child = self.child()
        assert child.call("claim") == job.metadata.id

        child.stop()
        self.later(10**6)
        rescued = [queue.rescue_orphans() for _ in range(5)]
        running = self.stored(queue, job, RunningJob)
        child.go_on()

        assert rescued == [0] * 5
        assert some(running.metadata.claim).pid == child.pid
        assert child.call("complete", {}) == "complete"
        assert self.stored(queue, job, CompleteJob).metadata.crash_count == 0

    # -- row 14: restart -----------------------------------------------------------------

    def test_what_a_killed_process_was_acknowledged_is_there(self) -> None:
        queue = self.queue()
        child = self.child()
        made = [f"made-{number}" for number in range(20)]
        assert [child.call("create", job_id) for job_id in made] == [True] * 20
        done = child.call("claim")
        child.call("complete", {"pages": 1})

        child.kill()

        assert self.stored(queue, done, CompleteJob).result == {"pages": 1}
        waiting = {job.metadata.id for job in queue.query_jobs(status="pending")}
        assert waiting == set(made) - {done}
        assert self.stored(self.another(), next(iter(waiting)), PendingJob)
