"""A storm: processes on one directory, killed and stopped all the time, and what they leave.

It must not import the library: the processes do, and the witnesses must not need it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from proofs.witness import Line, lines_in

TESTS = Path(__file__).parent.parent

PATIENCE = 120.0
"""Seconds after the last kill in which the processes must have worked off what is left."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Storm:
    """How hard it blows."""

    seed: int
    jobs: int
    durability: str = "process"
    """Journals are small in a storm, so that they are emptied all the time."""
    seconds: float = 10.0
    """The storm is over then, if it has had its kills; earlier, when all jobs are finished."""
    least_kills: int = 0
    """So many there must be, if it takes `PATIENCE` longer: a disk that others keep busy leaves
    nobody at work to be killed for seconds."""
    kill_every: float | None = 0.006
    """Seconds between two kills, on average; None: nobody is killed or stopped."""
    workers: int = 8
    rescuers: int = 2
    crowd: bool = True
    """Whether a canceller, who also retries by hand, and a cleaner are about."""
    kinds: tuple[str, ...] = (
        "plain",
        "stumbles",
        "reports",
        "plain",
        "snoozes",
        "lingers",
        "plain",
        "fails",
        "reports",
        "forks",
        "dallies",
    )
    """What the work of the jobs is like, in turns (see `storms.actors`)."""
    max_crashes: int = 1_000_000
    """By default no job fails because its workers died: in a storm they die of something else."""
    retention: float = 1.0
    """Seconds that finished jobs are kept."""
    sever_every: float | None = None
    """Seconds between two ends of a session of the server, on average; None: none is ended."""
    is_cut_off: bool = False
    """Whether the server is away at times: what it refuses then is asked again."""
    application: str = "semiont_jobs"
    """By this name the server knows the sessions of the storm's processes."""
    linger: float = 60.0
    """Seconds that a child which a job forks lives on."""


@dataclasses.dataclass(frozen=True)
class Aftermath:
    """What is left when the storm is over."""

    storm: Storm
    data: str
    lines: list[Line]
    errors: str

    def said(self, *words: str) -> list[Line]:
        """The lines with one of these words, in the order of time."""
        return [line for line in self.lines if line.word in words]


def rage(storm: Storm, path: Path, url: str | None = None) -> Aftermath:
    """Let it blow over a directory under `path`, or a database, until all is quiet again."""
    data, logs = url or str(path / "data"), path / "logs"
    logs.mkdir(parents=True)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            part for part in (str(TESTS), os.environ.get("PYTHONPATH")) if part
        )
    }
    arguments = [data, str(logs), json.dumps(dataclasses.asdict(storm))]
    with (path / "errors").open("w+", encoding="utf-8") as errors:
        director = subprocess.Popen(
            [sys.executable, "-m", "storms.director", *arguments],
            env=environment,
            stderr=errors,
            # What is left of them in the end, children of jobs above all, is one group.
            start_new_session=True,
        )
        try:
            director.wait(storm.seconds + 2 * PATIENCE + 30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(director.pid, signal.SIGKILL)
            director.wait()
        errors.seek(0)
        said = errors.read()[-4000:]
    assert director.returncode == 0, said
    return Aftermath(storm, data, lines_in(logs), said)
