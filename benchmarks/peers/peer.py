"""What a measured queue is asked to do, and what is said about it.

It must not know any queue. All of them are asked the same: enqueue jobs, drain them with code that
does nothing and record a result if the queue has results, serve.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, TypeAlias

from attrs import field, frozen

Payload: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[Payload, float], object]
"""A serving peer's code: it gets the job's payload and the wall-clock time of its start."""

TEXT: Final = "x" * 270
"""With the job's number, about 300 bytes of JSON: a path, a few options, a title."""
RESULT: Final[dict[str, Any]] = {"ok": True}
JOBS: Final = 3000
"""In a round: a second's worth for most."""
WAITED_FOR: Final = 1000
"""The same if each is made durable: again a second's worth."""
POLL: Final = 0.1
"""Seconds between two looks of a queue that has no worker and no way to wait: the default of Huey's
consumer."""
PATIENCE: Final = 30.0
"""Seconds that a worker of the own process may take to begin a job."""
GOLDEN: Final = (5**0.5 - 1) / 2
"""Its multiples, without their whole parts, are spread evenly."""
_TURNS: Final = itertools.count()


def payload_of(number: int) -> Payload:
    """The params of a job; its number shows at the end which jobs were run, and how often."""
    return {"n": number, "text": TEXT}


def pause(turn: int) -> float:
    """The seconds of a pause: between 0.1 and 0.2, in every phase of any worker's rhythm as often.

    Workers look every 10, 20 or 100 ms: pauses that were multiples of 10 ms met them always at the
    same two moments.
    """
    return 0.1 + turn * GOLDEN % 1 / 10


def pauses(count: int) -> Iterator[None]:
    """Pause so often."""
    wait = threading.Event().wait
    for _ in range(count):
        wait(pause(next(_TURNS)))
        yield


class Span(NamedTuple):
    """From when to when, by the monotonic clock, which the processes of a machine share."""

    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Peer(ABC):
    """One queue, opened on one place by one process."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        """The numbers of the jobs run by `drain`, in order."""

    @property
    def process_id(self) -> int:
        """The process whose memory and time this queue takes."""
        return os.getpid()

    def took_share(self, index: int, of: int) -> None:  # noqa: B027 - of interest to few
        """Note that `of` processes will drain this place, and that this is one of them."""

    @abstractmethod
    def enqueue(self, payloads: Sequence[Payload]) -> Span:
        """Enqueue jobs one by one, each acknowledged before the next."""

    def enqueue_given(self, payloads: Sequence[Payload]) -> Span:
        """Enqueue jobs one by one, with ids from the caller that might be taken."""
        raise NotImplementedError(f"it is not asked for with {len(payloads)} ids")

    @abstractmethod
    def enqueue_batch(self, payloads: Sequence[Payload]) -> Span:
        """Enqueue jobs in the queue's best way."""

    def settle(self) -> None:  # noqa: B027 - of interest to few
        """Do what a worker has done that has been at work for minutes."""

    def fill(self, payloads: Sequence[Payload]) -> None:
        """Create a backlog, as fast as possible."""
        self.enqueue_batch(payloads)

    @abstractmethod
    def drain(self, most: int) -> Span:
        """Take and run jobs until there are none, or `most` were run; notes them in `ran`."""

    def drain_singly(self, most: int) -> Span:
        """The same, each outcome acknowledged before the next job is taken."""
        raise NotImplementedError(f"it is not asked for {most} jobs so")

    @abstractmethod
    def serve(self, work: Work) -> None:
        """Run jobs as they come, in the queue's own worker with its default settings."""

    def working(self, work: Work) -> AbstractContextManager[object]:
        """Have a worker of this process run jobs in the background, with its default settings."""
        raise NotImplementedError(f"it is not asked for so: {work}")

    def wake_within(self, count: int) -> list[float]:
        """Enqueue `count` jobs beside a waiting worker of this process; returns the seconds until
        it began each."""
        started: SimpleQueue[float] = SimpleQueue()
        delays: list[float] = []
        with self.working(lambda _payload, _at: started.put(time.monotonic())):
            for turn, _ in enumerate(pauses(count)):
                began = time.monotonic()
                self.enqueue([{"n": turn}])
                delays.append(started.get(timeout=PATIENCE) - began)
        return delays

    def fill_finished(self, count: int) -> None:
        """Create jobs that have been run, as fast as possible."""
        raise NotImplementedError(f"it is not asked for {count} jobs so")

    def list_finished(self) -> object:
        """List jobs that have been run: the newest hundred, or all if it knows no other way."""
        raise NotImplementedError("it is not asked for a list")

    def count_finished(self) -> object:
        """Count them."""
        raise NotImplementedError("it is not asked for a count")

    def fate(self) -> str:
        """What became of a job whose worker was killed, as the queue itself shows it."""
        return "unknown"

    @abstractmethod
    def close(self) -> None:
        """Leave the place; what is stored stays there."""


