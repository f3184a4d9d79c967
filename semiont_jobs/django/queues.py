"""One queue per place and process, shared by the backends of all threads.

It must not know backends: Django makes one for each thread, and each must not have its own index,
descriptors and housekeeping.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any, Final

from django.core.signals import setting_changed

from semiont_jobs.django.finishing import tell_of_the_end
from semiont_jobs.django.options import queue_settings
from semiont_jobs.django.tasks import TASK_JOB
from semiont_jobs.forks import reset_in_child
from semiont_jobs.queue import JobQueue


class Queues:
    """The queues of this process, by their settings."""

    def __init__(self) -> None:
        self._made: dict[object, JobQueue] = {}
        self.reset_after_fork()
        reset_in_child(self)

    def reset_after_fork(self) -> None:
        # The thread that held it at the fork does not exist in the child. The queues stay: each
        # resets itself.
        self._lock = threading.Lock()

    def of(self, options: Mapping[str, Any]) -> JobQueue:
        """The queue for these OPTIONS. Raises what `JobQueue` raises."""
        settings = queue_settings(options)
        key = _key(settings)
        with self._lock:
            queue = self._made.get(key)
            if queue is None:
                queue = JobQueue(**settings, job_types=(TASK_JOB,), hooks=(tell_of_the_end,))
                self._made[key] = queue
            return queue

    def forget(self) -> None:
        """Make new queues from now on; code that has an old one keeps it."""
        with self._lock:
            self._made.clear()


def _key(settings: dict[str, Any]) -> object:
    # A relative directory as written in the settings: the queue has resolved it, and a process that
    # changes its directory later must not get another queue in its next thread.
    place = os.fspath(settings["data_dir"])
    return tuple(sorted({**settings, "data_dir": place}.items()))


queues: Final = Queues()


def _forget(*, setting: str, **_more: Any) -> None:
    if setting == "TASKS":
        queues.forget()


# A test that overrides TASKS gets a queue of its own, also one in memory.
setting_changed.connect(_forget, dispatch_uid="semiont_jobs.django.queues")
