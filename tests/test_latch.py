"""A latch lets everyone go, whoever came first, and survives Ctrl-C at any moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import pytest
from striking import struck_at

from semiont_jobs.latch import Latch, taken_from

TIMEOUT = 60.0


def test_all_who_wait_are_let_go_and_nobody_waits_any_more() -> None:
    latch = Latch()
    waited: list[bool] = []
    threads = [
        threading.Thread(target=lambda: waited.append(latch.wait(TIMEOUT))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()

    latch.set()

    for thread in threads:
        thread.join(TIMEOUT)
    assert [True] * 5 == waited
    assert latch.wait(0)


def test_a_latch_that_is_not_set_says_so_when_time_is_up() -> None:
    assert not Latch().wait(0.001)


def interrupt() -> None:
    raise KeyboardInterrupt


def interrupted_at(step: int, latch: Any) -> bool:
    """Wait, and be interrupted as by Ctrl-C before that bytecode of it; False: it has fewer."""
    try:
        with struck_at(step, interrupt):
            latch.wait(0.001)
    except (KeyboardInterrupt, RuntimeError):  # the latter of an event that lets go of no lock
        return True
    return False


def usable_after_an_interruption(
    make: Callable[[], Any], *, patience: float = TIMEOUT
) -> tuple[int, int]:
    """How many bytecodes a wait has, and after an interruption at how many of them the next who
    sets and waits returns."""
    steps = usable = 0
    while True:
        latch = make()
        if not interrupted_at(steps, latch):
            return steps, usable
        steps += 1
        # A daemon: a latch that is locked for ever must not keep this program.
        done = threading.Event()
        thread = threading.Thread(target=lambda each=latch, end=done: (each.set(), end.set()))
        thread.daemon = True
        thread.start()
        usable += done.wait(patience) and latch.wait(patience)


def test_ctrl_c_at_any_step_of_a_wait_leaves_it_usable() -> None:
    steps, usable = usable_after_an_interruption(Latch)

    assert steps == usable > 10


def test_which_is_more_than_an_event_promises() -> None:
    steps, usable = usable_after_an_interruption(threading.Event, patience=0.1)

    assert usable < steps


# -- signals that come between the last step before a wait and the wait -------------------


@contextmanager
def signalled(handler: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Gives what sends this process a signal whose handler runs when a wait of the main thread
    is over, since another thread was interrupted by it: as one does that comes too early."""
    begin = threading.Event()

    def send() -> None:
        begin.wait(TIMEOUT)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: handler())
    sender = threading.Thread(target=send)
    sender.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield begin.set
    finally:
        begin.set()
        sender.join(TIMEOUT)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        signal.signal(signal.SIGUSR1, before)


needs_signals = pytest.mark.skipif(
    not hasattr(signal, "pthread_kill"), reason="signals for one thread are POSIX's"
)


@needs_signals
def test_a_signal_that_comes_right_before_a_wait_is_heard_all_the_same() -> None:
    mailbox: SimpleQueue[str] = SimpleQueue()

    with signalled(lambda: mailbox.put("signal")) as send:
        threading.Timer(0.1, send).start()
        late = threading.Timer(TIMEOUT, mailbox.put, ["nothing"])
        late.start()
        heard = taken_from(mailbox)
        late.cancel()

    assert heard == "signal"


@needs_signals
def test_a_latch_that_a_signal_sets_lets_go() -> None:
    latch = Latch()

    with signalled(latch.set) as send:
        threading.Timer(0.1, send).start()
        is_late = threading.Event()
        late = threading.Timer(TIMEOUT, lambda: (is_late.set(), latch.set()))
        late.start()
        latch.wait()
        late.cancel()

    assert not is_late.is_set()
