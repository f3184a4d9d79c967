"""A claim: one job in somebody's hands, until it has an outcome."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import tenacity

from semiont_jobs import (
    ClaimLost,
    Event,
    InvalidValue,
    JobCancelled,
    JobEncodeError,
    JobFailed,
    JobQueue,
    JobTimeout,
    JobTooLarge,
    MemoryStore,
    PendingJob,
    RetryPolicy,
    RunningJob,
    Snooze,
)
from semiont_jobs.claim import AnyClaim
from semiont_jobs.in_hand import REPORT_INTERVAL
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import at_once, eventually, names_of, some

LATER = datetime(2030, 1, 1, tzinfo=UTC)
NAIVE = datetime(2030, 1, 1)
TEN_SECONDS = RetryPolicy(wait=tenacity.wait_fixed(10))


def held(queue: JobQueue, **options: Any) -> AnyClaim:
    """A claim on a new job."""
    job = queue.enqueue({"page": 1}, type="task", **options)
    return some(queue.claim_next_job(accept=lambda offered: offered.metadata.id == job.metadata.id))


def stored(queue: JobQueue, claim: AnyClaim) -> Any:
    """The claim's job as anyone reads it."""
    return some(queue.get_job(claim.job.metadata.id))


# -- as a context manager ------------------------------------------------------------------


def test_a_block_left_without_an_outcome_gives_the_job_back(queue: JobQueue) -> None:
    with held(queue) as claim:
        assert stored(queue, claim).status == "running"

    after = stored(queue, claim)
    assert (after.status, after.metadata.attempt_count) == ("pending", 0)
    assert not claim.is_open


def test_a_block_that_completed_the_job_changes_nothing_more(queue: JobQueue) -> None:
    with held(queue) as claim:
        done = claim.complete({"pages": 1})

    assert stored(queue, claim) == done


def test_an_exception_fails_the_job_and_goes_on_to_the_caller(queue: JobQueue) -> None:
    claim = held(queue, max_retries=0)
    error = ValueError("bad page")

    with pytest.raises(ValueError, match="bad page") as told, claim:
        raise error

    assert told.value is error
    failed = stored(queue, claim)
    assert (failed.status, failed.error) == ("failed", "ValueError: bad page")
    assert "bad page" in failed.metadata.attempts[-1].traceback


def test_an_exception_after_the_outcome_changes_nothing(queue: JobQueue) -> None:
    claim = held(queue)

    with pytest.raises(ValueError, match="late"), claim:
        claim.complete()
        raise ValueError("late")

    assert stored(queue, claim).status == "complete"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_no_exception_releases_the_job_and_goes_on(
    queue: JobQueue, error: BaseException
) -> None:
    claim = held(queue)

    with pytest.raises(type(error)), claim:
        raise error

    after = stored(queue, claim)
    assert (after.status, after.metadata.attempt_count) == ("pending", 0)


def test_a_snooze_is_obeyed_and_goes_no_further(queue: JobQueue, clock: FakeClock) -> None:
    claim = held(queue)

    with claim:
        raise Snooze(60)

    after = stored(queue, claim)
    assert (after.status, after.metadata.attempt_count) == ("pending", 0)
    assert after.metadata.run_after == clock() + timedelta(seconds=60)


def test_work_that_stops_when_asked_ends_cancelled_and_nobody_else_is_told(
    queue: JobQueue,
) -> None:
    claim = held(queue)
    queue.cancel_job(claim.job.metadata.id)

    with claim:
        claim.raise_if_cancelled()

    assert stored(queue, claim).status == "cancelled"


def test_a_claim_lost_within_the_block_goes_on_to_the_caller(clock: FakeClock) -> None:
    store = MemoryStore()
    queue = JobQueue(store, clock=clock)
    claim = held(queue)
    store.kill_holder(claim.job.metadata.id)
    queue.rescue_orphans()

    with pytest.raises(ClaimLost), claim:
        claim.complete()

    assert stored(queue, claim).status == "pending"


