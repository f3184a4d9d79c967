"""What a child process of a pool runs: a crew, until its supervisor says so or is gone.

It must not know how many other processes there are, or when one is replaced.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping, MutableSequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Final, Literal, TypeAlias

from attrs import field, frozen

from semiont_jobs.events import ENDS, Event, logger
from semiont_jobs.latch import taken_from
from semiont_jobs.metrics import ProcessMetrics
from semiont_jobs.pool.crew import Crew, Reason
from semiont_jobs.pool.echo import log_there
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import Post
from semiont_jobs.pool.watch import Watch
from semiont_jobs.queue import JobQueue
from semiont_jobs.signals import handle

Told: TypeAlias = tuple[Literal["stop"], float] | tuple[Literal["hurry"]]
"""What a supervisor tells: finish within so many seconds; give back now."""
Tells: TypeAlias = (
    tuple[Literal["ready"]]
    | tuple[Literal["left"], Reason, int]
    | tuple[Literal["ended"], str]
    | tuple[Literal["figures"], tuple[ProcessMetrics, ...]]
    | tuple[Literal["log"], logging.LogRecord]
)
"""What a child tells: it has begun; it leaves, why, and how many jobs it gave back; a job of a
type that was asked after has an outcome; what it has done so far; what it logs."""

LOOK_AROUND: Final = 1.0
"""Seconds between two looks whether the supervisor lives. Its end of the pipe is closed when it
dies, which is seen at once; unless a program that it started holds a copy."""


@frozen(kw_only=True)
class Assignment:
    """What every child of a pool gets. It is pickled on the way."""

    queue: JobQueue
    posts: tuple[Post, ...]
    orders: Orders
    initializer: Callable[[], object] | None = None
    """Called in every child before anything else: to set up logging, say."""
    levels: Mapping[str, int] = field(factory=dict)
    """Of loggers, where there is no initializer: what a child logs is logged in this process."""
    told_of: frozenset[str] = frozenset()
    """Types whose jobs' ends the supervisor wants to hear of."""


def serve(assignment: Assignment, pipe: Connection, limits: MutableSequence[float]) -> None:
    """Work until told to leave, or left alone."""
    mailbox: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    orders = assignment.orders
    # Ctrl-C in a terminal reaches every process: it is the supervisor that tells what to do. Not
    # ignored, since programs that jobs start would inherit that.
    handle(signal.SIGINT, lambda _number: None)
    handle(signal.SIGTERM, lambda _number: mailbox.put(("stop", orders.grace)))
    queue = assignment.queue
    line = Line(pipe, mailbox, grace=orders.grace, figures=queue.process_metrics)
    if assignment.initializer is not None:
        assignment.initializer()
    else:
        log_there(line.tell, assignment.levels)
    if assignment.told_of:
        queue.subscribe(lambda event: line.tell_of(event, assignment.told_of))
    crew = Crew(queue, assignment.posts, orders, limits=limits)
    watch = Watch(crew, on_end=lambda: mailbox.put(("over",)), leaves_when_stuck=True)
    watch.start()
    line.tell(("ready",))
    while (message := taken_from(mailbox))[0] != "over":
        if message[0] == "stop":
            watch.leave("stopped", message[1])
        else:
            watch.hurry()
    line.tell_figures()
    line.tell(("left", watch.reason, watch.given_back))
    queue.close()


class Line:
    """The child's end of the pipe: what comes goes into its mailbox."""

    def __init__(
        self,
        pipe: Connection,
        mailbox: SimpleQueue[tuple[Any, ...]],
        *,
        grace: float,
        figures: Callable[[], tuple[ProcessMetrics, ...]],
    ) -> None:
        self._pipe = pipe
        self._mailbox = mailbox
        self._grace = grace
        self._figures = figures
        self._told_figures: tuple[ProcessMetrics, ...] = ()
        self._lock = threading.Lock()
        parent = multiprocessing.parent_process()
        self._supervisor = None if parent is None else parent.pid
        threading.Thread(target=self._listen, name="semiont-jobs-line", daemon=True).start()

    def tell(self, message: Tells) -> bool:
        """Say something; False: nobody is there to hear it."""
        try:
            with self._lock:
                self._pipe.send(message)
        except OSError:
            if message[0] != "log":
                logger.debug("the supervisor is gone: %s is not told", message)
            return False
        return True

    def tell_figures(self) -> None:
        """Tell what the process has done so far, if that has changed."""
        figures = self._figures()
        if figures != self._told_figures and self.tell(("figures", figures)):
            self._told_figures = figures

    def tell_of(self, event: Event, types: frozenset[str]) -> None:
        """Tell of the end of a job of one of these types."""
        if event.job is not None and event.name in ENDS and event.job.metadata.type in types:
            self.tell(("ended", event.job_id))

    def _listen(self) -> None:
        try:
            while self._supervisor in (None, os.getppid()):
                if self._pipe.poll(LOOK_AROUND):
                    self._mailbox.put(self._pipe.recv())
                self.tell_figures()
        except (EOFError, OSError):
            pass  # closed: so it is gone as well
        except Exception:  # noqa: BLE001 - deaf from now on: as if it were gone
            logger.exception("the supervisor is not heard any more")
        # Nobody would replace this process, or tell it to leave: as after a SIGTERM.
        self._mailbox.put(("stop", self._grace))
