"""Striking code at any step of it, as a signal may."""

from __future__ import annotations

import contextlib
import dis
import gc
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import CodeType, FrameType
from typing import Any


@contextmanager
def no_collection() -> Iterator[None]:
    """What the collector calls has nothing to do with what is called in here."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def struck_at(
    step: int,
    strike: Callable[[], object],
    *,
    modules: Container[str] | None = None,
) -> Iterator[Callable[[], int]]:
    """Call `strike` before that bytecode of what is called in here, of these modules if any are
    named; gives how many are left of them, less than none once it struck.
    """
    left = step
    is_over = False
    ours = sys._getframe().f_code

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        frame.f_trace_opcodes = True
        if frame.f_code is ours or frame.f_globals.get("__name__") == contextlib.__name__:
            return trace  # it would never end
        # Not when it is over: where coverage is measured, this frame is traced on afterwards.
        is_meant = modules is None or frame.f_globals.get("__name__") in modules
        if event == "opcode" and is_meant and not is_over:
            left -= 1
            if left < 0:
                sys.settrace(None)
                strike()
        return trace

    sys._getframe().f_trace_opcodes = True  # or Python 3.12 would tell of none
    before = sys.gettrace()  # of whoever measures coverage
    with no_collection():
        sys.settrace(trace)
        try:
            yield lambda: left
        finally:
            is_over = True
            sys.settrace(before)


@contextmanager
def interrupted_at(
    place: int, *, modules: Container[str], where: list[str] | None = None
) -> Iterator[Callable[[], int]]:
    """Raise `KeyboardInterrupt` at that place of what is called in here, in these modules, of those
    where Python looks for signals: a function begins, or one of C has returned; gives how many
    are left of them, less than none once it was raised. `where` is told the place."""
    left = place

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        # Of what a `with` enters some versions tell, and others do not.
        is_entered = event == "c_return" and argument.__name__ == "__enter__"
        is_place = event in ("call", "c_return") and not is_entered
        is_meant = frame.f_globals.get("__name__") in modules and not _is_finalizer(frame)
        if is_place and is_meant:
            left -= 1
            if left < 0:
                sys.setprofile(None)
                if where is not None:
                    code = frame.f_code
                    where.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
                raise KeyboardInterrupt

    with no_collection():
        sys.setprofile(profile)
        try:
            yield lambda: left
        finally:
            sys.setprofile(None)


class Package(Container[str]):
    """The names of a package's modules, and its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __contains__(self, module: object) -> bool:
        return str(module).partition(".")[0] == self._name


LOOKS = frozenset(
    code
    for name, code in dis.opmap.items()
    if name in ("RESUME", "CALL", "CALL_KW", "CALL_FUNCTION_EX")
    or ("JUMP_BACKWARD" in name and "NO_INTERRUPT" not in name)
)
"""The bytecodes after which Python looks for signals (or may: after a call of a Python function
some versions do not)."""


@contextmanager
def interrupted_after(
    place: int, *, modules: Container[str], where: list[str]
) -> Iterator[Callable[[], int]]:
    """As `interrupted_at`, at more places: where a class was called and where a loop goes round,
    too. `where` is told the place."""
    left = place

    def trace(frame: FrameType, _event: str, _argument: object) -> Any:
        if frame.f_globals.get("__name__") not in modules or _is_finalizer(frame):
            return None
        frame.f_trace_opcodes = True
        code = frame.f_code
        text = code.co_code
        looked: int | None = None

        def step(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal left, looked
            if event != "opcode":
                return step
            before, now = looked, frame.f_lasti
            looked = now if text[now] in LOOKS else None
            # What is raised here is raised by the next bytecode. If another `except` would catch
            # it, this is no place of those; `interrupted_at` raises it by the call itself.
            if before is not None and _catcher(code, before) == _catcher(code, now):
                left -= 1
                if left < 0:
                    sys.settrace(None)
                    where.append(f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}")
                    raise KeyboardInterrupt
            return step

        return step

    before = sys.gettrace()
    with no_collection():
        sys.settrace(trace)
        try:
            yield lambda: left
        finally:
            sys.settrace(before)


def _is_finalizer(frame: FrameType) -> bool:
    """Of what is raised in one, Python only says that it is ignored."""
    return frame.f_code.co_name == "__del__"


@cache
def _catchers(code: CodeType) -> Sequence[Any]:
    return dis._parse_exception_table(code)  # type: ignore[attr-defined]


def _catcher(code: CodeType, offset: int) -> int | None:
    found = [each.target for each in _catchers(code) if each.start <= offset < each.end]
    return found[-1] if found else None
