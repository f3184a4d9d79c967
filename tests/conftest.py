"""What the tests of the core share: a clock that stands still, queues that are closed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from semiont_jobs import JobQueue, singleton
from semiont_jobs.testing import FakeClock
from semiont_jobs.testing.suite import kept

# A busy machine is slow now and then; that is no failure. What failed is printed, so nothing
# need be remembered in the directory of whoever ran the tests.
settings.register_profile("semiont-jobs", deadline=None, database=None)
settings.load_profile("semiont-jobs")

# In the background of a script Ctrl-C is ignored, here and in all that is started from here: the
# tests that send it would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def with_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python says that it runs one thread at a time, whether it does or not."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)


@pytest.fixture
def without_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python says that it runs threads side by side, as a free-threaded one does."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)


@pytest.fixture
def no_queue_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No application's queue has been made in this process."""
    monkeypatch.setattr(singleton, "_queue", None)
    monkeypatch.setattr(singleton, "_settings", None)
    yield
    if singleton._queue is not None:
        singleton._queue.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "files"])
def make_queue(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> Iterator[Callable[..., JobQueue]]:
    """Makes queues on this test's place, in memory or in a directory; closes them."""
    place: dict[str, Any] = {"data_dir": "memory:"}
    if request.param == "files":
        place = {"data_dir": tmp_path / "data", "fsync": False}
    made: list[JobQueue] = []

    def make(**options: Any) -> JobQueue:
        made.append(kept(JobQueue(**{**place, "clock": clock, **options})))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


@pytest.fixture
def queue(make_queue: Callable[..., JobQueue]) -> JobQueue:
    """A queue on either store, on a clock that stands still."""
    return make_queue()


@pytest.fixture
def memory(clock: FakeClock) -> Iterator[JobQueue]:
    """A queue in memory, on a clock that stands still."""
    with JobQueue("memory:", clock=clock) as queue:
        yield kept(queue)
