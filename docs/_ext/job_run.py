"""One real run of a job: every call that the library made for it, and where its file stood.

It must not know which calls are worth telling.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, Final, NamedTuple

from layers import PACKAGE

from semiont_jobs import JobQueue, JobWorker
from semiont_jobs.model import STATUSES

JOB: Final = "job-1"
THREAD: Final = "worker.JobWorker._live"
"""What a worker's thread runs."""
WORK: Final = "Greeter.execute_job"
"""The one function of the run that is not the library's."""


class Call(NamedTuple):
    """One call that was made: by which function, how deep, and where the job's file stood
    before and after."""

    name: str
    stack: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


class Greeter(JobWorker):
    """The worker of the run."""

    job_types = ("greet",)

    def execute_job(self, job: Any) -> object:
        self.update_job_progress({"greeted": 1})
        return {"text": f"Hello, {job.params['name']}!"}


def run() -> list[Call]:
    """Run one job, and return the calls that were made in its two threads, in order."""
    with TemporaryDirectory() as place, JobQueue(place) as queue:
        folders = Path(place, "jobs")
        recorder = _Recorder(folders)
        # What forces is the loop itself, always at the same place.
        queue.committer.look = lambda: True  # type: ignore[method-assign]
        worker = Greeter(queue)
        with recorder.here():
            queue.enqueue({"name": "Ada"}, type="greet", id=JOB)
        with recorder.in_new_threads(), worker:
            queue.wait_for(JOB, timeout=60)
        return recorder.calls()


class _Recorder:
    """Notes every call of the library; a call once it has returned, at its place in order."""

    def __init__(self, folders: Path) -> None:
        self._folders = folders
        self._threads = {threading.get_ident()}
        self._calls: list[Call | None] = []
        self._open: dict[FrameType, tuple[int, tuple[str, ...]]] = {}

    @contextmanager
    def here(self) -> Iterator[None]:
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    @contextmanager
    def in_new_threads(self) -> Iterator[None]:
        threading.setprofile(self._note)
        try:
            yield
        finally:
            threading.setprofile(None)

    def calls(self) -> list[Call]:
        return [call for call in self._calls if call is not None]

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        # By number: a thread that is coming or going is in no list of threads.
        if event == "call" and _name(frame) == THREAD:
            self._threads.add(threading.get_ident())
        if threading.get_ident() not in self._threads or not _name(frame):
            return
        if event == "call":
            self._open[frame] = (len(self._calls), self._standing())
            self._calls.append(None)
        elif event == "return" and frame in self._open:
            place, before = self._open.pop(frame)
            self._calls[place] = Call(_name(frame), _stack(frame), before, self._standing())

    def _standing(self) -> tuple[str, ...]:
        return tuple(s for s in STATUSES if (self._folders / s / f"{JOB}.json").exists())


def _name(frame: FrameType) -> str:
    """The function's name as the stations have it; empty if it is none of the library's."""
    module, name = frame.f_globals.get("__name__", ""), frame.f_code.co_qualname
    if module.startswith(f"{PACKAGE}."):
        return f"{module.removeprefix(PACKAGE)[1:]}.{name}"
    return name if name == WORK else ""


def _stack(frame: FrameType) -> tuple[str, ...]:
    """Who called it, the innermost first."""
    callers = []
    above = frame.f_back
    while above is not None:
        if _name(above):
            callers.append(_name(above))
        above = above.f_back
    return tuple(callers)
