"""What becomes of a job whose worker is killed with SIGKILL while it runs.

It must not know the queues apart, except by what their kinds say.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from actors import Actor, ActorFailed
from figures import ROWS
from filelock import lock_descriptor
from measuring import Run
from peers.peer import GOLDEN, Kind

from suites.waking import PATIENCE, serving

BY_ROUND: Final = 2
"""Rescues in a round: each takes about two seconds."""

SETTLED: Final = 1.0
"""Seconds after which a worker that was started is idle."""


def killed(run: Run) -> None:
    """Kill a worker, then start another one on the same place and watch it."""
    kinds = run.chosen(lambda kind: kind.has_worker and not kind.waits_only)
    _kill_all(run, "killed", kinds, is_idle=False)


def _kill_all(run: Run, row: str, kinds: Sequence[Kind], *, is_idle: bool) -> None:
    with ExitStack() as stack:
        watched: dict[str, _Watched] = {}
        for kind in kinds:
            with run.excusing(row, kind):
                place = str(stack.enter_context(run.scratch(kind)))
                watched[kind.name] = _kill_one(stack, kind, place, is_idle=is_idle)
        _watch(run, row, watched)


class _Watched(NamedTuple):
    """What is left after a worker was killed."""

    witness: Actor
    """It has the queue open."""
    successor: Actor
    """The worker that may run the job again."""
    begun: float
    """The wall-clock time from which that is counted."""


def _kill_one(stack: ExitStack, kind: Kind, place: str, *, is_idle: bool) -> _Watched:
    """`is_idle`: the other worker waits beside the killed one; else it is started afterwards."""
    witness, successor = stack.enter_context(Actor(kind)), stack.enter_context(Actor(kind))
    witness.ask("open", place=place)
    witness.ask("enqueue_one", payload={"n": 1})
    with Actor(kind) as victim:
        serving(victim, place, hang=True)
        victim.hear(PATIENCE)
        if is_idle:
            serving(successor, place)
            threading.Event().wait(SETTLED)
        begun = time.time()
        victim.kill()
    if not is_idle:
        begun = time.time()
        serving(successor, place)
    return _Watched(witness, successor, begun)


def _watch(run: Run, row: str, watched: dict[str, _Watched]) -> None:
    """Watch all at once, until each has run its job again or the time is over."""
    scale = {"s": 1.0, "ms": 1e3}[ROWS[row].unit]
    end = time.monotonic() + run.watch
    while watched and time.monotonic() < end:
        for name, (_witness, successor, begun) in list(watched.items()):
            try:
                heard = successor.hear_within(0.002)
            except ActorFailed as error:
                run.figures.note(row, name, f"the other worker failed: {error}")
                heard = None
                del watched[name]
            if heard is not None:
                run.figures.add(row, name, scale * (float(heard["started"]) - begun))
                del watched[name]
    for name, (witness, _successor, _begun) in watched.items():
        with run.excusing(row, witness.kind):
            fate = witness.ask("fate")["fate"]
            run.figures.note(row, name, f"not within {run.watch:.0f} s: {fate}")


def rescue(run: Run) -> None:
    """Measure from SIGKILL to the start of the job's next run, by a worker that was idle."""
    for kind in run.chosen(lambda kind: kind.name in ("ours", "ours-postgres")):
        for turn in range(run.rounds * BY_ROUND):
            with run.scratch(kind) as place:
                delay, free = _one_rescue(kind, place, SETTLED + turn * GOLDEN % 1)
                run.figures.add("rescue", kind.name, 1e3 * delay)
                if free is not None:
                    run.figures.add("lock free", kind.name, 1e3 * free)
    others = run.chosen(
        lambda kind: kind.has_worker and kind.processes and not kind.name.startswith("ours")
    )
    _kill_all(run, "rescue", others, is_idle=True)


def _one_rescue(kind: Kind, place: Path, idle: float) -> tuple[float, float | None]:
    """Seconds until the job runs again, and until its lock is free if it has one."""
    with Actor(kind) as victim, Actor(kind) as survivor:
        survivor.ask("open", place=str(place))
        survivor.ask("enqueue_one", payload={"n": 1})
        victim_process = serving(victim, str(place), hang=True)
        victim.hear(PATIENCE)
        survivor.tell("serve")
        survivor.hear()
        # At any moment of its housekeeping.
        threading.Event().wait(idle)
        locked = list((place / "jobs" / "running").glob("*.json"))
        wall = time.time()
        free = _seconds_to_unlock(locked[0], victim_process) if locked else None
        if not locked:
            os.kill(victim_process, signal.SIGKILL)
        return float(survivor.hear(PATIENCE)["started"]) - wall, free


def _seconds_to_unlock(path: Path, victim: int) -> float:
    fd = os.open(path, os.O_RDWR)
    try:
        killed_at = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        while not lock_descriptor(fd, blocking=False):
            pass
        return time.monotonic() - killed_at
    finally:
        os.close(fd)
