"""The laws for one job, whatever its actors did, in whatever order, and whoever died.

What is acknowledged (answers and events) is compared with what stands on the disk in the end.
It must not know how the actors were scheduled.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiont_jobs.model import AnyJob

if TYPE_CHECKING:
    from schedules.stories import Deed, Stage

FINISHED = ("complete", "failed", "cancelled")
FOLDERS = ("pending", "running", *FINISHED)

ARROWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "claimed": (("pending",), ("running",)),
    "reported": (("running",), ("running",)),
    "checkpointed": (("running",), ("running",)),
    "completed": (("running",), ("complete",)),
    "failed": (("running",), ("failed",)),
    "retrying": (("running",), ("pending",)),
    "released": (("running",), ("pending",)),
    "rescued": (("running",), ("pending",)),
    "cancelled": (("pending", "running"), ("cancelled",)),
    "retried": (("failed", "cancelled"), ("pending",)),
}
"""From which statuses an event leads, and to which. The library's own table is not asked."""

REFUSALS = {
    "create": {"JobExists"},
    "create many": {"JobExists"},
    "retry": {"InvalidTransition", "JobNotFound"},
}
"""What a verb may answer instead. A holder is never refused: nobody may take its job."""

IMPATIENT = {
    "retry": {"JobHeld", "StoreError"},
    "cancel": {"JobHeld", "StoreError"},
    "fail": {"StoreError"},
    "release": {"StoreError"},
    "rescue": {"StoreError"},
}
"""What it may answer too where another actor stops for good while it holds the job."""


class Broken(Exception):
    """A law was."""


@dataclass(frozen=True)
class Fact:
    """The job at one moment, and what made it so."""

    name: str
    by: str
    revision: int
    status: str

    @classmethod
    def of(cls, job: AnyJob, name: str) -> Fact:
        """The fact that a job stands so."""
        return cls(name, job.params["by"], job.metadata.revision, job.status)


def require(holds: object, law: str, *facts: object) -> None:
    """Raise `Broken` unless it holds."""
    if not holds:
        raise Broken(" ".join([law, *map(str, facts)]))


def verdict(stage: Stage, start: str, *, others_stop: bool = False) -> str | None:
    """Which law was broken; None: none was. Ends the run: open claims are completed, what can
    be rescued is rescued, and what can be claimed is worked off."""
    try:
        _Case(stage, start, others_stop=others_stop).judge()
    except Broken as broken:
        return str(broken)
    return None


