"""The Linux kernel's word that a name came into a folder, said once, by way of watchdog.

It must not know what the folder holds. The only module that imports watchdog, which need not be
installed: importing this one fails then.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

# An extra: type checkers may look where it is not installed.
from watchdog.events import (  # pyright: ignore[reportMissingImports]
    FileCreatedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.utils import UnsupportedLibcError  # pyright: ignore[reportMissingImports]

try:
    from watchdog.observers.api import ObservedWatch  # pyright: ignore[reportMissingImports]
    from watchdog.observers.inotify import (  # pyright: ignore[reportMissingImports]
        InotifyEmitter,
        InotifyObserver,
    )
except UnsupportedLibcError as _error:
    raise ImportError(str(_error)) from _error

JOIN_TIMEOUT: Final = 5.0
"""Seconds to wait for watchdog's threads to end. They wake at once; should one not, it is a
daemon and holds nothing of ours."""


class _FirstEvent(InotifyEmitter):
    """Tells of one event, and reads no more: a storm of a hundred thousand creates costs what one
    does. watchdog's own reads on until it is unscheduled, through three threads for each."""

    _has_told = False

    def run(self) -> None:
        while not self._has_told and self.should_keep_running():
            self.queue_events(self.timeout)

    def queue_event(self, event: FileSystemEvent) -> None:
        super().queue_event(event)
        self._has_told = self._has_told or isinstance(event, FileCreatedEvent)


class _Observer(InotifyObserver):
    def __init__(self) -> None:
        super().__init__()
        self._emitter_class = _FirstEvent


class _Handler(FileSystemEventHandler):
    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    def dispatch(self, event: FileSystemEvent) -> None:
        self._ring()


class Bell:
    """Rings once for the first name that comes into a folder after it was armed.

    :raises OSError: as when the user has as many watches as the system allows.
    """

    def __init__(self, folder: str, ring: Callable[[], None]) -> None:
        self._watch = ObservedWatch(folder, recursive=False, event_filter=[FileCreatedEvent])
        self._ring = ring
        self._handler = _Handler(self._rang)
        self._observer = _Observer()
        self._observer.start()
        self.is_armed: bool = False

    def arm(self) -> None:
        """Ring once from now on.

        :raises OSError: it cannot be watched.
        """
        self.is_armed = True  # before, for it may ring before this returns
        try:
            self._observer.schedule(
                self._handler, self._watch.raw_path, event_filter=[FileCreatedEvent]
            )
        except BaseException:
            self.is_armed = False
            raise

    def _rang(self) -> None:
        # Under the observer's lock, in its thread.
        self._observer.unschedule(self._watch)
        self.is_armed = False
        self._ring()

    def close(self) -> None:
        """Ring no more."""
        self._observer.stop()
        with suppress(RuntimeError):  # of a thread that did not start
            self._observer.join(JOIN_TIMEOUT)
