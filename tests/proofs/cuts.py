"""Cutting the power at every step of a history, and judging what each cut may leave.

It must not know what a history does, nor the laws.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from files.places import FOLDERS
from proofs.judge import Allowed, judge
from proofs.ledger import Entry, Facts, MemoryLedger
from proofs.power import MODELS, MOST, SHARED, Cutter
from proofs.power import State as DiskState
from proofs.recording import RecordingDisk, Step, Trace
from proofs.session import Session, at_once
from proofs.states import State, done, possible

from semiont_jobs.events import logger
from semiont_jobs.stores.files.journal import boot

SEED: Final = 20
"""Of what is drawn at random: which states of other jobs stand beside the one that is tried."""

MEMORY: Final = Path("/dev/shm")


class MarkingLedger(MemoryLedger):
    """A ledger that also marks in a trace when each entry was made."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def _add(self, entry: Entry) -> None:
        super()._add(entry)
        self._trace.mark(entry.job_id)


@dataclass
class Recorded:
    """What one or more processes did to one directory, and what they said."""

    base: Path
    trace: Trace = field(default_factory=Trace)
    ledger: MarkingLedger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = MarkingLedger(self.trace)
        # What was there before: a durable folder.
        self.trace.note("make_folder", str(self.base))
        self.trace.note("syncfs", str(self.base))

    @property
    def data(self) -> Path:
        return self.base / "data"

    @property
    def steps(self) -> list[Step]:
        return self.trace.steps

    def disk(self) -> RecordingDisk:
        """A disk for one more process."""
        return RecordingDisk(self.trace)

    def said_until(self, position: int) -> MemoryLedger:
        """The ledger as it was when that many steps were made."""
        said = sum(step.verb == "mark" for step in self.steps[:position])
        return MemoryLedger(self.ledger.entries()[:said])


@dataclass(frozen=True)
class Violation:
    """A cut after which a law is broken."""

    model: str
    position: int
    last: tuple[str, ...]
    faults: tuple[str, ...]
    files: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.model}: a cut after step {self.position}:",
                *self.last,
                "left",
                *self.files,
                "so that",
                *self.faults,
            )
        )


@dataclass
class Verdict:
    """What came of judging."""

    states: Counter[str] = field(default_factory=Counter)
    """How many were judged, by model."""
    left_out: int = 0
    violations: list[Violation] = field(default_factory=list)


def with_takes_undone(entries: list[Entry]) -> dict[str, frozenset[State]]:
    """In which states each job may be, where a loop's claim that was acknowledged is done or not
    done, unless something was acknowledged that came of it."""
    return possible(entries, done_though_undone, undoable=("take",))


def done_though_undone(verb: str, states: frozenset[State], facts: Facts) -> frozenset[State]:
    """What a verb makes of a job whose claim may be undone."""
    result = done(verb, states, facts)
    if verb == "cancel" and any(each.status == "running" for each in states):
        # The request stands, whatever becomes of the claim: whoever claims the job next finds it.
        waiting = {each for each in states if each.status == "pending"}
        result |= {each._replace(is_asked=True) for each in waiting}
    return result


def judge_after_power_cut(
    ledger: MemoryLedger, data_dir: Path, allowed: Allowed = with_takes_undone
) -> list[str]:
    """`judge`, once workers and a cleaner have had their ordinary looks, which set aside what
    a cut left of jobs that were never acknowledged.

    What is set aside must be torn; that it was of no acknowledged job shows in that job.
    """
    try:
        entries = _set_torn_aside(ledger.entries(), data_dir)
    except Exception as error:  # what must never happen
        return [f"setting aside what is torn raised {error!r}"]
    aside = data_dir / "jobs" / ".quarantine"
    torn = [path.name for path in aside.iterdir() if path.suffix != ".why" and is_torn(path)]
    return [
        fault
        for fault in judge(MemoryLedger(entries), data_dir, allowed)
        if not any(fault.startswith((f"{name} was set", f"{name}.why was set")) for name in torn)
    ]


def _set_torn_aside(entries: list[Entry], data_dir: Path) -> list[Entry]:
    """Do what is done all the time: look for work, rescue, clean. The last two only where there
    is something torn that has no whole copy beside it, so that the judge sees the rest as the
    cut has left it. The entries, with what was done."""
    with at_once():
        session = Session(data_dir, MemoryLedger())
        queue = session.queue
        for _ in range(3):
            session.try_to_claim("nothing")
        torn = _torn_alone(data_dir / "jobs")
        if "running" in torn:
            found = possible(entries)
            for _ in range(2):
                queue.rescue_orphans()
            entries = [*entries, *(Entry("begun", "rescue", job_id, {}) for job_id in found)]
        if torn - {"running"}:
            for _ in range(2):
                queue.cleanup_completed_jobs(LONG_AGO, cancelled=True)
        queue.close()
    return entries


