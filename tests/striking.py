"""Striking code at any step of it, as a signal may."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from types import FrameType
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
def interrupted_at(place: int, *, modules: Container[str]) -> Iterator[Callable[[], int]]:
    """Raise `KeyboardInterrupt` at that place of what is called in here, in these modules, of those
    where Python looks for signals: a function begins, or one of C has returned; gives how many
    are left of them, less than none once it was raised."""
    left = place

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        # Of what a `with` enters some versions tell, and others do not.
        is_entered = event == "c_return" and argument.__name__ == "__enter__"
        is_place = event in ("call", "c_return") and not is_entered
        if is_place and frame.f_globals.get("__name__") in modules:
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

    with no_collection():
        sys.setprofile(profile)
        try:
            yield lambda: left
        finally:
            sys.setprofile(None)
