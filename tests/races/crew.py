"""Threads that use one queue in every way at once, and what they have to show for it."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from semiont_jobs import (
    ClaimLost,
    Event,
    InvalidTransition,
    JobHeld,
    JobNotFound,
    JobQueue,
    JobWorker,
    PermanentError,
    QueueClosed,
    RunningJob,
    Snooze,
)
from semiont_jobs.testing.waiting import eventually
from semiont_jobs.threads import Flag

PATIENCE = 120.0
REFUSALS = (ClaimLost, InvalidTransition, JobHeld, JobNotFound, QueueClosed)
"""What a thread may be told because another one was faster."""


@contextmanager
def quick_switches() -> Iterator[None]:
    """Threads take turns a hundred times as often, where they have to."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 100)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


class Crew:
    """Threads on one queue, and what happened."""

    def __init__(self, queue: JobQueue) -> None:
        self.queue = queue
        self.errors: list[BaseException] = []
        self.ran: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.stop = Flag()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        queue.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        with self._lock:
            self.told[event.name] += 1
            if event.name in ("completed", "failed", "cancelled"):
                self.ended[event.job_id] += 1

    def note(self, job: RunningJob[Any, Any]) -> None:
        """A job's work begins."""
        with self._lock:
            self.ran[job.metadata.id] += 1

    def go(self, act: Callable[[random.Random], object], *, seed: int = 0) -> None:
        """A thread that does that again and again."""

        def go_on() -> None:
            rng = random.Random(f"{act} {seed}")
            while not self.stop.is_set():
                try:
                    act(rng)
                except REFUSALS:
                    continue
                except BaseException as error:  # the test tells
                    self.errors.append(error)

        self._threads.append(threading.Thread(target=go_on, daemon=True))

    def work(self, *, until: Callable[[], bool]) -> None:
        """Have all of them work until that is true."""
        deadline = time.monotonic() + PATIENCE
        with quick_switches():
            for thread in self._threads:
                thread.start()
            while not until() and not self.errors and time.monotonic() < deadline:
                self.stop.wait(0.02)
            self.stop.set()
            self.queue.wake()
            for thread in self._threads:
                thread.join(PATIENCE)
        if self.errors:
            raise self.errors[0]
        assert not any(thread.is_alive() for thread in self._threads)
        with Worker(self):  # the last of them may have given something back
            eventually(until, timeout=PATIENCE)

    # -- what they do --------------------------------------------------------------------

    def claim(self, _rng: random.Random) -> None:
        """Work off what there is, in a loop by hand."""
        for claim in self.queue.claims():
            self.note(claim.job)
            claim.complete()
        self.queue.wait_for_work(self.stop, 0.02)

    def give_back(self, rng: random.Random) -> None:
        """Take a job, and give it back in one way or another, or do it."""
        claim = self.queue.claim_next_job()
        if claim is None:
            self.queue.wait_for_work(self.stop, 0.02)
        elif (way := rng.randrange(4)) == 0:
            claim.release()
        elif way == 1:
            claim.snooze(0.01)
        elif way == 2:
            claim.checkpoint(["some"])
            claim.complete()
        # Else it is dropped.

    def hire(self, rng: random.Random) -> None:
        """Have a worker work for a moment."""
        worker = Worker(self)
        worker.start()
        self.stop.wait(rng.random())
        assert worker.stop(PATIENCE)

    def meddle(self, rng: random.Random) -> None:
        """Look at jobs, cancel, retry and remove some."""
        found = self.queue.query_jobs(limit=20)
        verbs: list[Callable[[str], object]] = [
            self.queue.cancel_job,
            self.queue.remove_job,
            self.queue.retry_job,
            self.queue.get_job,
        ]
        for job in found:
            with suppress(*REFUSALS):
                rng.choice(verbs)(job.metadata.id)
        self.queue.cleanup_completed_jobs(timedelta(seconds=0.5), cancelled=True)
        self.queue.subscribe(lambda _event: None)()
        self.queue.metrics()
        self.queue.get_stats()
        self.queue.poll_next_pending_job(types=["task"])
        self.stop.wait(0.01)

    def close(self, rng: random.Random) -> None:
        """Close the queue, which any other thread opens again."""
        self.stop.wait(rng.random() / 5)
        self.queue.close()


class Worker(JobWorker):
    """Does what a job says."""

    def __init__(self, crew: Crew) -> None:
        super().__init__(crew.queue, poll_interval=0.05, error_backoff=0.05)
        self._crew = crew

    def execute_job(self, job: RunningJob[Any, Any]) -> None:
        self._crew.note(job)
        match job.params["work"]:
            case "fails":
                raise PermanentError
            case "snoozes" if self._crew.ran[job.metadata.id] < 3:
                raise Snooze(0.01)
            case "reports":
                self.update_job_progress({"page": 1})
                self.checkpoint(["page 1"])
