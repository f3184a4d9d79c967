"""Waiting for something to become true, for as long as a busy machine may take.

It must not know what is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 30.0
"""Seconds until a wait fails its test: nothing here takes a tenth of it on a busy machine, and a
passing test never waits that long."""


def eventually(look: Callable[[], T | None], timeout: float = PATIENCE) -> T:
    """What `look` returns once that is true (not None, False, or empty)."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {timeout} seconds"
        pause.wait(0.005)
    return found
