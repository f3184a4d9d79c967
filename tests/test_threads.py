"""Locks that an interrupt cannot leave taken: nobody enters a condition itself. And where a thread
stands."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import semiont_jobs
from semiont_jobs.threads import frame_of, lock_and_condition

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