class _Case:
    def __init__(self, stage: Stage, start: str, *, others_stop: bool) -> None:
        self.stage = stage
        self.world = stage.world
        self.deeds: list[Deed] = list(stage.deeds)
        self.first = _first_fact(stage, start)
        self.dead = [actor.number for actor in self.world.players if actor.is_dead]
        self.others_stop = others_stop
        self.verbs = {deed.verb for deed in self.deeds}

    def judge(self) -> None:
        """Before anybody comes to the rescue, and after."""
        self.no_unexpected_refusal()
        self.holders_hold()
        self.readers_find_it()
        self.cancels_are_told_the_truth()
        self.retries_are_told_the_truth()
        self.work_off()
        self.readers_see_what_was()
        self.history_is_a_chain()
        self.one_copy_stands()

    # -- what each actor was told --------------------------------------------------------

    def no_unexpected_refusal(self) -> None:
        for deed in self.deeds:
            if deed.refusal is not None:
                allowed = REFUSALS.get(deed.verb, set())
                if deed.refusal == "JobCancelled":
                    allowed = {"JobCancelled"} if "cancel" in self.verbs else set()
                if self.others_stop:
                    allowed = allowed | IMPATIENT.get(deed.verb, set())
                require(deed.refusal in allowed, "refused:", deed.verb, deed.refusal)

    def holders_hold(self) -> None:
        holders = [
            actor
            for actor in self.world.players
            if not actor.is_dead and actor.claim is not None and actor.claim.is_open
        ]
        require(len(holders) <= 1, "two hold the job:", [actor.name for actor in holders])
        for actor in holders:
            require(actor.claim._hold.is_standing(), "a live holder lost the job:", actor.name)

    def readers_find_it(self) -> None:
        can_vanish = bool({"clean"} & self.verbs)
        for deed in self.deeds:
            if deed.verb not in ("get", "list", "count") or not deed.has_ended:
                continue
            before = [each for each in self.deeds if each.key in deed.preceding]
            known = [
                fact
                for each in before
                for fact in (*each.events, *([each.answer] if each.verb == "get" else []))
                if fact is not None
            ]
            known += [self.first] if self.first else []
            if not known or can_vanish:
                continue
            if deed.verb == "list":
                require([("j", status) for _id, status in deed.answer] == list(deed.answer)
                        and len(deed.answer) == 1, "a list has it not once:", deed.answer)  # fmt: skip
                continue
            if deed.verb == "count":
                require(deed.answer == 1, "counted not once but", deed.answer)
                continue
            require(deed.answer is not None, "a reader does not find the job, after", known[-1])
            newest = max(fact.revision for fact in known)
            require(deed.answer.revision >= newest, "a reader goes back to", deed.answer, newest)

    def readers_see_what_was(self) -> None:
        """What a reader saw is part of the one history."""
        facts = [fact for deed in self.stage.deeds for fact in deed.events]
        for deed in self.deeds:
            if deed.verb == "get" and deed.answer is not None:
                seen = deed.answer
                for fact in facts:
                    if (fact.by, fact.revision) == (seen.by, seen.revision):
                        require(fact.status == seen.status, "seen and undone:", seen, fact)

    def cancels_are_told_the_truth(self) -> None:
        for deed in self.deeds:
            if deed.verb != "cancel" or not deed.has_ended or deed.refusal:
                continue
            before = [each for each in self.deeds if each.key in deed.preceding]
            seen = [fact for each in before for fact in each.events]
            seen += [each.answer for each in before if each.verb == "get" and each.answer]
            seen += [self.first] if self.first else []
            last = max(seen, key=lambda fact: fact.revision, default=None)
            is_final = {"retry", "create", "create many"}.isdisjoint(self.verbs)
            if last is not None and last.status in FINISHED and is_final:
                require(not deed.answer, "asked to cancel a job known to be", last)
            facts = [fact for each in self.deeds for fact in each.events]
            ends = [fact for fact in facts if fact.status in FINISHED]
            if not deed.answer and not ends and not self.dead and "clean" not in self.verbs:
                exists = self.first is not None and self.first.status not in FINISHED
                require(not exists, "told that an unfinished job is finished")

        answers = [deed.answer for deed in self.deeds if deed.verb == "cancel"]
        if answers and all(answer is False for answer in answers):
            sakes = [
                fact for each in self.deeds for fact in each.events if fact.name == "cancelled"
            ]
            require(
                not sakes, "cancelled, and nobody was told that their request was obeyed:", *sakes
            )

    def retries_are_told_the_truth(self) -> None:
        """Who is told that the job is not finished: it was not, at some moment of the retry. Known
        before to be finished, it is until somebody retries or makes it."""
        others = [
            deed.verb for deed in self.deeds if deed.verb in ("retry", "create", "create many")
        ]
        for deed in self.deeds:
            if deed.verb != "retry" or deed.refusal != "InvalidTransition" or len(others) > 1:
                continue
            before = [each for each in self.deeds if each.key in deed.preceding]
            known = [fact for each in before for fact in each.events]
            known += [each.answer for each in before if each.verb == "get" and each.answer]
            known += [self.first] if self.first else []
            last = max(known, key=lambda fact: fact.revision, default=None)
            is_finished = last is not None and last.status in ("failed", "cancelled")
            require(not is_finished, "refused to retry a job known to be", last)

    # -- what comes of it ----------------------------------------------------------------

    def standing_request(self) -> bool:
        """Whether somebody was told, for the present life, that the job is cancelled or will
        be; and nobody has retried it since, or may have."""
        asked = [deed for deed in self.deeds if deed.verb == "cancel" and deed.answer is True]
        return bool(asked) and "retry" not in self.verbs and "create" not in self.verbs

    def obsolete_request(self) -> bool:
        """Whether all that was asked was meant for an earlier life than the present one."""
        retries = [deed for deed in self.deeds if deed.verb == "retry" and deed.events]
        cancels = [deed for deed in self.deeds if deed.verb == "cancel"]
        return bool(retries) and all(
            deed.has_ended and any(deed.key in retry.preceding for retry in retries)
            for deed in cancels
        )

    def work_off(self) -> None:
        stage = self.stage
        is_to_stop = self.standing_request()
        must_not_stop = self.obsolete_request()
        for actor in self.world.players:
            claim = actor.claim
            if actor.is_dead or claim is None or not claim.is_open:
                continue
            told = claim._hold.cancel_requested()
            require(told or not is_to_stop, "the holder was not told to stop")
            require(not (told and must_not_stop), "told to stop for the sake of an earlier life")
            self._do(actor.number, "complete")
        for actor in self.world.players:
            if not actor.is_dead:
                actor.disk.close_all()
        stage.make_judge()
        number = stage.judge.number
        self._do(number, "rescue")
        for _ in range(5):
            deed = self._do(number, "claim")
            if not deed.answer:
                break
            require(not is_to_stop, "a job runs although it was cancelled")
            told = stage.judge.claim._hold.cancel_requested()
            require(not (told and must_not_stop), "told to stop for the sake of an earlier life")
            self._do(number, "complete")
        if must_not_stop:
            facts = [fact for each in self.stage.deeds[len(self.deeds) :] for fact in each.events]
            require("cancelled" not in {fact.name for fact in facts},
                    "cancelled for the sake of an earlier life")  # fmt: skip

    def _do(self, number: int, verb: str) -> Deed:
        deed = self.stage.act(number, verb)
        require(deed.refusal is None, "in the end refused:", verb, deed.refusal)
        return deed

    def history_is_a_chain(self) -> None:
        """All that happened is one history, every step of it made by one actor, once."""
        facts = [fact for deed in self.stage.deeds for fact in deed.events]
        makers = {fact.by for fact in facts} | ({self.first.by} if self.first else set())
        standing = _standing(self.world.root)
        exists = 0
        for by in sorted(makers):
            mine = sorted((fact for fact in facts if fact.by == by), key=lambda f: f.revision)
            exists += self._chain(by, mine, standing.get(by))
        require(set(standing) <= makers or self.dead, "nobody made the job that stands:", standing)
        require(exists <= 1, "created twice:", makers)

    def _chain(self, by: str, facts: list[Fact], standing: Fact | None) -> bool:
        """Whether that job exists in the end."""
        removed = [fact for fact in facts if fact.name == "removed"]
        steps = [fact for fact in facts if fact.name not in ("removed", "created")]
        created = [fact for fact in facts if fact.name == "created"]
        begun = [self.first] if self.first and self.first.by == by else created
        require(len(begun) == 1 or self.dead, "a refused create was worked on:", *facts)
        chain = [*begun, *steps]
        gaps = 0
        for last, fact in pairwise(chain):
            require(last.revision < fact.revision, "done twice:", last, fact)
            gaps += fact.revision - last.revision - 1
            sources, targets = ARROWS[fact.name]
            require(fact.status in targets, "not such an arrow:", fact)
            if fact.revision == last.revision + 1:
                require(last.status in sources, "not such an arrow:", last, fact)
        require(len(removed) <= 1, "removed twice:", *removed)
        if chain and (end := removed[0] if removed else standing) is not None:
            gaps += end.revision - chain[-1].revision
            require(end.revision >= chain[-1].revision, "undone:", chain[-1], "is now", end)
            require(end.status == chain[-1].status or end.revision > chain[-1].revision,
                    "undone:", chain[-1], "is now", end)  # fmt: skip
        require(gaps <= len(self.dead), "done by nobody:", *chain, standing)
        if removed:
            require(standing is None, "removed, and back:", standing)
            require(removed[0].status in FINISHED, "removed unfinished:", removed[0])
            return False
        may_be_gone = self.dead and "clean" in self.verbs
        require(standing is not None or may_be_gone, "lost:", *chain)
        return standing is not None

    def one_copy_stands(self) -> None:
        names = list(self.world.names)
        copies = [name for name in names if name.startswith(FOLDERS)]
        require(len(copies) <= 1, "two copies in the end:", copies)
        require(all(name.startswith(FINISHED) for name in copies), "not worked off:", copies)
        aside = [name for name in names if name.startswith(".quarantine")]
        require(not aside, "set aside:", aside)
        left = [name for name in names if name.startswith(".tmp")]
        require(len(left) <= len(self.dead), "left over:", left)
        asked = [
            deed.verb == "cancel" and (deed.answer is True or not deed.has_ended or deed.refusal)
            for deed in self.deeds
        ]
        requests = [name for name in names if name.startswith(".cancel")]
        require(any(asked) or not requests, "a request is left of a refused cancel:", requests)


def _first_fact(stage: Stage, start: str) -> Fact | None:
    documents = [json.loads(data) for data in stage._files(start).values()]
    facts = [_fact(document) for document in documents]
    first = max(facts, key=lambda fact: fact.revision, default=None)
    if first is not None and start == "running":
        return Fact("first", first.by, first.revision + 1, "running")
    return first


def _standing(root: str) -> dict[str, Fact]:
    """The copies in the five folders, by who made the job."""
    paths: Iterable[Path] = (Path(root, folder, "j.json") for folder in FOLDERS)
    facts = [_fact(json.loads(path.read_bytes())) for path in paths if path.exists()]
    return {fact.by: fact for fact in facts}


def _fact(document: Any) -> Fact:
    revision = document["metadata"].get("revision", 0)
    return Fact("stands", document["params"]["by"], revision, document["status"])
