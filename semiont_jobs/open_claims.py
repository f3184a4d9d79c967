"""The open claims of a queue: which there are, which were dropped, and how they are released.

It must not know how a claim is made, or which other outcomes it may have.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, cast

from semiont_jobs import (
    exits,  # noqa: F401 - registers before this, so ends after
    lifecycle,
)
from semiont_jobs.claim import AnyClaim
from semiont_jobs.errors import (
    ClaimLost,
    JobHeld,
    JobTimeout,
    QueueClosed,
    SemiontJobsError,
    StoreError,
)
from semiont_jobs.events import log_trouble, logger
from semiont_jobs.forks import reset_in_child
from semiont_jobs.in_hand import AnyInHand
from semiont_jobs.retry import poll
from semiont_jobs.store import Hold
from semiont_jobs.threads import pop_entry, stand_still_at_the_end, tell_the_end

EXIT_PATIENCE: Final = 2.0
"""Seconds that the end of a process waits, for each queue, for claims in the making, and then for
running methods of its claims."""
PATIENCE: Final = 5.0
"""Seconds that the close of a queue waits for such methods; only a disk that hangs needs longer."""


class OpenClaims:
    """Looks after claims without keeping them alive, except those passed to `keep`."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        # Weakly: a program that drops a claim without an outcome has given up its job.
        self._known: dict[str, weakref.ref[AnyClaim]] = {}
        self._kept: dict[int, AnyClaim] = {}  # by the claim's own id
        self._dropped: deque[AnyClaim] = deque()
        self._expected: dict[object, int] = {}
        self._is_at_end = False
        _MADE.add(self)

    def made(self, make: Callable[[], AnyClaim | None]) -> AnyClaim | None:
        """Call `make` for a claim and look after it; a close of the queue waits for that.

        :raises QueueClosed: the process is ending, and would not live to see the claim.
        """
        expected = object()
        try:
            # No lock: a thread that is making a claim may be asked for another one.
            self._expected[expected] = threading.get_ident()
            if self._is_at_end:
                self._expected.pop(expected)  # nothing need wait for this one
                stand_still_at_the_end()
                raise QueueClosed("the process ends")
            claim = make()
            if claim is not None:
                self.add(claim)
            return claim
        finally:
            self._expected.pop(expected, None)

    def is_expected_here(self) -> bool:
        """Whether this thread is making a claim."""
        return threading.get_ident() in self._expected.copy().values()

    def wait_for_expected(self, seconds: float) -> None:
        """Wait until no other thread is making a claim, for `seconds` at most."""
        mine = {threading.get_ident()}
        with suppress(JobTimeout):
            poll(
                lambda: None if set(self._expected.copy().values()) - mine else True,
                timeout=seconds,
            )

    def add(self, claim: AnyClaim) -> None:
        """Look after a new claim."""
        _desks.of_open[id(claim)] = claim._desk, claim._hold  # noqa: SLF001
        self._known[claim.job_id] = weakref.ref(claim)

    def keep(self, claim: AnyClaim) -> None:
        """Keep a claim alive until it has ended, even if nothing else does."""
        self._kept[id(claim)] = claim

    def get(self, job_id: str) -> AnyClaim | None:
        """The claim on that job, if it is known here."""
        known = self._known.get(job_id)
        return None if known is None else known()

    def all(self) -> list[AnyClaim]:
        """Every claim that is still alive."""
        found = [known() for known in list(self._known.values())]
        return [claim for claim in found if claim is not None]

    def forget(self, claim: AnyInHand) -> None:
        """Stop looking after a claim: it has ended."""
        job_id = claim.job_id
        _desks.of_open.pop(id(claim), None)
        known = self._known.get(job_id)
        # A superseded claim may end after another claim on the same job began here. The reference
        # to a dropped claim is dead, and cannot say which one it was.
        if known is not None and known() in (claim, None):
            pop_entry(self._known, job_id, known)
        self._kept.pop(id(claim), None)

    def drop(self, claim: AnyInHand) -> None:
        """Note a claim that is garbage.

        A finalizer calls this, in any thread, perhaps in one that holds a lock of ours: so this
        takes no lock, and releases nothing.
        """
        self._dropped.append(cast("AnyClaim", claim))
        _OWING.add(self)

    def give_back_dropped(self) -> None:
        """Release the dropped claims without using an attempt, and log a warning for each.

        :raises StoreError: the disk refused one; the next call tries again.
        """
        _OWING.discard(self)  # first: a claim that is dropped from now on is noted again
        while self._dropped:
            try:
                claim = self._dropped.popleft()
            except IndexError:
                return  # another thread has just taken the last one
            try:
                if not self._is_lost(claim):
                    continue
                job_id = claim.job.metadata.id
                give_back([claim])
            except BaseException:
                self.drop(claim)
                raise
            logger.warning(
                "the claim on job %s was dropped without an outcome; the job was given back",
                job_id,
                extra={"job_id": job_id},
            )

    def _is_lost(self, claim: AnyClaim) -> bool:
        """Whether nothing will end the claim.

        It may have been dropped just before it ended, or may be kept again by `keep`.
        """
        metadata = claim.job.metadata
        # A forked child has copies of its parent's claims, and must not release them.
        is_ours = metadata.claim is not None and metadata.claim.pid == self._pid
        return is_ours and claim.is_open and id(claim) not in self._kept

    def end(self) -> None:
        """Allow no more claims, and release all there are, as `give_back_all`."""
        self._is_at_end = True
        self.wait_for_expected(EXIT_PATIENCE)
        self.give_back_all(EXIT_PATIENCE)

    def give_back_all(self, patience: float | None = None) -> None:
        """Release every claim without using an attempt.

        :raises StoreError: the disk refused one; the others were released.
        :raises JobHeld: the code of one job was inside a method of its claim for so many seconds,
            or for `PATIENCE`.
        """
        # A copy: one may be dropped meanwhile, in any thread.
        give_back(dict.fromkeys((*self._dropped.copy(), *self.all())), patience)


