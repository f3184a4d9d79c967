"""Real processes on one directory: killed, stopped, racing."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from files.children import PATIENCE, Children, finished, kill
from files.places import Place, Unattended, job, seen

from semiont_jobs import FileStore, JobQueue
from semiont_jobs.testing.suite import eventually

pytestmark = pytest.mark.proof

WORK = """
    class Worker(JobWorker):
        def execute_job(self, job):
            witness(f"start:{job.metadata.id}")
            witness(f"end:{job.metadata.id}")
            return {"pid": os.getpid()}

    worker = Worker(queue, poll_interval=0.05)
    worker.start()
    wait_for("stop")
    assert worker.stop()
"""

HOLD = """
    claim = None
    while claim is None:
        claim = queue.claim_next_job(worker="holder")
    witness("holding")
    wait_for("finish")
    claim.complete({"by": "the holder"})
    witness("finished")
"""


@pytest.fixture
def place(children: Children) -> Place:
    return Place(children.data)


@pytest.fixture
def queue(children: Children) -> Iterator[JobQueue]:
    with Unattended(FileStore(children.data, fsync=False)) as opened:
        yield opened


def test_processes_that_share_a_directory_do_every_job_exactly_once(
    children: Children, queue: JobQueue, place: Place
) -> None:
    workers = [children.start(WORK) for _ in range(3)]
    queue.create_jobs([job(f"batch-{n:03}") for n in range(150)])
    for n in range(50):
        queue.create_job(job(f"single-{n:03}"))
    eventually(lambda: queue.get_stats().complete == 200, PATIENCE)
    children.say("stop")
    for worker in workers:
        finished(worker)

    counted = children.counted()
    assert len(counted) == 400
    assert set(counted.values()) == {1}
    assert queue.get_stats().total == 200
    assert place.everything().keys() == {"complete"}


def test_the_job_of_a_killed_worker_is_done_by_another(
    children: Children, queue: JobQueue, place: Place
) -> None:
    queue.create_job(job())
    worker = children.start(
        """
        class Worker(JobWorker):
            def execute_job(self, job):
                self.checkpoint(["page-1"], {"page-2": 7})
                witness("start")
                wait_for("never")

        Worker(queue).run()
        """
    )
    children.witnessed("start")
    kill(worker)
    other = children.start(
        """
        class Worker(JobWorker):
            def execute_job(self, job):
                witness("again")
                return {"left": list(job.metadata.completed_units)}

        with Worker(queue, poll_interval=0.05):
            wait_for("stop")
        """
    )
    done = queue.wait_for("j", PATIENCE)
    children.say("stop")
    finished(other)

    assert done.status == "complete"
    assert done.result == {"left": ["page-1"]}
    metadata = done.metadata
    assert (metadata.crash_count, metadata.retry_count, metadata.attempt_count) == (1, 0, 2)
    assert [each.outcome for each in metadata.attempts] == ["crashed", "completed"]
    assert metadata.attempts[0].error_type == "WorkerCrashed"
    assert metadata.unit_cursors == {"page-2": 7}
    assert children.counted() == {"start": 1, "again": 1}
    assert place.everything() == {"complete": ["j.json"]}


def test_a_job_that_kills_every_worker_fails_in_the_end(
    children: Children, queue: JobQueue
) -> None:
    queue.create_job(job())
    for number in range(4):
        worker = children.start(
            """
            import signal

            class Worker(JobWorker):
                def execute_job(self, job):
                    witness("start")
                    os.kill(os.getpid(), signal.SIGKILL)

            Worker(queue).run()
            """
        )
        assert worker.wait(PATIENCE) == -signal.SIGKILL
        assert queue.rescue_orphans() == 1, number

    failed = seen(queue.get_job("j"))

    assert failed.status == "failed"
    assert "died" in failed.error
    assert failed.metadata.crash_count == 4
    assert failed.metadata.retry_count == 0
    assert children.counted() == {"start": 4}
    assert queue.claim_next_job() is None


def test_a_stopped_process_keeps_its_job_and_completes_it(
    children: Children, queue: JobQueue
) -> None:
    queue.create_job(job())
    holder = children.start(HOLD)
    children.witnessed("holding")
    holder.send_signal(signal.SIGSTOP)

    rescued = [queue.rescue_orphans() for _ in range(20)]
    claim = queue.claim_next_job()
    holder.send_signal(signal.SIGCONT)
    children.say("finish")
    finished(holder)

    assert rescued == [0] * 20
    assert claim is None
    done = seen(queue.get_job("j"))
    assert done.status == "complete"
    assert done.result == {"by": "the holder"}
    assert done.metadata.crash_count == 0


def test_of_eight_processes_creating_one_id_exactly_one_wins(
    children: Children, queue: JobQueue, place: Place
) -> None:
    script = """
        queue.initialize()
        witness("ready")
        wait_for("go")
        for n in range(20):
            try:
                queue.create_job(new(f"j{n}", user_id=rest[0]))
            except JobExists:
                witness(f"lost:{n}")
            else:
                witness(f"won:{n}:{rest[0]}")
    """
    racers = [children.start(script, str(number)) for number in range(8)]
    children.witnessed("ready", 8)
    children.say("go")
    for racer in racers:
        finished(racer)

    words = children.words()
    for n in range(20):
        assert words.count(f"lost:{n}") == 7
        (winner,) = [word.split(":")[2] for word in words if word.startswith(f"won:{n}:")]
        assert seen(queue.get_job(f"j{n}")).metadata.user_id == winner
    assert place.names(".tmp") == []


def test_a_running_job_is_cancelled_from_another_process(
    children: Children, queue: JobQueue, place: Place
) -> None:
    queue.create_job(job())
    worker = children.start(
        """
        class Worker(JobWorker):
            def execute_job(self, job):
                witness("start")
                assert self.cancelled.wait(60)
                self.raise_if_cancelled()
                witness("not stopped")

        with Worker(queue, poll_interval=0.05):
            wait_for("stop")
        """
    )
    children.witnessed("start")

    answer = queue.cancel_job("j")
    ended = queue.wait_for("j", PATIENCE)
    children.say("stop")
    finished(worker)

    assert answer is True
    assert ended.status == "cancelled"
    assert ended.started_at is not None
    assert children.words() == ["start"]
    assert place.copies() == {"cancelled": 2}


def test_a_job_created_by_another_process_wakes_an_idle_worker(
    children: Children, queue: JobQueue
) -> None:
    worker = children.start(
        """
        class Worker(JobWorker):
            def execute_job(self, job):
                witness(f"start:{job.metadata.id}")

        # Only being woken makes it look again within this test's time.
        with Worker(queue, poll_interval=3600.0):
            witness("ready")
            wait_for("stop")
        """
    )
    children.witnessed("ready")
    for n in range(5):
        queue.create_job(job(f"j{n}"))
        children.witnessed(f"start:j{n}")
    children.say("stop")
    finished(worker)

    assert children.words() == ["ready", *(f"start:j{n}" for n in range(5))]


def test_a_job_that_is_due_later_wakes_an_idle_worker_of_another_process_in_time(
    children: Children, queue: JobQueue
) -> None:
    worker = children.start(
        """
        class Worker(JobWorker):
            def execute_job(self, job):
                return {"late": (now() - job.metadata.run_after).total_seconds()}

        with Worker(queue, poll_interval=3600.0):
            witness("ready")
            wait_for("stop")
        """
    )
    children.witnessed("ready")

    queue.enqueue({}, type="task", id="j", run_after=0.3)
    done = queue.wait_for("j", PATIENCE)
    children.say("stop")
    finished(worker)

    assert done.status == "complete"
    assert done.result is not None
    assert done.result["late"] >= 0


def test_a_process_that_exits_with_a_claim_gives_the_job_back(
    children: Children, queue: JobQueue, place: Place
) -> None:
    queue.create_job(job())

    children.run("claim = queue.claim_next_job()\nassert claim\n")

    queue.rescue_orphans()
    assert list(place.copies()) == ["pending"]


def test_ten_rescuers_of_one_dead_worker_make_one_move_and_one_event(
    children: Children, queue: JobQueue, place: Place
) -> None:
    queue.create_job(job())
    holder = children.start(HOLD)
    children.witnessed("holding")
    script = """
        queue.subscribe(lambda event: witness(event.name))
        queue.initialize()
        witness("ready")
        wait_for("go")
        for _ in range(20):
            queue.rescue_orphans()
    """
    rescuers = [children.start(script) for _ in range(10)]
    children.witnessed("ready", 10)
    kill(holder)
    children.say("go")
    for rescuer in rescuers:
        finished(rescuer)

    assert children.counted() == {"holding": 1, "ready": 10, "rescued": 1}
    assert place.copies() == {"pending": 2}
    assert place.document("pending")["metadata"]["crashCount"] == 1


def test_workers_killed_again_and_again_lose_no_job_and_finish_each_once(
    children: Children, queue: JobQueue, place: Place
) -> None:
    queue.create_jobs([job(f"j{n:03}") for n in range(60)])
    script = """
        class Worker(JobWorker):
            def execute_job(self, job):
                witness(f"start:{job.metadata.id}")
                threading.Event().wait(0.005)

        worker = Worker(JobQueue(data, fsync=False, max_crashes=1000), poll_interval=0.05)
        worker.start()
        wait_for("stop")
        worker.stop()
    """
    workers = [children.start(script), children.start(script)]
    for killed in range(6):
        before = len(children.words())
        eventually(lambda before=before: len(children.words()) > before + 3, PATIENCE)  # type: ignore[misc]
        kill(workers[killed % 2])
        workers[killed % 2] = children.start(script)
    eventually(lambda: queue.get_stats().complete == 60, PATIENCE)
    children.say("stop")
    for worker in workers:
        finished(worker)

    assert place.everything() == {"complete": [f"j{n:03}.json" for n in range(60)]} | (
        {".tmp": left} if (left := place.names(".tmp")) else {}
    )
    for n in range(60):
        metadata = place.document("complete", f"j{n:03}")["metadata"]
        outcomes = [each["outcome"] for each in metadata["attempts"]]
        assert outcomes == ["crashed"] * metadata.get("crashCount", 0) + ["completed"]
