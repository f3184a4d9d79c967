"""Tools for tests of jobs, and of your own stores.

This module only passes names on, each imported when it is first used: `Jobs` and a clock need
neither pytest nor hypothesis, `StoreConformance` and `ProcessConformance` need pytest,
`JobQueueMachine` needs hypothesis.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from semiont_jobs.testing.clock import FakeClock
    from semiont_jobs.testing.conformance import ProcessConformance, StoreConformance
    from semiont_jobs.testing.jobs import Jobs
    from semiont_jobs.testing.laws import Laws
    from semiont_jobs.testing.machine import JobQueueMachine
    from semiont_jobs.testing.suite import StoreHooks

__all__ = [
    "FakeClock",
    "JobQueueMachine",
    "Jobs",
    "Laws",
    "ProcessConformance",
    "StoreConformance",
    "StoreHooks",
]

_HOMES: Final = {
    "FakeClock": "clock",
    "JobQueueMachine": "machine",
    "Jobs": "jobs",
    "Laws": "laws",
    "ProcessConformance": "conformance",
    "StoreConformance": "conformance",
    "StoreHooks": "suite",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    return getattr(home, name)
