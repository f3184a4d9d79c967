"""The stamps of one queue object's claims: which worker has a job, written into the running job.

It must not know queues: only the process, and a worker's name.
"""

from __future__ import annotations

import itertools
import os
import socket

from semiont_jobs.model import ClaimStamp, OpenStamp, WorkerName, made_of
from semiont_jobs.settings import checked_name


class Stamps:
    """Makes a new stamp for every claim.

    A forked child needs its own.
    """

    def __init__(self) -> None:
        self._host = socket.gethostname()
        self._pid = os.getpid()
        self._own_name = f"{self._host}-{self._pid}"
        # Differs from other queue objects'; the serial makes stamps differ.
        self._token = os.urandom(8).hex()
        self._serial = itertools.count(1)

    def new(self, worker: WorkerName | None) -> ClaimStamp:
        """The stamp for a job that is claimed now."""
        named = worker if worker is None or callable(worker) else checked_name(worker)
        values = {
            "token": f"{self._token}{next(self._serial):08x}",
            "worker": named if isinstance(named, str) else self._own_name,
            "host": self._host,
            "pid": self._pid,
            "extra": {},
        }
        if not callable(named):
            return made_of(ClaimStamp, values)
        return made_of(OpenStamp, {**values, "worker_of": lambda job: checked_name(named(job))})
