"""The figures of the queue, as ratios measured in one run on one machine.

    python benchmarks/run.py [--dir DIR] [--rounds 5] [--only NAME ...]

DIR should be on a journaled local file system (ext4, xfs) or tmpfs; its type is printed. Every
figure is the median of interleaved rounds after one warm-up.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bare import BareLoop

from semiont_jobs import JobMetadata, JobQueue, JobWorker, PendingJob, RunningJob
from semiont_jobs.stores.files.layout import file_system_of

PAYLOAD = {"text": "x" * 280}
"""About 300 bytes of params: a path, a few options, a title."""

Row = tuple[str, str, str]


@contextmanager
def scratch(parent: str) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def new_jobs(count: int, job_type: str = "bench") -> list[PendingJob[object]]:
    return [PendingJob(metadata=JobMetadata(type=job_type), params=PAYLOAD) for _ in range(count)]


def seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


# -- against the bare system calls -------------------------------------------------------


def against_bare(parent: str, rounds: int, *, fsync: bool) -> list[Row]:
    """Enqueue and drain, each beside the same system calls in a plain loop."""
    count = 300 if fsync else 2000
    figures: list[tuple[float, float, float, float]] = []
    for _ in range(rounds + 1):
        with scratch(parent) as path:
            figures.append(_one_round(path, count, fsync=fsync))
    figures = figures[1:]  # the first round warms up
    rows = []
    for name, bare, ours in (("enqueue", 0, 1), ("drain", 2, 3)):
        ratios = [each[bare] / each[ours] for each in figures]
        rate = count / statistics.median(each[ours] for each in figures)
        limit = count / statistics.median(each[bare] for each in figures)
        rows.append(
            (
                f"{name}, fsync={fsync}",
                f"{rate:,.0f}/s, bare loop {limit:,.0f}/s",
                f"{statistics.median(ratios):.0%} ({min(ratios):.0%} to {max(ratios):.0%})",
            )
        )
    return rows


def _one_round(path: Path, count: int, *, fsync: bool) -> tuple[float, float, float, float]:
    queue = JobQueue(path / "queue", fsync=fsync).initialize()
    bare = BareLoop(path / "bare", fsync=fsync)
    jobs = new_jobs(count)
    texts = [(job.metadata.id, queue.codec.encode(job)) for job in jobs]
    # What our files have more in running and complete: the claim, the attempt, the result.
    running, complete = (texts[0][1] + b" " * more for more in (180, 230))

    def bare_enqueue() -> None:
        for name, text in texts:
            bare.create(name, text)

    def enqueue() -> None:
        for job in jobs:
            queue.create_job(job)

    def bare_drain() -> None:
        os.listdir(bare.folders["pending"])
        for name, _text in texts:
            bare.look(name)
        for name, _text in texts:
            bare.complete(name, bare.claim(name, running), complete)

    def drain() -> None:
        while (claim := queue.claim_next_job()) is not None:
            claim.complete({"ok": True})

    result = (seconds(bare_enqueue), seconds(enqueue), seconds(bare_drain), seconds(drain))
    assert queue.get_stats().complete == count
    queue.close()
    return result


# -- claim cost against backlog ----------------------------------------------------------


def against_backlog(parent: str, rounds: int) -> list[Row]:
    """Claim and complete one job with a thousand and with a hundred thousand pending."""
    rows = []
    for name, unwanted in (("claim of 100 000 pending", False), ("... all refused but one", True)):
        costs = {
            size: _backlog_cost(parent, size, rounds, unwanted=unwanted)
            for size in (1_000, 100_000)
        }
        small, large = (statistics.median(costs[size]) for size in (1_000, 100_000))
        rows.append(
            (
                f"{name}, against 1 000",
                f"{large * 1e6:,.0f} us, {small * 1e6:,.0f} us",
                f"{large / small:.2f} times",
            )
        )
    return rows


def _backlog_cost(parent: str, size: int, rounds: int, *, unwanted: bool) -> list[float]:
    with scratch(parent) as path:
        queue = JobQueue(path, fsync=False).initialize()
        queue.create_jobs(new_jobs(size, "refused" if unwanted else "bench"))

        def accept(job: PendingJob[object]) -> bool:
            return job.metadata.type == "bench"

        def one() -> None:
            claim = queue.claim_next_job(accept=accept)
            assert claim is not None
            claim.complete()

        queue.create_job(new_jobs(1)[0])
        one()  # reads the folder and asks about every job, once
        costs = []
        for _ in range(rounds):
            queue.create_jobs(new_jobs(100))
            costs.append(seconds(lambda: [one() for _ in range(100)]) / 100)
        queue.close()
    return costs


# -- waking up and idling ----------------------------------------------------------------

_PRODUCER = """
import sys, time
from semiont_jobs import JobQueue
queue = JobQueue(sys.argv[1], fsync=False)
for line in sys.stdin:
    queue.enqueue({"at": time.time()}, type="bench")
"""


class _Timer(JobWorker):
    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue)
        self.delays: list[float] = []
        self.seen = threading.Event()

    def execute_job(self, job: RunningJob) -> None:  # type: ignore[type-arg]
        self.delays.append(time.time() - job.params["at"])
        self.seen.set()


def waking(parent: str, rounds: int) -> list[Row]:
    """From another process's enqueue to the start of the work on an idle worker; idle cost."""
    with scratch(parent) as path:
        worker = _Timer(JobQueue(path, fsync=False))
        producer = subprocess.Popen(
            [sys.executable, "-c", _PRODUCER, str(path)], stdin=subprocess.PIPE, text=True
        )
        assert producer.stdin is not None
        pause = threading.Event()
        with worker:
            for turn in range(rounds * 20):
                pause.wait(0.1 + turn % 7 / 100)  # not in step with the tick
                worker.seen.clear()
                print(file=producer.stdin, flush=True)
                assert worker.seen.wait(30)
            before = resource.getrusage(resource.RUSAGE_SELF)
            pause.wait(10)
            after = resource.getrusage(resource.RUSAGE_SELF)
        producer.stdin.close()
        producer.wait()
    delays = sorted(worker.delays[1:])
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [
        (
            "wake-up across processes",
            f"p50 {statistics.median(delays) * 1e3:.1f} ms",
            f"p99 {delays[int(len(delays) * 0.99)] * 1e3:.1f} ms",
        ),
        ("idle worker", "default settings, 10 s", f"{spent / 10:.2%} of one core"),
    ]


SUITES: dict[str, Callable[[str, int], list[Row]]] = {
    "process": lambda parent, rounds: against_bare(parent, rounds, fsync=False),
    "power": lambda parent, rounds: against_bare(parent, rounds, fsync=True),
    "backlog": against_backlog,
    "waking": waking,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where to measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES))
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"{file_system_of(os.path.realpath(options.dir)) or 'unknown file system'}"
    )
    for name in options.only:
        for figure, detail, result in SUITES[name](options.dir, options.rounds):
            print(f"{figure:42} {result:24} {detail}", flush=True)


if __name__ == "__main__":
    main()
