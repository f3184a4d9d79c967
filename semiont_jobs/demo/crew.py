"""The worker processes of a demonstration: started, replaced when they die, killed on purpose.

It must not know what they work on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from semiont_jobs.queue import JobQueue

LEAVE_TIMEOUT: Final = 30.0
"""Seconds for a worker process to finish its running job: the longest takes less than one."""


class Crew:
    """A number of worker processes on one data directory.

    Each ends when its standard input ends: however this process dies, no worker goes on.
    """

    def __init__(self, data_dir: Path, *, processes: int, threads: int) -> None:
        self._command = [
            sys.executable,
            "-m",
            "semiont_jobs.demo.process",
            str(data_dir),
            str(threads),
        ]
        self._members = [self._hire() for _ in range(processes)]
        self.killed: int = 0
        """Processes killed in the middle of a job."""

    def _hire(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal goes to the parent, which then stops the
        # workers.
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)

    def keep_up(self) -> None:
        """Replace processes that died."""
        for place, member in enumerate(self._members):
            if member.poll() is not None:
                _hang_up(member)
                self._members[place] = self._hire()

    def kill_one(self, queue: JobQueue) -> bool:
        """SIGKILL a process that has a running job at this moment; return whether there was one.

        It is stopped first, so that the job that it is seen to hold is the one it dies with.
        """
        at_work = {
            job.metadata.claim.pid
            for job in queue.query_jobs(status="running", limit=None)
            if job.metadata.claim is not None
        }
        for member in self._members:
            if member.pid in at_work and member.poll() is None:
                return self._kill_if_at_work(member, queue)
        return False

    def _kill_if_at_work(self, member: subprocess.Popen[bytes], queue: JobQueue) -> bool:
        os.kill(member.pid, signal.SIGSTOP)
        holds = any(
            job.metadata.claim is not None and job.metadata.claim.pid == member.pid
            for job in queue.query_jobs(status="running", limit=None)
        )
        if not holds:
            os.kill(member.pid, signal.SIGCONT)
            return False
        os.kill(member.pid, signal.SIGKILL)
        member.wait()
        self.killed += 1
        return True

    def dismiss(self) -> None:
        """Let every process finish its running job and end."""
        for member in self._members:
            _hang_up(member)
            member.terminate()
            # A process that was stopped to be killed, when this was called instead, would wait for
            # ever.
            member.send_signal(signal.SIGCONT)
        for member in self._members:
            try:
                member.wait(LEAVE_TIMEOUT)
            except subprocess.TimeoutExpired:
                member.kill()
                member.wait()


def _hang_up(member: subprocess.Popen[bytes]) -> None:
    assert member.stdin is not None
    member.stdin.close()
