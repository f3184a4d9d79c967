"""Starting a thread, or saying that the system gives none.

It must not know what the thread does.
"""

from __future__ import annotations

import threading

from semiont_jobs.errors import ThreadRefused


def begin(thread: threading.Thread) -> None:
    """Start a thread.

    :raises ThreadRefused: the system gives none.
    """
    try:
        thread.start()
    except RuntimeError as error:
        raise ThreadRefused(f"no thread for {thread.name}: {error}") from error
