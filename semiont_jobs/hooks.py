"""Which hooks hear of events, in which thread, and when: never under a lock of ours.

It must not know what happened: only which hooks to call.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from semiont_jobs.errors import JobTimeout, ThreadRefused
from semiont_jobs.events import Event, EventName, Hook, is_logged, log_event, logger
from semiont_jobs.exits import end_last
from semiont_jobs.keeper import is_keeper
from semiont_jobs.retry import poll
from semiont_jobs.threads import begin

MOST_WAITING: Final = 10_000
"""Events of keepers that wait for a hook which hangs: hours of progress, a few megabytes."""
PATIENCE: Final = 5.0
"""Seconds that a close waits until hooks have heard the last events of keepers; for a hook that
hangs it waits no longer."""
_LOG_ONLY: Final[tuple[Hook, ...]] = (log_event,)


class _Noted(threading.local):
    """Events that a store noted in this thread, not sent yet."""

    def __init__(self) -> None:
        self.events: list[Event] = []


class Hooks:
    """The hooks of one queue.

    They run in the thread that acted. A hook that blocks holds up that thread and its job, but no
    lock is held meanwhile. All jobs of a process need its keepers, so a thread that does nothing
    else sends the events of a keeper.
    """

    def __init__(self, hooks: Iterable[Hook]) -> None:
        self._hooks: tuple[Hook, ...] = (*_LOG_ONLY, *hooks)
        self._broken: list[Hook] = []
        self.reset_after_fork()
        end_last(self)

    def reset_after_fork(self) -> None:
        """Reset this in a forked child: the locks, and the events that its parent sends."""
        self._lock = threading.Lock()
        self._noted = _Noted()
        self._waiting: deque[Event] = deque()
        self._teller: threading.Thread | None = None
        self._has_dropped = False

    def add(self, hook: Hook) -> Callable[[], None]:
        """Call `hook` from now on; returns a function that ends this."""
        with self._lock:
            self._hooks = (*self._hooks, hook)

        left = [hook]

        def remove() -> None:
            with self._lock:
                if not left:
                    return
                left.clear()
                # Once, because others may have added the same one.
                at = next(n for n, each in enumerate(self._hooks) if each is hook)
                self._hooks = (*self._hooks[:at], *self._hooks[at + 1 :])
                self._broken = [each for each in self._broken if each is not hook]

        return remove

    def hear(self, name: EventName) -> bool:
        """Whether anything would be done with such an event."""
        return self._hooks != _LOG_ONLY or is_logged(name)

    # -- sending -------------------------------------------------------------------------

    def note(self, event: Event) -> None:
        """Keep an event of a store, perhaps sent under its own lock, until `tell_noted`."""
        self._noted.events.append(event)

    def tell_noted(self) -> None:
        """Send what stores noted in this thread."""
        if self._noted.events:
            events, self._noted.events = self._noted.events, []
            for event in events:
                self.tell(event)

    def tell(self, event: Event) -> None:
        """Call every hook; in a keeper's thread, have another thread do that."""
        if is_keeper():
            self._tell_later(event)
        else:
            self._tell_now(event)

    def _tell_now(self, event: Event) -> None:
        for hook in self._hooks:
            try:
                hook(event)
            except BaseException as error:
                if _is_the_threads_own(error):
                    raise
                self._report_broken(hook)

    def _report_broken(self, hook: Hook) -> None:
        # By identity: a hook may be an object without a hash.
        if not any(each is hook for each in self._broken):
            self._broken.append(hook)
            logger.exception("hook %r failed; its later failures are not logged", hook)

    # -- keepers' events -------------------------------------------------------------

    def _tell_later(self, event: Event) -> None:
        with self._lock:
            is_full = len(self._waiting) >= MOST_WAITING
            if not is_full:
                self._waiting.append(event)
            if is_full or self._teller is not None:
                teller = None
            else:
                # It ends when no event is left: nothing need stop it.
                teller = self._teller = threading.Thread(
                    target=self._tell_waiting, name="semiont-jobs-teller", daemon=True
                )
        if is_full and not self._has_dropped:
            self._has_dropped = True
            logger.error("a hook hangs: events of housekeeping are dropped from now on")
        if teller is not None:
            try:
                begin(teller)
            except ThreadRefused:
                self._tell_waiting()

    def _tell_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._teller = None
                    return
                event = self._waiting.popleft()
            self._tell_now(event)

    def end_with_process(self) -> None:
        """Wait for the thread that sends keepers' events: it would end with the process."""
        self.finish()

    def finish(self, patience: float = PATIENCE) -> None:
        """Wait until hooks have heard what is left, at most `patience` seconds, or `PATIENCE`."""
        teller = self._teller
        if teller is not None and teller is not threading.current_thread():
            # Not by a join: it may not have been started yet.
            with suppress(JobTimeout):
                poll(lambda: self._teller is not teller or None, timeout=min(patience, PATIENCE))


def _is_the_threads_own(error: BaseException) -> bool:
    """Whether the error is the thread's own, and not the hook's: handlers of signals raise in the
    main thread, and raise whatever they like."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and not isinstance(error, Exception | SystemExit)
