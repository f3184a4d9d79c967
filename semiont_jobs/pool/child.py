"""What a child process of a pool runs: a crew, until its supervisor says so or is gone.

It must not know how many other processes there are, or when one is replaced.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Mapping, MutableSequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Final, Literal, TypeAlias

from attrs import field, frozen

from semiont_jobs.errors import StoreError
from semiont_jobs.events import ENDS, Event, logger
from semiont_jobs.exits import end_last
from semiont_jobs.forks import reset_in_child
from semiont_jobs.latch import taken_from
from semiont_jobs.metrics import ProcessMetrics
from semiont_jobs.pool.crew import Crew, Reason
from semiont_jobs.pool.echo import log_for_nobody, log_there
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import Post
from semiont_jobs.pool.signals import handle_hangup
from semiont_jobs.pool.watch import Watch
from semiont_jobs.queue import JobQueue
from semiont_jobs.signals import handle

Told: TypeAlias = tuple[Literal["stop"], float] | tuple[Literal["hurry"]]
"""What a supervisor tells: finish within so many seconds; give back now."""
Tells: TypeAlias = (
    tuple[Literal["begins"]]
    | tuple[Literal["ready"]]
    | tuple[Literal["left"], Reason, int]
    | tuple[Literal["ended"], str]
    | tuple[Literal["figures"], tuple[ProcessMetrics, ...]]
    | tuple[Literal["log"], logging.LogRecord]
)
"""What a child tells: from now on it may have jobs in hand; it has begun; it leaves, why, and how
many jobs it gave back; a job of a type that was asked after has an outcome; what it has done so
far; what it logs."""

LOOK_AROUND: Final = 1.0
"""Seconds between two looks whether the supervisor lives. Its end of the pipe is closed when it
dies, which is seen at once; unless a program that it started holds a copy."""
MOST_UNSENT: Final = 100
"""Messages that wait for the thread that is sending: what the supervisor hears at once. Beyond
that, who adds one waits for `A_MOMENT`: what is logged faster than the supervisor reads would fill
the memory."""
A_MOMENT: Final = 0.05
"""Seconds. At twenty messages each, a supervisor that stands still costs no memory to speak of.
Not until there is room: the thread that is sending may wait for something that this one has."""
LAST_WORD: Final = 5.0
"""Seconds that the end of the process waits for the thread that is sending: half of those that the
supervisor gives it (`slot.FAREWELL`), who reads a full pipe in far less."""


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
    handle_hangup(lambda _number: None)  # a terminal that is closed, too
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
    line.tell(("begins",))
    watch.start()
    line.tell(("ready",))
    while (message := taken_from(mailbox))[0] != "over":
        if message[0] == "stop":
            watch.leave("stopped", message[1])
        else:
            watch.hurry()
    line.tell_figures()
    line.tell(("left", watch.reason, watch.given_back))
    try:
        queue.close()
    except StoreError as error:
        # Its supervisor knows that it leaves, and others rescue what it holds.
        logger.error("the queue could not be closed in order: %s", error)


class Line:
    """The child's end of the pipe: what comes goes into its mailbox.

    What is told is sent by whichever thread finds nobody sending, and the others' with it. To wait
    for each other would not do: in the midst of sending, garbage may be collected, and what is
    finalized then logs in the same thread, or waits for what another thread holds that logs. A
    thread that does nothing but send would be simpler, and lose the last words of a process that
    dies on the spot: what it logged just before tells why.
    """

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
        self.reset_after_fork()
        reset_in_child(self)
        end_last(self)
        parent = multiprocessing.parent_process()
        self._supervisor = None if parent is None else parent.pid
        threading.Thread(target=self._listen, name="semiont-jobs-line", daemon=True).start()

    def reset_after_fork(self) -> None:
        """Start afresh in a process that a job forks: what is unsent its parent sends."""
        self._unsent: deque[tuple[bytes, Tells]] = deque()
        self._sending = threading.Lock()
        self._sender: int | None = None
        """The thread that is sending, which must not wait for itself."""

    def tell(self, message: Tells) -> None:
        """Say something, after all that was said before. Returns when it is sent, or another thread
        is to send it; the same thread, if this comes in the midst of that."""
        # Pickled here: what cannot be is the trouble of who says it, and of nobody else.
        self._unsent.append((pickle.dumps(message), message))
        self._send(0.0 if len(self._unsent) <= MOST_UNSENT else A_MOMENT)

    def end_with_process(self) -> None:
        """Send what is left, last of all, or let the thread that is at it."""
        self._send(LAST_WORD)

    def tell_figures(self) -> None:
        """Tell what the process has done so far, if that has changed."""
        figures = self._figures()
        if figures != self._told_figures:
            self._told_figures = figures
            self.tell(("figures", figures))

    def tell_of(self, event: Event, types: frozenset[str]) -> None:
        """Tell of the end of a job of one of these types."""
        if event.job is not None and event.name in ENDS and event.job.metadata.type in types:
            self.tell(("ended", event.job_id))

    def _send(self, patience: float) -> None:
        me = threading.get_ident()
        while self._sender != me and self._sending.acquire(timeout=patience):
            try:
                self._sender = me
                while self._unsent:
                    self._send_one(*self._unsent.popleft())
            finally:
                self._sender = None
                self._sending.release()
            # Again: whoever came between the last look and the release has left it to this thread.
            if not self._unsent:
                return

    def _send_one(self, pickled: bytes, message: Tells) -> None:
        try:
            self._pipe.send_bytes(pickled)
        except OSError:
            if message[0] == "log":
                log_for_nobody(message[1])
            else:
                logger.debug("the supervisor is gone: %s is not told", message)

    def _listen(self) -> None:
        try:
            while self._supervisor in (None, os.getppid()):
                if self._pipe.poll(LOOK_AROUND):
                    self._mailbox.put(self._pipe.recv())
                self.tell_figures()
                self._send(0.0)  # what one left unsent that was interrupted
        except (EOFError, OSError):
            pass  # closed: so it is gone as well
        except Exception:  # noqa: BLE001 - deaf from now on: as if it were gone
            logger.exception("the supervisor is not heard any more")
        # Nobody would replace this process, or tell it to leave: as after a SIGTERM.
        self._mailbox.put(("stop", self._grace))
