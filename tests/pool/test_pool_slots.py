"""Places of a pool that cannot be filled, or whose process talks without end."""

from __future__ import annotations

import errno
import logging
import multiprocessing
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs import JobQueue, JobWorker, RunningJob, ThreadRefused, WorkerPool
from semiont_jobs.pool import slot as slots
from semiont_jobs.pool.echo import _Sender
from semiont_jobs.pool.slot import Slot
from semiont_jobs.pool.wire import Wire


class Dies(JobWorker):
    """Its thread does, with the first job."""

    job_types = ("dies",)

    def work_on(self, claim: Any) -> None:
        raise SystemExit

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return None


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    pool = WorkerPool(JobQueue(tmp_path / "data", fsync=False), [Dies], processes=2)
    return Slot(0, pool._assignment)


def other_end(slot: Slot) -> Connection[Any, Any]:
    """A process's end of the pipe to that place."""
    ours, theirs = multiprocessing.Pipe()
    slot.wire = Wire(ours)
    return theirs


class Picky(OSError):
    """Pickles, and cannot be made again."""

    def __init__(self, code: int, place: str) -> None:
        super().__init__(f"{code} at {place}")


def test_what_a_process_tells_that_cannot_be_read_is_passed_over(
    slot: Slot, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = other_end(slot)
    for message in [("log", Picky(500, "/x")), ("ready",)]:
        theirs.send(message)

    assert [("ready",)] == list(slot.messages(9))
    assert slot.wire is not None
    (told,) = [each.getMessage() for each in caplog.records]
    assert told.startswith(f"{slot.name} told what cannot be read: TypeError: ")
    theirs.close()
    assert [] == list(slot.messages(9))
    assert slot.wire is None


def test_what_a_record_is_about_is_told_as_text_unless_it_is_plain() -> None:
    class Unspeakable:
        def __repr__(self) -> str:
            raise LookupError

    told: list[logging.LogRecord] = []
    itself: list[Any] = []
    itself.append(itself)
    plain = {"many": [1, 2.5, None, ("a", True)]}
    about = {"error": Picky(500, "/x"), "itself": itself, "it": Unspeakable(), "plain": plain}
    record = logging.makeLogRecord({"msg": "item %s", "args": (7,), **about})

    _Sender(lambda message: not told.append(message[1])).handle(record)

    (sent,) = map(vars, told)
    assert ("item 7", "[[...]]", plain) == (sent["message"], sent["itself"], sent["plain"])
    assert repr(about["error"]) == sent["error"]
    assert "Unspeakable object at" in sent["it"]
    assert about["error"] is vars(record)["error"]  # it is other handlers' too


@pytest.mark.parametrize("part", ["RawArray", "Pipe"])
def test_a_process_for_which_there_are_no_descriptors_counts_as_one_that_died(
    slot: Slot, part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(*_given: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(slots._CONTEXT, part, refuses, raising=False)

    slot.start()

    assert (slot.process, slot.deaths) == (None, 1)
    assert [f"{slot.name} cannot be started"] == [each.getMessage() for each in caplog.records]


def test_a_burst_ends_though_one_of_its_threads_cannot_be_replaced(
    memory: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    begun: list[threading.Thread] = []

    def begins_three(thread: threading.Thread) -> None:
        begun.append(thread)
        if len(begun) > 3:
            raise ThreadRefused("no thread")
        thread.start()

    monkeypatch.setattr("semiont_jobs.pool.crew.begin", begins_three)
    pool = WorkerPool(memory, [Dies], threads=3, burst=True, poll_interval=0.02)
    memory.enqueue({}, type="dies", max_retries=0)

    pool.start()
    staff: Any = pool._staff

    assert staff.wait(30.0)
    assert {"failed"} == {job.status for job in memory.query_jobs()}
    assert len(begun) > 3
    pool.stop()
