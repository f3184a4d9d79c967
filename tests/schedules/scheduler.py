"""A deterministic scheduler: actors on one directory, of which one at a time makes one step.

An actor is a thread with a queue object and a door to the disk of its own. Before each of its
primitives that another actor could notice, the door asks the world who goes on; nothing else
decides. So the choices made are a schedule, and the same schedule gives the same run.

It must not know jobs, or which schedules are worth a run (`explorer`).
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

from schedules.doors import Crashed, SteppedDisk

PATIENCE = 300.0
"""Seconds that one run may take: it takes milliseconds, or something is stuck."""
MOST_STEPS = 20_000
"""Steps of one run: a loop that ends takes some hundreds."""


class Endless(Exception):
    """A run does not end."""


class Strategy(Protocol):
    """Who decides."""

    def choose(self, world: World, options: list[int]) -> int:
        """An actor's number of `options`, who goes on; or the complement (~) of one in
        `world.mortal()`, who dies. `world.cut_short` ends the run."""
        ...


class Actor:
    """A thread with a queue and a door."""

    def __init__(self, world: World, number: int, make_queue: Callable[[SteppedDisk], Any]) -> None:
        self.world = world
        self.number = number
        self.name = "ABCDEFG"[number]
        self.disk = SteppedDisk(self)
        self.queue = make_queue(self.disk)
        self.go = threading.Lock()
        self.go.acquire()
        self.script: Callable[[], None] | None = None
        self.reset()
        self._thread = threading.Thread(target=self._live, name=f"actor-{self.name}", daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Be new."""
        self.is_dead = self.is_done = self.has_begun = False
        self.waits_since: int | None = None
        self.clock = 0.0
        self.memory = 0
        """What this actor was told so far, all answers of the disk; as a hash."""
        self.changed = self.is_mortal = False
        self.claim: Any = None
        self.serial = 0

    def remember(self, *told: object) -> None:
        """It was told something: what it does next may depend on it."""
        self.memory = hash((self.memory, told))

    def die(self) -> None:
        """The kernel closes its files, their locks go; it never runs again."""
        self.is_dead = True
        self.disk.close_all()

    def end(self) -> None:
        """End the thread."""
        self.script = None
        self.go.release()
        self._thread.join(PATIENCE)

    def _live(self) -> None:
        while True:
            self.go.acquire()
            if self.script is None:
                return
            self.has_begun = True
            try:
                self.script()
            except Crashed:
                pass
            except BaseException as error:
                self.world.broken = self.world.broken or error
                self.world.is_cut = True
            self.is_done = True
            self.world.left(self)


