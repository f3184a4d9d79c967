"""Forcing that the kernel begins, and that is waited for later."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from semiont_jobs.stores.files import asynchronous
from semiont_jobs.stores.files.asynchronous import _IDLE, _Calls, _Context, begin_fdatasync


def kernel_refuses() -> bool:
    """Whether the kernel has no such calls for us."""
    try:
        assert asynchronous.CALLS is not None
        _Context(asynchronous.CALLS)
    except (AssertionError, OSError):
        return True
    return False


on_linux = pytest.mark.skipif(kernel_refuses(), reason="the kernel has no asynchronous calls here")


@pytest.fixture(autouse=True)
def none_idle() -> Iterator[None]:
    """What other tests left is not used, and what these leave is not used by others."""
    _IDLE.clear()
    yield
    _IDLE.clear()


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(opened, b"something")
    yield opened
    os.close(opened)


@on_linux
def test_what_was_begun_is_waited_for_and_the_next_uses_the_same_place(fd: int) -> None:
    for _ in range(3):
        wait = begin_fdatasync(fd)
        assert wait is not None
        wait()

    assert len(_IDLE) == 1


@on_linux
def test_several_are_under_way_at_once(fd: int) -> None:
    waits = [begin_fdatasync(fd) for _ in range(3)]

    for wait in reversed(waits):
        assert wait is not None
        wait()

    assert len(_IDLE) == 3


@on_linux
@pytest.mark.parametrize("which", ["closed", "without forcing"])
def test_what_the_kernel_refuses_to_begin_is_not_begun(which: str) -> None:
    fd = os.open(os.devnull, os.O_RDWR)
    if which == "closed":
        os.close(fd)

    for _ in range(2):
        assert begin_fdatasync(fd) is None

    assert len(_IDLE) == 1  # to end one takes long
    if which != "closed":
        os.close(fd)


@on_linux
def test_a_forked_child_leaves_its_parents_alone_and_begins_its_own() -> None:
    """A number of the parent's may be one of the child's."""
    script = """
import os, sys, tempfile
from semiont_jobs.stores.files.asynchronous import _IDLE, begin_fdatasync

file = tempfile.TemporaryFile()
begin_fdatasync(file.fileno())()
under_way = begin_fdatasync(file.fileno())
pid = os.fork()
if pid == 0:
    mine = [begin_fdatasync(file.fileno()) for _ in range(2)]
    del under_way
    for wait in mine:
        wait()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
under_way()
begin_fdatasync(file.fileno())()
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=False)

    assert done.returncode == 0


class Kernel:
    """One whose answers are given."""

    def __init__(self, *answers: int | BaseException, refuses: int = 0) -> None:
        self.answers = list(answers)
        self.refuses = refuses
        self.destroyed: list[int] = []

    def calls(self) -> _Calls:
        return _Calls(self._setup, self._destroy, self._wait, self._submit)

    def _setup(self, _most: int, number: Any) -> int:
        if self.refuses:
            ctypes.set_errno(self.refuses)
            return -1
        number._obj.value = 7
        return 0

    def _destroy(self, number: int) -> int:
        self.destroyed.append(number)
        return 0

    def _submit(self, number: int, count: int, _controls: object) -> int:
        assert (number, count) == (7, 1)
        return 1

    def _wait(self, _number: int, _least: int, _most: int, event: Any, _forever: None) -> int:
        """0 or less: the result. More: an errno of the call itself."""
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        if answer > 0:
            ctypes.set_errno(answer)
            return -1
        asynchronous._Event.from_address(event).result = answer
        return 1


def begun_by(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(asynchronous, "CALLS", kernel.calls())
    wait = begin_fdatasync(0)
    assert wait is not None
    return wait


def test_what_could_not_be_forced_is_an_error_of_whoever_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait = begun_by(Kernel(-errno.EIO), monkeypatch)

    with pytest.raises(OSError, match=os.strerror(errno.EIO)) as caught:
        wait()
    assert caught.value.errno == errno.EIO
    assert len(_IDLE) == 1


class Sought(deque[Any]):
    """Whatever is idle is used by another thread at once, which succeeds."""

    def append(self, context: Any) -> None:
        super().append(context)
        context._event.result = 0


def test_what_another_thread_is_told_meanwhile_is_not_taken_for_the_own_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait = begun_by(Kernel(-errno.EIO), monkeypatch)
    monkeypatch.setattr(asynchronous, "_IDLE", Sought())

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        wait()


@pytest.mark.parametrize("at", ["_setup", "_submit"])
def test_what_a_signals_handler_raises_does_not_pass_for_a_refusal(
    monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """`TimeoutError` is an `OSError`."""

    def strike(*_arguments: object) -> int:
        raise TimeoutError

    kernel = Kernel()
    monkeypatch.setattr(kernel, at, strike)
    monkeypatch.setattr(asynchronous, "CALLS", kernel.calls())

    with pytest.raises(TimeoutError):
        begin_fdatasync(0)
    assert not _IDLE


def test_a_signal_in_the_midst_of_waiting_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(errno.EINTR, errno.EINTR, 0)

    begun_by(kernel, monkeypatch)()

    assert kernel.answers == []


def test_what_was_not_waited_for_to_its_end_is_used_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = Kernel(KeyboardInterrupt())
    wait = begun_by(kernel, monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert not _IDLE
    del wait
    gc.collect()  # the error's own frames
    assert kernel.destroyed == [7]


def test_a_process_ends_no_call_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child may have one of the same number."""
    kernel = Kernel()
    wait = begun_by(kernel, monkeypatch)
    wait.__self__._pid += 1

    del wait

    assert kernel.destroyed == []


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM, errno.EAGAIN])
def test_where_the_kernel_has_no_place_nothing_is_begun(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    kernel = Kernel(refuses=code)
    monkeypatch.setattr(asynchronous, "CALLS", kernel.calls())

    assert begin_fdatasync(0) is None
    assert kernel.destroyed == []


@pytest.mark.parametrize(
    ("facts", "place"), [("machine", asynchronous.platform), ("platform", asynchronous.sys)]
)
def test_other_systems_and_machines_have_no_such_calls(
    monkeypatch: pytest.MonkeyPatch, facts: str, place: Any
) -> None:
    other: Any = (lambda: "vax") if facts == "machine" else "darwin"
    monkeypatch.setattr(place, facts, other)
    monkeypatch.setattr(asynchronous, "CALLS", asynchronous._found())

    assert asynchronous.CALLS is None
    assert begin_fdatasync(0) is None
