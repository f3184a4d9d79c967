"""A signal ends a demonstration between two looks, and breaks nothing that it strikes in."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from semiont_jobs.demo.ending import Ending

TIMEOUT = 60.0


@contextmanager
def struck_at(step: int) -> Iterator[Callable[[], int]]:
    """A SIGTERM before that bytecode of what is called in here; gives how many are left of it."""
    left = step
    is_over = False

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        # Not when it is over: where coverage is measured, this frame is traced on afterwards.
        if event == "opcode" and not is_over:
            left -= 1
            if left < 0:
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)
        return trace

    sys._getframe().f_trace_opcodes = True  # or Python 3.12 would tell of none
    before = sys.gettrace()  # of whoever measures coverage
    sys.settrace(trace)
    try:
        yield lambda: left
    finally:
        is_over = True
        sys.settrace(before)


def is_usable(process: subprocess.Popen[bytes]) -> bool:
    """Whether somebody can wait for it still."""
    # A daemon: a process whose lock is taken for ever must not keep this program.
    waiter = threading.Thread(target=process.wait, daemon=True)
    process.kill()
    waiter.start()
    waiter.join(TIMEOUT)
    return not waiter.is_alive()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    assert process.stdin is not None
    process.stdin.close()
    process.wait(TIMEOUT)


def test_a_signal_at_any_step_of_a_look_at_a_worker_process_leaves_it_to_be_waited_for(
    sleeper: subprocess.Popen[bytes],
) -> None:
    struck = 0
    with struck_at(10**9) as left:
        sleeper.poll()
    steps = 10**9 - left()
    for step in range(steps):
        with Ending() as ending:
            with struck_at(step):
                sleeper.poll()
            with pytest.raises(SystemExit) as ended:
                ending.pause(TIMEOUT)
        struck += ended.value.code == 128 + signal.SIGTERM

    assert steps == struck > 10
    assert is_usable(sleeper)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_strikes_at_once(number: signal.Signals) -> None:
    struck: list[int] = []
    before = signal.signal(number, lambda each, _frame: struck.append(each))
    try:
        with Ending() as ending:
            signal.raise_signal(number)
            first = list(struck)
            signal.raise_signal(number)
            with pytest.raises(SystemExit):
                ending.pause(TIMEOUT)
    finally:
        signal.signal(number, before)

    assert ([], [number]) == (first, struck)


def test_without_a_signal_a_pause_ends_and_the_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    with Ending() as ending:
        ending.pause(0.001)

    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
