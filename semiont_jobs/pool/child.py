"""What a child process of a pool runs: a crew, until its supervisor ends it or is gone.

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

from semiont_jobs.errors import JobHeld, StoreError
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
"""What a supervisor sends: finish within so many seconds; release the running jobs now."""
Tells: TypeAlias = (
    tuple[Literal["begins"]]
    | tuple[Literal["ready"]]
    | tuple[Literal["left"], Reason, int]
    | tuple[Literal["ended"], str]
    | tuple[Literal["figures"], tuple[ProcessMetrics, ...]]
    | tuple[Literal["log"], logging.LogRecord]
)
"""What a child sends: from now on it may have running jobs; it has begun; it leaves, why, and how
many jobs it released; a job of a watched type has an outcome; what it has done so far; what it
logs."""

LOOK_AROUND: Final = 1.0
"""Seconds between two checks that the supervisor is alive. When it dies, its end of the pipe is
closed, which is seen at once, unless a program that it started holds a copy."""
LONGEST: Final = 64 * 2**20
"""Bytes of a message. No log record that anybody reads is as long, and the supervisor has each in
memory for a moment."""
MOST_UNSENT: Final = 100
"""Messages that may wait for the sending thread: as many as the supervisor reads in one go. Beyond
that, a thread that adds one waits for `A_MOMENT`: otherwise messages logged faster than the
supervisor reads would fill the memory."""
A_MOMENT: Final = 0.05
"""Seconds. At twenty messages a second for each thread, a supervisor that hangs costs little
memory. A thread does not wait until there is room: the sending thread may wait for a lock that this
one holds."""
LAST_WORD: Final = 5.0
"""Seconds that the end of the process waits for the sending thread: half of those that the
supervisor allows (`slot.FAREWELL`). It reads a full pipe in far less."""


@frozen(kw_only=True)
class Assignment:
    """What every child of a pool gets. It is pickled to be sent."""

    queue: JobQueue
    posts: tuple[Post, ...]
    orders: Orders
    initializer: Callable[[], object] | None = None
    """Called in every child before anything else, for example to set up logging."""
    levels: Mapping[str, int] = field(factory=dict)
    """Levels of loggers, used if there is no initializer: the supervisor's process then logs what a
    child logs."""
    told_of: frozenset[str] = frozenset()
    """Types whose jobs' ends the supervisor wants to be notified of."""


def serve(assignment: Assignment, pipe: Connection, limits: MutableSequence[float]) -> None:
    """Work until the supervisor sends the process away or is gone."""
    mailbox: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    orders = assignment.orders
    # Ctrl-C in a terminal reaches every process, but the supervisor decides what to do. SIGINT is
    # not ignored, because programs that jobs start would inherit that.
    handle(signal.SIGINT, lambda _number: None)
    handle_hangup(lambda _number: None)  # the same when a terminal is closed
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
    except (StoreError, JobHeld) as error:
        # The supervisor knows that this process leaves, and others rescue what it holds.
        logger.error("the queue could not be closed in order: %s", error)


class Line:
    """The child's end of the pipe: puts what arrives into the mailbox.

    A thread that wants to send a message sends all that wait, unless another thread is sending
    already. Threads must not wait for each other: while one is sending, garbage may be collected,
    and a finalizer then logs in the same thread, or waits for a lock that a logging thread holds. A
    thread that only sends would be simpler, but would lose the last messages of a process that dies
    suddenly, and those say why it died.
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
        """Start afresh in a process that a job forks: its parent sends what is unsent."""
        self._unsent: deque[tuple[bytes, Tells]] = deque()
        self._sending = threading.Lock()
        self._counting = threading.Lock()
        self._sender: int | None = None
        """The sending thread, which must not wait for itself."""

    def tell(self, message: Tells) -> None:
        """Send a message after all earlier ones. Returns when it is sent, or when another thread
        will send it; or the same thread, if this call interrupts its sending.

        :raises ValueError: it is too long.
        """
        # Pickled here: if that fails, only the caller of this message gets the error.
        pickled = pickle.dumps(message)
        if len(pickled) > LONGEST:
            raise ValueError(f"{len(pickled)} bytes are more than a message may have")
        self._unsent.append((pickled, message))
        self._send(0.0 if len(self._unsent) <= MOST_UNSENT else A_MOMENT)

    def end_with_process(self) -> None:
        """Send what is left, last of all, or wait for the thread that is sending."""
        self._send(LAST_WORD)

    def tell_figures(self) -> None:
        """Send what the process has done so far, if that has changed."""
        with self._counting:  # two threads do this, and the last figures must be sent last
            figures = self._figures()
            if figures != self._told_figures:
                self._told_figures = figures
                self.tell(("figures", figures))

    def tell_of(self, event: Event, types: frozenset[str]) -> None:
        """Notify the supervisor of the end of a job of one of these types."""
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
            # Again: a thread that came between the last check and the release has left its message
            # here.
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
                self._send(0.0)  # what an interrupted thread left unsent
        except (EOFError, OSError):
            pass  # closed: so the supervisor is gone as well
        except Exception:  # noqa: BLE001 - unable to listen from now on: as if it were gone
            logger.exception("the supervisor is not heard any more")
        # No supervisor would replace this process or make it leave: do as after a SIGTERM.
        self._mailbox.put(("stop", self._grace))