def test_losing_another_claim_within_the_block_fails_this_job(queue: JobQueue) -> None:
    claim, other = held(queue, max_retries=0), held(queue)
    other.release()

    with pytest.raises(ClaimLost), claim:
        other.complete()

    assert not claim.is_open
    assert stored(queue, claim).status == "failed"


@pytest.mark.parametrize("until", [NAIVE, "soon", float("nan"), float("inf")])
def test_a_snooze_to_no_time_is_a_failed_attempt(queue: JobQueue, until: Any) -> None:
    claim = held(queue, max_retries=0)

    with pytest.raises((InvalidValue, Snooze)), claim:
        raise Snooze(until)

    assert not claim.is_open
    assert stored(queue, claim).status == "failed"


# -- outcomes ------------------------------------------------------------------------------

OUTCOMES: dict[str, Callable[[AnyClaim], Any]] = {
    "complete": lambda claim: claim.complete({"pages": 1}),
    "fail": lambda claim: claim.fail("it broke"),
    "snooze": lambda claim: claim.snooze(5),
    "release": lambda claim: claim.release(),
    "cancel": lambda claim: claim.cancel(),
}
LATE: dict[str, Callable[[AnyClaim], Any]] = {
    **OUTCOMES,
    "report": lambda claim: claim.report(1),
    "checkpoint": lambda claim: claim.checkpoint(["p"]),
    "raise_if_cancelled": lambda claim: claim.raise_if_cancelled(),
    "update": lambda claim: claim.update(claim.job),
}


@pytest.mark.parametrize("verb", OUTCOMES)
def test_an_outcome_is_returned_as_it_is_stored_and_ends_the_claim(
    queue: JobQueue, verb: str
) -> None:
    claim = held(queue)

    after = OUTCOMES[verb](claim)

    assert after == stored(queue, claim)
    assert not claim.is_open


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("verb", OUTCOMES)
def test_a_claim_has_one_outcome_and_says_which(queue: JobQueue, verb: str, late: str) -> None:
    claim = held(queue)
    after = OUTCOMES[verb](claim)

    with pytest.raises(ClaimLost, match=rf"this claim ended already \({verb}\)") as told:
        LATE[late](claim)

    assert told.value.job_id == claim.job.metadata.id
    assert stored(queue, claim) == after


def test_an_outcome_is_recorded_once_by_many_threads(queue: JobQueue) -> None:
    claim = held(queue)

    def end(n: int) -> int | None:
        try:
            claim.complete({"by": n})
        except ClaimLost:
            return None
        return n

    said = at_once([lambda n=n: end(n) for n in range(8)])  # type: ignore[misc]

    [winner] = [n for n in said if n is not None]
    assert stored(queue, claim).result == {"by": winner}


def test_a_text_stands_for_a_job_failed(queue: JobQueue) -> None:
    failed = held(queue, max_retries=0).fail("no such page")

    assert failed.status == "failed"
    assert failed.error == "JobFailed: no such page"
    assert failed.metadata.attempts[-1].error_type == JobFailed.__name__


def test_a_failed_attempt_waits_as_the_policy_says(
    make_queue: Callable[..., JobQueue], clock: FakeClock
) -> None:
    queue = make_queue(retry_policy=TEN_SECONDS)
    clock.advance(1)

    waiting = held(queue).fail(ValueError("x"))

    assert waiting.metadata.run_after == clock() + timedelta(seconds=10)
    assert waiting.metadata.retry_count == 1


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (LATER, lambda _now: LATER),
        (90, lambda now: now + timedelta(seconds=90)),
        (0.5, lambda now: now + timedelta(milliseconds=500)),
        (timedelta(days=2), lambda now: now + timedelta(days=2)),
    ],
)
def test_a_snooze_lasts_until_an_instant_or_for_a_time(
    queue: JobQueue, clock: FakeClock, until: Any, expected: Any
) -> None:
    waiting = held(queue).snooze(until)

    assert waiting.metadata.run_after == expected(clock())
    assert waiting.metadata.attempt_count == 0


