"""The rooms: which modules are one thing to a reader, and which rooms import which.

It must not know how they are drawn. What shares a room is laid out by hand; rows and arrows
come from the imports. A module that nobody gave a room is an error, and so are rooms that
import each other in a circle, so no picture of them can fall behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from layers import PACKAGE

Needs = Mapping[str, frozenset[str]]


class Room(NamedTuple):
    """Modules that are one thing to a reader, what that is, and the colour of its kind."""

    about: str
    modules: tuple[str, ...]
    fill: str


REACHING, WORKING, QUEUEING, STORING, DECIDING, GROUND = (
    "#f3e8ff",
    "#dbeafe",
    "#dcfce7",
    "#fff4d6",
    "#fee2e2",
    "#e5e7eb",
)

ROOMS: Final[dict[str, Room]] = {
    "testing": Room("conformance suite, state machine, clock", ("testing",), REACHING),
    "Django": Room("its tasks as jobs, its admin", ("django",), REACHING),
    "Flask": Room("an application's queue and workers", ("flask",), REACHING),
    "command line": Room("semiont-jobs", ("__main__", "embedded", "cli"), REACHING),
    "demo": Room("Semiont's job types on real documents", ("demo",), REACHING),
    "pool": Room("threads and processes that run workers", ("pool",), WORKING),
    "worker": Room(
        "claim, work, outcome", ("handlers", "worker", "iteration", "recording"), WORKING
    ),
    "queue": Room(
        "the verbs that callers use",
        ("singleton", "transfer", "queue", "claimer", "creating", "by_hand", "reading"),
        QUEUEING,
    ),
    "desk": Room(
        "what stands behind the verbs",
        (
            "desk",
            "openable",
            "hooks",
            "lookout",
            "open_claims",
            "stamps",
            "keeper",
            "committing",
            "opening",
            "rescuing",
            "settings",
        ),
        QUEUEING,
    ),
    "figures": Room("counts and durations", ("meter", "tally", "prometheus", "metrics"), QUEUEING),
    "stores": Room(
        "where jobs live",
        ("stores", "stores.files", "stores.memory", "stores.postgres"),
        STORING,
    ),
    "claim": Room("one job in hand", ("claim", "in_hand", "asking", "terms", "updates"), QUEUEING),
    "store": Room("what a store promises", ("store", "listing", "stores.location"), STORING),
    "lifecycle": Room("what a job becomes, as functions", ("lifecycle", "failure"), DECIDING),
    "codec": Room("JSON to jobs and back", ("codec",), STORING),
    "events": Room("what happened, as data", ("events",), DECIDING),
    "job types": Room("the registry; Semiont's six", ("builtin", "job_types"), DECIDING),
    "retry": Room("whether again, and when", ("retry",), DECIDING),
    "model": Room("a job in five states", ("model", "outline"), DECIDING),
    "ground": Room(
        "checked fields, ids, errors",
        (
            "fields",
            "floor",
            "ids",
            "threads",
            "errors",
            "exits",
            "forks",
            "interrupts",
            "latch",
            "signals",
            "starting",
            "version",
            "weak",
        ),
        GROUND,
    ),
}
"""From left to right, where they share a row."""


def home_of(module: str) -> str | None:
    """The room of a module, by its full name; of the package itself, which only hands names on,
    none.

    :raises KeyError: nobody gave it one.
    """
    name = module.removeprefix(PACKAGE).removeprefix(".")
    homes = {each: room for room, (_about, modules, _fill) in ROOMS.items() for each in modules}
    while name and name not in homes and "." in name:
        name = name.rpartition(".")[0]
    return homes[name] if name else None


def needs(imported: Mapping[str, frozenset[str]]) -> Needs:
    """What each room imports of other rooms."""
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module, others in imported.items():
        room = home_of(module)
        if room is not None:
            found[room] |= {home for each in others if (home := home_of(each)) not in (None, room)}
    return {room: frozenset(others) for room, others in found.items()}


def below(rooms: Needs) -> Needs:
    """Every room that each one reaches.

    :raises ValueError: one that reaches itself.
    """
    reached = dict(rooms)
    for _step in rooms:
        reached = {
            room: others.union(*(reached[each] for each in others))
            for room, others in reached.items()
        }
    for room, others in reached.items():
        if room in others:
            raise ValueError(f"the room {room!r} imports itself, by way of others")
    return reached


def arrows(rooms: Needs) -> Needs:
    """The least arrows by whose paths each room reaches what it imports."""
    reached = below(rooms)
    return {
        room: frozenset(each for each in others if not any(each in reached[by] for by in others))
        for room, others in rooms.items()
    }


def rows(rooms: Needs) -> list[list[str]]:
    """The rooms, each in a row below all that import it; what nothing imports stands right
    above the first that it needs."""
    reached = below(rooms)
    row: dict[str, int] = {}
    for room in sorted(rooms, key=lambda each: len(reached[each]), reverse=True):
        row[room] = 1 + max((row[by] for by in row if room in rooms[by]), default=-1)
    for room in rooms:
        if not any(room in others for others in rooms.values()):
            row[room] = min((row[each] for each in rooms[room]), default=1) - 1
    first = min(row.values())
    return [[room for room in ROOMS if row[room] == n] for n in range(first, max(row.values()) + 1)]
