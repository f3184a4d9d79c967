"""The Linux kernel's first event that a name came into a folder, by way of watchdog.

It must not know what the folder holds. Only this module imports watchdog, which need not be
installed: importing this module fails then.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

# An extra: type checkers may run where it is not installed.
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
"""Seconds to wait for watchdog's threads to end. They wake at once. A thread that does not is a
daemon and holds nothing of ours."""


class _FirstEvent(InotifyEmitter):
    """Reports one event, and reads no more.

    So a storm of a hundred thousand creates costs what one does. watchdog's own emitter reads on
    until it is unscheduled, through three threads for each event.
    """

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

    :raises OSError: for example, the user has as many watches as the system allows.
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
        self.is_armed = True  # before: it may ring before this returns
        try:
            self._observer.schedule(
                self._handler, self._watch.raw_path, event_filter=[FileCreatedEvent]
            )
        except BaseException:
            self.is_armed = False
            raise

    def _rang(self) -> None:
        # This has the observer's lock, and runs in its thread.
        self._observer.unschedule(self._watch)
        self.is_armed = False
        self._ring()

    def close(self) -> None:
        """Stop ringing."""
        self._observer.stop()
        with suppress(RuntimeError):  # its thread did not start
            self._observer.join(JOIN_TIMEOUT)
