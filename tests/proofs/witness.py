"""What processes saw, line by line, in files that outlive them whatever kills them.

It must not import the library, nor write into the jobs' directory: a witness is of use only if
it shares nothing with what it watches.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Line:
    """One thing that one process saw or was about to do."""

    at: int
    """Nanoseconds of the monotonic clock, which all processes of a machine share."""
    who: str
    word: str
    id: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]


class Witness:
    """Writes the lines of one process. Each is one `write` in append mode, in the kernel's hands
    when the call returns: a SIGKILL takes back none."""

    def __init__(self, folder: str | os.PathLike[str], who: str) -> None:
        self.who = who
        path = os.path.join(folder, f"{who}.log")
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, word: str, id: str = "", **facts: Any) -> None:
        """Note something, with the time it is now."""
        text = json.dumps([time.monotonic_ns(), word, id, facts])
        os.write(self._fd, f"{text}\n".encode())


class Notebook:
    """A witness in memory, whose clock is the number of the line."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def __call__(self, word: str, id: str = "", **facts: Any) -> None:
        """Note something."""
        self.lines.append(Line(len(self.lines), "", word, id, facts))


def lines_in(folder: Path, pattern: str = "*") -> list[Line]:
    """All that was seen by the processes of these names, in the order of time."""
    lines = [line for path in folder.glob(f"{pattern}.log") for line in _lines(path)]
    return sorted(lines, key=lambda line: line.at)


def _lines(path: Path) -> Iterator[Line]:
    for text in path.read_text("utf-8").splitlines(keepends=True):
        # A write that crosses a page may be cut short by a SIGKILL; its line is the last.
        if text.endswith("\n"):
            at, word, id_, facts = json.loads(text)
            yield Line(at, path.stem, word, id_, facts)
