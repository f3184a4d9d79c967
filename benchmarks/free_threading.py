"""The kinds whose threads may share the work, once more in a free-threaded Python.

It must not know what is measured of them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import evolve
from peers.peer import Kind

SUFFIX: Final = "-free"
"""What is added to the name of a kind."""
LABEL: Final = ", free-threaded"
"""What is added to its label."""
PATIENCE: Final = 30.0
_ASK: Final = """
import json, platform
import semiont_jobs.queue
from semiont_jobs.threads import has_gil
print(json.dumps([platform.python_version(), has_gil()]))
"""


def version_of(python: Path) -> str:
    """The version of that free-threaded Python.

    :raises ValueError: it is another Python, or the library cannot be imported there.
    """
    try:
        asked = subprocess.run(
            [python, "-c", _ASK], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except OSError as error:
        raise ValueError(f"{python} cannot be run: {error.strerror}") from error
    if asked.returncode:
        told = asked.stderr.strip().rpartition("\n")[2]
        raise ValueError(f"{python} cannot import the library: {told}")
    version, has_gil = json.loads(asked.stdout)
    if has_gil:
        raise ValueError(f"{python} is not free-threaded")
    return str(version)


def twins(kinds: Sequence[Kind], python: Path) -> list[Kind]:
    """The same kinds in that Python, to measure what threads of one process do."""
    return [
        evolve(
            kind,
            name=kind.name + SUFFIX,
            label=kind.label + LABEL,
            python=str(python),
            twin_of=kind.name,
            processes=False,
            batches=False,
            backlog=False,
            has_worker=False,
            wakes=False,
            wakes_within=False,
            lists="",
            counts="",
        )
        for kind in kinds
        if kind.threads and not kind.waits_only
    ]
