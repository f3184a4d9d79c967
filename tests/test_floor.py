"""One thread at a time has the floor, and whoever stands still keeps nobody."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from striking import struck_at

from semiont_jobs import floor as floors
from semiont_jobs.floor import OPEN, Floor

TIMEOUT = 60.0


@pytest.fixture
def floor(monkeypatch: pytest.MonkeyPatch) -> Floor:
    """One for which everybody waits as long as it takes."""
    monkeypatch.setattr(floors, "PATIENCE", TIMEOUT)
    return Floor()


def elsewhere(act: Callable[[], object]) -> None:
    """Do it in another thread, and wait for that."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(act).result(TIMEOUT)


def is_free(floor: Floor) -> bool:
    """Whether another thread could have it at once."""
    gate = floor._gate
    free: list[bool] = []

    def look() -> None:
        free.append(gate.lock.acquire(blocking=False))
        if free[0]:
            gate.lock.release()

    elsewhere(look)
    return free[0]


@contextmanager
def taken(floor: Floor) -> Iterator[None]:
    """It is this thread's."""
    floor.take()
    try:
        yield
    finally:
        floor.leave()


@contextmanager
def somebody_at(floor: Floor) -> Iterator[Callable[[], None]]:
    """Another thread has it; gives what has it leave."""
    stands, goes_on = threading.Event(), threading.Event()

    def stand() -> None:
        with taken(floor):
            stands.set()
            assert goes_on.wait(TIMEOUT)

    with ThreadPoolExecutor(1) as threads:
        still = threads.submit(stand)
        assert stands.wait(TIMEOUT)

        def leave() -> None:
            goes_on.set()
            still.result(TIMEOUT)

        try:
            yield leave
        finally:
            leave()


def test_one_thread_has_it_at_a_time(floor: Floor) -> None:
    inside, most = 0, 0
    lock = threading.Lock()

    def enter() -> None:
        nonlocal inside, most
        for _ in range(50):
            with taken(floor):
                with lock:
                    inside += 1
                    most = max(most, inside)
                threading.Event().wait(0.0001)
                with lock:
                    inside -= 1

    with ThreadPoolExecutor(4) as threads:
        for each in [threads.submit(enter) for _ in range(4)]:
            each.result(TIMEOUT)

    assert most == 1
    assert is_free(floor)


def test_whoever_has_it_may_take_it_again_and_leaves_it_once(floor: Floor) -> None:
    floor.take()
    floor.take()
    assert floor.is_mine
    assert not is_free(floor)

    floor.leave()

    assert not floor.is_mine
    assert is_free(floor)
    floor.leave()
    assert is_free(floor)


def test_whoever_leaves_it_is_told_whether_it_was_his(floor: Floor) -> None:
    assert not floor.leave()
    floor.take()

    assert floor.leave()
    assert not floor.leave()


def test_another_one_s_is_not_left(floor: Floor) -> None:
    with taken(floor):
        elsewhere(floor.leave)
        assert floor.is_mine


def test_who_waits_is_let_in_by_those_who_come_again_and_again(floor: Floor) -> None:
    is_over = threading.Event()

    def come_again() -> None:
        while not is_over.is_set():
            with taken(floor):
                pass

    with ThreadPoolExecutor(2) as threads:
        busy = [threads.submit(come_again) for _ in range(2)]
        try:
            for _ in range(20):
                with taken(floor):
                    assert floor.is_mine
        finally:
            is_over.set()
        for each in busy:
            each.result(TIMEOUT)


def test_who_comes_again_goes_in_line_once_the_head_of_it_has_waited_for_a_turn(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "PATIENCE", 0.01)
    gate = floor._gate
    with gate.line:
        gate.head_since = time.monotonic() + TIMEOUT
        with taken(floor):
            assert floor.is_mine
        gate.head_since = time.monotonic() - floors.TURN
        with taken(floor):
            assert not floor.is_mine


def test_whoever_stands_still_is_left_behind(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "PATIENCE", 0.01)

    with somebody_at(floor) as let_go_on:
        with taken(floor):
            assert not floor.is_mine  # it has waited, and goes ahead
        with taken(floor):
            assert floor.is_mine  # nobody waits a second time
            let_go_on()
            assert floor.is_mine
            assert not is_free(floor)

    assert is_free(floor)


def test_who_waits_long_goes_ahead_and_keeps_nobody_out(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(floors, "PATIENCE", 0.01)
    gate = floor._gate

    with somebody_at(floor):
        lock = gate.lock

        def passed_by(*arguments: Any, **options: Any) -> bool:
            gate.passed += 1  # it goes from hand to hand meanwhile
            gate.head_since = 0.0
            return lock.acquire(*arguments, **options)

        line = SimpleNamespace(acquire=passed_by)
        monkeypatch.setattr(gate, "line", line)
        monkeypatch.setattr(gate, "lock", SimpleNamespace(acquire=lambda **_: False))
        with taken(floor):
            assert not floor.is_mine
        assert floor._gate is gate
        monkeypatch.undo()


def test_a_handler_that_leaves_it_in_the_midst_of_leaving_it_leaves_it_once(floor: Floor) -> None:
    step, is_over = 0, False
    while not is_over:
        floor.take()
        with struck_at(step, floor.leave, modules={"semiont_jobs.floor"}) as left:
            floor.leave()
            is_over = left() >= 0
        assert not floor.is_mine
        assert is_free(floor), step
        step += 1

    assert step > 10


def test_a_forked_child_finds_nobody_there(floor: Floor) -> None:
    with somebody_at(floor):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            floor.take()
            os._exit(0 if floor.is_mine else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("is_taken", [False, True])
def test_wherever_an_interrupt_strikes_others_have_it_soon(
    monkeypatch: pytest.MonkeyPatch, *, is_taken: bool
) -> None:
    monkeypatch.setattr(floors, "PATIENCE", 0.001)

    def strike() -> None:
        raise KeyboardInterrupt

    def come(floor: Floor) -> None:
        for _ in range(3):  # perhaps it waits for whoever was struck
            with taken(floor):
                pass
        with taken(floor):
            assert floor.is_mine

    step, is_over = 0, False
    while not is_over:
        floor = Floor()
        with somebody_at(floor) if is_taken else nullcontext():
            with struck_at(step, strike, modules={"semiont_jobs.floor"}) as left:
                with suppress(KeyboardInterrupt):
                    floor.take()
                    floor.leave()
                is_over = left() >= 0
            elsewhere(partial(come, floor))
        with somebody_at(floor):
            elsewhere(floor.take)  # in line
        assert floor._gate.line.acquire(blocking=False), step
        step += 1

    assert step > 30


def test_what_has_no_use_for_one_has_an_open_one() -> None:
    with taken(OPEN):
        assert not OPEN.is_mine
        elsewhere(OPEN.take)