def give_back(claims: Iterable[AnyClaim], patience: float | None = None) -> None:
    """Release claims; one that the disk refuses, or its job's code uses, does not stop the rest."""
    refused: StoreError | JobHeld | None = None
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    for claim in claims:
        try:
            claim.soon(claim.release, max(0.0, until - time.monotonic()))
        except ClaimLost:
            continue
        except (StoreError, JobHeld) as error:
            refused = refused or error
    if refused is not None:
        raise refused


def give_back_hold(hold: Hold) -> None:
    """Undo a claim in the store, without a `Claim`."""
    job = hold.job
    try:
        if job.status == "running":
            hold.move(lifecycle.release(job))
    except SemiontJobsError as error:
        # As if its worker had died: the rescue counts a crash.
        logger.error("job %s is not given back: %s", job.metadata.id, error)
    finally:
        hold.let_go()


class _Desks:
    """The desks of open claims and what these hold, kept alive.

    If they were dropped in a cycle with their claim, they might be finalized first: there would be
    nothing left to which to release the job, or its file would be closed.
    """

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Reset this in a forked child: the parent's claims are not the child's."""
        # By claim: each step is a single one of the dict's, so no lock is needed.
        self.of_open: dict[int, object] = {}


_desks: Final = _Desks()
_MADE: Final[weakref.WeakSet[OpenClaims]] = weakref.WeakSet()
_OWING: Final[set[OpenClaims]] = set()
"""Those with dropped claims, kept for the exit: a queue that was dropped while a claim was being
made has no keeper left."""


def _give_back_at_exit() -> None:
    """Release all claims at a normal exit, so that no job looks as if its worker had crashed."""
    tell_the_end()
    for claims in {*_MADE, *_OWING}:
        if claims._pid != os.getpid():  # noqa: SLF001 - of the parent of a fork
            continue
        try:
            claims.end()
        except Exception as error:  # noqa: BLE001 - whatever refuses, the others are released too
            log_trouble(error, "a job in hand could not be given back: %s", error)


# Here, before any worker starts: what is registered first is called last, after the wait for the
# workers.
atexit.register(_give_back_at_exit)
