"""What loops have put off, and the thread that commits it if a loop does not do so in time.

It must not know what was put off, or how it is made durable.
"""

from __future__ import annotations

import time
import weakref
from typing import Final

from semiont_jobs.errors import StoreError, ThreadRefused
from semiont_jobs.events import logger
from semiont_jobs.exits import end_last
from semiont_jobs.keeper import Keeper
from semiont_jobs.retry import error_pace
from semiont_jobs.store import Deferred, Deferring, JobStore

MOST: Final = 32
"""Jobs that all loops of one queue object may put off; each loop may put off at least one. Each job
keeps up to three files open."""
LATE: Final = 0.02
"""Seconds after which the thread commits what a loop put off, or up to half as many more. One
commit then covers some twenty short jobs, and nothing that waits for an outcome notices the
delay."""
QUIET: Final = 5
"""Looks that find nothing put off, after which the thread sleeps until something is."""
ASLEEP: Final = 60.0
"""Seconds between two looks in its sleep."""
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries, at most, to commit what the disk refuses."""


class Committer:
    """Commits what the loops of one queue object leave for too long."""

    def __init__(self) -> None:
        # By number, so that one thread can go through them while others come and go.
        self._known: dict[int, weakref.ref[Deferred]] = {}
        self._keeper = Keeper(self, name="semiont-jobs-committer")
        self._is_awake = False
        self._quiet = 0
        self._pace = error_pace(LONGEST_PAUSE)
        self._errors = 0
        self._again_at = 0.0
        end_last(self)

    def new(self, store: JobStore) -> Deferred | None:
        """A new `Deferred` for one loop; None: this store needs none."""
        deferred = store.deferred() if isinstance(store, Deferring) else None
        if deferred is not None:
            number = id(deferred)
            self._known[number] = weakref.ref(deferred, lambda _gone: self._known.pop(number, None))
        return deferred

    @property
    def share(self) -> int:
        """How many jobs each loop may put off."""
        return max(1, MOST // max(1, len(self._known)))

    def look(self) -> bool:
        """Something was put off. Return False if the system gives no thread to look after it."""
        if not self._is_awake:
            # First: if another thread stops it meanwhile, the next call starts it again.
            self._is_awake = True
            try:
                self._keeper.start()
            except ThreadRefused:
                self._is_awake = False
                return False
            self._keeper.poke()
        return True

    def keep_house(self) -> float:
        """Do one look, in the thread; returns the seconds until the next."""
        now = time.monotonic()
        is_quiet = True
        for deferred in self._all():
            since = deferred.since
            if since is not None:
                is_quiet = False
                if now - since >= LATE:
                    self._commit(deferred, now)
        self._quiet = self._quiet + 1 if is_quiet else 0
        if self._quiet < QUIET:
            return LATE / 2
        self._is_awake = False
        # A loop that put something off before this has not woken us.
        is_quiet = all(deferred.since is None for deferred in self._all())
        self._is_awake = not is_quiet
        return ASLEEP if is_quiet else LATE / 2

    def _commit(self, deferred: Deferred, now: float) -> None:
        """Commit for a loop that does not.

        If its disk refuses, no other loop waits for that.
        """
        if deferred.is_refused and now < self._again_at:
            return
        if try_to_commit(deferred):
            self._errors = 0
        else:
            self._errors += 1
            self._again_at = now + self._pace(self._errors)
        deferred.tell()

    def commit_all(self) -> None:
        """Make everything durable that was put off.

        :raises StoreError: the disk refused some of it; the rest is durable.
        """
        refused: StoreError | None = None
        for deferred in self._all():
            try:
                deferred.commit()
            except StoreError as error:
                refused = refused or error
        if refused is not None:
            raise refused

    def try_to_commit_all(self) -> None:
        """The same, as far as the disk allows; the thread notifies the hooks."""
        for deferred in self._all():
            try_to_commit(deferred)

    def tell_all(self) -> None:
        """Notify hooks of all that has become durable."""
        for deferred in self._all():
            deferred.tell()

    def end_with_process(self) -> None:
        """Commit what was put off last, so that the next process need not settle it."""
        self.try_to_commit_all()
        self.tell_all()

    def stop(self, patience: float) -> None:
        """Stop the thread after its current look; see `Keeper.stop`."""
        try:
            self._is_awake = False
            self._keeper.stop(patience)
        finally:
            self._is_awake = False  # a loop may have put something off meanwhile

    def _all(self) -> list[Deferred]:
        found = [known() for known in list(self._known.values())]
        return [deferred for deferred in found if deferred is not None]


def try_to_commit(deferred: Deferred) -> bool:
    """Commit, or leave it to the thread; returns whether all is durable."""
    try:
        deferred.commit()
    except StoreError as error:
        logger.error("not durable yet: %s", error)
        return False
    return True
