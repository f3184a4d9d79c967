"""The verbs of a queue, as far as they are the queue's own and not its store's."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from semiont_jobs import (
    Event,
    GenerationParams,
    InvalidTransition,
    InvalidValue,
    JobHeld,
    JobMetadata,
    JobNotFound,
    JobQueue,
    JobTimeout,
    JobWorker,
    MemoryStore,
    PendingJob,
    RunningJob,
    ThreadRefused,
    by_hand,
    evolve,
)
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import eventually, ids_of, kept, names_of, some


def put(queue: JobQueue, /, id: str, **options: Any) -> PendingJob[Any]:
    return queue.enqueue({"page": 1}, **{"type": "task", "id": id, **options})


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


# -- listing -------------------------------------------------------------------------------


def test_a_page_is_cut_from_the_newest(queue: JobQueue, clock: FakeClock) -> None:
    for n in range(5):
        put(queue, f"j{n}")
        clock.advance(1)

    assert ids_of(queue.query_jobs(limit=2)) == ["j4", "j3"]
    assert ids_of(queue.query_jobs(limit=2, offset=3)) == ["j1", "j0"]
    assert ids_of(queue.query_jobs(limit=None, offset=4)) == ["j0"]
    assert queue.query_jobs(limit=0) == []
    assert queue.query_jobs(offset=9) == []


@pytest.mark.parametrize("field", ["limit", "offset"])
@pytest.mark.parametrize("bad", [-1, 1.5, "1", True])
def test_a_page_that_cannot_be_is_refused(queue: JobQueue, field: str, bad: Any) -> None:
    with pytest.raises(InvalidValue) as told:
        queue.query_jobs(**{field: bad})

    assert (told.value.field, told.value.value) == (field, bad)


@pytest.mark.parametrize("verb", ["query_jobs", "cancel_jobs"])
def test_a_status_that_there_is_not_is_refused(queue: JobQueue, verb: str) -> None:
    with pytest.raises(InvalidValue) as told:
        getattr(queue, verb)(status="completed")

    assert (told.value.field, told.value.value) == ("status", "completed")


# -- waiting -------------------------------------------------------------------------------


def test_a_wait_ends_with_the_finished_job(queue: JobQueue) -> None:
    put(queue, "a")
    claim = some(queue.claim_next_job())
    waiting = threading.Event()

    def finish() -> None:
        waiting.wait(30)
        claim.complete({"pages": 1})

    thread = threading.Thread(target=finish)
    thread.start()
    waiting.set()
    finished = queue.wait_for("a", timeout=30)
    thread.join()

    assert finished == queue.get_job("a")
    assert finished.status == "complete"


def test_a_wait_that_is_too_long_names_the_job(queue: JobQueue) -> None:
    put(queue, "a")

    with pytest.raises(JobTimeout, match=r"job a has not finished within 0\.01 seconds"):
        queue.wait_for("a", timeout=0.01)


def test_a_wait_for_a_job_that_there_is_not_ends_at_once(queue: JobQueue) -> None:
    with pytest.raises(JobNotFound) as told:
        queue.wait_for("a", timeout=30)

    assert told.value.job_id == "a"


# -- by hand -------------------------------------------------------------------------------


def test_cancelling_by_filter_says_how_many(queue: JobQueue) -> None:
    for n in range(3):
        put(queue, f"x{n}", type="x")
    put(queue, "y", type="y")
    put(queue, "z", type="x", user_id="alice", queue="night")
    claim = some(queue.claim_next_job(types=["x"], queue="default"))

    assert queue.cancel_jobs(status="complete") == 0
    assert queue.cancel_jobs(type="x", user_id="alice") == 1
    assert queue.cancel_jobs(type="x", queue="default", status="pending") == 2
    assert queue.cancel_jobs(type="x") == 1
    assert claim.cancelled.is_set()
    assert queue.get_stats().pending == 1


@pytest.mark.parametrize(("status", "asked"), [("pending", 0), (None, 1)])
def test_a_job_taken_meanwhile_is_cancelled_only_if_running_ones_are_meant_too(
    status: Any, asked: int
) -> None:
    class Busy(MemoryStore):
        """Lets a worker take the job right after it was listed."""

        def jobs(self, statuses: Any) -> Any:
            found = list(super().jobs(statuses))
            claims.append(queue.claim_next_job())
            return iter(found)

    claims: list[Any] = []
    queue = JobQueue(Busy())
    put(queue, "a")

    assert queue.cancel_jobs(status=status, type="task") == asked

    assert claims[0].cancelled.is_set() == bool(asked)


@pytest.mark.parametrize("status", ["pending", "running", "complete"])
def test_only_what_failed_or_was_cancelled_is_retried(queue: JobQueue, status: str) -> None:
    put(queue, "a")
    if status != "pending":
        claim = some(queue.claim_next_job())
        if status == "complete":
            claim.complete()

    with pytest.raises(InvalidTransition, match=f"cannot retry a {status} job") as told:
        queue.retry_job("a")

    assert told.value.job_id == "a"
    assert some(queue.get_job("a")).status == status


def test_a_retry_by_hand_waits_for_whoever_moves_the_job_and_then_gives_up() -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    put(queue, "a")
    queue.cancel_job("a")
    hold = store.hold("a")

    with pytest.raises(JobHeld) as told:
        queue.retry_job("a")

    assert told.value.job_id == "a"
    hold.let_go()
    assert queue.retry_job("a").status == "pending"


def test_a_cancelled_job_that_somebody_holds_for_a_moment_cannot_be_cancelled_again() -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    put(queue, "a")
    queue.cancel_job("a")
    store.hold("a")

    assert queue.cancel_job("a") is False


def test_a_waiting_job_that_somebody_holds_for_ever_is_said_to_be_held(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "CANCEL_PATIENCE", 0.05)
    put(queue, "a")
    put(queue, "b")
    hold = queue.store.hold("a")

    with pytest.raises(JobHeld, match="job a: it waits, but somebody has held it for") as told:
        queue.cancel_job("a")
    with pytest.raises(JobHeld):
        queue.cancel_jobs()

    assert "a" == told.value.job_id
    assert ["pending", "cancelled"] == [some(queue.get_job(id)).status for id in ("a", "b")]
    hold.let_go()


def test_a_waiting_job_that_somebody_holds_for_a_moment_is_cancelled_when_it_is_free() -> None:
    store = MemoryStore()
    queue = JobQueue(store)
    put(queue, "a")
    hold = store.hold("a")
    looked = threading.Event()
    queue.subscribe(lambda _event: looked.set())

    def cancel() -> None:
        said.append(queue.cancel_job("a"))

    said: list[bool] = []
    thread = threading.Thread(target=cancel)
    thread.start()
    hold.let_go()
    thread.join(30)

    assert said == [True]
    assert looked.is_set()
    assert some(queue.get_job("a")).status == "cancelled"


def test_cleaning_tells_how_many_and_which(queue: JobQueue, clock: FakeClock) -> None:
    events: list[Event] = []
    for id_ in ("done", "failed", "stopped", "waiting"):
        put(queue, id_, max_retries=0)
    claims = {}
    for _ in range(3):
        claim = some(queue.claim_next_job(accept=lambda job: job.metadata.id != "waiting"))
        claims[claim.job.metadata.id] = claim
    claims["done"].complete()
    claims["failed"].fail("no")
    claims["stopped"].cancel()
    clock.advance(3600)
    queue.subscribe(events.append)

    assert queue.cleanup_completed_jobs(timedelta(hours=2)) == 0
    assert queue.cleanup_completed_jobs(timedelta(minutes=30)) == 2
    assert queue.cleanup_completed_jobs(clock(), cancelled=True) == 1

    assert names_of(events) == ["removed"] * 3
    assert {event.job_id for event in events} == {"done", "failed", "stopped"}
    assert queue.get_stats().total == 1


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
