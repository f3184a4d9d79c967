"""Two and three actors on one job, the real code, one primitive at a time, in every order.

In the suite: every schedule of two actors that differs, but for the `DEAR` pairs: of those all
that take the turn at most twice from an actor that could go on, once where one is at work; of every pair but with lists all
with one death, anywhere, that take it at most once; three actors with one such switch, and longer
stories at random. In a soak the dear pairs too, all schedules that differ, the cheapest first, and
deaths and three actors with more switches, as far as the time goes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest
from proofs.soak import new_seed, seconds
from schedules import laws
from schedules.doors import timeless
from schedules.explorer import Report, explore, played, replay, walk
from schedules.meetings import ACTS, DEAR, LONGER, MORTAL_PAIRS, PAIRS, READERS, TRIPLES
from schedules.scheduler import World
from schedules.stories import STARTS, Stage, Story, a_stage

pytestmark = pytest.mark.proof


def story_of(stage: Stage, start: str, *verbs: str) -> Story:
    # A reader reads twice: what it read must not go back.
    scripts = [(verb, verb) if verb == "get" else (verb,) for verb in verbs]
    return Story(stage, start, *scripts)


@pytest.fixture(scope="module")
def empty_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_stage(tmp_path_factory.mktemp("stage")) as one:
        yield one


@pytest.fixture
def stage(empty_stage: Stage) -> Iterator[Stage]:
    with timeless(empty_stage.world):
        yield empty_stage
        empty_stage.world.reset()


@pytest.mark.parametrize(("start", "one", "other"), PAIRS)
def test_no_order_of_two_actors_steps_breaks_a_law(
    stage: Stage, start: str, one: str, other: str
) -> None:
    switches = 2 if f"{one}/{other}" in DEAR.get(start, ()) else None
    if one == "work":  # three moves in one deed: thousands of orders
        switches = 1

    report = explore(story_of(stage, start, one, other), switches=switches)

    assert report.violations == []
    assert report.judged >= 2


@pytest.mark.parametrize(("start", "one", "other"), MORTAL_PAIRS)
def test_no_order_of_two_actors_of_which_one_dies_breaks_a_law(
    stage: Stage, start: str, one: str, other: str
) -> None:
    report = explore(story_of(stage, start, one, other), switches=1, crashes=1)

    assert report.violations == []
    assert report.judged >= 2


@pytest.mark.parametrize(("start", "one", "other", "third"), TRIPLES)
def test_no_order_of_three_actors_with_one_switch_breaks_a_law(
    stage: Stage, start: str, one: str, other: str, third: str
) -> None:
    report = explore(story_of(stage, start, one, other, third), switches=1)

    assert report.violations == []
    assert report.judged >= 2


@pytest.mark.parametrize("start", ["none", "pending", "failed", "orphan"])
def test_no_order_breaks_a_law_where_mtimes_prove_nothing(stage: Stage, start: str) -> None:
    report = Report()
    stage.world.mtime_tells = False
    try:
        for verb in ACTS[start]:
            if verb not in READERS:
                report.add(explore(story_of(stage, start, verb, "get"), switches=2))
    finally:
        stage.world.mtime_tells = True

    assert report.violations == []
    assert report.judged >= 2


# -- who stops for good ------------------------------------------------------------------


class Stopping:
    """One actor makes some steps and stops, as on SIGSTOP; the other does all of its own; then
    the first goes on. Whoever waits, waits in vain until it gives up."""

    def __init__(self, first: int, turns: int) -> None:
        self._first = first
        self.turns = turns

    def choose(self, world: World, options: list[int]) -> int:
        """Until its turns are up, the first."""
        alive = [each.number for each in world.players if not each.is_done]
        if self.turns > 0 and self._first in alive:
            self.turns -= 1
            return self._first
        others = [number for number in alive if number != self._first]
        return (others or alive)[0]


STOPPED = [
    ("pending", "claim", "cancel"),
    ("pending", "cancel", "claim"),
    ("running", "complete", "cancel"),
    ("running", "fail", "cancel"),
    ("orphan", "rescue", "cancel"),
    ("failed", "retry", "retry"),
    ("failed", "clean", "retry"),
    ("fail cut", "rescue", "claim"),
]


@pytest.mark.parametrize(("start", "stopped", "other"), STOPPED)
def test_no_law_is_broken_by_who_gives_up_waiting_for_one_that_stopped(
    stage: Stage, start: str, stopped: str, other: str
) -> None:
    story = Patient(stage, start, (stopped,), (other,))
    report = Report()
    turns = 0
    is_over = False
    while not is_over:
        strategy = Stopping(0, turns)
        assert played(story, strategy, report)
        broken = story.verdict()
        if broken is not None:
            report.violations.append(f"{broken}\n  {stage.world.told()}")
        is_over = strategy.turns > 0
        turns += 1

    assert report.violations == []
    assert turns > 5


class Patient(Story):
    """A story in which actors may give up."""

    def verdict(self) -> str | None:
        """See `explorer.Play`."""
        return laws.verdict(self.stage, self.start, others_stop=True)


# -- longer stories ----------------------------------------------------------------------

WALKS = 80


@pytest.mark.parametrize("crashes", [0, 2])
@pytest.mark.parametrize(("start", "scripts"), LONGER)
def test_no_walk_of_three_actors_breaks_a_law(
    stage: Stage, start: str, scripts: tuple[tuple[str, ...], ...], crashes: int
) -> None:
    report = walk(Story(stage, start, *scripts), seed=crashes, walks=WALKS, crashes=crashes)

    assert report.violations == []
    assert report.judged == WALKS


def until(deadline: float) -> Callable[[Report], bool]:
    return lambda _so_far: time.monotonic() >= deadline


@pytest.mark.soak
def test_no_order_of_two_dear_actors_steps_breaks_a_law_as_far_as_the_time_goes(
    stage: Stage,
) -> None:
    is_over = until(time.monotonic() + seconds(0.1))
    dear = [(cost, start, pair) for start, pairs in DEAR.items() for pair, cost in pairs.items()]
    report = Report()
    for _cost, start, pair in sorted(dear):
        report.add(explore(story_of(stage, start, *pair.split("/")), is_over=is_over))

    assert report.violations == []
    assert report.judged >= 2


@pytest.mark.soak
def test_no_law_is_broken_however_long_one_looks(stage: Stage) -> None:
    is_over = until(time.monotonic() + seconds(0.1))
    deeper = [(each, 2, 0) for each in PAIRS if "work" in each]
    deeper += [(each, 2, 0) for each in TRIPLES]
    deeper += [(each, *limits) for limits in DEEPER for each in PAIRS]
    longer = itertools.cycle(LONGER)
    # The explorations are the same in every soak. The walks that come with them are not.
    seeds = itertools.count(new_seed())
    violations: list[tuple[object, ...]] = []
    report = Report()
    while not is_over(report):
        if deeper:
            each, switches, crashes = deeper.pop(0)
            story = story_of(stage, *each)
            found = explore(story, switches=switches, crashes=crashes, is_over=is_over)
            violations += [(each, broken) for broken in found.violations]
            report.add(found)
        (start, scripts), seed = next(longer), next(seeds)
        found = walk(Story(stage, start, *scripts), seed=seed, walks=20, crashes=seed % 3)
        violations += [(start, scripts, seed, broken) for broken in found.violations]
        report.add(found)

    assert violations == []
    assert report.judged >= 2


DEEPER: list[tuple[int | None, int]] = [(3, 0), (2, 1), (None, 1)]
"""How many switches, and how many deaths; None: however many."""


# -- the tools themselves ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_same_schedule_gives_the_same_run(stage: Stage, seed: int) -> None:
    story = Story(stage, "orphan", ("rescue", "claim"), ("cancel", "retry"))
    walk(story, seed=seed, walks=1, crashes=1)
    schedule, told = list(stage.world.schedule), _without_chance(stage.world)

    replay(story, schedule)

    assert schedule == stage.world.schedule
    assert told == _without_chance(stage.world)


@pytest.mark.parametrize(
    ("start", "one", "other"),
    [
        ("pending", "cancel", "get"),
        ("failed", "clean", "clean"),
        pytest.param("failed", "retry", "clean", marks=pytest.mark.soak),
        pytest.param("none", "create", "get", marks=pytest.mark.soak),
    ],
)
def test_steps_that_are_nobody_elses_business_make_no_difference(
    stage: Stage, start: str, one: str, other: str
) -> None:
    outcomes = []
    for all_is_noticed in (False, True):
        stage.world.all_is_noticed = all_is_noticed
        outcomes.append(Outcomes(stage, start, (one,), (other,)))
        explore(outcomes[-1], switches=None)
        stage.world.all_is_noticed = False

    assert len(outcomes[0].seen) >= 2
    assert outcomes[0].seen == outcomes[1].seen


class Outcomes(Story):
    """A story of which it is noted what its actors were told in the end."""

    seen: set[object]

    def begin(self) -> list[Callable[[], None]]:
        """See `explorer.Play`."""
        self.__dict__.setdefault("seen", set())
        return super().begin()

    def verdict(self) -> str | None:
        """See `explorer.Play`."""
        deeds = sorted(self.stage.deeds, key=lambda deed: deed.key)
        self.seen.add(
            tuple((deed.verb, deed.answer, deed.refusal, tuple(deed.events)) for deed in deeds)
        )
        return super().verdict()


def _without_chance(world: World) -> list[tuple[str, str, str]]:
    # The names of temporary files are random.
    return [
        (name, verb, place.partition("-")[0] if place.startswith(".tmp/") else place)
        for name, verb, place in world.trace
    ]


def test_every_start_is_what_its_name_says(stage: Stage) -> None:
    folders = {
        start: sorted(place.partition("/")[0] for place in stage._files(start)) for start in STARTS
    }

    assert folders == {
        "none": [],
        "pending": ["pending"],
        "orphan": ["running"],
        "complete": ["complete"],
        "failed": ["failed"],
        "cancelled": ["cancelled"],
        "claim cut": ["pending", "running"],
        "cancel cut": ["cancelled", "pending"],
        "complete cut": ["complete", "running"],
        "fail cut": ["pending", "running"],
        "give up cut": ["failed", "running"],
        "retry cut": ["failed", "pending"],
    }
