"""Events: one fact per transition, the log, and hooks that harm no job."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import tenacity
from workers import TIMEOUT, Worker

from semiont_jobs import Event, JobMetadata, JobQueue, MemoryStore, PendingJob, RetryPolicy, evolve
from semiont_jobs.claim import AnyClaim
from semiont_jobs.keeper import Keeper
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import kept, names_of, some

AT_ONCE = RetryPolicy(wait=tenacity.wait_none())


@pytest.fixture(autouse=True)
def _no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a queue that the test before has left: it would have something to say in this one."""
    monkeypatch.setattr(Keeper, "start", lambda _keeper: None)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def watched(store: MemoryStore, clock: FakeClock) -> tuple[JobQueue, list[Event]]:
    """A queue, and every event it sends."""
    events: list[Event] = []
    queue = kept(JobQueue(store, clock=clock, retry_policy=AT_ONCE, hooks=[events.append]))
    return queue, events


Watched = tuple[JobQueue, list[Event]]


def held(queue: JobQueue, **options: Any) -> AnyClaim:
    queue.enqueue({"page": 1}, type="task", **options)
    return some(queue.claim_next_job())


def rescued(queue: JobQueue, store: MemoryStore, *, again: int = 0) -> None:
    claim = some(queue.claim_next_job()) if again else held(queue)
    store.kill_holder(claim.job.metadata.id)
    queue.rescue_orphans()


def removed(queue: JobQueue, clock: FakeClock) -> None:
    held(queue).complete()
    queue.cleanup_completed_jobs(clock.advance(1))


GIVEN_UP = ["created", *("claimed", "rescued") * 3, "claimed", "failed"]
ACTS: list[tuple[Callable[[JobQueue, MemoryStore, FakeClock], object], list[str]]] = [
    (lambda queue, *_: held(queue), ["created", "claimed"]),
    (lambda queue, *_: held(queue).report(1), ["created", "claimed", "reported"]),
    (lambda queue, *_: held(queue).checkpoint(["p"]), ["created", "claimed", "checkpointed"]),
    (lambda queue, *_: held(queue).complete(), ["created", "claimed", "completed"]),
    (lambda queue, *_: held(queue).fail("no"), ["created", "claimed", "retrying"]),
    (lambda queue, *_: held(queue, max_retries=0).fail("no"), ["created", "claimed", "failed"]),
    (lambda queue, *_: held(queue).snooze(5), ["created", "claimed", "snoozed"]),
    (lambda queue, *_: held(queue).release(), ["created", "claimed", "released"]),
    (lambda queue, *_: held(queue).cancel(), ["created", "claimed", "cancelled"]),
    (
        lambda queue, *_: queue.retry_job(held(queue).cancel().metadata.id),
        ["created", "claimed", "cancelled", "retried"],
    ),
    (lambda queue, store, _clock: rescued(queue, store), ["created", "claimed", "rescued"]),
    (lambda queue, store, _: [rescued(queue, store, again=n) for n in range(4)], GIVEN_UP),
    (
        lambda queue, _store, clock: removed(queue, clock),
        ["created", "claimed", "completed", "removed"],
    ),
    (
        lambda queue, *_: queue.cancel_job(queue.enqueue({}, type="task").metadata.id),
        ["created", "cancelled"],
    ),
]


@pytest.mark.parametrize(("act", "names"), ACTS)
def test_each_transition_is_told_once_with_the_job_as_stored(
    watched: Watched, store: MemoryStore, clock: FakeClock, act: Any, names: list[str]
) -> None:
    queue, events = watched

    act(queue, store, clock)

    assert names_of(events) == names
    last = events[-1]
    assert last.job is not None
    assert (last.job_id, last.at, last.reason) == (last.job.metadata.id, clock(), "")
    if last.name != "removed":
        assert queue.get_job(last.job_id) == last.job


def test_what_was_set_aside_is_told_by_its_name_and_reason(
    watched: Watched, store: MemoryStore
) -> None:
    queue, events = watched
    queue.initialize()
    store.plant("bad.json", b"{")

    assert queue.claim_next_job() is None

    [event] = events
    assert (event.name, event.job_id, event.job) == ("quarantined", "bad.json", None)
    assert event.reason.startswith("not JSON: ")