def test_a_snooze_is_returned_as_it_is_stored_also_between_two_milliseconds(
    queue: JobQueue,
) -> None:
    claim = held(queue)

    waiting = claim.snooze(LATER + timedelta(microseconds=123_456))

    assert waiting == stored(queue, claim)


@pytest.mark.parametrize("bad", [NAIVE, "soon", None, float("nan"), float("inf"), 1e300])
def test_a_snooze_to_no_time_is_refused_and_the_claim_goes_on(queue: JobQueue, bad: Any) -> None:
    claim = held(queue)

    with pytest.raises(InvalidValue) as told:
        claim.snooze(bad)

    assert (told.value.field, told.value.job_id) == ("until", claim.job.metadata.id)
    assert told.value.value is bad
    assert claim.complete().status == "complete"


UNWRITABLE = [({"a": {1}}, "result.a"), (object(), "result"), ([float("nan")], "result[0]")]


@pytest.mark.parametrize(("result", "path"), UNWRITABLE)
def test_a_result_that_json_cannot_hold_is_refused_and_the_claim_goes_on(
    queue: JobQueue, result: Any, path: str
) -> None:
    claim = held(queue)

    with pytest.raises(JobEncodeError) as told:
        claim.complete(result)

    assert isinstance(told.value, TypeError)
    assert (told.value.path, told.value.job_id) == (path, claim.job.metadata.id)
    assert stored(queue, claim).status == "running"
    assert claim.complete("this one").status == "complete"


# -- progress ------------------------------------------------------------------------------


