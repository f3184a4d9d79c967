"""Whether file-system events wake this process, or it has to look at the folder every tick.

It must not know jobs, or how the kernel reports events (`inotify`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from semiont_jobs.events import logger
from semiont_jobs.weak import end_after, weakly

if TYPE_CHECKING:
    import weakref

    from semiont_jobs.stores.files.inotify import Bell


class Watch:
    """Watches one folder, for one process.

    If there are no events, `is_armed` stays False, and waiting threads look every tick instead.

    :param ring: a method of the object that has this one.
    """

    def __init__(self, folder: str, ring: Callable[[], None]) -> None:
        self._folder = folder
        self._ring = weakly(ring)
        self._lock = threading.Lock()
        self._bell: Bell | None = None
        self._leave: weakref.finalize[Any, Any] | None = None
        self.is_of_use: bool = sys.platform == "linux"
        """Whether arming may help."""

    @property
    def is_armed(self) -> bool:
        """Whether the next name that comes into the folder rings."""
        bell = self._bell  # read once: another thread may close this
        return bell is not None and bell.is_armed

    def arm(self) -> None:
        """Have the next name that comes into the folder call `ring`, once.

        `ring` is called in another thread, which holds a lock that this needs too. So call this
        without any lock that `ring` takes.
        """
        with self._lock:
            if self.is_of_use and not self.is_armed:
                self.is_of_use = self._armed()

    def _armed(self) -> bool:
        try:
            from semiont_jobs.stores.files.inotify import Bell
        except ImportError:
            return False  # watchdog is not installed: events are not wanted
        try:
            if self._bell is None:
                self._bell = Bell(self._folder, self._ring)
                self._leave = end_after(self, self._bell.close)
            self._bell.arm()
        except OSError as error:
            logger.warning(
                "no file-system events for %s (%s): other processes' jobs are looked for every "
                "tick instead",
                self._folder,
                error.strerror or error,
            )
            self._end()
            return False
        return True

    def close(self) -> None:
        """Stop watching; it cannot be armed again."""
        with self._lock:
            self.is_of_use = False
            self._end()

    def _end(self) -> None:
        bell, self._bell = self._bell, None
        if self._leave is not None:
            self._leave.detach()
        if bell is not None:
            bell.close()
