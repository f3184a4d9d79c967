"""What the work says while it goes on: progress, now and then, and checkpoints, at once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from claims import OUTCOMES, held, stored

from semiont_jobs import (
    ClaimLost,
    Event,
    InvalidValue,
    JobEncodeError,
    JobQueue,
    JobTooLarge,
    RunningJob,
)
from semiont_jobs.in_hand import REPORT_INTERVAL
from semiont_jobs.testing.suite import eventually, names_of

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
def test_what_becomes_of_the_object_afterwards_is_no_matter_of_a_report_held_back(
    queue: JobQueue,
) -> None:
    claim = held(queue)
    progress: dict[str, Any] = {"page": 1, "seen": [1]}
    claim.report(progress)
    claim.report(progress | {"page": 2})
    held_back: dict[str, Any] = {"page": 3, "seen": [1]}
    claim.report(held_back)

    held_back["seen"].append({2, 3})  # JSON has no sets
    with pytest.raises(JobEncodeError, match=r"seen\[1\]"):
        claim.report(held_back)
    queue.keep_house()

    assert claim.job.progress == {"page": 3, "seen": [1]}
    assert claim.fail(ValueError("no")).status == "pending"


def test_progress_that_cannot_be_copied_is_reported_all_the_same(queue: JobQueue) -> None:
    class Locked(dict[str, Any]):
        def __deepcopy__(self, _memo: object) -> object:
            raise TypeError("cannot pickle '_thread.lock' object")

    claim = held(queue)
    claim.report(Locked(page=1))
    claim.checkpoint(cursors={"files": Locked(page=2)})

    assert stored(queue, claim).progress == {"page": 1}
    assert stored(queue, claim).metadata.unit_cursors == {"files": {"page": 2}}


def test_what_becomes_of_the_object_afterwards_is_no_matter_of_a_cursor(queue: JobQueue) -> None:
    claim = held(queue)
    names: list[Any] = ["a"]
    claim.checkpoint(cursors={"files": names})

    names.append({1, 2})

    assert claim.fail(ValueError("no")).metadata.unit_cursors == {"files": ["a"]}


def test_progress_that_can_be_written_no_more_prevents_no_outcome(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.claim.copy.deepcopy", lambda given: given)
    monkeypatch.setattr("semiont_jobs.in_hand.REPORT_INTERVAL", 3600.0)
    claim = held(queue)
    claim.report({})
    progress: dict[str, Any] = {}
    claim.report(progress)
    progress["seen"] = {1}

    assert claim.complete({"ok": True}).result == {"ok": True}


def test_a_claim_that_cannot_be_looked_after_keeps_no_other_from_it(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ill, sound = held(queue), held(queue)
    looked_after: list[str] = []

    def fail() -> None:
        raise RuntimeError("ill")

    monkeypatch.setattr(ill, "look_after", fail)
    monkeypatch.setattr(sound, "look_after", lambda: looked_after.append("sound"))
    monkeypatch.setattr(queue, "_rescue_if_due", lambda: looked_after.append("orphans"))
    for _ in range(2):
        queue.keep_house()

    assert looked_after == ["sound", "orphans"] * 2
    assert caplog.text.count("cannot be looked after: ill") == 1

    monkeypatch.undo()
    queue.keep_house()
    monkeypatch.setattr(ill, "look_after", fail)
    queue.keep_house()
    assert caplog.text.count("cannot be looked after: ill") == 2  # it had recovered


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


@pytest.mark.usefixtures("long_window")
def test_progress_that_leaves_no_room_for_the_outcome_is_refused_at_once(
    memory: JobQueue,
) -> None:
    claim = held(memory)
    claim.report({"page": 1})

    with pytest.raises(JobTooLarge):
        claim.report("x" * (15 * 1024 * 1024))

    assert claim.job.progress == {"page": 1}
    done = claim.complete({"pages": 1})
    assert stored(memory, claim) == done


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
