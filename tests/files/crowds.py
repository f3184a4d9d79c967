"""A thread that creates a job while the disk is slow, and others that come meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from files.places import PATIENCE, Unattended, job

from semiont_jobs.stores.files.creating import Creating
from semiont_jobs.testing.waiting import eventually

COUNT = 6


class Crowd:
    """A thread that creates a job, whose disk is slow, and others that come meanwhile."""

    def __init__(self, queue: Unattended, verb: str, place: str) -> None:
        self.queue = queue
        store: Any = queue.store
        self.creating: Creating = store._creating
        self._pool = ThreadPoolExecutor(COUNT + 2)
        self._is_slow, self._goes_on = threading.Event(), threading.Event()
        queue.disk.before(verb, place, self._wait)
        self.first = self._pool.submit(queue.create_job, job("first"))
        assert self._is_slow.wait(PATIENCE)

    def _wait(self) -> None:
        self._is_slow.set()
        assert self._goes_on.wait(PATIENCE)

    def join(self, *ids: str) -> list[Future[Any]]:
        """More threads, each with a job; they wait, in this order."""
        came = []
        for id_ in ids:
            waiting = len(self.creating._waiting)
            came.append(self._pool.submit(self.queue.create_job, job(id_)))
            eventually(lambda before=waiting: len(self.creating._waiting) == before + 1)
        return came

    def overtake(self) -> None:
        """More threads, each with a job; none of them waits for the first."""
        with ThreadPoolExecutor(COUNT) as pool:
            for each in [pool.submit(self.queue.create_job, job(id_)) for id_ in ids()]:
                each.result(PATIENCE)
        assert not self.first.done()

    def go_on(self) -> None:
        """The disk is quick again."""
        self.queue.disk.calls.clear()
        self._goes_on.set()

    def end(self) -> None:
        """Nobody waits any more, nor is in the way of those to come."""
        self._goes_on.set()
        self._pool.shutdown()
        assert not self.creating._waiting
        assert self.creating._server is None


@contextmanager
def crowd(
    queue: Unattended, verb: str = "link", place: str = "pending/first.json"
) -> Iterator[Crowd]:
    """A crowd before that call of the first."""
    made = Crowd(queue, verb, place)
    try:
        yield made
    finally:
        made.end()


def ids(prefix: str = "j") -> list[str]:
    """Of as many jobs as others come."""
    return [f"{prefix}-{n}" for n in range(COUNT)]
