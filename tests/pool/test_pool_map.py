"""Scripts: a function mapped over an iterable, whose items are not done twice."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import pytest
from pool.members import types_left

from semiont_jobs import (
    InvalidValue,
    ItemFailed,
    JobEncodeError,
    JobQueue,
    JobWorker,
    RunningJob,
    WorkerPool,
    job_handler,
)
from semiont_jobs.pool import mapping, runs
from semiont_jobs.pool.crew import Crew
from semiont_jobs.pool.errand import Errand
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import Post, checked_roster
from semiont_jobs.pool.watch import Watch
from semiont_jobs.testing.waiting import eventually

TIMEOUT = 60.0


@pytest.fixture
def called() -> list[Any]:
    """What the function was called with."""
    return []


def test_results_come_in_the_order_of_the_items(queue: JobQueue) -> None:
    first_may_end = threading.Event()

    def slow_first(item: int) -> int:
        if item == 0:
            assert first_may_end.wait(TIMEOUT)
        elif item == 5:
            first_may_end.set()
        return item * item

    with WorkerPool(queue, threads=2) as pool:
        results = list(pool.map(slow_first, range(250)))

    assert [n * n for n in range(250)] == results
    assert [] == types_left(queue)  # a run without a name leaves nothing


def test_as_completed_gives_each_outcome_once_with_its_item(queue: JobQueue) -> None:
    def halved(item: int) -> int:
        return 10 // item

    with WorkerPool(queue) as pool:
        outcomes = list(pool.as_completed(halved, [5, 0, 2]))

    values = {each.item: each.result() for each in outcomes if each.item}
    failed = next(each for each in outcomes if each.item == 0)
    assert ({5: 2, 2: 5}, 3, 1) == (values, len(outcomes), failed.index)
    with pytest.raises(ItemFailed):
        failed.result()


def test_a_failure_is_raised_where_its_result_is_asked_for(queue: JobQueue) -> None:
    def the_place_where_it_fails(item: int) -> int:
        if item == 1:
            raise LookupError("no such page")
        return item

    with WorkerPool(queue) as pool:
        results = pool.map(the_place_where_it_fails, range(3))
        assert 0 == next(results)
        with pytest.raises(ItemFailed, match=r"item 1 \(1\): LookupError: no such page") as told:
            next(results)

    error = told.value
    assert ("LookupError", 1, 1) == (error.error_type, error.index, error.item)
    assert "the_place_where_it_fails" in "".join(error.__notes__)
    assert "the_place_where_it_fails" in (error.error_traceback or "")


def test_the_same_run_again_does_only_what_is_missing_and_what_failed(
    queue: JobQueue, called: list[Any]
) -> None:
    broken = True

    def works(item: str) -> str:
        called.append(item)
        if item == "c" and broken:
            raise OSError("away")
        return item.upper()

    with WorkerPool(queue, threads=1) as pool:
        first = pool.map(works, "abcd", name="run-1")
        with pytest.raises(ItemFailed):
            list(first)
        broken, before = False, len(called)
        again = list(pool.map(works, "abcde", name="run-1"))
        third = list(pool.map(works, "abcde", name="run-1"))

    assert list("ABCDE") == again == third
    assert {"c", "e"} <= set(called[before:]) <= {"c", "d", "e"}
    assert len(called) == before + len(set(called[before:]))


def test_an_item_that_is_another_than_before_is_noticed(queue: JobQueue) -> None:
    with WorkerPool(queue) as pool:
        list(pool.map(len, ["a", "bc"], name="run-1"))

        with pytest.raises(InvalidValue, match="run 'run-1' had 'bc' here before"):
            list(pool.map(len, ["a", "xyz"], name="run-1"))


def test_keys_tell_items_in_another_order(queue: JobQueue, called: list[Any]) -> None:
    def noted(item: str) -> int:
        called.append(item)
        return len(item)

    with WorkerPool(queue) as pool:
        list(pool.map(noted, ["a", "bc"], name="run-1", key=str))
        again = list(pool.map(noted, ["bc", "new", "a"], name="run-1", key=str))

        assert ([2, 3, 1], ["a", "bc", "new"]) == (again, sorted(called))
        with pytest.raises(InvalidValue, match="another item of this run has the same key"):
            list(pool.map(noted, ["a", "a"], name="run-2", key=str))
        with pytest.raises(InvalidValue, match="key is a text or a whole number"):
            list(pool.map(noted, ["a"], name="run-3", key=lambda _: 0.5))  # type: ignore[arg-type,return-value]


def test_a_run_is_forgotten_alone(queue: JobQueue) -> None:
    queue.enqueue({}, type="other")
    with WorkerPool(queue) as pool:
        list(pool.map(len, ["a"], name="run-1"))
        list(pool.map(len, ["a", "b"], name="run-2"))

        assert 1 == pool.forget("run-1")
        assert 0 == pool.forget("run-1")
    assert ["map:run-2", "map:run-2", "other"] == sorted(types_left(queue))


def test_retries_are_used_up_before_a_failure_is_raised(queue: JobQueue, called: list[Any]) -> None:
    def fails_once(item: int) -> int:
        called.append(item)
        if len(called) == 1:
            raise ConnectionError
        return item

    with WorkerPool(queue) as pool:
        assert [7] == list(pool.map(fails_once, [7], retries=1))


def test_an_iterable_without_an_end_is_taken_a_little_ahead(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch, called: list[Any]
) -> None:
    monkeypatch.setattr(runs, "BATCH", 5)
    monkeypatch.setattr(mapping, "BATCH", 5)
    monkeypatch.setattr(mapping, "AHEAD", 20)

    def endless() -> Iterator[int]:
        for number in itertools.count():
            called.append(number)
            yield number

    with WorkerPool(memory) as pool:
        results = pool.map(abs, endless())
        first = list(itertools.islice(results, 30))
        results.close()  # type: ignore[attr-defined]

    assert list(range(30)) == first
    assert len(called) <= 30 + 20
    assert [] == types_left(memory)


def test_news_that_never_come_are_made_up_for_by_looking(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping, "LOOK_AGAIN", 0.01)
    monkeypatch.setattr(mapping.Mapping, "hear_event", lambda _self, _event: None)

    with WorkerPool(memory) as pool:
        assert [1, 2] == list(pool.map(len, ["a", "bb"]))
        assert {0, 1} == {each.index for each in pool.as_completed(len, ["a", "bb"])}


def test_one_look_finds_all_that_others_have_done(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_over, looks = mapping.Mapping._look_over, []

    def counted(self: Any, staff: Any, *, in_order: bool) -> None:
        looks.append(in_order)
        look_over(self, staff, in_order=in_order)

    monkeypatch.setattr(mapping, "LOOK_AGAIN", 0.1)
    monkeypatch.setattr(mapping.Mapping, "hear_event", lambda _self, _event: None)
    monkeypatch.setattr(mapping.Mapping, "_look_over", counted)

    with WorkerPool(memory) as pool:
        assert list(range(60)) == list(pool.map(abs, range(60)))

    assert 0 < len(looks) < 30


def test_a_pool_that_is_stopped_ends_its_runs(memory: JobQueue, monkeypatch: Any) -> None:
    monkeypatch.setattr(mapping, "LOOK_AGAIN", 0.01)
    at_work, let_go = threading.Event(), threading.Event()

    def waits(_item: int) -> None:
        at_work.set()
        assert let_go.wait(TIMEOUT)

    pool = WorkerPool(memory, threads=1)

    def stop() -> None:
        assert at_work.wait(TIMEOUT)
        pool.stop(timeout=0)
        let_go.set()

    thread = threading.Thread(target=stop)
    thread.start()

    with pytest.raises(RuntimeError, match="nobody works on the run any more"):
        list(pool.map(waits, [1, 2], name="run-1"))
    thread.join(TIMEOUT)
    assert ["pending", "pending"] == [job.status for job in memory.query_jobs()]
    with pytest.raises(RuntimeError, match="was stopped"):
        list(pool.map(waits, [1]))


class Plain(JobWorker):
    """Says which thread it is at work in."""

    job_types = ("plain",)
    threads: ClassVar[list[threading.Thread]] = []

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.threads.append(threading.current_thread())
        return None


def done(queue: JobQueue, named: str = "default") -> str:
    """How a new job for `Plain` ends."""
    job = queue.enqueue({}, type="plain", queue=named)
    return queue.wait_for(job.metadata.id, TIMEOUT).status


def test_the_threads_of_a_pool_at_work_do_its_runs_too(queue: JobQueue) -> None:
    at_work: list[threading.Thread] = []

    def noted(item: str) -> int:
        at_work.append(threading.current_thread())
        return len(item)

    Plain.threads.clear()
    with WorkerPool(queue, [Plain], threads=1) as pool:
        first = list(pool.map(noted, ["abc", "d"]))
        status = done(queue)
        second = list(pool.map(noted, ["ef"]))

    assert ([3, 1], "complete", [2]) == (first, status, second)
    assert 1 == len({*at_work, *Plain.threads})


def test_a_job_that_maps_in_its_own_pool_does_not_wait_for_its_own_thread(
    queue: JobQueue,
) -> None:
    pools: list[WorkerPool] = []

    @job_handler("outer")
    def outer(params: dict[str, Any]) -> list[int]:
        return list(pools[0].map(inner, [1, 2]))

    def inner(item: int) -> int:
        return sum(pools[0].map(abs, [item, -item]))

    pools.append(WorkerPool(queue, [outer], threads=1))
    job = queue.enqueue({}, type="outer", max_retries=0)
    with pools[0]:
        ended = queue.wait_for(job.metadata.id, TIMEOUT)

    assert {"value": [2, 4]} == getattr(ended, "result", ended)


def test_a_burst_does_not_leave_in_the_midst_of_a_run(memory: JobQueue) -> None:
    with WorkerPool(memory, [Plain], threads=2, burst=True) as pool:
        results = pool.map(len, ("a" * n for n in range(300)))
        first = next(results)
        assert eventually(lambda: memory.get_stats().pending == 0)

        assert [0, *range(1, 300)] == [first, *results]


def test_a_crew_that_finds_nothing_to_do_does_not_leave_a_run_that_just_came(
    memory: JobQueue,
) -> None:
    watch = Watch(Crew(memory, checked_roster([Plain], memory), Orders(threads=1, burst=True)))

    def run(name: str) -> Errand:
        guest = Post(partial(mapping.Caller, len, f"map:{name}"), "len", "fn")
        return Errand(guest, f"map:{name}", lambda _errand: watch)

    assert watch.take_on(run("first"))
    watch.leave("drained")
    assert watch.take_on(run("second"))
    watch.leave("stopped")
    assert not watch.take_on(run("third"))


def test_what_a_pool_is_narrowed_to_is_not_asked_of_its_runs(queue: JobQueue) -> None:
    with WorkerPool(queue, [Plain], types=["plain"], queues=["x"]) as pool:
        assert [1, 2] == list(pool.map(len, ["a", "bb"]))
        assert "complete" == done(queue, "x")


def test_a_run_that_is_left_gives_its_job_back_and_the_pool_goes_on(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.watch.LAST_WORDS", 0.05)
    at_work, let_go = threading.Event(), threading.Event()

    def hangs(item: int) -> int:
        if item == 1:
            at_work.set()
            assert let_go.wait(TIMEOUT)
        return item

    with WorkerPool(queue, [Plain], threads=1, grace=0) as pool:
        results = pool.map(hangs, [0, 1, 2], name="run-1")
        assert 0 == next(results)
        assert at_work.wait(TIMEOUT)
        results.close()  # type: ignore[attr-defined]

        left = [job.status for job in queue.query_jobs(type="map:run-1")]
        assert ["complete", "pending", "pending"] == sorted(left)
        assert "complete" == done(queue)
        let_go.set()
        assert [0, 1, 2] == list(pool.map(hangs, [0, 1, 2], name="run-1"))


def test_a_worker_of_any_type_does_no_run_s_jobs(queue: JobQueue) -> None:
    class OfAny(Plain):
        job_types = None  # type: ignore[assignment]

    queue.enqueue({"item": "a"}, type="map:run-1", id="map-run-1-00000000", max_retries=0)

    with WorkerPool(queue, [OfAny], threads=1) as pool:
        first = done(queue)
        results = list(pool.map(len, ["a", "bb"], name="run-1"))

    assert ("complete", [1, 2]) == (first, results)


def test_a_worker_of_any_type_beside_a_pool_does_no_run_s_jobs(queue: JobQueue) -> None:
    class OfAny(Plain):
        job_types = None  # type: ignore[assignment]

    queue.enqueue({"item": "a"}, type="map:run-1", id="map-run-1-00000000", max_retries=0)

    with OfAny(queue):
        first = done(queue)
        with WorkerPool(queue, threads=1) as pool:
            results = list(pool.map(len, ["a", "bb"], name="run-1"))

    assert ("complete", [1, 2]) == (first, results)


def test_what_a_pool_has_passed_over_is_done_once_it_belongs_to_a_run(queue: JobQueue) -> None:
    refused = threading.Event()

    class Choosy(Plain):
        job_types = None  # type: ignore[assignment]

        def can_process_job(self, job: Any) -> bool:
            refused.set()
            return False

    # As a script leaves it that was killed.
    queue.enqueue({"item": "a"}, type="map:run-1", id="map-run-1-00000000", max_retries=0)
    queue.enqueue({}, type="plain")  # offered after that one

    with WorkerPool(queue, [Choosy], threads=1) as pool:
        assert refused.wait(TIMEOUT)

        assert [1] == list(pool.map(len, ["a"], name="run-1"))


def test_an_item_that_json_cannot_hold_is_refused_and_begins_nothing(memory: JobQueue) -> None:
    with WorkerPool(memory) as pool, pytest.raises(JobEncodeError, match=r"params\.item"):
        list(pool.map(len, [{1, 2}]))

    assert [] == types_left(memory)
