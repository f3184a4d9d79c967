"""An independent record of what workers did: one append-only log per process.

It must not know the queue: what it says is compared with what the queue says.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from attrs import frozen

START: Final = "start"
OUTCOME: Final = "outcome"


class Witness:
    """Writes the log of this process. Each line is one `write`, so that a killed process
    leaves whole lines only."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(
            folder / f"{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )

    def saw(self, what: str, job_id: str) -> None:
        """Record that a job began, or that its outcome was stored."""
        os.write(self._fd, f"{what} {job_id}\n".encode())


@frozen(kw_only=True)
class Account:
    """What all logs contain together: how often each job began, and had its outcome stored."""

    starts: Counter[str]
    outcomes: Counter[str]


def account(folder: Path) -> Account:
    """Read every log in a folder."""
    told: dict[str, Counter[str]] = {START: Counter(), OUTCOME: Counter()}
    for line in _lines(sorted(folder.glob("*.log"))):
        what, _, job_id = line.partition(" ")
        told[what][job_id] += 1
    return Account(starts=told[START], outcomes=told[OUTCOME])


def _lines(paths: Iterable[Path]) -> Iterable[str]:
    for path in paths:
        yield from path.read_text("utf-8").splitlines()
