"""A separate process that works on a place, controlled through a pipe.

It must not know any store: it is given a function that opens a queue there.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Final

from semiont_jobs import JobExists, JobMetadata, JobQueue, PendingJob
from semiont_jobs.claim import AnyClaim

PATIENCE: Final = 60.0
"""Seconds for an answer: a fresh interpreter on a busy machine takes a few of them at worst."""


class Child:
    """The parent's end. Use `call`, or `ask` several children first and then `answer`."""

    def __init__(self, opener: Callable[[], JobQueue]) -> None:
        # A fresh interpreter, not a fork: a fork would share what separate processes never share.
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=serve, args=(opener, far), daemon=True)
        self._process.start()
        far.close()

    def ask(self, verb: str, *arguments: Any) -> None:
        """Make the child call `Bench.verb`, without waiting."""
        self._pipe.send((verb, arguments))

    def answer(self) -> Any:
        """What the method asked for last returned."""
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError(f"no answer within {PATIENCE} seconds")
        return self._pipe.recv()

    def call(self, verb: str, *arguments: Any) -> Any:
        """Ask, and wait for the answer."""
        self.ask(verb, *arguments)
        return self.answer()

    def kill(self) -> None:
        """End it like the kernel when memory is short: no handler, no clean-up."""
        self._process.kill()
        self._process.join(PATIENCE)
        self._pipe.close()

    def stop(self) -> None:
        """Suspend it; it keeps its locks."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Resume it."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid


class Bench:
    """What a child can be asked to do."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._claim: AnyClaim | None = None

    def ready(self) -> bool:
        """Open the queue."""
        self._queue.initialize()
        return True

    def create(self, job_id: str) -> bool:
        """Create a job of that id; return whether this process did so."""
        job = PendingJob(
            metadata=JobMetadata(id=job_id, type="task"),  # type: ignore[arg-type]
            params={"creator": os.getpid()},
        )
        try:
            self._queue.create_job(job)
        except JobExists:
            return False
        return True

    def claim(self) -> str | None:
        """Claim a job; return its id."""
        self._claim = self._queue.claim_next_job()
        return None if self._claim is None else self._claim.job.metadata.id

    def drain(self) -> list[str]:
        """Claim and complete until no job is pending; return the ids, in order."""
        done = []
        while self._queue.get_stats().pending:
            job_id = self.claim()
            if job_id is not None:
                self.complete({"by": os.getpid()})
                done.append(job_id)
        return done

    def checkpoint(self, units: list[str]) -> None:
        """Store a checkpoint of the claimed job."""
        assert self._claim is not None
        self._claim.checkpoint(units)

    def complete(self, result: Any) -> str:
        """Complete the claimed job; return its status."""
        assert self._claim is not None
        return self._claim.complete(result).status


def serve(opener: Callable[[], JobQueue], pipe: Connection) -> None:
    """What the child runs: answer until the parent is gone."""
    bench = Bench(opener())
    while True:
        try:
            verb, arguments = pipe.recv()
        except EOFError:
            return
        pipe.send(getattr(bench, verb)(*arguments))
