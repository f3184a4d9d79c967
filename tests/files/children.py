"""Processes of their own that work on a directory, and the logs they leave as witnesses.

It must not import the library: the scripts do, in their own interpreters.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from semiont_jobs.testing.suite import eventually

PATIENCE = 60.0

PRELUDE = """
import os, sys, threading, time
from pathlib import Path
from semiont_jobs import *

data, log, *rest = sys.argv[1:]

def witness(word):
    # One write in append mode: lines of several processes do not mix.
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{word} {os.getpid()} {time.time_ns()}\\n".encode())
    os.close(fd)

def wait_for(name):
    deadline = time.monotonic() + 60
    pause = threading.Event()
    while not Path(log).with_name(name).exists():
        assert time.monotonic() < deadline, f"nobody said {name}"
        pause.wait(0.005)

def new(id, **metadata):
    return PendingJob(metadata=JobMetadata(id=id, type="task", **metadata), params={})

queue = JobQueue(data, fsync=False)
"""


class Children:
    """Starts scripts on one directory; ends what is left of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.log = path / "witness.log"
        self._children: list[subprocess.Popen[str]] = []

    def start(self, script: str, *arguments: str) -> subprocess.Popen[str]:
        """Run a script in an interpreter of its own; it has a queue on the directory."""
        name = self.path / f"script-{len(self._children)}.py"
        name.write_text(PRELUDE + textwrap.dedent(script))
        child = subprocess.Popen(
            [sys.executable, str(name), str(self.data), str(self.log), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # The tests' own process group must not be the target of what is sent to these.
            start_new_session=True,
        )
        self._children.append(child)
        return child

    def run(self, script: str, *arguments: str) -> str:
        """Run a script to its end; what it printed."""
        return finished(self.start(script, *arguments))

    def say(self, word: str) -> None:
        """Let children that wait for this word go on."""
        (self.path / word).touch()

    def words(self) -> list[str]:
        """What was witnessed, in order."""
        if not self.log.exists():
            return []
        return [line.split()[0] for line in self.log.read_text().splitlines()]

    def counted(self) -> Counter[str]:
        """How often each word was witnessed."""
        return Counter(self.words())

    def witnessed(self, word: str, times: int = 1) -> None:
        """Wait until the word was witnessed so often."""
        eventually(lambda: self.counted()[word] >= times, PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for child in self._children:
            for number in (signal.SIGCONT, signal.SIGKILL):
                try:
                    os.killpg(child.pid, number)
                except ProcessLookupError:
                    break
            child.communicate(timeout=PATIENCE)


def finished(child: subprocess.Popen[str]) -> str:
    """Wait for the end of a child, which must be a good one; what it printed."""
    printed, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors
    return printed


def kill(child: subprocess.Popen[str]) -> None:
    """End a child, but not what it started, as the kernel does when memory is short."""
    os.kill(child.pid, signal.SIGKILL)
    child.wait(PATIENCE)


def is_alive(pid: int) -> bool:
    """Whether a process of that id runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
