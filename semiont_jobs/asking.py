"""Whether the code of a claimed job is to stop, and why: others ask for it, and the code looks.

It must not know what asks, or what becomes of the job then.
"""

from __future__ import annotations

import threading

from semiont_jobs.errors import JobCancelled, JobTimeout, WorkerStopping
from semiont_jobs.threads import Flag


class StopRequest:
    """The request to one claim to stop.

    A request to cancel goes before every other reason.
    """

    # Most claims are never asked to stop: so they have nothing of their own, not even a lock.
    # Setting a default in an object's dict is atomic.
    _event: threading.Event | None = None
    _is_told = False
    is_cancelled: bool = False
    reason: WorkerStopping | JobTimeout | None = None
    """Why the job's code is to stop, if the job was not cancelled."""

    @property
    def event(self) -> threading.Event:
        """Set once the job's code is to stop.

        Made at the first use: most code never looks.
        """
        event = self._event
        if event is None:
            event = vars(self).setdefault("_event", Flag())
            if self._is_told:
                event.set()
        return event

    def cancel(self) -> None:
        """Note a request to cancel the job."""
        self.is_cancelled = True
        self.tell()

    def stop(self, why: WorkerStopping | JobTimeout) -> None:
        """Note that the attempt is to end, for that reason; the first reason stays."""
        vars(self).setdefault("reason", why)
        self.tell()

    def tell(self) -> None:
        """Wake code that waits for the event: its result is not needed."""
        # First the flag: a thread that makes the event at this moment looks at it afterwards.
        self._is_told = True
        if self._event is not None:
            self._event.set()

    def raise_if_any(self, job_id: str) -> None:
        """Raise what the job's code is to end with."""
        if self.is_cancelled:
            raise JobCancelled(f"job {job_id} was cancelled")
        if self.reason is not None:
            # A new one every time: an exception collects the stacks that it went through.
            raise type(self.reason)(*self.reason.args)

    def meant_by(self, error: BaseException) -> BaseException:
        """What an exception from the job's code stands for: code that only looks at the event may
        raise `JobCancelled`, whatever it was asked for."""
        if isinstance(error, JobCancelled) and not self.is_cancelled and self.reason is not None:
            return self.reason
        return error
