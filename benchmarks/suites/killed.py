"""What becomes of a job whose worker is killed with SIGKILL while it runs.

It must not know the queues apart, except by what their kinds say.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from actors import Actor, ActorFailed
from filelock import lock_descriptor
from measuring import Run
from peers.peer import Kind

from suites.waking import PATIENCE, serving

BY_ROUND: Final = 2
"""Rescues in a round: each takes about two seconds."""


def killed(run: Run) -> None:
    """Kill a worker, then start another one on the same place and watch it."""
    with ExitStack() as stack:
        watched: dict[str, tuple[Actor, Actor, float]] = {}
        for kind in run.chosen(lambda kind: kind.has_worker and not kind.waits_only):
            with run.excusing("killed", kind):
                place = str(stack.enter_context(run.scratch(kind)))
                watched[kind.name] = _kill_one(stack, kind, place)
        _watch(run, watched)


def _kill_one(stack: ExitStack, kind: Kind, place: str) -> tuple[Actor, Actor, float]:
    """A witness that has the queue open, the new worker, and the wall-clock time at which the new
    worker was started."""
    witness, successor = stack.enter_context(Actor(kind)), stack.enter_context(Actor(kind))
    witness.ask("open", place=place)
    witness.ask("enqueue_one", payload={"n": 1})
    with Actor(kind) as victim:
        serving(victim, place, hang=True)
        victim.hear(PATIENCE)
        victim.kill()
    begun = time.time()
    serving(successor, place)
    return witness, successor, begun


def _watch(run: Run, watched: dict[str, tuple[Actor, Actor, float]]) -> None:
    """Watch all at once, until each has run its job again or the time is over."""
    end = time.monotonic() + run.watch
    while watched and time.monotonic() < end:
        for name, (_witness, successor, begun) in list(watched.items()):
            try:
                heard = successor.hear_within(0.002)
            except ActorFailed as error:
                run.figures.note("killed", name, f"the new worker failed: {error}")
                heard = None
                del watched[name]
            if heard is not None:
                run.figures.add("killed", name, float(heard["started"]) - begun)
                del watched[name]
    for name, (witness, _successor, _begun) in watched.items():
        with run.excusing("killed", witness.kind):
            fate = witness.ask("fate")["fate"]
            run.figures.note("killed", name, f"not within {run.watch:.0f} s: {fate}")


def rescue(run: Run) -> None:
    """Measure from SIGKILL to the start of the job's next run, by a worker that was idle."""
    for kind in run.chosen(lambda kind: kind.name == "ours"):
        for turn in range(run.rounds * BY_ROUND):
            with run.scratch(kind) as place:
                delay, free = _one_rescue(kind, place, 0.3 + turn % 7 / 7)
                run.figures.add("rescue", kind.name, 1e3 * delay)
                run.figures.add("lock free", kind.name, 1e3 * free)


def _one_rescue(kind: Kind, place: Path, idle: float) -> tuple[float, float]:
    """Seconds until the job runs again, and until its lock is free."""
    with Actor(kind) as victim, Actor(kind) as survivor:
        survivor.ask("open", place=str(place))
        survivor.ask("enqueue_one", payload={"n": 1})
        victim_process = serving(victim, str(place), hang=True)
        victim.hear(PATIENCE)
        survivor.tell("serve")
        survivor.hear()
        # At any moment of its housekeeping.
        threading.Event().wait(idle)
        (running,) = (place / "jobs" / "running").iterdir()
        fd = os.open(running, os.O_RDWR)
        try:
            killed_at, wall = time.monotonic(), time.time()
            os.kill(victim_process, signal.SIGKILL)
            while not lock_descriptor(fd, blocking=False):
                pass
            free = time.monotonic() - killed_at
        finally:
            os.close(fd)
        return float(survivor.hear(PATIENCE)["started"]) - wall, free
