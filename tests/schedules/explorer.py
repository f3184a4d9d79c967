"""Which schedules are worth a run: all that differ, few switches, or some at random.

It must not know what the actors do: it makes the same story be played again and again.

All that differ: depth first, every run from the start, along a prefix of choices to where
something was left to choose. A run that comes to a state where another was before is cut
short: what follows was, or will be, seen from there. A state is what stands on the disk, who
has which lock, and all that each actor was told.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from schedules.scheduler import World


class Play(Protocol):
    """One story, played once per schedule."""

    world: World

    def begin(self) -> list[Callable[[], None]]:
        """Set up the start; the actors' scripts."""
        ...

    def verdict(self) -> str | None:
        """What law the run broke; None: none."""
        ...

    def facts(self) -> object:
        """What a verdict depends on besides the state of the world."""
        ...


@dataclass
class Report:
    """What an exploration saw."""

    runs: int = 0
    steps: int = 0
    judged: int = 0
    states: int = 0
    """Different ones in which there was something to choose, in the largest exploration."""
    is_whole: bool = True
    """Whether all was explored that was to be."""
    violations: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Sum up."""
        self.runs += other.runs
        self.steps += other.steps
        self.judged += other.judged
        self.states = max(self.states, other.states)
        self.is_whole = self.is_whole and other.is_whole
        self.violations += other.violations


def played(play: Play, strategy: object, report: Report) -> bool:
    """One run; whether it came to its end."""
    world = play.world
    scripts = play.begin()
    world.run(strategy, scripts)  # type: ignore[arg-type]
    report.runs += 1
    report.steps += world.steps
    return world.is_whole


def judged(play: Play, report: Report) -> bool:
    """Judge a run that came to its end; whether it broke a law."""
    world = play.world
    told = f"{world.told()}\n  schedule {world.schedule}"
    report.judged += 1
    broken = play.verdict()
    if broken is not None:
        report.violations.append(f"{broken}\n  {told}")
    return broken is not None


class Branching:
    """Explores every choice: the strategy of one exploration, run after run."""

    def __init__(self, play: Play, *, switches: int | None, crashes: int) -> None:
        self.play = play
        self.switches = switches
        self.crashes = crashes
        self.begin_again()

    def begin_again(self) -> None:
        """Nothing was seen yet."""
        self.seen: dict[object, int] = {}
        self.ends: set[object] = set()
        self.left: list[tuple[int, ...]] = [()]

    def next(self) -> None:
        """Take up what was left to choose."""
        self.prefix = self.left.pop()
        self.at = 0
        self.current: int | None = None
        self.budget = 10**9 if self.switches is None else self.switches
        self.deaths = self.crashes

    def choose(self, world: World, options: list[int]) -> int:
        """Along the prefix; then on with whoever is at work, leaving the rest for later."""
        if self.at < len(self.prefix):
            choice = self.prefix[self.at]
            self.at += 1
            self._take(choice, options)
            return choice
        mortal = world.mortal() if self.deaths else []
        current = self.current if self.current in options else None
        if len(options) == 1 and not mortal:
            self._take(options[0], options)
            self.prefix += (options[0],)
            self.at += 1
            return options[0]
        state = (world.state(), self.play.facts(), self.deaths)
        if self.switches is not None:
            state = (state, current)  # type: ignore[assignment]
        known = self.seen.get(state)
        if known is not None and known >= self.budget:
            world.cut_short()
        self.seen[state] = self.budget
        default = options[0] if current is None else current
        for option in options:
            if option != default and (current is None or self.budget > 0):
                self.left.append((*self.prefix, option))
        for victim in mortal:
            self.left.append((*self.prefix, ~victim))
        self._take(default, options)
        self.prefix += (default,)
        self.at += 1
        return default

    def _take(self, choice: int, options: list[int]) -> None:
        if choice < 0:
            self.deaths -= 1
            return
        if self.current in options and choice != self.current:
            self.budget -= 1
        self.current = choice


def explore(
    play: Play,
    *,
    switches: int | None = None,
    crashes: int = 0,
    until_broken: bool = False,
    is_over: Callable[[Report], bool] = lambda report: False,
) -> Report:
    """Play every schedule that differs.

    :param switches: only those that take the turn so often from an actor that could go on.
    :param crashes: and so many deaths, anywhere.
    :param until_broken: stop at the first that breaks a law.
    :param is_over: asked before every run whether to leave it at that.
    """
    world = play.world
    world.crashes_matter = crashes > 0
    report = Report()
    world.forget_accesses()
    if switches is None or switches > 1:
        # Most of what actors touch is learned by few runs, before many have to be made again.
        report.add(_explore(play, 1, crashes, until_broken, is_over))
        if until_broken and report.violations:
            return report
    report.add(_explore(play, switches, crashes, until_broken, is_over))
    return report


def _explore(
    play: Play,
    switches: int | None,
    crashes: int,
    until_broken: bool,
    is_over: Callable[[Report], bool],
) -> Report:
    world = play.world
    report = Report()
    branching = Branching(play, switches=switches, crashes=crashes)
    while branching.left:
        if is_over(report):
            report.is_whole = False
            return report
        branching.next()
        world.has_learned = False
        is_whole = played(play, branching, report)
        if is_whole:
            end = (world.state(), play.facts())
            if end not in branching.ends:
                branching.ends.add(end)
                if judged(play, report) and until_broken:
                    return report
        report.states = len(branching.seen)
        if world.has_learned:
            # Steps thought to be nobody else's business are: all choices are open again.
            branching.begin_again()
    return report


class AtRandom:
    """A walk: now and then somebody else goes on, now and then somebody dies."""

    def __init__(self, chance: random.Random, *, crashes: int) -> None:
        self._chance = chance
        self._switching = chance.choice((0.05, 0.2, 0.5))
        self._deaths = chance.randint(0, crashes)
        self._current = -1

    def choose(self, world: World, options: list[int]) -> int:
        """Roll the dice."""
        mortal = world.mortal() if self._deaths else []
        if mortal and self._chance.random() < 0.08:
            self._deaths -= 1
            return ~self._chance.choice(mortal)
        if self._current not in options or self._chance.random() < self._switching:
            self._current = self._chance.choice(options)
        return self._current


def walk(play: Play, *, seed: int, walks: int, crashes: int = 0) -> Report:
    """Play so many schedules at random."""
    world = play.world
    world.crashes_matter = crashes > 0
    world.all_is_noticed = True
    report = Report()
    chance = random.Random(seed)
    try:
        for _ in range(walks):
            if played(play, AtRandom(chance, crashes=crashes), report):
                judged(play, report)
    finally:
        world.all_is_noticed = False
    return report


class Again:
    """The schedule of a walk, as a failure tells it."""

    def __init__(self, schedule: list[int]) -> None:
        self._schedule = schedule

    def choose(self, world: World, options: list[int]) -> int:
        """As then."""
        return self._schedule[len(world.schedule)]


def replay(play: Play, schedule: list[int]) -> Report:
    """Play a walk's schedule once more."""
    world = play.world
    world.all_is_noticed = True
    report = Report()
    try:
        if played(play, Again(schedule), report):
            judged(play, report)
    finally:
        world.all_is_noticed = False
    return report