def test_an_event_cannot_be_changed(watched: Watched) -> None:
    queue, events = watched
    queue.enqueue({}, type="task")

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        events[0].reason = "x"  # type: ignore[misc]


def test_an_edit_of_a_waiting_job_is_no_transition_and_is_not_told(watched: Watched) -> None:
    queue, events = watched
    job = queue.enqueue({}, type="task")

    queue.update_job(evolve(job, metadata=evolve(job.metadata, priority=5)))

    assert names_of(events) == ["created"]


def test_a_refused_create_is_not_told(watched: Watched) -> None:
    queue, events = watched
    job = queue.enqueue({}, type="task")

    with pytest.raises(ValueError, match="exists already"):
        queue.create_jobs([PendingJob(metadata=JobMetadata(type="task"), params={}), job])

    assert names_of(events) == ["created"]


# -- hooks ---------------------------------------------------------------------------------


def test_a_hook_hears_until_it_is_unsubscribed(memory: JobQueue) -> None:
    first: list[Event] = []
    second: list[Event] = []
    end_first = memory.subscribe(first.append)
    memory.subscribe(second.append)

    memory.enqueue({}, type="task")
    end_first()
    end_first()
    memory.enqueue({}, type="task")

    assert (len(first), len(second)) == (1, 2)


def test_who_unsubscribes_ends_nobody_elses_subscription_of_the_same_hook(memory: JobQueue) -> None:
    heard: list[Event] = []
    hook = heard.append
    end_one, end_other = memory.subscribe(hook), memory.subscribe(hook)

    end_one()
    end_one()
    memory.enqueue({}, type="task")
    assert names_of(heard) == ["created"]

    end_other()
    memory.enqueue({}, type="task")
    assert names_of(heard) == ["created"]


def test_a_hook_is_called_in_the_thread_that_acted(memory: JobQueue) -> None:
    threads: list[int] = []
    memory.subscribe(lambda _event: threads.append(threading.get_ident()))

    memory.enqueue({}, type="task")

    assert threads == [threading.get_ident()]


def test_a_hook_may_use_the_queue(memory: JobQueue) -> None:
    def follow_up(event: Event) -> None:
        if event.name == "completed":
            memory.enqueue({"after": event.job_id}, type="next")

    memory.subscribe(follow_up)
    done = held(memory).complete()

    assert some(memory.poll_next_pending_job()).params == {"after": done.metadata.id}


def broken_function(_event: Event) -> None:
    raise ValueError("broken")


class BrokenMethod:
    def hear(self, _event: Event) -> None:
        raise ValueError("broken")


@attrs.define
class BrokenValue:
    """Equal by its fields, so it has no hash."""

    name: str = "x"

    def __call__(self, _event: Event) -> None:
        raise ValueError("broken")


def exiting(_event: Event) -> None:
    raise SystemExit(3)


HOOKS = {
    "a function": broken_function,
    "a method": BrokenMethod().hear,
    "an object without a hash": BrokenValue(),
    "one that exits": exiting,
}


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_a_hook_that_raises_harms_no_job_and_no_other_hook(
    memory: JobQueue, hook: Callable[[Event], None]
) -> None:
    events: list[Event] = []
    memory.subscribe(hook)
    memory.subscribe(events.append)

    done = held(memory).complete({"pages": 1})

    assert memory.get_job(done.metadata.id) == done
    assert names_of(events) == ["created", "claimed", "completed"]


class Cut(BaseException):
    """What asyncio and others end a task with."""


@pytest.mark.parametrize("error", [Cut, KeyboardInterrupt, SystemExit])
def test_a_hook_that_raises_no_exception_ends_no_thread_of_a_worker(
    memory: JobQueue, error: type[BaseException]
) -> None:
    def hook(event: Event) -> None:
        if event.name == "claimed":
            raise error

    memory.subscribe(hook)
    with Worker(memory, lambda _worker, _job: None):
        for _ in range(2):
            job = memory.enqueue({}, type="task")
            assert memory.wait_for(job.metadata.id, TIMEOUT).status == "complete"


