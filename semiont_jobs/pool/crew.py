"""A crew: the threads of a pool in one process, each claiming jobs that its workers do.

It must not know signals or other processes. How a crew is watched over, and how it leaves, is in
`watch`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableSequence, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from semiont_jobs.claim import AnyClaim
from semiont_jobs.claimer import Claimer
from semiont_jobs.errors import QueueClosed, SemiontJobsError, ThreadRefused
from semiont_jobs.events import log_trouble, logger
from semiont_jobs.model import AnyJob, PendingJob
from semiont_jobs.opening import Opening
from semiont_jobs.pool.hand import Hand, Task
from semiont_jobs.pool.memory import resident_bytes
from semiont_jobs.pool.orders import Orders
from semiont_jobs.pool.roster import Post
from semiont_jobs.pool.routing import Routing, Shift
from semiont_jobs.queue import JobQueue
from semiont_jobs.retry import error_pace
from semiont_jobs.threads import Flag, begin
from semiont_jobs.worker import ERROR_BACKOFF, JobWorker

HARD_MARGIN: Final = 5.0
"""Seconds after a job counts as stuck until its process is killed, if that has not noticed by
itself: its threads do not run at all. Ten times the delay that a busy machine causes."""

Reason: TypeAlias = Literal["stopped", "drained", "replaced"]
"""Why a crew leaves: it was stopped; there is nothing to do (`burst`); its process is to be
replaced (`max_jobs`, `max_rss`, a thread that is stuck)."""


class Crew:
    """Claims jobs and runs them until it is stopped.

    :param limits: shared with the supervisor: when the process is to be killed for each hand, by
        the monotonic clock; 0 for never.
    """

    def __init__(
        self,
        queue: JobQueue,
        posts: Sequence[Post],
        orders: Orders,
        *,
        limits: MutableSequence[float] | None = None,
    ) -> None:
        self.queue = queue
        self.orders = orders
        self.hands: list[Hand] = []
        """The current ones. Only the watch changes this once the crew has started."""
        self.on_finished: Callable[[Reason], None] = _nobody
        """Called with the reason by a thread that finds that the crew is to leave."""
        self.on_changed: Callable[[], object] = _nobody
        """Called by a thread that ends, or that changes its shift."""
        self._posts = posts
        self._limits = limits
        self._stop = Flag()
        self._opening: Opening
        self._declines = False
        self._lock = threading.Lock()
        self._idle: set[Hand] = set()
        self._tickets = orders.max_jobs
        self._claimed = 0
        self._here = threading.local()
        self._sample = [post.make(queue) for post in posts]
        self._has_spare = True  # the sample is the first thread's
        self._shift = self._new_shift(())

    # -- what the watch does -------------------------------------------------------------

    def hire(self) -> None:
        """Start every thread."""
        # Within this opening: once the queue is closed, no thread may open it again.
        self._opening = self.queue.open_for_work(self._stop)
        for number in range(self.orders.threads):
            self.hands.append(self._new_hand(number))
            self._begin(self.hands[-1])

    @property
    def is_closed(self) -> bool:
        """Whether the queue was closed, which released the running jobs."""
        return self._opening.is_over

    def replace(self, hand: Hand) -> None:
        """Put a new thread in the place of one that is stuck or dead.

        :raises ThreadRefused: the system gives no thread; the new one counts as dead.
        :raises InvalidValue: no worker can be made for it; the same.
        """
        self.dismiss(hand)
        place = self.hands.index(hand)
        try:
            new = self._new_hand(hand.number)
        except BaseException as error:
            # The place is empty now, which the watch tries to mend; the old hand must not stay.
            self.hands[place] = _nobody_at(hand, error)
            raise
        self.hands[place] = new
        self._begin(new)

    def dismiss(self, hand: Hand) -> None:
        """Make a thread claim no more."""
        self.limit(hand)  # else its process is killed with the jobs of the other threads
        with self._lock:
            hand.is_dismissed = True
            self._idle.discard(hand)
        hand.end_claiming()

    def stop_claiming(self, *, at_once: bool = True) -> None:
        """Claim nothing after the running jobs; `at_once`: claimed jobs that have not begun are
        released."""
        self._declines = self._declines or at_once
        self._stop.set()
        for hand in self.hands:
            for worker in hand.workers:
                worker.stop(0)  # never started, so this only makes a generator release the rest
        self.queue.wake()

    def take_on(self, guest: Post) -> None:
        """Do a guest's jobs as well, beside those of the crew's own workers."""
        with self._lock:
            self._shift = self._new_shift((*self._shift.guests, guest))
        self.queue.wake()

    def let_go(self, guest: Post) -> None:
        """Claim no more for a guest."""
        with self._lock:
            rest = tuple(each for each in self._shift.guests if each is not guest)
            self._shift = self._new_shift(rest)
        self.queue.wake()

    def busy_for(self, guest: Post, type_name: str) -> list[Hand]:
        """The hands whose threads may be running a job of a guest that was let go, or may still get
        one."""
        found = []
        for hand in self.hands:
            task = hand.task
            is_on_another = task is not None and task.claim.job.metadata.type != type_name
            if hand.shift.has(guest) and not hand.has_ended and not is_on_another:
                found.append(hand)
        return found

    def _new_shift(self, guests: tuple[Post, ...]) -> Shift:
        made = [guest.make(self.queue) for guest in guests]
        routing = Routing(self._sample, self.orders, guests=made)
        return Shift(routing, guests, partial(self._accepts, routing))

    def _join(self, hand: Hand) -> None:
        shift = self._shift
        hand.join(shift, [guest.make(self.queue) for guest in shift.guests])
        hand.claim_with(self._claimer(hand, shift))

    def _new_hand(self, number: int) -> Hand:
        has_spare, self._has_spare = self._has_spare, False
        own = self._sample if has_spare else [post.make(self.queue) for post in self._posts]
        hand = Hand(number, own)
        self._join(hand)
        hand.thread = threading.Thread(
            target=self._live, args=(hand,), name=f"semiont-jobs-{number + 1}", daemon=True
        )
        return hand

    def _begin(self, hand: Hand) -> None:
        # The hand is in the list already: its first job may ask whether its thread is a member.
        self.limit(hand)
        try:
            begin(hand.thread)
        except ThreadRefused as error:
            hand.has_ended, hand.error = True, error
            raise

    # -- what each thread does -----------------------------------------------------------

    def _live(self, hand: Hand) -> None:
        self._here.hand = hand
        try:
            self._claim_and_work(hand)
        except BaseException as error:  # noqa: BLE001 - the watch replaces the thread
            hand.error = error
        finally:
            try:
                hand.end_claiming()
            finally:
                hand.has_ended = True
                self.on_changed()

    def _claim_and_work(self, hand: Hand) -> None:
        pace = error_pace(ERROR_BACKOFF)
        errors = 0
        while not self._stop.is_set() and not hand.is_dismissed:
            if hand.shift is not self._shift:
                self._join(hand)
                self.on_changed()  # a caller may wait for the end of a guest
            if not self._take_ticket():
                self.queue.floor.leave()
                self._stop.wait(self.orders.poll_interval)
                continue
            claim = None
            try:
                try:
                    claim = None if hand.claimer is None else hand.claimer()
                finally:
                    self._settle_ticket(used=claim is not None)
                if claim is None and not self._is_drained(hand):
                    self.queue.wait_for_work(
                        self._stop, self.orders.poll_interval, opening=self._opening
                    )
            except QueueClosed:
                return
            except Exception as error:  # noqa: BLE001
                # Like a worker, a crew survives any error of its store.
                errors += 1
                log_trouble(error, "cannot claim: %s", error)
                self._stop.wait(pace(errors))
            else:
                errors = 0
            finally:
                self._no_longer_idle(hand)
            if claim is None:
                continue
            if self._declines or self._is_gone(hand, claim):
                self._decline(claim)
            else:
                self._work(hand, claim)

    def _is_gone(self, hand: Hand, claim: AnyClaim) -> bool:
        """Whether the job is of a guest that was let go while the job was claimed."""
        if hand.shift is self._shift:
            return False
        types = self._shift.routing.types
        return types is not None and claim.job.metadata.type not in types

    def _decline(self, claim: AnyClaim) -> None:
        """Release a job that was claimed while the crew was stopped: it has not begun."""
        try:
            claim.release()
        except SemiontJobsError as error:
            logger.warning("not given back before the end: %s", error)

    def _claimer(self, hand: Hand, shift: Shift) -> Claimer:
        only = hand.workers[0] if len(hand.workers) == 1 else None
        return self.queue.claimer(
            types=shift.routing.types,
            runs=shift.routing.runs,
            queue=shift.routing.queue,
            accept=shift.accepts if shift.routing.has_to_ask else None,
            worker=hand.names[id(only)] if only else self._name_for,
            opening=self._opening,
        )

    def _accepts(self, routing: Routing, job: PendingJob[Any]) -> bool:
        hand: Hand = self._here.hand
        hand.chosen = routing.accepts(hand.workers, job)
        return hand.chosen is not None

    def _name_for(self, job: AnyJob) -> str:
        """The name of the worker a job is claimed for, at the moment of the claim."""
        hand: Hand = self._here.hand
        return hand.names[id(_worker_of(hand, job))]

    def _work(self, hand: Hand, claim: AnyClaim) -> None:
        worker = _worker_of(hand, claim.job)
        hand.chosen = None
        hand.task = Task(claim, stuck_at=None)  # before user code: it may raise
        limit = self.orders.timeout if worker.timeout is None else worker.timeout
        claim.terms.set(timeout=limit, retry_policy=worker.retry_policy)
        task = hand.take_up(claim, self.orders.stuck_after)
        self.limit(hand, task.stuck_at)
        worker.work_on(claim)
        if hand.claimer is not None:
            # The task is kept until then: a thread whose hooks hang is replaced, too.
            hand.claimer.commit_if_due()
        hand.task = None
        self.limit(hand)
        if self.orders.max_rss is not None and resident_bytes() > self.orders.max_rss:
            self.on_finished("replaced")

    def limit(self, hand: Hand, stuck_at: float | None = None) -> None:
        """Note for the supervisor when the hand's job counts as stuck; None: never, or this process
        has noticed."""
        if self._limits is None:
            return
        with self._lock:
            if not hand.is_dismissed:  # else the place and its limit belong to another hand
                self._limits[hand.number] = 0.0 if stuck_at is None else stuck_at + HARD_MARGIN

    # -- when to leave -------------------------------------------------------------------

    def _take_ticket(self) -> bool:
        """Whether one more job may be claimed; exactly `max_jobs` are claimed, by any number of
        threads."""
        if self._tickets is None:
            return True
        with self._lock:
            if self._tickets == 0:
                return False  # another thread looks for the last one
            self._tickets -= 1
            return True

    def _settle_ticket(self, *, used: bool) -> None:
        if self._tickets is None:
            return
        with self._lock:
            self._tickets += not used
            self._claimed += used
            is_last = self._claimed == self.orders.max_jobs
        if is_last:
            self.on_finished("replaced")

    def _is_drained(self, hand: Hand) -> bool:
        """Whether there is nothing to claim, and no running job that could create more.

        Every thread has looked after it finished its last job. So the last thread to become idle
        knows it for all.
        """
        if not self.orders.burst or self._shift.guests:
            return False
        # A dead thread that could not be replaced does nothing any more. One that died at work
        # still has a job.
        dead = {each for each in self.hands if each.has_ended and each.task is None}
        with self._lock:
            self._idle.add(hand)
            is_last = len(self._idle - dead) >= self.orders.threads - len(dead)
        if is_last:
            self.on_finished("drained")
        return is_last

    def _no_longer_idle(self, hand: Hand) -> None:
        if self.orders.burst:
            with self._lock:
                self._idle.discard(hand)


def _worker_of(hand: Hand, job: AnyJob) -> JobWorker:
    if not hand.shift.routing.has_to_ask:
        return hand.shift.routing.worker_for(hand.workers, job)
    assert hand.chosen is not None
    return hand.chosen


def _nobody_at(place: Hand, error: BaseException) -> Hand:
    """A hand without a thread, in the place of another."""
    hand = Hand(place.number, ())
    hand.shift, hand.thread = place.shift, place.thread
    hand.has_ended, hand.error = True, error
    return hand


def _nobody(*_told: object) -> None:
    """Do nothing: no callback is set."""
