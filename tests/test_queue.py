"""The verbs of a queue, as far as they are the queue's own and not its store's."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from queues import put

from semiont_jobs import (
    Event,
    GenerationParams,
    InvalidValue,
    JobMetadata,
    JobQueue,
    JobWorker,
    MemoryStore,
    PendingJob,
    RunningJob,
    ThreadRefused,
    evolve,
)
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import eventually, kept, names_of, some

# -- life ----------------------------------------------------------------------------------


def test_making_a_queue_touches_nothing(tmp_path: Any) -> None:
    JobQueue(tmp_path / "deep" / "data")

    assert list(tmp_path.iterdir()) == []


def test_initialize_makes_the_directory_and_its_parents_and_may_be_repeated(tmp_path: Any) -> None:
    queue = JobQueue(tmp_path / "deep" / "data", fsync=False)

    assert queue.initialize() is queue
    assert queue.initialize() is queue
    assert (tmp_path / "deep" / "data" / "jobs" / "pending").is_dir()
    queue.close()


def test_a_queue_may_be_used_again_after_close(queue: JobQueue) -> None:
    put(queue, "a")
    queue.close()
    queue.close()

    assert some(queue.claim_next_job()).job.metadata.id == "a"


def test_a_with_block_closes_the_queue_and_gives_open_claims_back() -> None:
    store = MemoryStore()
    with JobQueue(store) as queue:
        put(queue, "a")
        claim = some(queue.claim_next_job())

    assert not claim.is_open
    assert some(JobQueue(store).get_job("a")).status == "pending"


def test_close_gives_back_what_it_can_when_a_claim_was_lost_already() -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    for id_ in ("a", "b"):
        put(queue, id_)
    lost, kept = some(queue.claim_next_job()), some(queue.claim_next_job())
    store.kill_holder(lost.job.metadata.id)
    JobQueue(store).rescue_orphans()

    queue.close()

    assert not kept.is_open
    assert queue.get_stats().pending == 2


@pytest.mark.parametrize("bad", [-1, 1.5, "3", True, None])
def test_max_crashes_is_a_whole_number_from_zero(bad: Any) -> None:
    with pytest.raises(InvalidValue) as told:
        JobQueue("memory:", max_crashes=bad)

    assert (told.value.field, told.value.value) == ("max_crashes", bad)


def test_a_database_without_its_driver_is_told_of_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [each for each in sys.modules if each.startswith("semiont_jobs.stores.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(ImportError, match=r"semiont_jobs\[postgres\]"):
        JobQueue("postgresql://host/db")


@pytest.mark.parametrize("bad", ["", "mysql://host/db", "https://example.com/data"])
def test_a_place_that_is_no_directory_is_refused(bad: str) -> None:
    with pytest.raises(InvalidValue) as told:
        JobQueue(bad)

    assert (told.value.field, told.value.value) == ("data_dir", bad)


# -- enqueue -------------------------------------------------------------------------------


def test_the_type_follows_from_the_params_class(queue: JobQueue, clock: FakeClock) -> None:
    params = GenerationParams(reference_id="a", source_resource_id="r")  # type: ignore[arg-type]

    job = queue.enqueue(params)

    assert queue.get_job(job.metadata.id) == job
    assert job == PendingJob(
        metadata=JobMetadata(id=job.metadata.id, type="generation", created=clock()),
        params=params,
    )


def test_everything_that_can_be_told_is_stored(queue: JobQueue, clock: FakeClock) -> None:
    job = queue.enqueue(
        {"page": 1},
        type="task",
        id="j",
        user_id="alice",
        queue="night",
        priority=-7,
        run_after=timedelta(minutes=5),
        max_retries=0,
        timeout=90,
    )

    assert queue.get_job("j") == job
    assert job.metadata == JobMetadata(
        id="j",  # type: ignore[arg-type]
        type="task",
        user_id="alice",  # type: ignore[arg-type]
        created=clock(),
        max_retries=0,
        queue="night",
        priority=-7,
        run_after=clock() + timedelta(minutes=5),
        timeout=90,
    )


@pytest.mark.parametrize("delay", [90, 90.0, timedelta(seconds=90)])
def test_a_delay_is_seconds_or_a_timedelta(queue: JobQueue, clock: FakeClock, delay: Any) -> None:
    put(queue, "a", run_after=delay)

    clock.advance(89.999)
    assert queue.claim_next_job() is None
    clock.advance(0.001)
    assert queue.claim_next_job() is not None


@pytest.mark.parametrize("when", ["tomorrow", float("nan"), timedelta.max])
def test_what_is_no_time_is_refused_by_the_name_that_it_was_given_under(
    queue: JobQueue, when: Any
) -> None:
    with pytest.raises(InvalidValue) as told:
        queue.enqueue({}, type="task", run_after=when)

    assert told.value.field == "run_after"


# -- order and filters ---------------------------------------------------------------------


def test_jobs_come_by_priority_then_due_time_then_creation_then_id(
    queue: JobQueue, clock: FakeClock
) -> None:
    start = clock()
    put(queue, "late", run_after=start + timedelta(seconds=2))
    put(queue, "b")
    put(queue, "a")
    put(queue, "low", priority=-1)
    clock.advance(1)
    put(queue, "newer")
    put(queue, "high", priority=1)
    clock.advance(5)

    order = [some(queue.claim_next_job()).job.metadata.id for _ in range(6)]

    assert order == ["high", "a", "b", "newer", "late", "low"]
    assert queue.claim_next_job() is None


def test_only_what_is_asked_for_is_claimed(queue: JobQueue) -> None:
    put(queue, "a", type="x")
    put(queue, "b", type="y", queue="night")

    assert queue.claim_next_job(types=["z"]) is None
    assert queue.claim_next_job(types=[]) is None
    assert queue.claim_next_job(types=["x"], queue="night") is None
    assert some(queue.claim_next_job(queue="night")).job.metadata.id == "b"
    assert some(queue.claim_next_job(types=["y", "x"])).job.metadata.id == "a"


def test_a_bare_text_is_no_list_of_types(queue: JobQueue) -> None:
    with pytest.raises(InvalidValue) as told:
        queue.claim_next_job(types="task")

    assert (told.value.field, told.value.value) == ("types", "task")


def test_accept_is_asked_once_per_revision(queue: JobQueue, clock: FakeClock) -> None:
    asked: list[str] = []

    def refuse_a(job: PendingJob[Any]) -> bool:
        asked.append(f"{job.metadata.id}{job.metadata.revision}")
        return job.metadata.id != "a"

    a, _b = put(queue, "a"), put(queue, "b")
    assert some(queue.claim_next_job(accept=refuse_a)).job.metadata.id == "b"
    assert queue.claim_next_job(accept=refuse_a) is None
    queue.update_job(evolve(a, params={"page": 2}))
    assert queue.claim_next_job(accept=refuse_a) is None

    assert asked == ["a0", "b0", "a1"]


def test_polling_shows_what_a_claim_takes_next(queue: JobQueue) -> None:
    put(queue, "a", type="x")
    put(queue, "b", type="y", priority=1)

    assert some(queue.poll_next_pending_job()).metadata.id == "b"
    assert some(queue.poll_next_pending_job(types=["x"])).metadata.id == "a"
    assert queue.poll_next_pending_job(accept=lambda job: job.metadata.type == "z") is None
    assert queue.get_stats().pending == 2
    assert some(queue.claim_next_job()).job.metadata.id == "b"


# -- upkeep --------------------------------------------------------------------------------


def test_the_queue_rescues_by_itself_once_it_is_in_use(clock: FakeClock) -> None:
    store = MemoryStore()
    with JobQueue(store, clock=clock) as queue, JobQueue(store, clock=clock) as other:
        put(other, "a")
        kept(other).claim_next_job()
        queue.start_keeper()
        store.kill_holder("a")

        eventually(lambda: some(queue.get_job("a")).status == "pending")


def test_a_request_to_cancel_outlives_the_holder(clock: FakeClock) -> None:
    store = MemoryStore()
    events: list[Event] = []
    queue = kept(JobQueue(store, clock=clock, hooks=[events.append]))
    put(queue, "a")
    some(queue.claim_next_job())
    queue.cancel_job("a")
    store.kill_holder("a")

    assert queue.rescue_orphans() == 1

    assert some(queue.get_job("a")).status == "cancelled"
    assert names_of(events)[-1] == "cancelled"


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The system gives no thread."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    return monkeypatch


def test_without_a_thread_to_look_after_claims_nothing_is_claimed(
    queue: JobQueue, no_threads: pytest.MonkeyPatch
) -> None:
    job = put(queue, "a")
    running: RunningJob[Any, Any] = RunningJob(
        metadata=job.metadata, params=job.params, started_at=queue.clock()
    )

    for claim in (queue.claim_next_job, lambda: queue.update_job(running, "pending")):
        with pytest.raises(ThreadRefused, match="can't start new thread"):
            claim()
        assert queue.get_job("a") == job

    no_threads.undo()
    assert some(queue.claim_next_job()).complete().status == "complete"


def test_a_worker_that_got_no_thread_may_be_started_again(
    queue: JobQueue, no_threads: pytest.MonkeyPatch
) -> None:
    class Idle(JobWorker):
        def execute_job(self, job: RunningJob[Any, Any]) -> object:
            return None

    queue._keeper.start = lambda: None  # type: ignore[method-assign]
    worker = Idle(queue)
    with pytest.raises(ThreadRefused):
        worker.start()
    no_threads.undo()

    worker.start()

    assert worker.stop(60)


def test_a_child_of_a_fork_starts_afresh(queue: JobQueue) -> None:
    put(queue, "a")
    some(queue.claim_next_job())

    queue.reset_after_fork()

    # The parent's claim is not the child's to give back.
    assert queue._claims.all() == []
    assert not queue._is_open


def test_a_waiter_returns_when_work_comes_when_it_is_woken_and_when_time_is_up(
    queue: JobQueue,
) -> None:
    stop = threading.Event()
    returned = threading.Event()

    def wait(seconds: float) -> None:
        queue.wait_for_work(stop, seconds)
        returned.set()

    def waiting(call: Callable[[], object]) -> None:
        """Wait for work in a thread until `call` made it return."""
        returned.clear()
        thread = threading.Thread(target=wait, args=(60,))
        thread.start()
        eventually(lambda: (call(), returned.wait(0.05))[1])
        thread.join(30)

    numbers = iter(range(1000))
    waiting(lambda: put(queue, f"j{next(numbers)}"))
    stop.set()
    waiting(queue.wake)
    wait(0.01)

    assert returned.is_set()
