"""What a pool's processes tell: in order, whole, and without waiting for each other."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from pool import labour

from semiont_jobs import JobQueue, WorkerPool
from semiont_jobs.pool import echo
from semiont_jobs.pool.child import MOST_UNSENT, Line
from semiont_jobs.testing.waiting import PATIENCE, eventually


class Watched:
    """One end of a pipe, and what happens in the midst of sending."""

    def __init__(self, pipe: Connection) -> None:
        self.meanwhile: Callable[[], object] = lambda: None
        self._pipe = pipe

    def send_bytes(self, sent: bytes) -> None:
        self.meanwhile()
        self._pipe.send_bytes(sent)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)


class Lines:
    """A line, its pipe, and what the other end of that hears."""

    def __init__(self) -> None:
        self.ours, theirs = multiprocessing.Pipe()
        self.pipe: Any = Watched(theirs)
        mailbox: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self.line = Line(self.pipe, mailbox, grace=1.0, figures=lambda: ())

    def heard(self, count: int) -> list[Any]:
        """The next so many messages."""
        messages = []
        for _ in range(count):
            assert self.ours.poll(PATIENCE)
            messages.append(self.ours.recv()[1])
        return messages

    def tell(self, what: str) -> None:
        self.line.tell(("ended", what))


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines()
    yield made
    made.ours.close()


def in_a_thread(do: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread


def record(text: str, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("work", level, "", 0, text, None, None)


def test_what_is_told_in_the_midst_of_telling_comes_after_it(lines: Lines) -> None:
    more = iter(["second", "third"])

    def tells_more() -> None:
        for what in more:
            lines.tell(what)

    lines.pipe.meanwhile = tells_more
    teller = in_a_thread(lambda: lines.tell("first"))
    teller.join(PATIENCE)

    assert not teller.is_alive()
    assert lines.heard(3) == ["first", "second", "third"]


def test_what_is_told_in_the_midst_of_telling_waits_for_nobody_however_much_is_unsent(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.child.A_MOMENT", 2 * PATIENCE)
    more = iter(range(2 * MOST_UNSENT))

    def tells_all() -> None:
        for n in more:
            lines.tell(f"{n}")

    lines.pipe.meanwhile = tells_all
    teller = in_a_thread(lambda: lines.tell("first"))
    teller.join(PATIENCE)

    assert not teller.is_alive()
    assert lines.heard(3) == ["first", "0", "1"]


def test_of_figures_that_two_threads_tell_the_last_come_last(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([1, 2])
    tellers: list[threading.Thread] = []

    def counted() -> Any:
        count = next(figures)
        if count == 1:
            tellers.append(in_a_thread(lines.line.tell_figures))
            tellers[0].join(0.2)
        return (count,)

    monkeypatch.setattr(lines.line, "_figures", counted)
    lines.line.tell_figures()
    tellers[0].join(PATIENCE)

    assert lines.heard(2) == [(1,), (2,)]


def test_threads_that_log_do_not_wait_for_one_that_is_telling() -> None:
    let_go, told = threading.Event(), SimpleQueue[str]()

    def tell(message: tuple[str, logging.LogRecord]) -> None:
        told.put(message[1].getMessage())
        if message[1].getMessage() == "slow":
            assert let_go.wait(PATIENCE)

    handler = echo._Sender(tell)
    in_a_thread(lambda: handler.handle(record("slow")))
    assert told.get(timeout=PATIENCE) == "slow"
    handler.addFilter(lambda each: each.getMessage() != "unheard")
    others = [in_a_thread(lambda t=t: handler.handle(record(t))) for t in ("unheard", "quick")]

    assert told.get(timeout=PATIENCE / 2) == "quick"
    let_go.set()
    for other in others:
        other.join(PATIENCE)
    assert told.empty()


class Sent:
    """A thread in the midst of sending, until it is let go."""

    def __init__(self, lines: Lines) -> None:
        self.let_go = threading.Event()
        begun = threading.Event()

        def hold() -> None:
            begun.set()
            assert self.let_go.wait(PATIENCE)

        lines.pipe.meanwhile = hold
        self.thread = in_a_thread(lambda: lines.tell("slow"))
        assert begun.wait(PATIENCE)


def test_nobody_waits_for_the_thread_that_sends_and_it_sends_what_others_left(
    lines: Lines,
) -> None:
    sender = Sent(lines)

    others = [in_a_thread(lambda n=n: lines.tell(f"{n}")) for n in range(2)]
    for other in others:
        other.join(PATIENCE)
        assert not other.is_alive()
    assert not lines.ours.poll()
    sender.let_go.set()

    first, *rest = lines.heard(3)
    assert ("slow", {"0", "1"}) == (first, set(rest))


def test_however_slow_it_is_heard_a_thread_waits_a_moment_and_nothing_is_lost(
    lines: Lines,
) -> None:
    sender = Sent(lines)
    told = [str(n) for n in range(MOST_UNSENT + 3)]

    other = in_a_thread(lambda: [lines.tell(each) for each in told])
    other.join(PATIENCE)
    is_done = not other.is_alive()
    sender.let_go.set()

    assert is_done
    assert ["slow", *told] == lines.heard(1 + len(told))


def test_the_end_of_the_process_waits_for_the_thread_that_sends(lines: Lines) -> None:
    sender = Sent(lines)
    lines.tell("last")

    end = in_a_thread(lines.line.end_with_process)
    end.join(0.1)
    is_waiting = end.is_alive()
    sender.let_go.set()
    end.join(PATIENCE)

    assert (is_waiting, end.is_alive()) == (True, False)
    assert ["slow", "last"] == lines.heard(2)


def test_warnings_that_nobody_is_there_to_hear_are_printed_whoever_sends_them(
    lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    sender = Sent(lines)
    lines.line.tell(("log", record("worth a line")))
    lines.line.tell(("log", record("not worth it", logging.INFO)))
    lines.ours.close()
    sender.let_go.set()
    sender.thread.join(PATIENCE)

    assert capsys.readouterr().err == "worth a line\n"


def test_what_cannot_be_told_is_the_trouble_of_who_tells_it(lines: Lines) -> None:
    sender = Sent(lines)
    strange: Any = ("ended", lambda: None)

    with pytest.raises(Exception, match=r"(?i)pickle|local object"):
        lines.line.tell(strange)
    sender.let_go.set()
    lines.tell("next")

    assert ["slow", "next"] == lines.heard(2)


def test_a_message_that_is_too_long_is_refused_and_the_next_is_told(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.pool.child.LONGEST", 100)

    with pytest.raises(ValueError, match="more than a message may have"):
        lines.tell("x" * 100)
    lines.tell("next")

    assert ["next"] == lines.heard(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_that_is_forked_in_the_midst_of_sending_tells_its_own_only(lines: Lines) -> None:
    sender = Sent(lines)
    lines.tell("the parent's")

    child = os.fork()
    if not child:
        lines.pipe.meanwhile = lambda: None
        lines.tell("the child's")
        os._exit(0)
    os.waitpid(child, 0)
    sender.let_go.set()

    assert ["the child's", "slow", "the parent's"] == lines.heard(3)


def test_garbage_that_logs_when_it_is_collected_stops_no_process(tmp_path: Path) -> None:
    with JobQueue(tmp_path / "data", fsync=False) as queue:
        queue.enqueue_many([{}] * 20, type="litters")
        with WorkerPool(queue, [labour.litters], threads=2, processes=2, grace=0.0):
            assert eventually(lambda: queue.get_stats().complete == 20, PATIENCE)
