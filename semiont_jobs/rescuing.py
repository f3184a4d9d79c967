"""What becomes of a running job whose worker died.

It must not know how such a job is found, or which hooks hear of it.
"""

from __future__ import annotations

from datetime import datetime

from semiont_jobs import lifecycle
from semiont_jobs.errors import ClaimLost, InvalidJob, JobEncodeError, JobHeld
from semiont_jobs.events import EventName, logger
from semiont_jobs.model import AnyJob
from semiont_jobs.store import Hold


class Rescuer:
    """Rescues the jobs of dead workers."""

    def __init__(self, max_crashes: int) -> None:
        self._max_crashes = max_crashes
        self._refused: set[str] = set()

    def rescue(self, hold: Hold, now: datetime) -> tuple[EventName, AnyJob] | None:
        """Rescue an orphan and end its hold; returns what happened, if anything did."""
        job = hold.job
        assert job.status == "running"
        name: EventName
        left: AnyJob
        try:
            # A request to cancel outlives the worker that was to obey it.
            if hold.cancel_requested():
                name, left = "cancelled", lifecycle.cancel(job, now)
            else:
                left = lifecycle.rescue(job, now, max_crashes=self._max_crashes)
                # A hook that listens for failures needs this one, too.
                name = "failed" if left.status == "failed" else "rescued"
            hold.move(left)
        except (ClaimLost, JobHeld):
            return None  # another rescuer, or a user, was first
        except (InvalidJob, JobEncodeError) as error:
            # With one more attempt its JSON is too large. It must not keep others from rescue.
            if job.metadata.id not in self._refused:
                self._refused.add(job.metadata.id)
                logger.error("cannot be rescued: %s", error)
            return None
        finally:
            hold.let_go()
        return name, left
