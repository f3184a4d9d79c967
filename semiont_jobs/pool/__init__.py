"""Many workers at once: threads, processes, signals, time limits.

From the bottom: ``orders`` (the options), ``roster`` and ``routing`` (which worker does a job),
``hand`` (a thread), ``crew`` (the threads of a process), ``errand`` (a run that a crew does
besides), ``watch`` (replaces what is stuck or dead, and leads the way out). Then ``child`` (what a
process runs), ``parcel`` (how it gets that), ``wire`` (the pipe from it), ``slot`` (a place for
one), ``supervisor`` (all of them), ``echo`` (what they log) and ``travel`` (what can be sent to
them); ``staff`` is a crew or a supervisor. For scripts,
``runs`` (items as jobs), ``mapping`` (their outcomes), ``results`` (what a run yields), ``bars``
and ``scripts``. Beside them ``signals`` and ``memory``. ``pool`` puts them together.
"""

from semiont_jobs.pool.orders import GRACE, STUCK_AFTER
from semiont_jobs.pool.pool import CLEAN, CRASH_LOOP, GIVEN_BACK, WorkerPool
from semiont_jobs.pool.roster import checked_post
from semiont_jobs.pool.runs import Outcome

__all__ = [
    "CLEAN",
    "CRASH_LOOP",
    "GIVEN_BACK",
    "GRACE",
    "STUCK_AFTER",
    "Outcome",
    "WorkerPool",
    "checked_post",
]
