"""Workers for pools of threads, and what they did."""

from __future__ import annotations

import threading
from typing import Any

from semiont_jobs import JobQueue, JobWorker, RunningJob

TIMEOUT = 60.0


class Echo(JobWorker):
    job_types = ("echo",)

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return [job.params["n"], threading.current_thread().name]


class Waits(JobWorker):
    """Holds its job until it is let go, looking for nothing."""

    job_types = ("waits",)
    at_work = threading.Event()

    def __init__(self, queue: JobQueue | None, let_go: threading.Event) -> None:
        super().__init__(queue)
        self.let_go = let_go

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        self.at_work.set()
        self.let_go.wait(TIMEOUT)
        return "late"


def results(queue: JobQueue, ids: list[str]) -> list[Any]:
    return [getattr(queue.wait_for(each, TIMEOUT), "result", None) for each in ids]


def types_left(queue: JobQueue) -> list[str]:
    return [job.metadata.type for job in queue.query_jobs(limit=None)]


def threads_named(prefix: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
