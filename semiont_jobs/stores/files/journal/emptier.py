"""The thread that empties a journal's files, for as long as the journal is open and in use.

It must not know when a file is emptied, or how.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Protocol

from semiont_jobs.errors import ThreadRefused
from semiont_jobs.threads import begin


class Tended(Protocol):
    """What it looks after."""

    def tend(self) -> float | None:
        """Empty what is due; seconds until the next look, None: never."""
        ...


def emptier_of(journal: Tended, wake: SimpleQueue[None]) -> threading.Thread | None:
    """Begin such a thread; None if the system gives none.

    :param wake: what is put there ends its pause.
    """
    thread = threading.Thread(
        target=_tend, args=(weakref.ref(journal), wake), name="semiont-jobs-journal", daemon=True
    )
    with suppress(ThreadRefused):
        begin(thread)
        return thread
    return None


def _tend(journal: weakref.ref[Tended], wake: SimpleQueue[None]) -> None:
    delay: float | None = 0.0
    while delay is not None:
        with suppress(Empty):
            wake.get(timeout=delay)
        tended = journal()
        if tended is None:
            return
        delay = tended.tend()
        del tended  # while this waits, the journal may be collected
