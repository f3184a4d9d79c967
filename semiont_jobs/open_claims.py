"""The claims of one queue that have no outcome yet, and what becomes of those nobody ends.

It must not know how jobs are claimed, nor what else a queue looks after.
"""

from __future__ import annotations

import atexit
import weakref
from collections import deque
from typing import Final, Protocol

from semiont_jobs import lifecycle
from semiont_jobs.claim import AnyClaim
from semiont_jobs.errors import ClaimLost, InvalidJob, JobEncodeError, StoreError
from semiont_jobs.events import EventName, logger
from semiont_jobs.model import AnyJob
from semiont_jobs.store import Hold


class Emit(Protocol):
    """Tells what happened to a job."""

    def __call__(self, name: EventName, job: AnyJob) -> None: ...


class OpenClaims:
    """Knows claims as long as their callers have them.

    A claim is ownership: dropped without an outcome (a function returned early, say) it must not
    hold its job for as long as the process lives.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._known: dict[str, weakref.ref[AnyClaim]] = {}
        self._kept: dict[str, AnyClaim] = {}
        self._dropped: deque[Hold] = deque()
        _ALL.add(self)

    def add(self, claim: AnyClaim, *, keep: bool) -> None:
        """A claim began; with `keep` it is held here, since its caller has only the job."""
        job_id = claim.job.metadata.id
        self._known[job_id] = weakref.ref(claim)
        if keep:
            self._kept[job_id] = claim

    def on(self, job_id: str) -> AnyClaim | None:
        """The claim on that job."""
        reference = self._known.get(job_id)
        return None if reference is None else reference()

    def all(self) -> list[AnyClaim]:
        """Every one."""
        found = (reference() for reference in list(self._known.values()))
        return [claim for claim in found if claim is not None]

    def forget(self, claim: AnyClaim) -> None:
        """A claim ended."""
        job_id = claim.job.metadata.id
        # A superseded claim may end after another one of the same job began here.
        if self.on(job_id) is claim:
            self._known.pop(job_id, None)
            self._kept.pop(job_id, None)

    def drop(self, hold: Hold) -> None:
        """A claim is garbage and has no outcome. Called in whatever thread, whatever it is doing:
        no lock may be taken here, so `give_back_dropped` does the rest."""
        self._dropped.append(hold)

    def give_back_dropped(self) -> None:
        """Give the jobs back whose claims were dropped. Raises `StoreError`: call again."""
        while self._dropped:
            hold = self._dropped.popleft()
            job = hold.job
            if job.status != "running":
                continue
            job_id = job.metadata.id
            reference = self._known.get(job_id)
            if reference is not None and reference() is None:
                del self._known[job_id]
            if not hold.is_standing():  # taken away; or it is the parent's, and this a child
                hold.let_go()
                continue
            logger.warning("job %s is given back: its claim was dropped with no outcome", job_id)
            waiting = lifecycle.release(job)
            try:
                hold.move(waiting)
            except (ClaimLost, InvalidJob, JobEncodeError):
                hold.let_go()  # gone already, or too large: then it is rescued, and fails there
            except StoreError:
                self._dropped.append(hold)
                raise
            else:
                self._emit("released", waiting)

    def release_all(self) -> None:
        """Give every job back, without using an attempt.

        :raises StoreError: the disk refused one of them; the others are given back all the same.
        """
        self.give_back_dropped()
        refused: StoreError | None = None
        for claim in self.all():
            try:
                claim.release()
            except ClaimLost:
                continue
            except StoreError as error:
                refused = refused or error
        if refused is not None:
            raise refused


_ALL: Final[weakref.WeakSet[OpenClaims]] = weakref.WeakSet()


@atexit.register
def _leave_tidy() -> None:
    """The process ends: what it holds is given back, so that this does not look like a crash.

    Workers have stopped by now: they register at their start, and what registers last runs
    first.
    """
    for claims in list(_ALL):
        try:
            claims.release_all()
        except StoreError as error:  # then it looks like a crash after all, and is rescued
            logger.warning("a claim could not be given back at exit: %s", error)
