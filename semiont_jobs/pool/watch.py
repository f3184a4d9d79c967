"""The watch over a crew: one thread that replaces stuck or dead threads, and leads the way out.

It must not know why the crew is to leave, nor signals or other processes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from semiont_jobs.claim import AnyClaim
from semiont_jobs.errors import (
    ClaimLost,
    InvalidValue,
    JobFailed,
    JobHeld,
    JobTimeout,
    SemiontJobsError,
    ThreadRefused,
    WorkerStopping,
)
from semiont_jobs.events import logger
from semiont_jobs.keeper import become_keeper
from semiont_jobs.latch import Latch
from semiont_jobs.pool.crew import Crew, Reason
from semiont_jobs.pool.errand import Errand
from semiont_jobs.pool.hand import Hand
from semiont_jobs.pool.staff import sooner
from semiont_jobs.threads import Flag, begin

TICK: Final = 0.1
"""Seconds between two rounds, which look at a few variables. So stuck code, dead threads and the
end of a grace time are seen as soon as a person could notice."""
LAST_WORDS: Final = 2.0
"""Seconds between asking code to stop and releasing its job: code that checks at all does so about
once a second, and the grace time is over already."""
AGAIN: Final = 1.0
"""Seconds between tries to store the end of a job whose thread is gone, while the disk refuses, or
to start a thread, while the system refuses."""
ITS_TURN: Final = 0.2
"""Seconds to wait for a job's turn, to take the job from its code: most operations end sooner.
Waiting longer for each of many stuck jobs would keep the only watch from all the others."""


class Watch:
    """Keeps a crew at its size until it is to leave; then lets it finish, asks it to stop, and
    releases.

    It never waits for a hook, and for a thread of the crew only `ITS_TURN`, while that is in an
    operation of its claim. So stuck code blocks nothing else.
    """

    def __init__(
        self,
        crew: Crew,
        *,
        on_end: Callable[[], None] | None = None,
        leaves_when_stuck: bool = False,
    ) -> None:
        self.crew = crew
        self.reason: Reason = "stopped"
        self.given_back: int = 0
        """Jobs that became pending because the crew left; or that will when their process ends, or
        by a rescue if the disk refused the release."""
        self.is_crash_looping = False
        """Always: a crew runs in this process."""
        self._on_end = on_end
        self._leaves_when_stuck = leaves_when_stuck
        self._ended = Latch()
        self._is_started = False
        self._is_over = False
        self._nudge = Flag()
        self._lock = threading.Lock()
        self._leave_at: float | None = None
        self._give_back_at: float | None = None
        self._asked: dict[str, AnyClaim] = {}
        self._unsettled: list[tuple[AnyClaim, BaseException]] = []
        self._errands: list[Errand] = []
        self._try_again_at = 0.0
        self._hire_again_at = 0.0
        self._thread = threading.Thread(target=self._keep, name="semiont-jobs-watch", daemon=True)
        crew.on_finished = self.leave
        crew.on_changed = self._nudge.set

    def start(self) -> None:
        """Start the crew, then the watch over it."""
        self._is_started = True  # first: a job may begin, and stop us, before the watch does
        try:
            self.crew.hire()
            begin(self._thread)
        except BaseException:
            self._is_started = False
            self.crew.stop_claiming()  # without a watch no thread may begin a job
            raise

    def is_member(self) -> bool:
        """Whether the calling thread belongs to the crew."""
        me = threading.current_thread()
        return any(hand.thread is me for hand in self.crew.hands)

    def leave(self, reason: Reason, /, grace: float = float("inf")) -> None:
        """Claim no more; running jobs have `grace` seconds to finish. A later call can only shorten
        that. Returns at once."""
        with self._lock:
            if reason == "drained" and self._errands:
                return  # not drained: a run is under way
            if self._leave_at is None:
                self.reason = reason
            self._leave_at = sooner(self._leave_at, grace)
        self.crew.stop_claiming(at_once=reason == "stopped")
        self._nudge.set()

    def hurry(self) -> None:
        """Release the running jobs now."""
        self.leave("stopped", 0.0)
        with self._lock:
            self._give_back_at = time.monotonic()
        self._nudge.set()

    def take_on(self, errand: Errand) -> bool:
        """Have the crew do a run's jobs too; return False if it is leaving."""
        with self._lock:
            if self._leave_at is not None or self._is_over:
                return False
            self._errands.append(errand)
        self.crew.take_on(errand.guest)
        return True

    def let_go(self, errand: Errand) -> None:
        """Lead an errand out: it ends once none of its jobs is running. Returns at once."""
        self.crew.let_go(errand.guest)
        self._nudge.set()

    @property
    def has_errands(self) -> bool:
        """Whether a run is under way."""
        return bool(self._errands)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the crew has left, if it was started; return whether it has."""
        return not self._is_started or self._ended.wait(timeout)

    # -- private -------------------------------------------------------------------------

    def _keep(self) -> None:
        become_keeper()
        while not self._is_over:
            try:
                self._round(time.monotonic())
            except BaseException:  # noqa: BLE001 - nothing else would notice stuck or dead threads
                logger.exception("the watch over the workers failed; it goes on")
            if not self._is_over:
                self._nudge.wait(TICK)
                self._nudge.clear()
        if self._on_end is not None:
            self._on_end()

    def _round(self, now: float) -> None:
        if self._leave_at is None and self.crew.is_closed:
            logger.warning("the queue was closed: its pool leaves, and gives its jobs back")
            self.hurry()
        for hand in list(self.crew.hands):
            task = hand.stuck_task(now)
            if hand.waits_for_disk:
                self.crew.limit(hand)
            if task is not None:
                self._give_up(hand, task.claim)
            elif self._has_died(hand) and now >= self._hire_again_at:
                self._bury(hand)
        if now >= self._try_again_at:
            self._unsettled = [each for each in self._unsettled if not self._try_to_fail(*each)]
        for errand in list(self._errands):
            self._see_off(errand, now)
        if self._leave_at is not None:
            self._lead_out(now)

    def _see_off(self, errand: Errand, now: float) -> None:
        """Lead an errand that is to end towards its end, as `_lead_out` does the crew."""
        if errand.leave_at is None:
            return
        busy = self.crew.busy_for(errand.guest, errand.type)
        if not busy:
            with self._lock:
                self._errands.remove(errand)
            errand.end()
            return
        for hand in busy:
            task = hand.task
            if task is None or task.claim.job.metadata.type != errand.type:
                continue  # about to look for its new shift
            if now >= errand.leave_at:
                task.claim.ask_to_stop(WorkerStopping("the run has been left"))
            if now >= errand.leave_at + LAST_WORDS:
                self._replace(hand)
                errand.given_back += self._give_back_one(task.claim)

    def _has_died(self, hand: Hand) -> bool:
        # Threads end by themselves only once they are asked to.
        return hand.has_ended and (hand.error is not None or self._leave_at is None)

    def _give_up(self, hand: Hand, claim: AnyClaim) -> None:
        """Take the job from a thread that ignores its time limit, and leave the thread alone."""
        # Before its job is free: the thread may end the job at this moment, and claim another.
        if self._leaves_when_stuck:
            # Only the end of its process ends a thread: that comes once the other threads have
            # finished.
            self.leave("replaced")
        self._replace(hand)
        job = claim.job
        error = JobTimeout(
            f"still at work {self.crew.orders.stuck_after:g} seconds after its time limit of"
            f" {claim.timeout or 0:g} seconds"
        ).with_traceback(hand.where())
        if not claim.is_open:
            return  # its own outcome came first
        self.crew.queue.emit("stuck", job, str(error))
        logger.error("job %s: its thread stands here", job.metadata.id, exc_info=error)
        self._fail(claim, error)

    def _bury(self, hand: Hand) -> None:
        """End the job of a thread that died, and put another thread in its place."""
        error = hand.error or JobFailed("the thread that worked on it ended")
        logger.error("thread %s died", hand.thread.name, exc_info=error)
        try:
            self._replace(hand)
        finally:
            if hand.task is not None:
                self._fail(hand.task.claim, error)

    def _replace(self, hand: Hand) -> None:
        if self._leave_at is None:
            try:
                self.crew.replace(hand)
            except (ThreadRefused, InvalidValue) as refused:
                # The old thread's job must get its end now in any case.
                self._hire_again_at = time.monotonic() + AGAIN
                logger.error("a thread less: %s", refused)
        else:
            self.crew.dismiss(hand)
            self.crew.hands.remove(hand)

    def _fail(self, claim: AnyClaim, error: BaseException) -> None:
        """End a job that has lost its thread; try again about once a second while the disk refuses,
        or while its code is stuck in an operation of its claim."""
        if not self._try_to_fail(claim, error):
            self._unsettled.append((claim, error))

    def _try_to_fail(self, claim: AnyClaim, error: BaseException) -> bool:
        is_told = any(claim is each for each, _error in self._unsettled)
        try:
            claim.soon(partial(claim.settle, error), 0.0 if is_told else ITS_TURN)
        except ClaimLost:
            pass  # its own outcome came first, or another program took the job away
        except SemiontJobsError as refused:
            self._try_again_at = time.monotonic() + AGAIN
            # A disk recovers some time; stuck code may stay so for as long as this process lives.
            if not (is_told and isinstance(refused, JobHeld)):
                logger.error("outcome not stored yet: %s", refused)
            return False
        return True

    def _lead_out(self, now: float) -> None:
        if all(hand.has_ended for hand in self.crew.hands):
            self._end()
        elif self._leave_at is not None and now >= self._leave_at:
            if self._give_back_at is None:
                self._give_back_at = now + LAST_WORDS
            self._ask()
            if now >= self._give_back_at:
                self._give_back()
                self._end()

    def _ask(self) -> None:
        for hand in self.crew.hands:
            task = hand.task
            if task is not None and task.claim.job.metadata.id not in self._asked:
                self._asked[task.claim.job.metadata.id] = task.claim
                task.claim.ask_to_stop(WorkerStopping("the worker is being stopped"))

    def _give_back(self) -> None:
        until = time.monotonic() + ITS_TURN
        for claim in self._asked.values():
            self._give_back_one(claim, max(0.0, until - time.monotonic()))

    def _give_back_one(self, claim: AnyClaim, seconds: float = ITS_TURN) -> bool:
        try:
            claim.soon(claim.release, seconds)
        except ClaimLost:
            pass  # it has an outcome
        except SemiontJobsError as error:
            id_ = claim.job.metadata.id
            logger.error("job %s is not given back before the end: %s", id_, error)
            # The end of a run is not that of the crew, which tries again.
            self._unsettled.append((claim, WorkerStopping("it was to be given back")))
        return claim.was_released

    def _end(self) -> None:
        left = [claim for claim in self._asked.values() if claim.was_released or claim.is_open]
        self.given_back = len(left)
        with self._lock:
            self._is_over = True
            errands, self._errands = self._errands, []
        for errand in errands:
            errand.end()
        self._ended.set()
