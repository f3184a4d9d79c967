"""The open claims of a queue: who has them, who dropped them, and giving them back.

It must not know how a claim is come by, or what else it may become.
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

from semiont_jobs import exits  # noqa: F401 - registers before this, so ends after
from semiont_jobs.claim import AnyClaim
from semiont_jobs.errors import ClaimLost, JobHeld, JobTimeout, QueueClosed, StoreError
from semiont_jobs.events import log_trouble, logger
from semiont_jobs.forks import reset_in_child
from semiont_jobs.in_hand import AnyInHand
from semiont_jobs.retry import poll
from semiont_jobs.threads import stand_still_at_the_end, tell_the_end

EXIT_PATIENCE: Final = 2.0
"""Seconds that the end of a process waits for claims that threads of its are just making, and for
verbs that they are in the midst of."""
PATIENCE: Final = 5.0
"""The same at the end of a queue: longer than a verb takes but on a disk that stands still."""


class OpenClaims:
    """Looks after claims without keeping them alive, but for those it is told to keep."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        # Weakly: who drops a claim without an outcome has given up its job.
        self._known: dict[str, weakref.ref[AnyClaim]] = {}
        self._kept: dict[str, AnyClaim] = {}
        self._dropped: deque[AnyClaim] = deque()
        self._expected: dict[object, int] = {}
        self._is_at_end = False
        _MADE.add(self)

    def made(self, make: Callable[[], AnyClaim | None]) -> AnyClaim | None:
        """Have this thread make a claim, if there is one, and look after it: who closes the queue
        in between waits for that.

        :raises QueueClosed: the process is at its end, which nobody would live to see.
        """
        expected = object()
        try:
            # No lock: a thread in the midst of a claim may be asked for another one.
            self._expected[expected] = threading.get_ident()
            if self._is_at_end:
                self._expected.pop(expected)  # nobody need wait for this one
                stand_still_at_the_end()
                raise QueueClosed("the process ends")
            claim = make()
            if claim is not None:
                self.add(claim)
            return claim
        finally:
            self._expected.pop(expected, None)

    def is_expected_here(self) -> bool:
        """Whether this thread is in the midst of making a claim."""
        return threading.get_ident() in self._expected.copy().values()

    def wait_for_expected(self, seconds: float) -> None:
        """Wait until no other thread is making a claim, so long at most."""
        mine = {threading.get_ident()}
        with suppress(JobTimeout):
            poll(
                lambda: None if set(self._expected.copy().values()) - mine else True,
                timeout=seconds,
            )

    def add(self, claim: AnyClaim) -> None:
        """Look after a new claim."""
        _desks.of_open[id(claim)] = claim._desk  # noqa: SLF001
        self._known[claim.job_id] = weakref.ref(claim)

    def keep(self, claim: AnyClaim) -> None:
        """Hold on to a claim until it has ended, though nobody else may."""
        self._kept[claim.job.metadata.id] = claim

    def get(self, job_id: str) -> AnyClaim | None:
        """The claim on that job, if there is one here."""
        known = self._known.get(job_id)
        return None if known is None else known()

    def all(self) -> list[AnyClaim]:
        """Every one that somebody has."""
        found = [known() for known in list(self._known.values())]
        return [claim for claim in found if claim is not None]

    def forget(self, claim: AnyInHand) -> None:
        """A claim ended: it needs no more looking after."""
        job_id = claim.job_id
        _desks.of_open.pop(id(claim), None)
        known = self._known.get(job_id)
        # A superseded claim may end after another one of the same job began here. One that was
        # dropped has no reference left that would tell.
        if known is not None and known() in (claim, None):
            self._known.pop(job_id, None)
        if self._kept and self._kept.get(job_id) is claim:
            self._kept.pop(job_id, None)

    def drop(self, claim: AnyInHand) -> None:
        """Nobody has that claim any more. A finalizer calls this, in whatever thread, perhaps
        one that is just holding a lock of ours: it may take none, and gives nothing back."""
        self._dropped.append(cast("AnyClaim", claim))
        _OWING.add(self)

    def give_back_dropped(self) -> None:
        """Give the dropped ones back without using an attempt, and warn of each.

        :raises StoreError: the disk refused one, which is tried again at the next call.
        """
        _OWING.discard(self)  # first: whatever is dropped from now on is noted again
        while self._dropped:
            claim = self._dropped.popleft()
            if not self._is_lost(claim):
                continue
            job_id = claim.job.metadata.id
            try:
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
        """Whether nobody will end it: it may have been dropped with its outcome on the way, or
        taken up again by `keep`."""
        metadata = claim.job.metadata
        # A forked child has copies of its parent's claims, which are not its to give back.
        is_ours = metadata.claim is not None and metadata.claim.pid == self._pid
        return is_ours and claim.is_open and self._kept.get(metadata.id) is not claim

    def end(self) -> None:
        """Let no more claims be made, and give every one back, as `give_back_all`."""
        self._is_at_end = True
        self.wait_for_expected(EXIT_PATIENCE)
        self.give_back_all(EXIT_PATIENCE)

    def give_back_all(self, patience: float | None = None) -> None:
        """Give every one back without using an attempt.

        :raises StoreError: the disk refused one; the others were given back.
        :raises JobHeld: the work of one is within a verb of it, and was for so many seconds, or
            `PATIENCE`.
        """
        give_back(dict.fromkeys((*self._dropped, *self.all())), patience)


def give_back(claims: Iterable[AnyClaim], patience: float | None = None) -> None:
    """Release claims; whichever the disk refuses, or a work keeps, keeps none of the others."""
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


class _Desks:
    """Those of open claims, kept: were one dropped together with its claim, in a circle, its store
    would be finalized in whatever order, and there were nothing left to give the job back to."""

    def __init__(self) -> None:
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Start afresh in a forked child: the parent's claims are not the child's."""
        # By claim: each step is one of the dict's, so that there need be no lock.
        self.of_open: dict[int, object] = {}


_desks: Final = _Desks()
_MADE: Final[weakref.WeakSet[OpenClaims]] = weakref.WeakSet()
_OWING: Final[set[OpenClaims]] = set()
"""Those with dropped claims, kept for the exit: one whose queue was dropped with a claim that was
just being made has no keeper left."""


def _give_back_at_exit() -> None:
    """A process that ends in order leaves no job to look as if its worker had crashed."""
    tell_the_end()
    for claims in {*_MADE, *_OWING}:
        if claims._pid != os.getpid():  # noqa: SLF001 - of the parent of a fork
            continue
        try:
            claims.end()
        except Exception as error:  # noqa: BLE001 - whatever refuses, the others are given back too
            log_trouble(error, "a job in hand could not be given back: %s", error)


# Here, before any worker is started: what is registered first is called last, when the workers
# have been waited for.
atexit.register(_give_back_at_exit)
