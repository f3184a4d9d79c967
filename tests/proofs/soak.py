"""How long those long forms of the tests run that have no end of their own.

It must not know what they do: each asks for its share of the seconds there are.
"""

from __future__ import annotations

import os
import time
from typing import Final

VARIABLE: Final = "SEMIONT_JOBS_SOAK"

DEFAULT: Final = 600.0
"""Seconds in all, as in ``tox -e soak``, where a test is run by hand with ``-m soak``; beside the
forms that have an end."""


def seconds(share: float) -> float:
    """The seconds of a test that takes this share (0 to 1) of them all."""
    return float(os.environ.get(VARIABLE, DEFAULT)) * share


def new_seed() -> int:
    """One that no soak began with before: the same again would see little that is new. A failure
    must tell with which it was."""
    return time.time_ns() // 1_000_000 % 1_000_000_000


def factor() -> float:
    """How many times longer a test of the suite runs (marker ``scaled``): once without the
    variable, else once for every minute of it."""
    return max(1.0, float(os.environ.get(VARIABLE, 60.0)) / 60.0)
