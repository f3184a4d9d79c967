"""How soon a waiting worker begins a job that was enqueued, and what waiting costs.

It must not know the queues apart, except by what their kinds say.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import Final, NamedTuple

from actors import Actor, actors_for
from measuring import Run
from memory import processor_seconds
from peers.peer import Kind, pauses

BY_ROUND: Final = 6
"""Samples of each queue in a round: some take a second each."""
TO_WARM_UP: Final = 2
PATIENCE: Final = 30.0
IDLE: Final = 10.0
"""Seconds without a job, for which the processor time of waiting workers is taken."""


def waking(run: Run) -> None:
    """Waking across processes and within one; idle cost."""
    within = run.chosen(lambda kind: kind.wakes_within)
    with actors_for(within) as actors, ExitStack() as places:
        for kind in within:
            place = places.enter_context(run.scratch(kind))
            with run.excusing("wake within", kind):
                actors[kind.name][0].ask("open", place=str(place))
        for kind, counts in run.turns("wake within", within):
            with run.excusing("wake within", kind):
                _within(run, actors[kind.name][0], counts=counts)
    with ExitStack() as stack:
        pairs: dict[str, _Pair] = {}
        kinds = run.chosen(lambda kind: kind.wakes)
        for kind in kinds:
            with run.excusing("wake", kind):
                pairs[kind.name] = _pair(run, kind, stack)
        # The workers of all others wait meanwhile, which disturbs each as much as the next.
        for kind, counts in run.turns("wake", kinds):
            with run.excusing("wake", kind):
                _across(run, pairs[kind.name], counts=counts)
        _idle(run, {name: pair.process for name, pair in pairs.items()})


class _Pair(NamedTuple):
    """Two processes with one queue."""

    producer: Actor
    consumer: Actor
    process: int
    """The one that waits for jobs: the consumer, or its child."""


def _pair(run: Run, kind: Kind, stack: ExitStack) -> _Pair:
    place = str(stack.enter_context(run.scratch(kind)))
    consumer, producer = stack.enter_context(Actor(kind)), stack.enter_context(Actor(kind))
    producer.ask("open", place=place)
    return _Pair(producer, consumer, serving(consumer, place))


def _across(run: Run, pair: _Pair, *, counts: bool) -> None:
    # The first job finds a worker that has been idle while all others were measured.
    for turn, _ in enumerate(pauses(1 + (BY_ROUND if counts else TO_WARM_UP))):
        pair.producer.tell("enqueue_one", payload={"n": turn, "at": time.time()})
        heard = pair.consumer.hear(PATIENCE)
        pair.producer.hear()
        if counts and turn > 0:
            delay = heard["started"] - heard["payload"]["at"]
            run.figures.add("wake", pair.consumer.kind.name, 1e3 * delay)


def serving(actor: Actor, place: str, *, hang: bool = False) -> int:
    """Have an actor serve; returns the process that does."""
    actor.ask("open", place=place)
    return int(actor.ask("serve", hang=hang)["process"])


def _within(run: Run, actor: Actor, *, counts: bool) -> None:
    # Each time with a new worker, which has just begun when the first job comes.
    count = BY_ROUND if counts else TO_WARM_UP
    seconds = actor.ask("wake_within", count=count + 1)["seconds"]
    for delay in seconds[1:] if counts else ():
        run.figures.add("wake within", actor.kind.name, 1e3 * delay)


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
