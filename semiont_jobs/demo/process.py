"""One worker process of the demonstration: each of the six workers in a thread.

It must not know the plan, nor that it may be killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from semiont_jobs.demo.annotators import ANNOTATORS
from semiont_jobs.demo.witness import OUTCOME, Witness
from semiont_jobs.events import Event
from semiont_jobs.latch import taken_from
from semiont_jobs.queue import JobQueue

MAX_CRASHES: Final = 100
"""The demonstration kills workers at random: their deaths do not show that a job is bad."""


def open_queue(data_dir: Path) -> JobQueue:
    """The queue of a demonstration, with the settings that all its processes share."""
    return JobQueue(data_dir, max_crashes=MAX_CRASHES)


def main(data_dir: Path, threads: int) -> None:
    """Work until SIGTERM, SIGINT or the end of standard input, `threads` of each worker."""
    queue = open_queue(data_dir)
    witness = Witness(data_dir / "witness")

    def tell(event: Event) -> None:
        if event.name in ("completed", "failed"):
            witness.saw(OUTCOME, event.job_id)

    queue.subscribe(tell)
    # Not an event, which a signal handler must not set: the interrupted code may hold its lock.
    stop: SimpleQueue[None] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.put(None))
    threading.Thread(target=_wait_for_the_end_of_input, args=(stop,), daemon=True).start()
    workers = [
        annotator(queue, data_dir, witness) for annotator in ANNOTATORS for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    taken_from(stop)
    for worker in workers:
        worker.stop()
    queue.close()


def _wait_for_the_end_of_input(stop: SimpleQueue[None]) -> None:
    """Notice the death of the parent: no other process has the other end of the pipe."""
    # Not sys.stdin: a thread that waits in it would block the exit of the interpreter.
    while os.read(0, 1024):
        pass
    stop.put(None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
