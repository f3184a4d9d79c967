"""What loops have put off, and the thread that commits it where no loop does so in time.

It must not know what was put off, or how it is made durable.
"""

from __future__ import annotations

import time
import weakref
from contextlib import suppress
from typing import Final

from semiont_jobs.errors import StoreError, ThreadRefused
from semiont_jobs.events import logger
from semiont_jobs.exits import end_last
from semiont_jobs.keeper import Keeper
from semiont_jobs.retry import error_pace
from semiont_jobs.store import Deferred, Deferring, JobStore

MOST: Final = 32
"""Jobs of which a process puts something off, all loops together: each holds up to three files
open."""
LATE: Final = 0.02
"""Seconds that something may be put off: long enough for what some score of short jobs store to be
forced at once, and not more than anybody would notice who waits for an outcome."""
QUIET: Final = 5
"""Looks at which nothing was put off, after which nobody looks until something is."""
ASLEEP: Final = 60.0
"""Seconds between two looks then."""
LONGEST_PAUSE: Final = 30.0
"""Seconds between two tries, at most, to commit what the disk refuses."""


class Committer:
    """Commits for the loops of one queue what they leave for too long."""

    def __init__(self) -> None:
        # By number, so that they can be gone through while others come and go.
        self._known: dict[int, weakref.ref[Deferred]] = {}
        self._keeper = Keeper(self, name="semiont-jobs-committer")
        self._is_awake = False
        self._quiet = 0
        self._pace = error_pace(LONGEST_PAUSE)
        self._errors = 0
        self._again_at = 0.0
        end_last(self)

    def new(self, store: JobStore) -> Deferred | None:
        """What one loop puts off; None: in this store nothing has to be."""
        deferred = store.deferred() if isinstance(store, Deferring) else None
        if deferred is not None:
            number = id(deferred)
            self._known[number] = weakref.ref(deferred, lambda _gone: self._known.pop(number, None))
        return deferred

    @property
    def share(self) -> int:
        """How many jobs each loop may have put something off of."""
        return max(1, MOST // max(1, len(self._known)))

    def look(self) -> None:
        """Something was put off."""
        if not self._is_awake:
            with suppress(ThreadRefused):  # then the loops do it, when they come to it
                self._keeper.start()
                self._is_awake = True
                self._keeper.poke()

    def keep_house(self) -> float:
        """One look, by the thread; seconds until the next one."""
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
        # Whoever put something off before this has not woken us.
        is_quiet = all(deferred.since is None for deferred in self._all())
        self._is_awake = not is_quiet
        return ASLEEP if is_quiet else LATE / 2

    def _commit(self, deferred: Deferred, now: float) -> None:
        """For a loop that does not do so. What one disk refuses keeps no other loop waiting."""
        if deferred.is_refused and now < self._again_at:
            return
        if try_to_commit(deferred):
            self._errors = 0
        else:
            self._errors += 1
            self._again_at = now + self._pace(self._errors)
        deferred.tell()

    def commit_all(self) -> None:
        """Make everything durable that is put off.

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
        """The same, as far as the disk lets us; the thread tells of it."""
        for deferred in self._all():
            try_to_commit(deferred)

    def tell_all(self) -> None:
        """Tell of all that has become durable."""
        for deferred in self._all():
            deferred.tell()

    def end_with_process(self) -> None:
        """What is put off in the last moment must not be left for the next process to settle."""
        self.try_to_commit_all()
        self.tell_all()

    def stop(self, patience: float) -> None:
        """End the thread, after the look that is under way; see `Keeper.stop`."""
        try:
            self._is_awake = False
            self._keeper.stop(patience)
        finally:
            self._is_awake = False  # somebody may have put something off meanwhile

    def _all(self) -> list[Deferred]:
        found = [known() for known in list(self._known.values())]
        return [deferred for deferred in found if deferred is not None]


def try_to_commit(deferred: Deferred) -> bool:
    """Commit, or leave it to the thread; whether all is durable."""
    try:
        deferred.commit()
    except StoreError as error:
        logger.error("not durable yet: %s", error)
        return False
    return True
