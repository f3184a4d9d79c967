"""The keeper: a background thread that looks after a queue while it is in use.

It must not know what there is to look after: it calls a function, again and again.
"""

from __future__ import annotations

import threading
import weakref
from typing import Final, Protocol

from semiont_jobs.events import log_trouble
from semiont_jobs.retry import error_pace
from semiont_jobs.threads import Flag, begin

PERIOD: Final = 0.5
"""Seconds between two rounds. Even if a round takes as long as the pause, a request to cancel is
seen within a second, and an orphan rescued within about two."""


class Kept(Protocol):
    """What the keeper looks after."""

    def keep_house(self) -> float:
        """One round; returns seconds until the next."""
        ...


class Keeper:
    """Calls `keep_house` until stopped, or until its object is garbage."""

    def __init__(self, kept: Kept, *, name: str = "semiont-jobs-keeper") -> None:
        self._name = name
        self._kept = weakref.ref(kept)
        # Reentrant: a signal's handler may stop a keeper that is being started.
        self._lock = threading.RLock()
        self._stop = Flag()
        self._poked = Flag()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, unless it has begun.

        Cheap, so every claim may call it.

        :raises ThreadRefused: the system gives no thread; the next call tries again.
        """
        if self._thread is not None:
            return
        with self._lock:
            stop = self._stop
            if self._thread is None and not stop.is_set():
                thread = threading.Thread(
                    target=_keep,
                    args=(self._kept, stop, self._poked),
                    name=self._name,
                    daemon=True,
                )
                begin(thread)
                if not stop.is_set():
                    self._thread = thread

    def stop(self, patience: float | None = None) -> None:
        """End after the current round, and wait for that, for `patience` seconds at most."""
        with self._lock:
            stop = self._stop
            stop.set()
            self._poked.set()
            thread, self._thread = self._thread, None
        try:
            if thread is not None and thread is not threading.current_thread():
                thread.join(patience)
        finally:
            if stop is self._stop:  # else another thread has stopped it, too, and it may go on
                # In this order: nothing is started before the new flag to stop it is there.
                self._poked = Flag()
                self._stop = Flag()

    def poke(self) -> None:
        """Have the next round at once: something happened that is worth a look."""
        self._poked.set()


class _Here(threading.local):
    is_keeper = False


_here: Final = _Here()


def is_keeper() -> bool:
    """Whether this thread is a keeper's, which no other code may hold up."""
    return _here.is_keeper


def become_keeper() -> None:
    """Make this thread one, because others need it."""
    _here.is_keeper = True


def _keep(kept: weakref.ref[Kept], stop: Flag, poked: Flag) -> None:
    become_keeper()
    pace = error_pace(30.0)
    errors = 0
    pause = PERIOD
    while True:
        poked.wait(pause)
        if stop.is_set():
            return
        poked.clear()
        one = kept()
        if one is None:
            return
        try:
            pause = one.keep_house()
        except Exception as error:  # noqa: BLE001
            # This thread must outlive a full disk or a store that is away for a while: nothing else
            # would rescue jobs when it is back.
            errors += 1
            pause = max(PERIOD, pace(errors))
            log_trouble(error, "housekeeping failed: %s; again in %.1f seconds", error, pause)
        else:
            errors = 0
        del one
