"""The targets for the figures, as ratios of what was measured in the same run.

It must not know how anything is measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from attrs import frozen
from figures import Figures
from free_threading import LABEL, SUFFIX

Key: TypeAlias = tuple[str, str]
"""Row and queue."""
Measure: TypeAlias = Callable[[Figures], Sequence[float]]
"""One value a round; none if something that it needs was not measured."""

SINGLY: Final = "claims()"
"""Each outcome waited for, as far as there is something to wait for."""
LOOP: Final = "worker's loop"
"""The changes of several jobs made durable together."""


@frozen
class Target:
    """A bound for one value: at least, or at most."""

    title: str
    measure: Measure
    bound: float
    at_least: bool = False
    unit: str = ""
    drained: str = ""
    """How the jobs of ours were drained, if they were."""

    def met_by(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'>=' if self.at_least else '<='} {shown(self.bound, self.unit)}"


def shown(value: float, unit: str) -> str:
    """A value with its unit, for people to read."""
    if unit == "%":
        return f"{100 * value:.3g} %"  # so that 49.5 is not shown as the 50 that is wanted
    if unit == "x":
        return f"{value:.2f} x"
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _ratio(over: Key, under: Key) -> Measure:
    return lambda figures: figures.ratios(over, under)


def _samples(row: str, who: str = "ours") -> Measure:
    def measure(figures: Figures) -> Sequence[float]:
        found = figures.of(row, who)
        return found.samples if found else ()

    return measure


def _total(row: str) -> Measure:
    """One job too many in one round is one too many."""

    def measure(figures: Figures) -> Sequence[float]:
        samples = _samples(row)(figures)
        return [sum(samples)] if samples else ()

    return measure


def _scaling(who: str) -> Measure:
    return _ratio(("drain 2 processes", who), ("drain 1 process", who))


def _best_scaling(figures: Figures) -> Sequence[float]:
    """Our own scaling over 1.6, or over nine tenths of the bare loop's, whichever is nearer."""
    ours, bare = _scaling("ours")(figures), _scaling("bare")(figures)
    own = [each / 1.6 for each in ours]
    if len(bare) != len(ours):
        return own
    return [
        max(one, each / (0.9 * limit)) for one, each, limit in zip(own, ours, bare, strict=True)
    ]


def _at_least(
    title: str, bound: float, measure: Measure, unit: str = "x", drained: str = ""
) -> Target:
    return Target(title, measure, bound, at_least=True, unit=unit, drained=drained)


def _versus(row: str, bound: float, other: str, label: str) -> Target:
    drained = SINGLY if row == "drain" else ""
    measure = _ratio((row, "ours"), (row, other))
    return _at_least(f"{row}, of {label}", bound, measure, drained=drained)


PYTHONS: Final = {"": "", SUFFIX: LABEL}
"""What is added to the name of a kind, and what to the title of a target: threads are the one thing
that another Python is measured for."""


def _of_threads() -> Iterator[Target]:
    for suffix, label in PYTHONS.items():
        who = f"ours-fsync{suffix}"
        for verb, row, drained in (
            ("enqueue", "enqueue", ""),
            ("drain", "drain singly", SINGLY),
            ("drain", "drain", LOOP),
        ):
            title = f"{verb} with fsync, 8 threads, of 1 thread{label}"
            measure = _ratio((f"{row} 8 threads", who), (row, who))
            yield _at_least(title, 2.0, measure, drained=drained)


def _of_threads_with_a_journal() -> Iterator[Target]:
    """Compared with the faster of the two Pythons' SqliteHuey, which is the ordinary one's."""
    for suffix, label in PYTHONS.items():
        for row, bound, drained in (
            ("enqueue 8 threads", 1.8, ""),
            ("drain 4 threads", 2.0, LOOP),
        ):
            title = f"{row} with a journal, of SqliteHuey's with fsync and one thread{label}"
            one = (row.split()[0], "huey-sqlite-fsync")
            measure = _ratio((row, f"ours-journal{suffix}"), one)
            yield _at_least(title, bound, measure, drained=drained)


