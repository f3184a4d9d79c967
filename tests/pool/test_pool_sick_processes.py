"""A process of a pool that stands still, or tells rubbish, holds up nobody else."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
from pool import labour
from pool.stopped import is_suspended, kills_at_once

from semiont_jobs import JobQueue, WorkerPool
from semiont_jobs.pool.child import LONGEST
from semiont_jobs.pool.slot import Slot
from semiont_jobs.pool.supervisor import Supervisor
from semiont_jobs.pool.wire import Wire
from semiont_jobs.testing.waiting import PATIENCE, eventually

TIMEOUT = 60.0


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    with JobQueue(tmp_path / "data", fsync=False) as opened:
        yield opened


class Place:
    """A place of a pool, and its process's end of the pipe."""

    def __init__(self, queue: JobQueue) -> None:
        self.pool = WorkerPool(queue, [labour.pid], processes=2, grace=5.0)
        self.slot = Slot(0, self.pool._assignment)
        ours, self.theirs = multiprocessing.Pipe()
        self.slot.wire = Wire(ours)

    def write(self, raw: bytes) -> None:
        os.write(self.theirs.fileno(), raw)

    def heard(self, most: int = 99) -> list[Any]:
        """What is heard of the process, without waiting."""
        messages: list[Any] = []
        listener = threading.Thread(
            target=lambda: messages.extend(self.slot.messages(most)), daemon=True
        )
        listener.start()
        listener.join(PATIENCE)
        assert not listener.is_alive()
        return messages


@pytest.fixture
def place(queue: JobQueue) -> Place:
    return Place(queue)


@pytest.fixture
def program_that_ends() -> Iterator[None]:
    """Have it started instead of Python; it reads nothing."""
    resource_tracker.ensure_running()  # which is started like a process of a pool
    multiprocessing.set_executable(shutil.which("false") or "")
    yield
    multiprocessing.set_executable(sys.executable)


def in_full(message: tuple[Any, ...]) -> bytes:
    told = pickle.dumps(message)
    return struct.pack("!i", len(told)) + told


# -- standing still ----------------------------------------------------------------------


