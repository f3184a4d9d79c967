"""What one loop has put off: changes that are made durable together, in one wait for the disk.

It must not know which jobs a loop takes, nor when it is time to commit.

A claim and an outcome are published at once, and are visible as ever. What follows is put off:
making the new copy durable, and only then removing the older ones. It is done for all jobs of the
loop together. If a job was claimed and has ended meanwhile, only its outcome is made durable.
Nothing is acknowledged before. Until then a power cut leaves the job as it was, and its code runs
again.

A copy that cannot be made durable is written again at the next try. It stays in its folder, and its
loop gets the error.
"""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import NamedTuple, TypeVar

from semiont_jobs.errors import StoreError
from semiont_jobs.forks import reset_in_child
from semiont_jobs.model import AnyJob, ClaimStamp
from semiont_jobs.store import Hold, Wanted
from semiont_jobs.stores.files.claiming import Claiming
from semiont_jobs.stores.files.forcing import NOTHING_LOST, Forcing
from semiont_jobs.stores.files.hold import FileHold
from semiont_jobs.stores.files.index import PendingIndex
from semiont_jobs.stores.files.told import told

T = TypeVar("T")


class _Ending(NamedTuple):
    """What to call when an outcome is durable, and what reports it."""

    done: Callable[[], None]
    tell: Callable[[], None]


class FileDeferred:
    """See `Deferred`."""

    def __init__(self, claiming: Claiming, index: PendingIndex, forcing: Forcing) -> None:
        self._claiming = claiming
        self._index = index
        self._forcing = forcing
        self.lock: AbstractContextManager[object] = threading.RLock()
        self._owing: dict[FileHold, _Ending | None] = {}
        """What was published and is not durable."""
        self._since: float | None = None
        self._durable: deque[_Ending] = deque()
        self._untold: deque[Callable[[], None]] = deque()
        self._untold_since = 0.0
        self._inside = threading.Lock()
        self.is_refused: bool = False
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        """Start empty: a child has no job of its parent, and no thread that would unlock this."""
        self.lock = threading.RLock()
        self._inside = threading.Lock()
        self._owing.clear()
        self._since = None
        self._durable.clear()
        self._untold.clear()

    # -- what is put off -----------------------------------------------------------------

    @property
    def since(self) -> float | None:
        """See `Deferred.since`."""
        if self._since is None and self._untold:
            return self._untold_since
        return self._since

    def __len__(self) -> int:
        return len(self._owing)

    def may_claim(self, wanted: Wanted) -> bool:
        """See `Deferred.may_claim`."""
        return self._index.seems_to_offer(wanted)

    def claim(self, wanted: Wanted, stamp: ClaimStamp, now: datetime) -> Hold | None:
        """See `Deferred.claim`."""
        with told(self._forcing.layout):
            return self._claiming.claim(wanted, stamp, now, self._publish)

    def _publish(self, hold: FileHold, job: AnyJob) -> None:
        if not self._forcing.is_wanted(job):
            hold.move(job)
            return
        if not self._owing:
            # Open now what fsync will need: jobs that are put off may take the last descriptors.
            self._forcing.make_ready()
        self._put_off(hold, job, None)

    def end(
        self, hold: Hold, job: AnyJob, done: Callable[[], None], tell: Callable[[], None]
    ) -> None:
        """See `Deferred.end`."""
        assert isinstance(hold, FileHold)
        self._put_off(hold, job, _Ending(done, tell))

    def _put_off(self, hold: FileHold, job: AnyJob, ending: _Ending | None) -> None:
        # Not under the lock: user code may be stuck in the result's own code.
        data = hold.text_of(job)

        def publish() -> None:
            try:
                if self._since is None:
                    self._since = time.monotonic()
                # Before it is published: it must be made durable one day, whatever interrupts this.
                self._owing.setdefault(hold, None)
                hold.publish(job, data, self)
                self._owing[hold] = ending
            except BaseException:
                if not hold.is_owing:
                    self.no_longer(hold)
                raise

        self.alone(publish)

    def alone(self, act: Callable[[], None]) -> None:
        """See `Committing.alone`."""
        with self.lock:
            if self._inside.locked():
                reason = "a signal's handler called the queue in the midst of another call"
                raise StoreError(errno.EDEADLK, reason)
            with self._inside:  # a statement of its own: an interrupt may strike before and after
                act()

    def no_longer(self, hold: FileHold) -> None:
        """See `Committing.no_longer`."""
        self._owing.pop(hold, None)
        if not self._owing:
            self._since = None

    # -- and then committed --------------------------------------------------------------

    def commit(self) -> None:
        """See `Deferred.commit`."""
        try:
            with told(self._forcing.layout):
                self.alone(self._commit)
        finally:
            for ending in _taken_from(self._durable):
                if not self._untold:
                    self._untold_since = time.monotonic()
                self._untold.append(ending.tell)
                ending.done()

    def tell(self) -> None:
        """See `Deferred.tell`."""
        for tell in _taken_from(self._untold):
            tell()

    def _commit(self) -> None:
        for hold in list(self._owing):
            if not hold.is_owing:  # an interrupt came when it was let go of, or made durable
                if hold.is_forced:
                    self._is_durable(hold)
                self.no_longer(hold)
        fresh = [(hold, copied) for hold in self._owing if (copied := hold.unforced) is not None]
        floor = self._forcing.disk.floor
        had_floor = floor.is_mine
        try:
            self._forcing.all_published([copied for _hold, copied in fresh])
        except BaseException as error:
            self.is_refused = True
            if not (isinstance(error, OSError) and error.errno in NOTHING_LOST):
                for hold, _copied in fresh:
                    hold.doubt()
            raise
        if had_floor:  # and left it for the disk: many short calls follow
            floor.take()
        for hold, _copied in fresh:
            self._is_durable(hold)
        refused: OSError | None = None
        for hold in list(self._owing):  # what was refused earlier
            try:
                hold.force()
            except OSError as error:
                refused = refused or error
            else:
                self._is_durable(hold)
        self.is_refused = refused is not None
        if refused is not None:
            raise refused

    def _is_durable(self, hold: FileHold) -> None:
        ending = self._owing.get(hold)
        if ending is not None:
            self._durable.append(ending)
            self._owing[hold] = None
        has_ended = hold.has_ended
        hold.forced()
        if has_ended:  # else its claim goes on, and another thread may be storing through it
            hold.let_go_if_ended()


def _taken_from(queued: deque[T]) -> Iterator[T]:
    """Take one after the other until none is left; other threads take from it, too."""
    with suppress(IndexError):
        while True:
            yield queued.popleft()
