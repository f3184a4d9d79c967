"""How soon a waiting worker begins a job that was enqueued, and what waiting costs.

It must not know the queues apart, except by what their kinds say.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import Final

from actors import Actor
from measuring import Run
from memory import processor_seconds
from peers.peer import Kind, pauses

OURS: Final = 20
"""Samples a round of ours: a p99 of a hundred."""
OTHERS: Final = 5
PATIENCE: Final = 30.0
IDLE: Final = 10.0
"""Seconds without a job, for which the processor time of waiting workers is taken."""


def waking(run: Run) -> None:
    """Waking across processes and within one; idle cost."""
    for kind in run.chosen(lambda kind: kind.wakes_within):
        with run.excusing("wake within", kind):
            _within(run, kind)
    with ExitStack() as stack:
        consumers: dict[str, int] = {}
        for kind in run.chosen(lambda kind: kind.wakes):
            with run.excusing("wake", kind):
                consumers[kind.name] = _across(run, kind, stack)
        _idle(run, consumers)


def _across(run: Run, kind: Kind, stack: ExitStack) -> int:
    """Measure a kind and leave its worker idle; returns the process that waits."""
    place = stack.enter_context(run.scratch(kind))
    consumer = stack.enter_context(Actor(kind))
    with Actor(kind) as producer:
        producer.ask("open", place=str(place))
        process = serving(consumer, str(place))
        samples = run.rounds * (OURS if kind.name.startswith("ours") else OTHERS)
        for turn, _ in enumerate(pauses(samples + 1)):
            producer.tell("enqueue_one", payload={"n": turn, "at": time.time()})
            heard = consumer.hear(PATIENCE)
            producer.hear()
            if turn > 0:
                run.figures.add(
                    "wake", kind.name, 1e3 * (heard["started"] - heard["payload"]["at"])
                )
    return process


def serving(actor: Actor, place: str, *, hang: bool = False) -> int:
    """Have an actor serve; returns the process that does."""
    actor.ask("open", place=place)
    return int(actor.ask("serve", hang=hang)["process"])


def _within(run: Run, kind: Kind) -> None:
    with run.scratch(kind) as place, Actor(kind) as actor:
        actor.ask("open", place=str(place))
        seconds = actor.ask("wake_within", count=run.rounds * OURS + 1)["seconds"]
        for delay in seconds[1:]:  # the worker has just begun when the first one comes
            run.figures.add("wake within", kind.name, 1e3 * delay)


def _idle(run: Run, consumers: dict[str, int]) -> None:
    """Measure all of them at once: idle, they do not disturb each other."""
    wait = threading.Event().wait
    wait(1.0)  # the last job's outcome is stored
    seconds = max(2.0, IDLE * run.scale)
    before = {name: processor_seconds(process) for name, process in consumers.items()}
    wait(seconds)
    for name, process in consumers.items():
        try:
            spent = processor_seconds(process) - before[name]
        except FileNotFoundError:
            run.figures.note("idle", name, "its worker has ended")
        else:
            run.figures.add("idle", name, 100 * spent / seconds)