def test_a_process_that_stands_still_in_the_midst_of_a_message_holds_up_nobody(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kills_at_once(monkeypatch)
    caplog.set_level(logging.INFO)
    queue.enqueue({}, type="freezes", id="a")
    pool = WorkerPool(queue, [labour.freezes, labour.pid, labour.tells], threads=1, processes=2)
    pool.start()
    running = eventually(lambda: queue.query_jobs(type="freezes", status="running"), TIMEOUT)
    frozen = running[0].metadata.claim.pid
    try:
        assert eventually(lambda: is_suspended(frozen), TIMEOUT)

        first: Any = queue.wait_for(queue.enqueue({}, type="pid").metadata.id, TIMEOUT)
        os.kill(first.result["value"], signal.SIGKILL)  # it is replaced
        queue.wait_for(queue.enqueue({}, type="tells", max_retries=0).metadata.id, TIMEOUT)

        assert eventually(lambda: "at work on something" in caplog.text, TIMEOUT)
        assert not pool.stop(0)
    finally:
        with suppress(ProcessLookupError):
            os.kill(frozen, signal.SIGKILL)
    assert "did not leave: its jobs are rescued" in caplog.text


@pytest.mark.usefixtures("program_that_ends")
def test_a_process_that_ends_before_it_reads_what_it_gets_holds_up_nobody(queue: JobQueue) -> None:
    table = b"x" * 2_000_000  # more than any pipe holds
    reads = partial(labour.looked_up, table, 1)
    pool = WorkerPool(queue, [labour.pid], processes=2, initializer=reads)
    slot = Slot(0, pool._assignment)

    starter = threading.Thread(target=slot.start, daemon=True)
    starter.start()
    starter.join(PATIENCE)

    assert not starter.is_alive()
    if slot.process is not None:  # it was told in full; since Python 3.14 one is told who listens
        assert eventually(lambda: slot.has_ended)
        assert "exit code 1" == slot.bury()
    assert slot.deaths == 1


def test_a_process_gets_all_however_much_that_is(queue: JobQueue) -> None:
    table = b"xyz" * 1_000_000
    pool = WorkerPool(queue, threads=1, processes=2)

    assert [ord("y"), ord("z")] == list(pool.map(partial(labour.looked_up, table), [1, 2]))


def test_a_process_that_was_killed_and_has_not_ended_is_killed_once(place: Place) -> None:
    killed: list[bool] = []

    class Process:
        def kill(self) -> None:
            killed.append(True)

    process: Any = Process()
    place.slot.process = process
    place.slot.note_left("stopped")

    assert "has told that it leaves, and stays" == place.slot.overdue(float("inf"))
    place.slot.kill()
    assert place.slot.overdue(float("inf")) is None
    assert [True] == killed


@pytest.mark.parametrize("size", [0, 9, 16384, 16385, 10 * 65536])
def test_a_message_is_heard_whole_whatever_it_is_cut_into(place: Place, size: int) -> None:
    message = ("log", "x" * size)
    raw = in_full(message)
    pieces = [raw[:2], *(raw[at : at + 50_000] for at in range(2, len(raw), 50_000))]
    heard = []

    for piece in pieces:
        place.write(piece)
        heard.append(place.heard())

    assert [*([[]] * (len(pieces) - 1)), [message]] == heard


def test_what_the_sending_side_of_a_pipe_sends_is_understood(place: Place) -> None:
    messages = [("log", "x" * size) for size in (1, 20_000, 2_000_000, 1)]

    def send() -> None:
        for message in messages:
            place.theirs.send(message)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    heard: list[Any] = []

    assert eventually(lambda: heard.extend(place.heard()) or len(heard) == 4, TIMEOUT)
    assert messages == heard


def test_of_a_process_that_never_stops_talking_so_much_is_heard_and_no_more(place: Place) -> None:
    place.write(in_full(("ready",)) * 9)

    assert [("ready",)] * 3 == place.heard(4)  # and one look at what has arrived
    assert place.slot.has_message
    assert [("ready",)] * 6 == place.heard()
    assert not place.slot.has_message


def test_what_was_read_with_the_last_message_is_not_waited_for(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[object] = []
    monkeypatch.setattr("semiont_jobs.pool.supervisor.wait", lambda *for_: waited.append(for_))
    place = Place(queue)
    supervisor = place.pool._engaged()
    assert isinstance(supervisor, Supervisor)
    supervisor._slots = [place.slot]
    place.write(in_full(("ready",)) * 2)

    place.heard(2)
    supervisor._await_news()
    assert waited == []
    place.heard()
    supervisor._await_news()
    assert len(waited) == 1


def test_a_process_that_reads_nothing_is_told_nothing_more_and_not_waited_for(
    place: Place,
) -> None:
    def tell_much() -> None:
        for _ in range(10_000):
            place.slot.tell(("hurry",))

    teller = threading.Thread(target=tell_much, daemon=True)
    teller.start()
    teller.join(PATIENCE)

    assert not teller.is_alive()
    assert place.theirs.recv() == ("hurry",)


def test_processes_whose_ends_this_program_does_not_see_are_replaced_and_leave(
    queue: JobQueue, caplog: pytest.LogCaptureFixture
) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        pool = WorkerPool(queue, [labour.pid], threads=1, max_jobs=99)
        pool.start()
        first: Any = queue.wait_for(queue.enqueue({}, type="pid").metadata.id, TIMEOUT)
        os.kill(first.result["value"], signal.SIGKILL)
        second: Any = queue.wait_for(queue.enqueue({}, type="pid").metadata.id, TIMEOUT)

        stopper = threading.Thread(target=pool.stop, daemon=True)
        stopper.start()
        stopper.join(PATIENCE)
        assert not stopper.is_alive()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert first.result != second.result
    assert "process 1 died (exit code lost: this program ignores SIGCHLD" in caplog.text
    assert not [each for each in multiprocessing.active_children() if "semiont" in each.name]


# -- rubbish -----------------------------------------------------------------------------


@pytest.mark.parametrize("length", [-1, LONGEST + 1])
def test_a_process_that_tells_rubbish_is_heard_no_more_and_killed_in_the_end(
    place: Place, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    place.write(in_full(("ready",)) + struct.pack("!i", length) + b"rest")

    assert [("ready",)] == place.heard()
    assert f"cannot be read, and is heard no more: no message has {length} bytes" in caplog.text
    with pytest.raises(EOFError):
        place.theirs.recv()  # so the process leaves by itself
    assert place.slot.overdue(0.0) is None
    assert "is not heard, and stays" == place.slot.overdue(float("inf"))


def test_a_process_that_has_left_its_pipe_is_replaced(queue: JobQueue) -> None:
    queue.enqueue({}, type="hangs up", id="a")

    with WorkerPool(queue, [labour.hangs_up, labour.pid], threads=1, max_jobs=99):
        left: Any = queue.wait_for("a", TIMEOUT)
        pids = set()

        def is_replaced() -> bool:
            job: Any = queue.wait_for(queue.enqueue({}, type="pid").metadata.id, TIMEOUT)
            pids.add(job.result["value"])
            return len(pids) > 1

        assert eventually(is_replaced, TIMEOUT)
    assert left.result["value"] > 0
