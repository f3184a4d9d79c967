"""The lookout: one thread that wakes all those that wait for jobs to change.

It must not know what a job is waited for, or read jobs for the waiters.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from attrs import define, field

from semiont_jobs.events import logger
from semiont_jobs.retry import error_pace
from semiont_jobs.store import JobStore, Marking
from semiont_jobs.threads import Flag, begin

TICK: Final = 0.02
"""Seconds between two looks: what another process did is seen as soon as a person could notice,
and fifty looks a second at a few jobs cost less than half a per cent of a core."""
SHARE: Final = 20
"""The pause after a look is at least this many times as long as the look. With thousands of jobs,
or a slow store, looks then take at most 5 % of the time, unless `LONGEST_PAUSE` cuts the pause."""
LONGEST_PAUSE: Final = 1.0
"""Seconds between two looks, at most, however slow they are: waiters must not be forgotten."""
LINGER: Final = 1.0
"""Seconds that the thread stays when nothing waits any more: a program that waits for one job after
the other does not start a thread for each."""


class _Change(Flag):
    is_over = False
    """Whether the wait has ended."""


@define(eq=False)
class _Watched:
    mark: Hashable
    # Weakly: an interrupt may keep a waiter from noting that its wait has ended.
    waiters: list[weakref.ref[_Change]] = field(factory=list)

    def forget_who_left(self) -> None:
        self.waiters = [
            each for each in self.waiters if (change := each()) is not None and not change.is_over
        ]


class Lookout:
    """Watches the jobs that threads wait for.

    Changes made through this queue object reach `tell` at once; all others are noticed by their
    marks. A waiter may be woken without need, but never too late.
    """

    def __init__(self, store: JobStore) -> None:
        self._store = store
        # Reentrant: a signal's handler may begin to wait at any point.
        self._lock = threading.RLock()
        self._watched: dict[str, _Watched] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, job_id: str) -> Iterator[threading.Event]:
        """An event that is set whenever the job may have changed since the event was last cleared.

        Clear it, then look at the job, then wait: so no change is missed.

        :raises ThreadRefused: the system gives no thread to look with.
        """
        changed = _Change()
        # Before the caller's first look: a change after that look gives another mark.
        mark = self._marks([job_id])[job_id]
        with self._lock:
            self._watched.setdefault(job_id, _Watched(mark)).waiters.append(weakref.ref(changed))
        try:
            self._start()
            yield changed
        finally:
            # No more than that, and no lock: if the generator is garbage, this runs in any thread,
            # at any point. Not less either: a traceback may keep the event alive.
            changed.is_over = True

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                # Before it begins: an interrupt in between would leave a thread that is not known
                # here.
                self._thread = threading.Thread(
                    target=self._keep_looking, name="semiont-jobs-lookout", daemon=True
                )
                begin(self._thread)

    def tell(self, job_id: str) -> None:
        """Wake what waits for that job, because it changed.

        This costs next to nothing if nothing waits, for every transition calls it.
        """
        watched = self._watched.get(job_id)
        if watched is not None:
            for each in watched.waiters:
                change = each()
                if change is not None:
                    change.set()

    def _marks(self, job_ids: Collection[str]) -> Mapping[str, Hashable]:
        if isinstance(self._store, Marking):
            return self._store.marks(job_ids)
        jobs = {each: self._store.get(each) for each in job_ids}
        return {
            each: job and (job.metadata.life, job.metadata.revision) for each, job in jobs.items()
        }

    def _keep_looking(self) -> None:
        pause = threading.Event()
        pace = error_pace(LONGEST_PAUSE)
        errors = 0
        idle_since: float | None = None
        while True:
            began = time.monotonic()
            with self._lock:
                watched = self._still_watched()
                if watched:
                    idle_since = None
                elif idle_since is None:
                    idle_since = began
                elif began - idle_since >= LINGER:
                    self._thread = None
                    return
            try:
                self._look(watched)
            except Exception as error:  # noqa: BLE001 - whatever the store does, this thread must go on
                errors += 1
                logger.debug("cannot look after jobs that are waited for: %s", error)
                # They look for themselves, and meet the error where it can be handled.
                for each in watched:
                    self.tell(each)
                pause.wait(pace(errors))
            else:
                errors = 0
                took = time.monotonic() - began
                pause.wait(min(max(TICK, SHARE * took), LONGEST_PAUSE))

    def _still_watched(self) -> dict[str, _Watched]:
        for job_id, watched in list(self._watched.items()):
            watched.forget_who_left()
            if not watched.waiters:
                del self._watched[job_id]
        return dict(self._watched)

    def _look(self, watched: Mapping[str, _Watched]) -> None:
        if not watched:
            return
        for job_id, mark in self._marks(watched.keys()).items():
            if mark != watched[job_id].mark:
                watched[job_id].mark = mark
                self.tell(job_id)
