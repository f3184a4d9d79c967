"""A signal ends a demonstration between two looks, and breaks nothing that it strikes in."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from striking import struck_at

from semiont_jobs.demo.ending import Ending

TIMEOUT = 60.0
sigterm = partial(signal.raise_signal, signal.SIGTERM)


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
    with struck_at(10**9, sigterm) as left:
        sleeper.poll()
    steps = 10**9 - left()
    for step in range(steps):
        with Ending() as ending:
            with struck_at(step, sigterm):
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
