"""From the lines that clients wrote to one history per job.

It must not know what the operations mean, but for which job each was about.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from linearizability.checker import Operation
from proofs.witness import Line


@dataclass
class _Call:
    who: str
    name: str
    id: str
    given: Any
    called: int
    returned: int | None = None
    answer: Any = None
    gone: int | None = None

    def overlaps(self, other: _Call) -> bool:
        ends = [each.returned or each.gone or each.called for each in (self, other)]
        return self.called <= ends[1] and other.called <= ends[0]


def histories(lines: Iterable[Line], ids: Iterable[str]) -> dict[str, list[Operation]]:
    """The history of each job, all clients together."""
    calls = _calls(lines)
    return {id_: list(_about(id_, calls)) for id_ in ids}


def _calls(lines: Iterable[Line]) -> list[_Call]:
    calls: dict[tuple[str, int], _Call] = {}
    for line in lines:
        if line.word == "call":
            calls[line["who"], line["number"]] = _Call(
                line["who"], line["name"], line.id, line["given"], line.at
            )
        elif line.word == "return":
            call = calls[line["who"], line["number"]]
            call.returned, call.answer = line.at, line["answer"]
    for death in calls.values():
        if death.name == "die":
            for call in calls.values():
                if call.returned is None and call.who.startswith(death.given["process"]):
                    call.gone = death.returned
    return list(calls.values())


def _about(id_: str, calls: list[_Call]) -> Iterable[Operation]:
    for call in calls:
        name = _name_for(id_, call)
        if name is None:
            continue
        overlapped = call.answer == {"refused": "JobHeld"} and any(
            other is not call and other.id in ("", id_) and call.overlaps(other) for other in calls
        )
        yield Operation(
            call.who,
            name,
            call.called,
            call.returned,
            call.given,
            call.answer,
            gone=call.gone,
            overlapped=overlapped,
        )
        if name == "cancel" and call.answer is False:
            # It may have asked, seen that the job was finished, and taken the request back: in
            # the meantime whoever held the job could see it.
            yield Operation(call.who, "request", call.called, None, gone=call.returned)
        if name == "remove":
            # Folder by folder: a job that is created anew and ends meanwhile may go once more.
            again = 1 if call.returned is None else call.answer.count(id_) - 1
            for _ in range(again):
                yield Operation(call.who, name, call.called, call.returned, gone=call.gone)


def _name_for(id_: str, call: _Call) -> str | None:
    """What a call was to a job; None: it says nothing about it."""
    if call.id:
        return call.name if call.id == id_ else None
    if call.name == "die":
        return "die"
    if call.name == "claim":
        # None, or another job: this one may have been busy, or not due, or none at all.
        is_it = call.returned is None or (call.answer or {}).get("id") == id_
        return "claim" if is_it else None
    if call.name == "clean":
        return "remove" if call.returned is None or id_ in call.answer else None
    return None
