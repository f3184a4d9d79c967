"""The evidence of a storm: who held which job when, and what the files have on record.

It must not import the library, nor judge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from proofs.witness import Line
from storms.places import place_of
from storms.storm import Aftermath

ENDED = ("complete", "failed", "cancelled")

CHANGES = frozenset(
    [
        "created",
        "claimed",
        "reported",
        "checkpointed",
        "completed",
        "failed",
        "retrying",
        "snoozed",
        "released",
        "cancelled",
        "rescued",
        "retried",
    ]
)
"""Words with which the queue acknowledges a change; each change has a revision of its own."""

ENDINGS = frozenset(["completed", "failed", "retrying", "snoozed", "released", "cancelled"])
"""Those that end a stint."""


@dataclass
class Stint:
    """One process's time with one job, as far as the process saw it."""

    who: str
    id: str
    life: str
    revision: int
    started: int
    begun_at: int
    over_at: int
    """It held the job for sure until then: it was about to end it, or to be killed."""
    how: str | None = None
    """How it was about to end it."""
    ended: Line | None = None
    """The acknowledged end."""
    took_effect: bool = False


class Evidence:
    """What lines and files say together."""

    def __init__(self, aftermath: Aftermath) -> None:
        self.storm = aftermath.storm
        self.aftermath = aftermath
        self.place = place_of(aftermath.data)
        self.killed = {line["victim"]: line.at for line in aftermath.said("kill")}
        self.changes = [line for line in aftermath.lines if line.word in CHANGES]
        self.stints = list(self._stints())
        self.standing = list(self.place.documents())
        self.documents = {id_: document for _, id_, document in self.standing}

    def crashes(self) -> int:
        """How many attempts ended with the worker's death."""
        return sum(
            outcome == "crashed"
            for attempts in self._records().values()
            for _who, _started, outcome in attempts
        )

    def _stints(self) -> Iterator[Stint]:
        by_process = defaultdict(list)
        for line in self.aftermath.lines:
            by_process[line.who].append(line)
        for who, lines in by_process.items():
            last = self.killed.get(who, lines[-1].at)
            # Of a worker's job the end may be told after the next one's start.
            open_: dict[str, Stint] = {}
            for line in lines:
                if line.word == "start":
                    stint = open_[line.id] = Stint(
                        who, line.id, line["life"], line["revision"], line["started"],
                        begun_at=line.at, over_at=max(line.at, last),
                    )  # fmt: skip
                    yield stint
                elif line.id not in open_:
                    continue
                elif line.word == "effect":
                    open_[line.id].took_effect = True
                elif line.word == "ending":
                    open_[line.id].how, open_[line.id].over_at = line["how"], line.at
                elif line.word in ENDINGS:
                    open_.pop(line.id).ended = line

    def _by_job(self) -> dict[str, list[Stint]]:
        by_job = defaultdict(list)
        for stint in self.stints:
            by_job[stint.id].append(stint)
        return by_job

    def _outcomes(self) -> list[Line]:
        return [line for line in self.changes if line["status"] in ENDED]

    def _deaths(self) -> set[str]:
        if "kills" not in self.storm.kinds:
            return set(self.killed)
        return {line["victim"] for line in self.aftermath.said("gone") if line["code"] == -9}

    def _was_killed(self, role: str) -> bool:
        return any(who.startswith(role) for who in self.killed)

    def _interrupted_cleanings(self) -> Iterator[int]:
        """When cleaners were killed in the middle."""
        state: dict[str, str] = {}
        for line in self.aftermath.said("cleaning", "cleaned"):
            state[line.who] = line.word
        for who, word in state.items():
            if word == "cleaning":
                yield self.killed[who]

    def _records(self) -> dict[str, list[tuple[str, int, str]]]:
        """The attempts on record of every job, where it stands or as it was removed."""
        records: dict[str, list[tuple[str, int, str]]] = {}
        for line in self.aftermath.said("removed"):
            records[line.id] = [(who, started, how) for who, started, how in line["attempts"]]
        for id_, document in self.documents.items():
            records[id_] = [
                (each["worker"], _milliseconds(each["startedAt"]), each["outcome"])
                for each in document["metadata"].get("attempts", ())
            ]
        return records


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
