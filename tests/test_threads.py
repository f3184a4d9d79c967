"""Locks that an interrupt cannot leave taken: nobody enters a condition itself, and events are
flags. And where a thread stands."""

from __future__ import annotations

import ast
import gc
import itertools
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from striking import struck_at

import semiont_jobs
from semiont_jobs import threads as module
from semiont_jobs.testing.waiting import PATIENCE, eventually
from semiont_jobs.threads import Flag, frame_of, lock_and_condition

LIBRARY = sorted(Path(semiont_jobs.__file__).parent.rglob("*.py"))


def name_of(node: ast.AST) -> str:
    """Of `self.name`, `module.name` or `name`, the name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def called(node: ast.AST) -> str:
    """What is called there, if anything is."""
    return name_of(node.func) if isinstance(node, ast.Call) else ""


def test_only_one_place_makes_conditions() -> None:
    makers = {
        path.name
        for path in LIBRARY
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if called(node) == "Condition"
    }

    assert makers == {"threads.py"}


def test_no_condition_is_entered() -> None:
    conditions, entered = set(), set()
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assign) and called(node.value) == "lock_and_condition":
                (pair,) = node.targets
                assert isinstance(pair, ast.Tuple)
                conditions.add((path.name, name_of(pair.elts[1])))
            if isinstance(node, ast.With):
                entered |= {(path.name, name_of(item.context_expr)) for item in node.items}

    assert len(conditions) >= 6
    assert not conditions & entered


def test_every_event_is_a_flag_but_for_pauses_that_nobody_sets() -> None:
    made, pauses = set(), set()
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            # The events that hooks are told have fields.
            if called(node) == "Event" and isinstance(node, ast.Call) and not node.keywords:
                made.add((path.name, node.lineno))
            if isinstance(node, ast.Assign) and name_of(node.targets[0]) == "pause":
                pauses.add((path.name, node.lineno))
            if isinstance(node, ast.Attribute) and node.attr == "wait":  # as made
                pauses.add((path.name, node.value.lineno))
    in_tests = {path.name for path in LIBRARY if path.parent.name == "testing"}

    assert {name for name, _line in made & pauses} >= {"lookout.py", "threads.py"}
    assert not {each for each in made - pauses if each[0] not in in_tests}


class Waiter(threading.Thread):
    """Waits for a flag in a thread of its own, and does so when it is made."""

    def __init__(self, flag: threading.Event, timeout: float | None = None) -> None:
        super().__init__(daemon=True)
        self._wait = flag.wait
        self._timeout = timeout
        self.answer: bool | None = None
        self.start()
        eventually(self._is_waiting)

    def run(self) -> None:
        self.answer = self._wait(self._timeout)

    def _is_waiting(self) -> bool:
        frame = frame_of(self)
        return frame is not None and frame.f_code.co_name == "wait"

    def ended(self) -> bool | None:
        """What it was answered, if it was."""
        self.join(PATIENCE)
        return self.answer


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("verb", [Flag.set, Flag.clear, lambda flag: flag.wait(0)])
def test_an_interrupt_at_any_step_leaves_no_flag_that_others_hang_on(
    verb: Callable[[Flag], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.01)
    modules = {module.__name__, threading.__name__}
    for step in itertools.count():
        flag = Flag()
        waiter = Waiter(flag)

        with suppress(KeyboardInterrupt), struck_at(step, _interrupt, modules=modules) as left:
            verb(flag)
        if not flag.is_set():
            threading.Thread(target=flag.set, daemon=True).start()

        assert waiter.ended() is True, step
        if left() >= 0:
            break


@pytest.mark.parametrize("timeout", [None, PATIENCE, float("inf"), 1e300])
def test_a_flag_lets_everybody_go_who_waits(timeout: float | None) -> None:
    flag = Flag()
    waiters = [Waiter(flag, timeout) for _ in range(5)]

    flag.set()

    assert [True] * 5 == [each.ended() for each in waiters]


@pytest.mark.parametrize("make", [Flag, threading.Event])
def test_a_flag_is_an_event(make: Callable[[], threading.Event]) -> None:
    flag = make()
    looks = [flag.is_set(), flag.wait(0), flag.wait(-1), flag.wait(0.01)]
    flag.set()
    flag.set()
    looks += [flag.is_set(), flag.wait(0), flag.wait(None)]
    shown = repr(flag)
    flag.clear()
    looks += [flag.is_set(), flag.wait(0)]
    flag._at_fork_reinit()  # type: ignore[attr-defined]
    flag.set()

    assert [False] * 4 + [True] * 3 + [False] * 2 == looks
    assert shown.endswith(": set>")
    assert flag.wait()
    assert not make().wait(float("nan"))


def test_who_waits_is_told_though_the_flag_is_cleared_at_once() -> None:
    flag = Flag()
    waiter = Waiter(flag)
    eventually(lambda: flag._bells)

    flag.set()
    flag.clear()

    assert waiter.ended() is True
    assert not flag._bells


def test_a_notice_reaches_whoever_waits() -> None:
    lock, condition = lock_and_condition()
    is_come = threading.Event()

    def wait() -> None:
        with lock:
            is_come.set()
            condition.wait(60)

    thread = threading.Thread(target=wait)
    thread.start()
    is_come.wait(60)
    with lock:  # free only when it waits
        condition.notify_all()
    thread.join(60)

    assert not thread.is_alive()


def test_where_a_thread_stands() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, args=(60,))
    assert frame_of(thread) is None

    thread.start()
    frame = frame_of(thread)
    over.set()
    thread.join(60)

    assert frame is not None
    assert frame.f_code.co_filename == threading.__file__
    assert frame_of(thread) is None
    assert gc.isenabled()


def test_a_collection_of_garbage_stops_nobody_who_looks_where_a_thread_stands() -> None:
    # It stopped all threads of the process, in Python 3.11 until 3.11.8.
    script = """
        import gc, threading
        from semiont_jobs.threads import frame_of

        class Circle:
            def __init__(self):
                self.itself, self.local = self, threading.local()
                self.local.name = "a"

        main = threading.main_thread()
        for number in range(1, 100):  # of objects made until garbage is collected
            gc.disable()
            gc.collect()
            Circle()
            gc.set_threshold(gc.get_count()[0] + number)
            gc.enable()
            assert frame_of(main) is not None
        print("looked")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "looked\n"
