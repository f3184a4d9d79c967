"""The pool on PostgreSQL: its own tests, where the store has a part in them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from pool import test_pool_map as maps
from pool import test_pool_members as members
from pool import test_pool_processes as processes
from pool import test_pool_threads as threads
from pool import test_pool_time_limits as limits

from semiont_jobs import JobQueue

# What those tests make for themselves.
called = maps.called
deaf = limits.deaf
stuck = limits.stuck


@pytest.fixture
def address(url: str) -> str:
    """This test's own place."""
    return url


@pytest.fixture
def queue(address: str) -> Iterator[JobQueue]:
    with JobQueue(address) as opened:
        yield opened


for _module in (maps, members, processes, threads, limits):
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and "queue" in inspect.signature(_test).parameters:
            globals()[_name] = _test
