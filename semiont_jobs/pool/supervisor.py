"""The supervisor: one thread that keeps the child processes of a pool, and replaces them.

It must not know what they do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any, Final

from semiont_jobs.events import logger
from semiont_jobs.keeper import become_keeper
from semiont_jobs.latch import Latch
from semiont_jobs.opening import Opening
from semiont_jobs.pool.child import Assignment
from semiont_jobs.pool.crew import Reason
from semiont_jobs.pool.echo import log_here
from semiont_jobs.pool.slot import FAREWELL, LOOP, Slot
from semiont_jobs.pool.staff import sooner
from semiont_jobs.pool.watch import LAST_WORDS
from semiont_jobs.threads import Flag, begin, pause

AT_ONCE: Final = 100
"""Messages of one process that are read before the others are looked at: a process that logs faster
than this one writes must not block everything else."""
LAST: Final = 100_000
"""The same for a process that has ended: more than a pipe holds."""
TICK: Final = 0.1
"""Seconds that a request to leave waits at most; messages of children are seen at once."""


class Supervisor:
    """Starts the processes, listens to them, and ends when all of them have."""

    def __init__(
        self,
        assignment: Assignment,
        processes: int,
        *,
        on_end: Callable[[], None] | None = None,
        on_outcome: Callable[[str], None] | None = None,
    ) -> None:
        self.given_back: int = 0
        """Jobs that were released because their processes left. If a process died instead, its
        running jobs: as many as it reported, and at least one, since it may have claimed that and
        not been able to report it."""
        self.is_crash_looping: bool = False
        """Whether a process died again and again, up to the end."""
        self._queue = assignment.queue
        self._burst = assignment.orders.burst
        self._slots = [Slot(number, assignment) for number in range(processes)]
        self._on_end = on_end
        self._on_outcome = on_outcome
        self._opening: Opening
        self._was_ready = False
        self._ended = Latch()
        self._is_started = False
        self._is_over = False
        self._lock = threading.RLock()  # a signal handler may stop the pool at any point
        self._leave_at: float | None = None
        self._is_hurried = False
        self._told: tuple[float | None, bool] = (None, False)
        self._thread = threading.Thread(
            target=self._keep, name="semiont-jobs-supervisor", daemon=True
        )

    def start(self) -> None:
        """Start the processes, and return."""
        # The children have queues of their own: only this process can tell them that its queue was
        # closed.
        self._opening = self._queue.open_for_work(Flag())
        begin(self._thread)
        self._is_started = True

    def is_member(self) -> bool:
        """Always False: jobs run in other processes."""
        return False

    def leave(self, _reason: Reason, /, grace: float = float("inf")) -> None:
        """Let every process finish its running jobs within `grace` seconds; a later call can only
        shorten that. Returns at once."""
        with self._lock:
            self._leave_at = sooner(self._leave_at, grace)

    def hurry(self) -> None:
        """Release the running jobs now."""
        self.leave("stopped", 0.0)
        self._is_hurried = True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all processes have ended, if any was started; return whether they have."""
        return not self._is_started or self._ended.wait(timeout)

    # -- private -------------------------------------------------------------------------

    def _keep(self) -> None:
        self._is_started = True  # also if a signal handler interrupted `start`
        become_keeper()
        while not self._is_over:
            try:
                self._round()
            except BaseException:  # noqa: BLE001 - nothing else looks after the processes
                logger.exception("the supervisor failed; it goes on")
                pause(TICK)
        self._ended.set()
        if self._on_end is not None:
            self._on_end()

    def _round(self) -> None:
        now = time.monotonic()
        if self._leave_at is None and self._opening.is_over:
            logger.warning("the queue was closed: its pool leaves, and gives its jobs back")
            self.hurry()
        for slot in self._slots:
            if self._leave_at is None and slot.is_due(now):
                slot.start()
        self._pass_on(now)
        self._await_news()
        for slot in self._slots:
            for message in slot.messages(AT_ONCE):
                self._hear(slot, message)
            if slot.has_ended:
                for message in slot.messages(LAST):
                    self._hear(slot, message)
                self._note_end(slot)
            elif slot.process is not None and (why := slot.overdue(time.monotonic())):
                logger.error("%s %s: killed", slot.name, why)
                slot.kill()
        self._give_up_if_hopeless()
        is_leaving = self._leave_at is not None
        if all(slot.process is None and (is_leaving or not slot.is_wanted) for slot in self._slots):
            self.is_crash_looping = any(slot.is_looping for slot in self._slots)
            self._is_over = True

    def _await_news(self) -> None:
        things: list[Any] = []
        for slot in self._slots:
            things += [] if slot.process is None else [slot.process.sentinel]
            # After its last message only the end of a process is waited for.
            things += [] if slot.wire is None or slot.left is not None else [slot.wire]
        if any(slot.has_message for slot in self._slots):
            return  # read with the last one that was heard
        if things:
            wait(things, TICK)
        else:
            pause(TICK)

    def _hear(self, slot: Slot, message: tuple[Any, ...]) -> None:
        match message:
            case ("begins",):
                slot.in_hand = 1
            case ("ready",):
                slot.is_ready = self._was_ready = True
            case ("left", reason, given_back):
                slot.note_left(reason)
                self.given_back += given_back
            case ("figures", figures):
                if slot.in_hand:
                    slot.in_hand = max(1, sum(each.in_flight for each in figures))
                self._queue.hear_of_process(slot, figures)
            case ("log", record):
                log_here(record)
            case ("ended", job_id) if self._on_outcome is not None:
                self._on_outcome(job_id)
            case _:
                pass

    def _note_end(self, slot: Slot) -> None:
        how = slot.bury()
        self._queue.hear_of_process(slot, None)
        if how is None:
            return
        if self._leave_at is not None:
            if slot.in_hand:
                logger.warning(
                    "%s died (%s) and did not leave: its jobs are rescued", slot.name, how
                )
                self.given_back += slot.in_hand
            return
        if not slot.is_looping:
            logger.warning("%s died (%s); it is started again", slot.name, how)
            return
        reason = f"{slot.deaths} processes in a row died within a minute of their start ({how})"
        logger.error("%s: crash loop: %s; it is started again slowly", slot.name, reason)
        self._queue.emit("crash_loop", None, reason, about=slot.name)

    def _give_up_if_hopeless(self) -> None:
        """Give up if no process could ever begin, or, in a burst, none can any more. Starting them
        again would not help, and the pool's end shows the error."""
        hopeless = all(not s.is_wanted or s.unready_deaths >= LOOP for s in self._slots)
        wanted = any(slot.is_wanted for slot in self._slots)
        if hopeless and wanted and self._leave_at is None and (self._burst or not self._was_ready):
            logger.error("no process of the pool can begin: given up")
            self.leave("stopped", 0.0)

    def _pass_on(self, now: float) -> None:
        """Send the processes the request to leave each time it has become more urgent, and kill
        those that do not leave."""
        with self._lock:
            leave_at, is_hurried = self._leave_at, self._is_hurried
        if leave_at is None:
            return
        if (leave_at, is_hurried) != self._told:
            self._told = (leave_at, is_hurried)
            for slot in self._slots:
                slot.tell(("hurry",) if is_hurried else ("stop", max(0.0, leave_at - now)))
        if now > leave_at + LAST_WORDS + FAREWELL:
            for slot in self._slots:
                slot.kill()