class SimplePeer(Peer):
    """A queue in this process that hands out one job at a time."""

    @abstractmethod
    def put(self, payload: Payload) -> None:
        """Enqueue one job."""

    @abstractmethod
    def run_one(self, work: Callable[[Payload], object]) -> bool:
        """Take a job, run `work`, record the outcome; False if there is none."""

    def wait(self) -> None:
        """Return when there may be a job."""
        threading.Event().wait(POLL)

    def enqueue(self, payloads: Sequence[Payload]) -> Span:
        put = self.put
        began = time.monotonic()
        for payload in payloads:
            put(payload)
        return Span(began, time.monotonic())

    def enqueue_batch(self, payloads: Sequence[Payload]) -> Span:
        return self.enqueue(payloads)

    def drain(self, most: int) -> Span:
        run_one, note = self.run_one, self._note
        left = most
        began = ended = time.monotonic()
        while left and run_one(note):
            left -= 1
            # The look that finds nothing more is not counted: some queues wait for a second in it.
            ended = time.monotonic()
        return Span(began, ended)

    def _note(self, payload: Payload) -> dict[str, Any]:
        self.ran.append(payload["n"])
        return RESULT

    def serve(self, work: Work) -> None:
        while True:
            if not self.run_one(lambda payload: work(payload, time.time())):
                self.wait()


def _nothing_missing() -> str:
    return ""


@frozen(kw_only=True)
class Kind:
    """A queue with one set of settings, as a row of the tables."""

    name: str
    label: str
    durability: str
    """What an acknowledged call survives: ``process``, ``1 s`` of a power cut, ``power``."""
    open: Callable[[Path], Peer]
    package: str = ""
    """The distribution whose version is named; empty: none."""
    missing: Callable[[], str] = _nothing_missing
    """Why it cannot be measured here; empty: it can."""
    most: int = JOBS
    """How many jobs a round has at most, for a queue that is slow however few there are."""
    processes: bool = True
    """Whether several processes may take jobs from one place."""
    threads: bool = False
    """Whether several threads may take jobs from one open queue."""
    batches: bool = False
    """Whether it has a call for many jobs at once."""
    takes_ids: bool = False
    """Whether jobs with ids from the caller are measured, too."""
    ends_singly: bool = False
    """Whether a loop that waits for each outcome is measured, too: `drain` is a worker's own."""
    has_worker: bool = True
    """Whether it can serve at all."""
    wakes: bool = True
    """Whether a waiting worker sees what another process enqueues."""
    wakes_within: bool = False
    """Whether a worker of the process that enqueues jobs is measured, too."""
    lists: str = ""
    """The call that lists finished jobs, if there is one."""
    counts: str = ""
    """The call that counts them."""
    outcomes: str = "result"
    """What is recorded of a job that was run."""
    waits_only: bool = False
    """Whether only waiting is measured, since all else is as in another kind."""
    backlog: bool = True
    """Whether a hundred thousand pending jobs can be made in the time there is."""
    hidden: tuple[str, ...] = field(default=())
    """Modules that its process must not find, even if they are installed."""
    python: str = ""
    """The interpreter of its processes; empty: the one that measures."""
    twin_of: str = ""
    """The kind that it is in another interpreter."""

    @property
    def jobs(self) -> int:
        """How many jobs a round has, the same for all that are compared: some list a folder for
        each job, and take longer for a job the more there are."""
        return min(self.most, WAITED_FOR if self.durability == "power" else JOBS)

    @property
    def family(self) -> str:
        """Its module: a process that measures it imports no other."""
        return str(getattr(self.open, "func", self.open).__module__)

    @property
    def version(self) -> str:
        """The installed version, or empty."""
        try:
            return version(self.package) if self.package else ""
        except PackageNotFoundError:
            return ""

    def why_missing(self) -> str:
        """Why it cannot be measured here; empty: it can."""
        if self.package and not self.package.startswith("@") and not self.version:
            return f"{self.package} is not installed"
        return self.missing()
