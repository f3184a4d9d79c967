"""How soon a job that is put in is begun by a worker that waits, and what waiting costs.

It must not know the queues apart, but by what their kinds say of themselves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from typing import Any, Final

from actors import Actor
from measuring import Run
from memory import processor_seconds
from peers.ours import Ours
from peers.peer import Kind

OURS: Final = 20
"""Samples a round of ours; a p99 of a hundred."""
OTHERS: Final = 5
PATIENCE: Final = 30.0
IDLE: Final = 10.0
"""Seconds without work for which the processor time of waiting workers is taken."""


def waking(run: Run) -> None:
    """Across processes and within one; idle cost."""
    if run.has("ours"):
        _within(run)
    with ExitStack() as stack:
        consumers: dict[str, int] = {}
        for kind in run.chosen(lambda kind: kind.wakes):
            with run.excusing("wake", kind):
                consumers[kind.name] = _across(run, kind, stack)
        _idle(run, consumers)


def pauses(count: int) -> Iterator[None]:
    """Uneven pauses, so that no worker's rhythm is met."""
    wait = threading.Event().wait
    for turn in range(count):
        wait(0.1 + turn % 7 / 100)
        yield


def _across(run: Run, kind: Kind, stack: ExitStack) -> int:
    """Measures a kind and leaves its worker idle; the process that waits."""
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
    """Have an actor serve; the process that does."""
    actor.ask("open", place=place)
    return int(actor.ask("serve", hang=hang)["process"])


def _within(run: Run) -> None:
    started: SimpleQueue[float] = SimpleQueue()
    with run.scratch() as place, _serving_thread(place, started) as ours:
        for turn, _ in enumerate(pauses(run.rounds * OURS + 1)):
            begun = time.monotonic()
            ours.put({"n": turn})
            delay = started.get(timeout=PATIENCE) - begun
            if turn > 0:
                run.figures.add("wake within", "ours", 1e3 * delay)


@contextmanager
def _serving_thread(place: Any, started: SimpleQueue[float]) -> Iterator[Ours]:
    ours = Ours(place, durability="process")
    with ours.worker(lambda _payload, _at: started.put(time.monotonic())):
        yield ours
    ours.close()


def _idle(run: Run, consumers: dict[str, int]) -> None:
    """All of them at once: idle, they do not disturb each other."""
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
