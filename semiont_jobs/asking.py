"""Whether the work on a claimed job is to stop, and why: what others ask and the work looks at.

It must not know who asks, or what becomes of the job then.
"""

from __future__ import annotations

import threading

from semiont_jobs.errors import JobCancelled, JobTimeout, WorkerStopping
from semiont_jobs.threads import Flag


class StopRequest:
    """One claim's. A person's request to cancel goes before every other reason."""

    # Of most claims nobody asks anything: so they have nothing of their own, not even a lock.
    # Setting a default in an object's dict is one step for all threads.
    _event: threading.Event | None = None
    _is_told = False
    is_cancelled: bool = False
    reason: WorkerStopping | JobTimeout | None = None
    """Why the work is to stop, if nobody cancelled the job."""

    @property
    def event(self) -> threading.Event:
        """Set once the work is to stop. Made when first asked for: most works never look."""
        event = self._event
        if event is None:
            event = vars(self).setdefault("_event", Flag())
            if self._is_told:
                event.set()
        return event

    def cancel(self) -> None:
        """Somebody asked for the job to be cancelled."""
        self.is_cancelled = True
        self.tell()

    def stop(self, why: WorkerStopping | JobTimeout) -> None:
        """The attempt is to end, for that reason; the first one given stays."""
        vars(self).setdefault("reason", why)
        self.tell()

    def tell(self) -> None:
        """Wake work that waits for the event: it goes on for nobody."""
        # First the flag: whoever makes the event at this moment looks at it afterwards.
        self._is_told = True
        if self._event is not None:
            self._event.set()

    def raise_if_any(self, job_id: str) -> None:
        """Raise what the work is to leave with."""
        if self.is_cancelled:
            raise JobCancelled(f"job {job_id} was cancelled")
        if self.reason is not None:
            # A new one every time: an exception collects the stacks it went through.
            raise type(self.reason)(*self.reason.args)

    def meant_by(self, error: BaseException) -> BaseException:
        """What an exception out of the work stands for: work that only looks at the event may
        raise `JobCancelled` whatever it was asked for."""
        if isinstance(error, JobCancelled) and not self.is_cancelled and self.reason is not None:
            return self.reason
        return error
