"""What was asked of a queue and what it acknowledged, written down as it happens.

It must not know queues. One ledger is kept in memory; one is a file that outlives its process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

Phase: TypeAlias = Literal["begun", "acknowledged", "refused"]
Facts: TypeAlias = dict[str, Any]


class Entry(NamedTuple):
    """One line: a verb on one job was begun, acknowledged, or refused by an error, after which
    it may have been done or not. The facts are what JSON can hold, the same in each phase."""

    phase: Phase
    verb: str
    job_id: str
    facts: Facts


class Ledger(Protocol):
    """Where the entries go."""

    def begun(self, verb: str, job_id: str, facts: Facts) -> None:
        """It is about to be done."""
        ...

    def acknowledged(self, verb: str, job_id: str, facts: Facts) -> None:
        """The queue said that it is done. A duplicate that was refused as it must be is
        acknowledged too: as ``refuse``."""
        ...

    def refused(self, verb: str, job_id: str, facts: Facts) -> None:
        """The queue raised an error of its disk: done or not, but nothing in between."""
        ...

    def entries(self) -> list[Entry]:
        """All of them, in order."""
        ...


class MemoryLedger:
    """Kept in memory; one made of the first entries of another is that one cut short."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = list(entries)

    def begun(self, verb: str, job_id: str, facts: Facts) -> None:
        self._add(Entry("begun", verb, job_id, facts))

    def acknowledged(self, verb: str, job_id: str, facts: Facts) -> None:
        self._add(Entry("acknowledged", verb, job_id, facts))

    def refused(self, verb: str, job_id: str, facts: Facts) -> None:
        self._add(Entry("refused", verb, job_id, facts))

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def entries(self) -> list[Entry]:
        return list(self._entries)


_TO_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class PaperLedger(MemoryLedger):
    """A line of JSON per entry, each by one system call: what was written stays written when
    the process is killed. The file must lie outside the jobs' folder."""

    def __init__(self, path: Path) -> None:
        lines = path.read_bytes().splitlines() if path.exists() else []
        super().__init__(Entry(*json.loads(line)) for line in lines)
        self._fd = os.open(path, _TO_APPEND, 0o600)

    def _add(self, entry: Entry) -> None:
        os.write(self._fd, json.dumps(entry).encode() + b"\n")
        super()._add(entry)

    def close(self) -> None:
        """Nothing more is to be written."""
        os.close(self._fd)