class World:
    """One directory, the actors on it, and whose turn it is."""

    def __init__(self, root: str, actors: int, make_queue: Callable[[SteppedDisk], Any]) -> None:
        self.root = root
        self.is_scheduled = False
        self.crashes_matter = False
        self.all_is_noticed = False
        self.mtime_tells = True
        self._main = threading.Lock()
        self._main.acquire()
        self.accesses: dict[object, list[int]] = defaultdict(lambda: [0, 0])
        """Of everything on the disk, which actors (as bits) ever looked at and changed it."""
        self.has_learned = False
        self.current: Actor | None = None
        self.names: dict[str, Any] = {}
        self.locks: dict[Any, tuple[int, int]] = {}
        self.versions: dict[str, int] = defaultdict(int)
        self.cast: list[Actor] = []
        self.reset()
        self.cast += [Actor(self, number, make_queue) for number in range(actors)]

    def reset(self) -> None:
        """An empty directory, and nothing has happened."""
        for actor in self.cast:
            actor.disk.close_all()
            actor.reset()
        for path in list(self.names):
            with suppress(FileNotFoundError):
                os.unlink(f"{self.root}/{path}")
        self.names.clear()
        self.locks.clear()
        self.versions.clear()
        self.schedule: list[int] = []
        self.trace: list[tuple[str, str, str]] = []
        self.change = 0
        self.steps = 0
        self.is_cut = False
        self.is_whole = False
        self.broken: BaseException | None = None
        self.current = None
        self.players: list[Actor] = []

    def close(self) -> None:
        """End the threads."""
        for actor in self.cast:
            actor.disk.close_all()
            actor.end()

    def forget_accesses(self) -> None:
        """Other actors, other habits."""
        self.accesses.clear()

    # -- the run -------------------------------------------------------------------------

    def run(self, strategy: Strategy, scripts: list[Callable[[], None]]) -> None:
        """Let the first actors play these scripts, until all are done or dead, or the strategy
        cuts the run short."""
        self.players = self.cast[: len(scripts)]
        self.strategy = strategy
        for actor, script in zip(self.players, scripts, strict=True):
            actor.script = script
        self.is_scheduled = True
        try:
            first = self._pick(None)
            if first is not None:
                self._hand_over(first)
            self.is_whole = not self.is_cut
            for actor in self.players:  # those who wait for a turn that will not come
                if actor.has_begun and not actor.is_done:
                    self.is_cut = True
                    self._hand_over(actor)
        finally:
            self.is_scheduled = self.is_cut = False
            self.current = None
        if self.broken is not None:
            raise self.broken

    def _hand_over(self, actor: Actor) -> None:
        self.current = actor
        actor.go.release()
        if not self._main.acquire(timeout=PATIENCE):
            raise Endless(f"stuck after {self.told()}")

    def left(self, actor: Actor) -> None:
        """An actor's script is over: somebody else goes on (called by its thread)."""
        try:
            other = None if self.is_cut else self._pick(actor)
        except Crashed:
            other = None
        except BaseException as error:
            self.broken, self.is_cut, other = error, True, None
        self.current = other
        (self._main if other is None else other.go).release()

    def turn(self, actor: Actor) -> None:
        """An actor is about to make a step: return when it is its turn."""
        if actor.is_dead or self.is_cut:
            raise Crashed
        self.steps += 1
        if self.steps > MOST_STEPS:
            self.is_cut = True
            raise Endless(f"after {MOST_STEPS} steps: {self.told()[-2000:]}")
        actor.is_mortal, actor.changed = actor.changed, False
        other = self._pick(actor)
        if other is not None and other is not actor:
            self.current = other
            other.go.release()
            actor.go.acquire()
        if actor.is_dead or self.is_cut:
            raise Crashed
        actor.is_mortal = False
        actor.waits_since = None

    def pause(self, seconds: float) -> None:
        """The library waits: a step, after which the actor has no turn until somebody has
        changed something, or nobody else can go on."""
        actor = self.current
        if actor is None or not self.is_scheduled:
            return
        if actor.is_dead or self.is_cut:
            raise Crashed
        actor.clock += max(seconds, 0.001)
        actor.waits_since = self.change
        self.note(actor, "pause", "")
        self.turn(actor)

    def cut_short(self) -> None:
        """End the run here (called by a strategy)."""
        self.is_cut = True
        raise Crashed

    def options(self) -> list[int]:
        """Who can go on."""
        alive = [each for each in self.players if not each.is_dead and not each.is_done]
        ready = [
            each.number
            for each in alive
            if each.waits_since is None or each.waits_since != self.change
        ]
        return ready or [each.number for each in alive]

    def mortal(self) -> list[int]:
        """Whose death makes a difference here: who changed something since its last turn. Had
        it only looked, it might as well have died before."""
        return [
            each.number
            for each in self.players
            if each.is_mortal and not each.is_dead and not each.is_done
        ]

    def _pick(self, actor: Actor | None) -> Actor | None:
        while options := self.options():
            is_forced = len(options) == 1 and not (self.crashes_matter and self.mortal())
            if is_forced and not self.all_is_noticed:
                return self.cast[options[0]]
            choice = self.strategy.choose(self, options)
            self.schedule.append(choice)
            if choice >= 0:
                return self.cast[choice]
            victim = self.cast[~choice]
            self.note(victim, "dies", "")
            self.change += 1
            victim.die()
            if victim is actor:
                raise Crashed
        return None

    # -- what is seen --------------------------------------------------------------------

    def note(self, actor: Actor, verb: str, place: str) -> None:
        """For the trace."""
        self.trace.append((actor.name, verb, place))

    def told(self) -> str:
        """The run so far, as a short trace."""
        return "; ".join(f"{name}: {verb} {place}".rstrip() for name, verb, place in self.trace)

    def is_noticed(self, actor: Actor, things: Iterable[object], *, changes: bool) -> bool:
        """Whether another actor could notice this step, or this actor another's: both touch the
        same and one changes it. Learned as the runs go; whoever explores begins again when
        something new was learned."""
        if self.all_is_noticed:
            return True
        bit = 1 << actor.number
        noticed = changes and self.crashes_matter
        for thing in things:
            access = self.accesses[thing]
            if not access[changes] & bit:
                access[changes] |= bit
                self.has_learned = True
            if (access[1] | access[0] if changes else access[1]) & ~bit:
                noticed = True
        return noticed

    def state(self) -> int:
        """Everything that what comes next depends on, as a hash."""
        disk = frozenset(
            (path, node.key, node.content)
            for path, node in self.names.items()
            if not path.startswith(".tmp/")
        )
        locks = frozenset((node.key, owner) for node, (owner, _fd) in self.locks.items())
        minds = tuple(
            "dead"
            if each.is_dead
            else "done"
            if each.is_done
            else (
                each.memory,
                each.has_begun,
                each.waits_since is not None and each.waits_since == self.change,
                each.is_mortal,
            )
            for each in self.players
        )
        return hash((disk, locks, self.versions["pending"], minds))