def _torn_alone(jobs: Path) -> set[str]:
    """Folders with something torn that has no whole copy."""
    torn: dict[str, set[str]] = {}
    whole: set[str] = set()
    for folder in FOLDERS:
        for path in (jobs / folder).iterdir():
            if is_torn(path):
                torn.setdefault(path.name, set()).add(folder)
            else:
                whole.add(path.name)
    return {folder for name, folders in torn.items() if name not in whole for folder in folders}


LONG_AGO: Final = datetime(2001, 1, 1, tzinfo=UTC)
"""Before every job ended: a cleaner with this cut-off removes none."""


def is_torn(path: Path) -> bool:
    """Whether it is no JSON text."""
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return True
    return False


Judge = Callable[[MemoryLedger, Path], list[str]]


def cut_everywhere(
    recorded: Recorded,
    judge_one: Judge = judge_after_power_cut,
    *,
    models: Sequence[str] = tuple(MODELS),
    since: int = 0,
    most: int = MOST,
    share: float = 1.0,
    enough: int = 1,
) -> Verdict:
    """Judge every state that a cut at any position may leave; stop at so many violations.

    What one model leaves of a job need not be judged once more for the next.

    :param share: how many are judged, of the positions and of the states at each: the square
        root of this of both; drawn at random.
    """
    cutter = Cutter(owner_of(recorded.data / "jobs"), random.Random(SEED), most)
    verdict = Verdict()
    draw, share = random.Random(SEED), min(1.0, share) ** 0.5
    with at_once(), silence(), started_again(), rooms() as room:
        for model in models:
            for position, state in cutter.cuts(MODELS[model], recorded.steps, since, share):
                if draw.random() >= share:
                    verdict.left_out += 1
                    continue
                place = room()
                state.build(str(recorded.base), str(place))
                verdict.states[model] += 1
                faults = judge_one(recorded.said_until(position), place / "data")
                if model == "strict":
                    faults = [fault for fault in faults if OF_A_BATCH not in fault]
                if faults:
                    verdict.violations.append(_violation(recorded, model, position, state, faults))
                    if len(verdict.violations) >= enough:
                        return verdict
    verdict.left_out += cutter.left_out
    return verdict


OF_A_BATCH: Final = "of the same batch before it does not"
"""Names that were made one after the other may become durable in any order, where no order is
promised: of a batch that was not acknowledged any part may stand."""


def _violation(
    recorded: Recorded, model: str, position: int, state: DiskState, faults: Iterable[str]
) -> Violation:
    cut = len(str(recorded.data)) + 1
    files = sorted(
        f"  {path[cut:]} #{inode} {data[:60]!r}{'...' if len(data) > 60 else ''}"
        for part in state.parts
        for path, inode, data in part
    )
    last = [f"  {str(step).replace(str(recorded.data), '')}" for step in recorded.steps[:position]]
    return Violation(model, position, tuple(last[-12:]), tuple(faults), tuple(files))


def owner_of(jobs: Path) -> Callable[[str], str | None]:
    """Whose file has a path: a job's id; the empty text, the house; `SHARED`, the journals; None,
    of scratch."""
    pattern = re.compile(
        re.escape(str(jobs)) + r"/(?:[a-z]+/(?P<id>[\w-]+)\.json|\.cancel/(?P<of>[\w-]+)\..*)"
    )

    def owner(path: str) -> str | None:
        if path.startswith(f"{jobs}/.tmp/"):
            return None
        if path.startswith(f"{jobs}/.journal/"):
            return SHARED
        found = pattern.fullmatch(path)
        return (found["id"] or found["of"]) if found else ""

    return owner


@contextmanager
def started_again() -> Iterator[None]:
    """The machine was started again: what was written is no longer in anybody's memory."""
    was, boot.current = boot.current, lambda: "another start"
    try:
        yield
    finally:
        boot.current = was


@contextmanager
def silence() -> Iterator[None]:
    """No logs: thousands of recoveries tell what they do."""
    logger.logger.disabled = True
    try:
        yield
    finally:
        logger.logger.disabled = False


@contextmanager
def rooms() -> Iterator[Callable[[], Path]]:
    """Makes fresh places for directories, in memory where there is a disk in memory."""
    top = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    made = 0

    def room() -> Path:
        nonlocal made
        if made:
            shutil.rmtree(top / str(made), ignore_errors=True)
        made += 1
        return top / str(made)

    try:
        yield room
    finally:
        shutil.rmtree(top, ignore_errors=True)
