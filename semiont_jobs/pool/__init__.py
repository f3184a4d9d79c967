"""Many workers at once: threads, processes, signals, time limits.

From the bottom: ``orders`` (the options), ``roster`` and ``routing`` (whose job is it), ``hand`` (a
thread), ``crew`` (the threads of a process), ``watch`` (what is stuck or dead, and the way out).
Then ``child`` (what a process runs), ``slot`` (a place for one), ``supervisor`` (all of them), and
``travel`` (what they can be given). Beside them ``signals`` and ``memory``. ``pool`` puts them
together.
"""

from semiont_jobs.pool.orders import GRACE, STUCK_AFTER
from semiont_jobs.pool.pool import CLEAN, CRASH_LOOP, GIVEN_BACK, WorkerPool
from semiont_jobs.pool.roster import checked_post

__all__ = [
    "CLEAN",
    "CRASH_LOOP",
    "GIVEN_BACK",
    "GRACE",
    "STUCK_AFTER",
    "WorkerPool",
    "checked_post",
]