TARGETS: Final = (
    _at_least(
        "enqueue with ids given, of the bare loop",
        0.6,
        _ratio(("enqueue given", "ours"), ("enqueue given", "bare")),
        "%",
    ),
    _versus("enqueue", 1.0, "huey-files", "FileHuey's"),
    _at_least(
        "drain, of the bare loop", 0.5, _ratio(("drain", "ours"), ("drain", "bare")), "%", SINGLY
    ),
    _versus("drain", 3.0, "huey-files", "FileHuey's"),
    _versus("drain", 3.0, "npm", "the npm package's"),
    _versus("drain", 1.0, "huey-redis", "Huey's on Redis"),
    _at_least(
        "two processes, of 1.6 times one or 0.9 times the bare loop's",
        1.0,
        _best_scaling,
        drained=SINGLY,
    ),
    _at_least(
        "enqueue with fsync and ids given, of the bare loop with it",
        0.85,
        _ratio(("enqueue given", "ours-fsync"), ("enqueue given", "bare-fsync")),
        "%",
    ),
    *(
        _at_least(
            "drain with fsync, of the bare loop with it",
            0.85,
            _ratio((row, "ours-fsync"), ("drain", "bare-fsync")),
            "%",
            drained,
        )
        for row, drained in (("drain singly", SINGLY), ("drain", LOOP))
    ),
    *_of_threads(),
    _at_least(
        "batch of 1 000 with fsync, of without",
        0.5,
        _ratio(("batch", "ours-fsync"), ("batch", "ours")),
        "%",
    ),
    *(
        _at_least(
            f"{row} with a journal, of SqliteHuey's with fsync and one thread",
            bound,
            _ratio((measured, "ours-journal"), (row.split()[0], "huey-sqlite-fsync")),
            drained=drained,
        )
        for row, measured, bound, drained in (
            ("enqueue", "enqueue", 1.0, ""),
            ("drain", "drain singly", 1.2, SINGLY),
            ("drain", "drain", 1.2, LOOP),
        )
    ),
    *_of_threads_with_a_journal(),
    _at_least("batch of 1 000 with a journal", 10_000, _samples("batch", "ours-journal"), "jobs/s"),
    Target(
        "claim+complete, 100 000 pending, of 1 000",
        _ratio(("claim 100000", "ours"), ("claim 1000", "ours")),
        1.2,
        unit="x",
    ),
    Target(
        "claim+complete, 100 000 pending that are refused, of 1 000",
        _ratio(("refused 100000", "ours"), ("refused 1000", "ours")),
        1.2,
        unit="x",
    ),
    Target(
        "claim+complete, 100 000 pending of another type, of 1 000",
        _ratio(("unwanted 100000", "ours"), ("unwanted 1000", "ours")),
        1.2,
        unit="x",
    ),
    *(
        _at_least(
            f"{title} on PostgreSQL, of procrastinate's",
            1.5,
            _ratio((row, "ours-postgres"), (row, "procrastinate")),
            drained=SINGLY,
        )
        for row, title in (
            ("drain", "drain"),
            ("drain 4 workers", "drain by 4 workers"),
            ("drain 16 workers", "drain by 16 workers"),
        )
    ),
    _at_least("batch of 1 000 on PostgreSQL", 20_000, _samples("batch", "ours-postgres"), "jobs/s"),
    Target(
        "claim+complete on PostgreSQL, 1 000 000 pending, of 1 000",
        _ratio(("claim 1000000", "ours-postgres"), ("claim 1000", "ours-postgres")),
        1.3,
        unit="x",
    ),
    Target(
        "wake-up across processes on PostgreSQL, p50",
        _samples("wake", "ours-postgres"),
        10.0,
        unit="ms",
    ),
    Target("open and first claim, 100 000 pending", _samples("first 100000"), 5.0, unit="s"),
    Target("memory for each pending job", _samples("memory a job"), 400, unit="bytes"),
    Target("wake-up across processes, p50", _samples("wake"), 15.0, unit="ms"),
    Target("idle worker, of a core", _samples("idle"), 1.0, unit="per cent"),
    Target(
        "wake-up across processes with [watch], p50", _samples("wake", "ours-watch"), 3.0, unit="ms"
    ),
    Target("wake-up within a process, p50", _samples("wake within"), 1.0, unit="ms"),
    Target("run again after SIGKILL, p50, idle survivor", _samples("rescue"), 1000, unit="ms"),
    Target("8 processes: jobs not run", _total("not run"), 0, unit="jobs"),
    Target("8 processes: jobs run more than once", _total("run again"), 0, unit="jobs"),
    Target("a 17 MiB file set aside", _samples("bad 17 MiB"), 100, unit="ms"),
    Target("JSON 200 000 deep set aside", _samples("bad depth"), 100, unit="ms"),
    Target("an integer of 5 000 digits set aside", _samples("bad integer"), 100, unit="ms"),
    Target("NaN set aside", _samples("bad NaN"), 100, unit="ms"),
    Target("start with 10 000 left-over files", _samples("leftovers"), 2000, unit="ms"),
)


def verdicts(figures: Figures) -> list[dict[str, Any]]:
    """Each target with a measured value: what is wanted, the median, and whether it is met."""
    found = []
    for target in TARGETS:
        values = target.measure(figures)
        if not values:
            continue
        value = statistics.median(values)
        verdict = {
            "target": target.title,
            "drained": target.drained,
            "wanted": target.wanted,
            "measured": shown(value, target.unit),
            "spread": f"{shown(min(values), target.unit)} to {shown(max(values), target.unit)}",
            "met": target.met_by(value),
        }
        found.append(verdict)
    return found