def test_what_a_signals_handler_raises_in_a_hook_is_the_main_threads_own(
    memory: JobQueue,
) -> None:
    def hook(event: Event) -> None:
        if event.name == "created":
            raise Cut

    end = memory.subscribe(hook)
    with pytest.raises(Cut):
        memory.enqueue({}, type="task", id="j")
    end()

    assert memory.get_job("j") is not None


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_the_failure_of_a_hook_is_reported_once(
    memory: JobQueue, caplog: pytest.LogCaptureFixture, hook: Callable[[Event], None]
) -> None:
    memory.subscribe(hook)

    for _ in range(3):
        memory.enqueue({}, type="task")

    reports = [record for record in caplog.records if record.exc_info]
    assert len(reports) == 1
    assert "its later failures are not logged" in reports[0].getMessage()


def test_the_failure_of_each_of_two_hooks_is_reported(
    memory: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    memory.subscribe(broken_function)
    memory.subscribe(BrokenMethod().hear)

    memory.enqueue({}, type="task")
    memory.enqueue({}, type="task")

    assert len([record for record in caplog.records if record.exc_info]) == 2


# -- the log -------------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, int]]:
    """Level, event and attempt of each record of an event."""
    records = [vars(each) for each in caplog.records if hasattr(each, "event")]
    return [(each["levelname"], each["event"], each["attempt"]) for each in records]


def test_each_event_is_one_record_with_job_type_and_attempt(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "semiont_jobs")
    queue = JobQueue("memory:", clock=clock, retry_policy=AT_ONCE)
    claim = held(queue, id="j", max_retries=1)
    claim.report(1)
    claim.checkpoint(["p"])
    claim.fail("first")
    some(queue.claim_next_job()).fail("second")

    assert logged(caplog) == [
        ("INFO", "created", 0),
        ("INFO", "claimed", 1),
        ("DEBUG", "reported", 1),
        ("DEBUG", "checkpointed", 1),
        ("WARNING", "retrying", 1),
        ("INFO", "claimed", 2),
        ("ERROR", "failed", 2),
    ]
    assert {(record.job_id, record.job_type) for record in caplog.records} == {("j", "task")}  # type: ignore[attr-defined]
    assert [record.getMessage() for record in caplog.records][-3:] == [
        "retrying j: 'JobFailed: first'",
        "claimed j",
        "failed j: 'JobFailed: second'",
    ]


def test_rescue_and_quarantine_are_logged_with_their_reasons(
    store: MemoryStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "semiont_jobs")
    queue = kept(JobQueue(store))
    rescued(queue, store)
    store.plant("bad\n\x1b[31m.json", b"{")
    queue.claim_next_job(types=["other"])

    rescue, quarantine = (each for each in caplog.records if hasattr(each, "event"))
    assert (rescue.levelname, quarantine.levelname) == ("WARNING", "ERROR")
    assert "died while it held the job" in rescue.getMessage()
    assert "not JSON" in quarantine.getMessage()
    assert quarantine.job_type == ""  # type: ignore[attr-defined]


@pytest.mark.parametrize("level", [logging.INFO, logging.ERROR])
def test_what_is_below_the_level_is_not_logged_but_told_to_hooks(
    watched: Watched, caplog: pytest.LogCaptureFixture, level: int
) -> None:
    caplog.set_level(level, "semiont_jobs")
    queue, events = watched

    held(queue).report(1)

    assert names_of(events) == ["created", "claimed", "reported"]
    assert logged(caplog) == (
        [("INFO", "created", 0), ("INFO", "claimed", 1)] if level == logging.INFO else []
    )


def test_texts_of_a_job_are_escaped_in_the_log(
    memory: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    failed = held(memory, max_retries=0).fail("line\nforged \x1b[31m record\u202e")

    # Of this job: threads that earlier tests left may log as well.
    told = [each for each in caplog.records if vars(each).get("job_id") == failed.metadata.id]
    assert "failed" in [vars(each)["event"] for each in told]
    assert all(each.getMessage().isprintable() for each in told)


SILENT = """
from semiont_jobs import JobQueue, RetryPolicy

queue = JobQueue("memory:", hooks=[lambda event: 1 / 0])
queue.enqueue({}, type="task", max_retries=0)
queue.claim_next_job().fail("broken")
print(queue.get_stats().failed)
"""


def test_the_log_is_silent_until_an_application_asks_for_it() -> None:
    run = subprocess.run(
        [sys.executable, "-c", SILENT], capture_output=True, text=True, timeout=60, check=True
    )

    assert (run.stdout, run.stderr) == ("1\n", "")
