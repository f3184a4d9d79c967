"""What a measured queue is asked to do, and what is said about it.

It must not know any queue. Everything is asked of all of them alike: put jobs in, take them out
with a work that does nothing and a result recorded where the queue has results, serve.
"""

from __future__ import annotations

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from attrs import field, frozen

Payload: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[Payload, float], object]
"""The work of a serving peer: the job's payload and the wall clock's time at its start."""

TEXT: Final = "x" * 270
"""With the job's number, about 300 bytes of JSON: a path, a few options, a title."""
RESULT: Final[dict[str, Any]] = {"ok": True}
POLL: Final = 0.1
"""Seconds between two looks of a queue that has no worker and no way to wait of its own: what
Huey's consumer takes by default."""


def payload_of(number: int) -> Payload:
    """The params of a job; its number tells at the end which jobs were run, and how often."""
    return {"n": number, "text": TEXT}


def pauses(count: int) -> Iterator[None]:
    """Uneven pauses, so that no worker's rhythm is met."""
    wait = threading.Event().wait
    for turn in range(count):
        wait(0.1 + turn % 7 / 100)
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
        """So many processes will drain this place, and this is one of them."""

    @abstractmethod
    def enqueue(self, payloads: Sequence[Payload]) -> Span:
        """Put jobs in one by one, each acknowledged before the next."""

    def enqueue_given(self, payloads: Sequence[Payload]) -> Span:
        """Put jobs in one by one, under ids of the caller's that might be taken."""
        raise NotImplementedError(f"it is not asked for with {len(payloads)} ids")

    @abstractmethod
    def enqueue_batch(self, payloads: Sequence[Payload]) -> Span:
        """Put jobs in as the queue does it best."""

    def fill(self, payloads: Sequence[Payload]) -> None:
        """Put a backlog in, as fast as may be."""
        self.enqueue_batch(payloads)

    @abstractmethod
    def drain(self, most: int) -> Span:
        """Take and run jobs until there are none, or so many were run; notes them in `ran`."""

    def drain_singly(self, most: int) -> Span:
        """The same, each outcome acknowledged before the next job is taken."""
        raise NotImplementedError(f"it is not asked for {most} jobs so")

    @abstractmethod
    def serve(self, work: Work) -> None:
        """Run jobs as they come, by the queue's own worker with its default settings."""

    def wake_within(self, count: int) -> list[float]:
        """Put in so many jobs beside a worker of this process, which waits: the seconds until it
        began each."""
        raise NotImplementedError(f"it is not asked for {count} jobs so")

    def fate(self) -> str:
        """What became of a job whose worker was killed, as the queue itself shows it."""
        return "unknown"

    @abstractmethod
    def close(self) -> None:
        """Leave the place; what is stored stays."""


class SimplePeer(Peer):
    """A queue in this process that gives one job at a time to whoever asks."""

    @abstractmethod
    def put(self, payload: Payload) -> None:
        """Put one job in."""

    @abstractmethod
    def run_one(self, work: Callable[[Payload], object]) -> bool:
        """Take a job, do the work, record the outcome; False if there is none."""

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
            # The look that finds nothing more is not counted: some wait for a second in it.
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
    """What a call's acknowledgement survives: ``process``, ``1 s`` of a power cut, ``power``."""
    open: Callable[[Path], Peer]
    package: str = ""
    """The distribution whose version is named; empty: none."""
    missing: Callable[[], str] = _nothing_missing
    """Why it cannot be measured here; empty: it can."""
    jobs: int = 3000
    """How many jobs a round has: a second's worth, or so, that no row takes the time of all the
    others. It is the same number for all queues on files, some of which list a folder for each job,
    and take the longer for one the more there are."""
    processes: bool = True
    """Whether several processes may take from one place."""
    threads: bool = False
    """Whether several threads may take from one opened queue."""
    batches: bool = False
    """Whether it has a call for many jobs at once."""
    takes_ids: bool = False
    """Whether jobs under ids of the caller's are measured, too."""
    ends_singly: bool = False
    """Whether a loop that waits for each outcome is measured, too: `drain` is a worker's own."""
    has_worker: bool = True
    """Whether it can serve at all."""
    wakes: bool = True
    """Whether a worker that waits sees what another process puts in."""
    wakes_within: bool = False
    """Whether a worker of the process that puts jobs in is measured, too."""
    outcomes: str = "result"
    """What is recorded of a job that was run."""
    waits_only: bool = False
    """Whether it differs from another kind only in how it waits, so that only this is measured."""
    backlog: bool = True
    """Whether a hundred thousand pending jobs can be made in the time there is."""
    hidden: tuple[str, ...] = field(default=())
    """Modules that its process must not find, though they are installed."""

    @property
    def family(self) -> str:
        """The module it is made in: a process that measures it imports no other."""
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