@pytest.fixture
def long_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress is written once an hour, so that no machine is too slow for these tests."""
    monkeypatch.setattr("semiont_jobs.in_hand.REPORT_INTERVAL", 3600.0)


def test_progress_is_written_every_half_second() -> None:
    assert REPORT_INTERVAL == 0.5


@pytest.mark.usefixtures("long_window")
def test_the_first_report_is_written_at_once_and_later_ones_are_held_back(
    queue: JobQueue,
) -> None:
    claim = held(queue)

    claim.report({"page": 1})
    claim.report({"page": 2})

    assert stored(queue, claim).progress == {"page": 1}
    assert claim.job.progress == {"page": 2}


@pytest.mark.usefixtures("long_window")
def test_a_report_held_back_is_written_when_the_window_ends(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = held(queue)
    claim.report({"page": 1})
    claim.report({"page": 2})
    queue.keep_house()
    assert stored(queue, claim).progress == {"page": 1}

    monkeypatch.setattr("semiont_jobs.in_hand.REPORT_INTERVAL", 0.0)
    queue.keep_house()

    assert stored(queue, claim).progress == {"page": 2}


@pytest.mark.usefixtures("long_window")
@pytest.mark.parametrize("verb", OUTCOMES)
def test_a_report_held_back_is_told_before_the_outcome(queue: JobQueue, verb: str) -> None:
    events: list[Event] = []
    queue.subscribe(events.append)
    claim = held(queue)
    claim.report({"page": 1})
    claim.report({"page": 2})

    OUTCOMES[verb](claim)

    assert names_of(events)[:4] == ["created", "claimed", "reported", "reported"]
    assert isinstance(events[3].job, RunningJob)
    assert events[3].job.progress == {"page": 2}


@pytest.mark.usefixtures("long_window")
@pytest.mark.parametrize("verb", OUTCOMES)
def test_whoever_sees_the_outcome_has_heard_of_the_last_report(queue: JobQueue, verb: str) -> None:
    claim = held(queue)
    seen: list[tuple[str, str]] = []
    claim.report({"page": 1})
    claim.report({"page": 2})
    queue.subscribe(lambda event: seen.append((event.name, stored(queue, claim).status)))

    after = OUTCOMES[verb](claim)

    assert seen[0] == ("reported", "running")
    assert [after.status] == [status for _name, status in seen[1:]]


@pytest.mark.usefixtures("long_window")
def test_a_claim_that_a_hook_ends_before_the_outcome_has_that_end(queue: JobQueue) -> None:
    claim = held(queue)
    claim.report({"page": 1})
    claim.report({"page": 2})
    queue.subscribe(lambda event: event.name == "reported" and claim.release())

    with pytest.raises(ClaimLost, match=r"ended already \(release\)"):
        claim.complete()

    assert stored(queue, claim).status == "pending"


@pytest.mark.usefixtures("long_window")
def test_what_is_reported_while_the_last_report_is_told_is_not_lost(queue: JobQueue) -> None:
    claim = held(queue)
    told: list[Any] = []
    claim.report({"page": 1})
    claim.report({"page": 2})

    def report_more(event: Event) -> None:
        if event.name == "reported":
            told.append(event.job.progress)  # type: ignore[union-attr]
            if len(told) == 1:
                claim.report({"page": 3})

    queue.subscribe(report_more)

    claim.complete()

    assert told == [{"page": 2}, {"page": 3}]


@pytest.mark.usefixtures("long_window")
def test_a_checkpoint_takes_a_report_held_back_along(queue: JobQueue) -> None:
    claim = held(queue)
    claim.report({"page": 1})
    claim.report({"page": 2})

    claim.checkpoint(["p1"], {"p2": 5})

    after = stored(queue, claim)
    assert after.progress == {"page": 2}
    assert after.metadata.completed_units == ("p1",)
    assert after.metadata.unit_cursors == {"p2": 5}


@pytest.mark.usefixtures("long_window")
def test_a_report_after_a_checkpoint_loses_no_unit(queue: JobQueue) -> None:
    claim = held(queue)
    claim.report({"page": 1})
    claim.checkpoint(["p1"])
    claim.report({"page": 2})

    done = claim.complete()

    assert done.metadata.completed_units == ("p1",)


def test_a_report_held_back_is_written_by_the_queues_own_thread(queue: JobQueue) -> None:
    claim = held(queue)

    for page in range(50):
        claim.report({"page": page})

    eventually(lambda: stored(queue, claim).progress == {"page": 49})


@pytest.mark.parametrize("bad", [{1}, {"a": float("nan")}, {"a": "\ud800"}])
def test_progress_that_json_cannot_hold_is_refused_and_changes_nothing(
    queue: JobQueue, bad: Any
) -> None:
    claim = held(queue)
    claim.report({"page": 1})

    with pytest.raises(JobEncodeError) as told:
        claim.report(bad)

    assert told.value.path.startswith("progress")
    assert told.value.job_id == claim.job.metadata.id
    assert claim.job.progress == {"page": 1}
    assert claim.complete().status == "complete"


def too_deep() -> Any:
    """A value that JSON can hold by itself, but not inside a job."""
    value: Any = "x"
    for _ in range(200):
        value = [value]
    return value


TOO_MUCH: list[tuple[Callable[[], Any], type[Exception]]] = [
    (lambda: "x" * (17 * 1024 * 1024), JobTooLarge),
    (too_deep, JobEncodeError),
]


@pytest.mark.parametrize(("make", "error"), TOO_MUCH, ids=["too large", "too deep"])
def test_progress_that_no_job_can_hold_is_refused_and_the_claim_goes_on(
    queue: JobQueue, make: Callable[[], Any], error: type[Exception]
) -> None:
    claim = held(queue)

    with pytest.raises(error):
        claim.report(make())

    done = claim.complete({"pages": 1})
    assert stored(queue, claim) == done


@pytest.mark.usefixtures("long_window")
@pytest.mark.parametrize("verb", OUTCOMES)
def test_progress_held_back_that_no_job_can_hold_does_not_stand_in_the_outcomes_way(
    memory: JobQueue, verb: str
) -> None:
    claim = held(memory)
    claim.report({"page": 1})
    with suppress(JobTooLarge):  # refused now, or when it would be written
        claim.report("x" * (17 * 1024 * 1024))

    after = OUTCOMES[verb](claim)

    assert stored(memory, claim) == after


# -- checkpoints ---------------------------------------------------------------------------


def test_a_checkpoint_is_stored_at_once_and_survives_the_attempt(queue: JobQueue) -> None:
    claim = held(queue)

    for unit in ("p1", "p2"):
        claim.checkpoint([unit], {"all": unit})
        assert unit in stored(queue, claim).metadata.completed_units
    waiting = claim.fail("it broke")

    assert waiting.metadata.completed_units == ("p1", "p2")
    assert waiting.metadata.unit_cursors == {"all": "p2"}


def test_a_checkpoint_of_nothing_is_legal(queue: JobQueue) -> None:
    claim = held(queue)

    claim.checkpoint()

    assert stored(queue, claim).metadata.completed_units == ()


@pytest.mark.parametrize("bad", ["p1", [1], [None], (b"p1",)])
def test_units_that_are_no_list_of_texts_are_refused(queue: JobQueue, bad: Any) -> None:
    claim = held(queue)

    with pytest.raises(InvalidValue) as told:
        claim.checkpoint(bad)

    assert told.value.field == "units"
    assert stored(queue, claim).metadata.completed_units == ()


@pytest.mark.parametrize("bad", [5, "p1", ["p1"], [("p1", 1)], True])
def test_cursors_that_are_no_dict_are_refused(queue: JobQueue, bad: Any) -> None:
    claim = held(queue)

    with pytest.raises(InvalidValue) as told:
        claim.checkpoint(cursors=bad)

    assert (told.value.field, told.value.value) == ("cursors", bad)
    assert stored(queue, claim).metadata.unit_cursors == {}


@pytest.mark.parametrize(
    ("units", "cursors", "path"),
    [(["\ud800"], None, "units[0]"), ([], {"p": {1}}, "cursors.p"), ([], {1: 2}, "cursors")],
)
def test_a_checkpoint_that_json_cannot_hold_is_refused_and_changes_nothing(
    queue: JobQueue, units: Any, cursors: Any, path: str
) -> None:
    claim = held(queue)
    before = stored(queue, claim)

    with pytest.raises(JobEncodeError) as told:
        claim.checkpoint(units, cursors)

    assert told.value.path == path
    assert stored(queue, claim) == before
    assert claim.complete().status == "complete"


def test_what_is_done_to_a_cursor_afterwards_changes_nothing_stored(queue: JobQueue) -> None:
    claim = held(queue)
    cursors = {"p": [1]}

    claim.checkpoint(cursors=cursors)
    cursors["p"].append(2)

    assert stored(queue, claim).metadata.unit_cursors == {"p": [1]}


# -- stopping and losing -------------------------------------------------------------------


def test_a_claim_that_nobody_cancelled_goes_on(queue: JobQueue) -> None:
    claim = held(queue, timeout=60)

    claim.raise_if_cancelled()

    assert not claim.cancelled.is_set()
    assert claim.is_open


def test_work_that_was_asked_to_stop_is_told_by_report_and_by_event(queue: JobQueue) -> None:
    claim = held(queue)

    assert queue.cancel_job(claim.job.metadata.id)

    assert claim.cancelled.is_set()
    with pytest.raises(JobCancelled, match=claim.job.metadata.id):
        claim.report({"page": 1})
    assert claim.settle(JobCancelled()).status == "cancelled"


def test_work_that_finishes_although_asked_to_stop_is_complete(queue: JobQueue) -> None:
    claim = held(queue)
    queue.cancel_job(claim.job.metadata.id)

    assert claim.complete().status == "complete"


def test_time_that_is_up_is_a_time_out(queue: JobQueue, clock: FakeClock) -> None:
    claim = held(queue, timeout=60, max_retries=0)
    assert claim.deadline == clock() + timedelta(seconds=60)
    clock.advance(59.999)
    claim.raise_if_cancelled()
    clock.advance(0.001)

    with pytest.raises(JobTimeout, match="it took more than its 60 seconds"), claim:
        claim.raise_if_cancelled()

    after = stored(queue, claim)
    assert (after.status, after.metadata.attempts[-1].outcome) == ("failed", "timeout")


def test_a_clock_that_is_set_forward_ends_no_attempt() -> None:
    with JobQueue("memory:") as by_the_system, held(by_the_system, timeout=3600) as claim:
        by_the_system.clock = lambda: LATER

        claim.raise_if_cancelled()


def test_a_clock_that_is_set_back_gives_an_attempt_no_more_time() -> None:
    with JobQueue("memory:") as by_the_system, held(by_the_system, timeout=0.05) as claim:
        by_the_system.clock = lambda: datetime(2001, 1, 1, tzinfo=UTC)

        assert claim.cancelled.wait(60)  # the keeper looks twice a second
        with pytest.raises(JobTimeout):
            claim.raise_if_cancelled()


def test_a_job_without_a_time_limit_has_no_deadline(queue: JobQueue, clock: FakeClock) -> None:
    claim = held(queue)
    clock.advance(10**9)

    assert claim.deadline is None
    claim.raise_if_cancelled()


@pytest.fixture
def superseded(clock: FakeClock) -> tuple[JobQueue, AnyClaim, AnyClaim]:
    """A queue, a claim whose holder was taken for dead, and the one that came after it."""
    store = MemoryStore()
    queue = JobQueue(store, clock=clock)
    first = held(queue)
    store.kill_holder(first.job.metadata.id)
    queue.rescue_orphans()
    return queue, first, some(queue.claim_next_job())


Superseded = tuple[JobQueue, AnyClaim, AnyClaim]


@pytest.mark.parametrize("verb", [verb for verb in LATE if verb != "raise_if_cancelled"])
def test_a_superseded_claim_can_change_nothing(superseded: Superseded, verb: str) -> None:
    queue, first, second = superseded
    before = queue.get_job(first.job.metadata.id)

    with pytest.raises(ClaimLost):
        LATE[verb](first)

    assert queue.get_job(first.job.metadata.id) == before
    assert not first.is_open
    assert second.complete().status == "complete"


def test_a_superseded_claim_is_told_to_stop(superseded: Superseded) -> None:
    _queue, first, _second = superseded

    first.watch()

    assert first.cancelled.is_set()
    assert not first.is_open
    with pytest.raises(ClaimLost, match="somebody else moved or removed the job"):
        first.raise_if_cancelled()
    first.watch()
    first.flush_if_due()


def test_a_claim_after_a_rescue_has_a_token_of_its_own(superseded: Superseded) -> None:
    _queue, first, second = superseded

    tokens = [some(claim.job.metadata.claim).token for claim in (first, second)]

    assert tokens[0] != tokens[1]


def test_a_claim_names_its_worker_host_and_process(queue: JobQueue) -> None:
    queue.enqueue({}, type="task")

    stamp = some(some(queue.claim_next_job(worker="w-1")).job.metadata.claim)

    assert stamp.worker == "w-1"
    assert stamp.pid > 0
    assert stamp.host


def test_reports_from_many_threads_end_with_one_of_the_last(queue: JobQueue) -> None:
    claim = held(queue)

    def report(n: int) -> None:
        for page in range(50):
            claim.report({"thread": n, "page": page})

    at_once([lambda n=n: report(n) for n in range(4)])  # type: ignore[misc]

    assert claim.job.progress is not None
    assert claim.job.progress["page"] == 49
    assert isinstance(claim.release(), PendingJob)


@pytest.mark.parametrize("place", ["memory:", "files"])
def test_what_the_work_does_to_the_params_in_its_hands_is_not_stored(
    tmp_path: Path, place: str
) -> None:
    with JobQueue(tmp_path if place == "files" else place, fsync=False) as queue:
        queue.enqueue({"url": "x"}, type="task", id="j")
        claim = queue.claim_next_job()
        assert claim is not None
        claim.job.params.pop("url")
        claim.job.params["odd"] = {1}

        claim.checkpoint(["a"])
        claim.fail("broke")

        stored = queue.get_job("j")
        assert stored is not None
        assert {"url": "x"} == stored.params
