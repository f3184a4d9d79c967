"""Runs a history again and again, each time in a child that dies before its K-th step.

A program of its own: it forks from a process without threads. It prints what it found as JSON.
It must not know what is lawful.
"""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs
from proofs.doors import LOOKS, LethalDisk, SteadyDisk
from proofs.history import History
from proofs.judge import LATER, judge
from proofs.ledger import PaperLedger
from proofs.session import Session, at_once

from semiont_jobs.stores.files.forcing import Durability
from semiont_jobs.testing import FakeClock

End: TypeAlias = Literal["killed", "survived"]

OPENING: Final = 60
RECOVERY: Final = 180
"""Steps of a recovery: about so many to open the directory, and up to so many more the longer the
history was. Of pairs beyond it the second crash does not happen."""

PARTS: Final[Sequence[Sequence[str]]] = (
    ("succeed", "by hand"),
    ("fail",),
    ("put back",),
    ("cancel", "go on"),
    ("follow",),
    ("die",),
    ("set aside", "remove"),
)
"""Short histories, all chapters together: the time of all crashes grows with the square of a
history's length."""


def main(mode: str, path: Path, durability: Durability, count: int) -> dict[str, Any]:
    """``parts``: a crash at every step of each short history. ``changes``: before every step that
    changes something; the others leave what the one before them left, and less was acknowledged
    there. ``whole``: at every step of the long one. ``pairs``: a crash in the long one and one more in
    the recovery, `count` times."""
    gc.freeze()  # what is there now is not looked at, hence not copied, in every child
    found = Findings()
    for chapters in PARTS if mode in ("parts", "changes") else ((),):
        whole = Whole(path, durability, chapters)
        points: list[tuple[int, ...]]
        if mode == "pairs":
            points = list(_pairs(whole.steps, count))
        else:
            # To open an empty directory is the same for all: it is done in the first.
            first = whole.opening + 1 if found.steps else 1
            points = [
                (k,)
                for k in range(first, whole.steps + 2)
                if mode != "changes" or k > whole.steps or whole.verbs[k - 1] not in LOOKS
            ]
            found.steps += len(points) - 1
        # All crashes first: after a fork every page that is written to is copied, and a judge
        # writes to many.
        ends = [whole.crash(point) for point in points]
        for point, end in zip(points, ends, strict=True):
            found.add(whole.name(point), end, whole.judge(point))
        found.histories += 1
    return attrs.asdict(found)


@attrs.define
class Findings:
    """What became of the children."""

    steps: int = 0
    """At which somebody had to die."""
    histories: int = 0
    ends: dict[End, int] = attrs.field(factory=lambda: {"killed": 0, "survived": 0})
    faults: dict[str, list[str]] = attrs.field(factory=dict)

    def add(self, name: str, end: End, faults: list[str]) -> None:
        """One child, or two of which the second worked in what the first left."""
        self.ends[end] += 1
        if faults:
            self.faults[name] = faults


class Whole:
    """A history as it is when nobody dies: what the others must have begun to do, too."""

    def __init__(self, path: Path, durability: Durability, chapters: Sequence[str]) -> None:
        self._path = path / ("all" if not chapters else chapters[0])
        self._path.mkdir()
        self._durability = durability
        self._chapters = chapters
        disk = SteadyDisk()
        # As deep as the others: opening forces every folder above.
        place = self._path / "whole"
        place.mkdir()
        ledger = PaperLedger(place / "ledger")
        with at_once():
            history = History(place / "data", ledger, disk=disk, durability=durability)
            history.queue.initialize()
            self.opening = len(disk.calls)
            history.run(chapters)
        ledger.close()
        self.verbs = [call.verb for call in disk.calls]
        self.steps = len(self.verbs)
        self._script = ledger.entries()

    def name(self, point: tuple[int, ...]) -> str:
        """What a crash is called."""
        return f"{self._path.name} {'-'.join(map(str, point))}"

    def crash(self, point: tuple[int, ...]) -> End:
        """Let one child after the other die there; how the last one ended."""
        place = self._place(point)
        place.mkdir()
        end = _in_a_child(partial(self._first, place, point[0]))
        begun = _read(place).entries()
        assert begun == self._script[: len(begun)], "it was another history"
        if len(point) > 1:
            end = _in_a_child(partial(self._second, place, point[1]))
        return end

    def judge(self, point: tuple[int, ...]) -> list[str]:
        """Which laws are broken after the recovery from that crash."""
        place = self._place(point)
        faults = judge(_read(place), place / "data")
        if not faults:
            shutil.rmtree(place)
        return faults

    def _place(self, point: tuple[int, ...]) -> Path:
        return self._path / "-".join(map(str, point))

    def _first(self, place: Path, k: int) -> None:
        ledger = PaperLedger(place / "ledger")
        disk = LethalDisk(k)
        History(place / "data", ledger, disk=disk, durability=self._durability).run(self._chapters)

    def _second(self, place: Path, k: int) -> None:
        clock = FakeClock()
        clock.advance(LATER)
        Session(
            place / "data",
            PaperLedger(place / "ledger"),
            disk=LethalDisk(k),
            durability=self._durability,
            clock=clock,
            is_faulty=True,
        ).work_off()


def _pairs(steps: int, count: int) -> Iterator[tuple[int, int]]:
    """First crashes spread evenly over the history, second ones over the recovery."""
    chance = random.Random(count)
    for n in range(count):
        first = 1 + int((n + chance.random()) * steps / count)
        yield first, chance.randint(1, OPENING + RECOVERY * first // steps)


def _in_a_child(call: Callable[[], object]) -> End:
    pid = os.fork()
    if pid == 0:
        try:
            with at_once():
                call()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _pid, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    assert status == 0, f"a child ended with {status}"
    return "survived"


def _read(place: Path) -> PaperLedger:
    ledger = PaperLedger(place / "ledger")
    ledger.close()
    return ledger


if __name__ == "__main__":
    durability: Durability = sys.argv[3]  # type: ignore[assignment]
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), durability, int(sys.argv[4]))))
