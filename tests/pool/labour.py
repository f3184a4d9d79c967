"""Work for pools of processes, which import it by name."""

from __future__ import annotations

import gc
import logging
import os
import signal
import struct
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from semiont_jobs import JobWorker, RunningJob, job_handler

TIMEOUT = 60.0


@job_handler("pid")
def pid(params: dict[str, Any]) -> int:
    return os.getpid()


@job_handler("tells")
def tells(params: dict[str, Any]) -> None:
    logging.getLogger("labour").info("at work on %s", "something")
    raise LookupError("no page")


class Litter:
    """Logs when it is collected, as an asyncio task that nobody awaited does."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        logging.getLogger("labour").error("never awaited")


@job_handler("litters")
def litters(params: dict[str, Any]) -> None:
    for step in range(200):
        gc.set_threshold(5 + step % 55, 1, 1)  # so that it is collected anywhere
        Litter()
        logging.getLogger("labour").warning("at work")


class Deaf(JobWorker):
    """Says that it is at work, and works until a file is there, whatever anybody asks."""

    job_types = ("deaf",)

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        place = Path(job.params["place"])
        (place / f"{job.metadata.id}.pid").write_text(str(os.getpid()))
        pause = threading.Event()
        while not (place / "go").exists():
            pause.wait(0.01)
        return os.getpid()


class Stops(JobWorker):
    """Suspends its own process, once."""

    job_types = ("stops",)

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        if not job.metadata.crash_count:
            os.kill(os.getpid(), signal.SIGSTOP)
            # The signal may meet another thread first, and this one go on for a moment.
            threading.Event().wait()
        return os.getpid()


@job_handler("freezes")
def freezes(params: dict[str, Any]) -> None:
    """Suspends its own process in the midst of a message."""

    def send_half(pipe: Connection[Any, Any], message: bytes) -> None:
        os.write(pipe.fileno(), struct.pack("!i", len(message)) + message[: len(message) // 2])
        os.kill(os.getpid(), signal.SIGSTOP)
        threading.Event().wait()

    setattr(Connection, "send_bytes", send_half)  # noqa: B010 - for type checkers, a method
    logging.getLogger("labour").warning("half of this")


@job_handler("hangs up")
def hangs_up(params: dict[str, Any]) -> int:
    """Closes the pipe to the supervisor, as code does that closes all descriptors."""
    pipes = [each for each in gc.get_objects() if type(each) is Connection]
    for pipe in pipes:
        os.dup2(os.open(os.devnull, os.O_RDWR), pipe.fileno())
    return len(pipes)


def dies() -> None:
    """An initializer that ends its process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the traceback is of no interest
    raise RuntimeError("no such configuration")


def hangs() -> None:
    """An initializer that never returns."""
    threading.Event().wait()


def squared_there(number: int) -> list[int]:
    """A square, and the process that worked it out."""
    return [number * number, os.getpid()]


def looked_up(table: bytes, place: int) -> int:
    """What stands there."""
    return table[place]
