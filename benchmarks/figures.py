"""What was measured: samples by row and queue, their median and spread, and all this as JSON.

It must not know how anything is measured, or how it is shown.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from attrs import define, field, frozen


class Row(NamedTuple):
    """One thing that is measured, of one queue or many."""

    title: str
    unit: str
    is_rate: bool = False
    """More is better."""


ROWS: Final[dict[str, Row]] = {
    "enqueue": Row("enqueue, one by one", "jobs/s", is_rate=True),
    "enqueue given": Row("enqueue, one by one, ids given", "jobs/s", is_rate=True),
    "drain singly": Row("drain, each outcome waited for", "jobs/s", is_rate=True),
    "batch": Row("enqueue, batch of 1 000", "jobs/s", is_rate=True),
    "drain": Row("drain, 1 thread", "jobs/s", is_rate=True),
    "drain 4 threads": Row("drain, 4 threads", "jobs/s", is_rate=True),
    "enqueue 8 threads": Row("enqueue, 8 threads", "jobs/s", is_rate=True),
    "drain 8 threads": Row("drain, 8 threads", "jobs/s", is_rate=True),
    **{
        f"drain singly {threads} threads": Row(
            f"drain, {threads} threads, each outcome waited for", "jobs/s", is_rate=True
        )
        for threads in (4, 8)
    },
    "drain 1 process": Row("drain, 1 process", "jobs/s", is_rate=True),
    "drain 2 processes": Row("drain, 2 processes", "jobs/s", is_rate=True),
    "contending": Row("drain, 8 processes", "jobs/s", is_rate=True),
    "not run": Row("8 processes: jobs not run", "jobs"),
    "run again": Row("8 processes: jobs run more than once", "jobs"),
    "drain 1 workers": Row("drain on one server, 1 worker", "jobs/s", is_rate=True),
    "drain 4 workers": Row("drain on one server, 4 workers", "jobs/s", is_rate=True),
    "drain 16 workers": Row("drain on one server, 16 workers", "jobs/s", is_rate=True),
    "claim 1000": Row("claim+complete, 1 000 pending", "us"),
    "claim 10000": Row("claim+complete, 10 000 pending", "us"),
    "claim 100000": Row("claim+complete, 100 000 pending", "us"),
    "claim 1000000": Row("claim+complete, 1 000 000 pending", "us"),
    "refused 1000": Row("claim+complete, 1 000 pending that are refused", "us"),
    "refused 100000": Row("claim+complete, 100 000 pending that are refused", "us"),
    "unwanted 1000": Row("claim+complete, 1 000 pending of another type", "us"),
    "unwanted 100000": Row("claim+complete, 100 000 pending of another type", "us"),
    "first 100000": Row("open and first claim, 100 000 pending", "s"),
    "first 1000000": Row("open and first claim, 1 000 000 pending", "s"),
    "early 1000000": Row("claim+complete while the rest of 1 000 000 is read", "ms"),
    "memory": Row("memory of a worker, 100 000 pending", "MB"),
    "memory a job": Row("memory for each pending job", "bytes"),
    "wake within": Row("wake-up within a process", "ms"),
    "wake": Row("wake-up across processes", "ms"),
    "idle": Row("idle worker", "% of a core"),
    "killed": Row("worker killed, restarted: job run again after", "s"),
    "lock free": Row("lock free after SIGKILL", "ms"),
    "rescue": Row("job run again after SIGKILL, idle survivor", "ms"),
    **{
        f"verb {verb}": Row(f"the call: {verb}", "us")
        for verb in (
            *("create", "claim", "checkpoint", "complete", "fail", "release"),
            *("cancel", "retry", "remove"),
        )
    },
    "list": Row("list the newest 100, 100 000 finished", "ms"),
    "stats": Row("stats, 100 000 finished", "ms"),
    "bad 17 MiB": Row("set a 17 MiB file aside", "ms"),
    "bad depth": Row("set JSON 200 000 deep aside", "ms"),
    "bad integer": Row("set an integer of 5 000 digits aside", "ms"),
    "bad NaN": Row("set NaN aside", "ms"),
    "leftovers": Row("start with 10 000 left-over files", "ms"),
}
"""Rows in the order of the tables."""


@define
class Figure:
    """The samples of one row for one queue: one a round, or more if each round gives many."""

    samples: list[float] = field(factory=list)
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def percentile(self, share: float) -> float:
        """The sample below which that share of the samples is."""
        return sorted(self.samples)[min(len(self.samples) - 1, int(len(self.samples) * share))]


@frozen
class Figures:
    """All that was measured in one run."""

    told: Callable[[str], object]
    """Called with notes."""
    by_key: dict[tuple[str, str], Figure] = field(factory=dict)

    def of(self, row: str, who: str) -> Figure | None:
        """What was measured of a queue in a row, if anything was."""
        return self.by_key.get((row, who))

    def _at(self, row: str, who: str) -> Figure:
        assert row in ROWS
        return self.by_key.setdefault((row, who), Figure())

    def add(self, row: str, who: str, *samples: float) -> None:
        """Add samples; `row` is a key of `ROWS`, `who` the name of a kind of queue."""
        self._at(row, who).samples += samples

    def note(self, row: str, who: str, text: str) -> None:
        """Add a note to the samples, or in place of them; each text only once."""
        figure = self._at(row, who)
        if text not in figure.note:
            figure.note = f"{figure.note}; {text}" if figure.note else text
        self.told(f"  {who}: {row}: {text}")

    def ratios(self, over: tuple[str, str], under: tuple[str, str]) -> list[float]:
        """One figure over another, round by round; empty if one of them was not measured."""
        one, other = self.of(*over), self.of(*under)
        if one is None or other is None:
            return []
        if len(one.samples) != len(other.samples):  # not taken in the same rounds
            return [one.median / other.median] if one.samples and other.samples else []
        return [a / b for a, b in zip(one.samples, other.samples, strict=True)]

    def as_data(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [
            {"row": row, "who": who, "unit": ROWS[row].unit, **_summary(figure)}
            for (row, who), figure in self.by_key.items()
        ]


def figures_of(data: Sequence[dict[str, Any]]) -> Figures:
    """The figures from which `as_data` made `data`."""
    figures = Figures(lambda _text: None)
    for each in data:
        figures.by_key[each["row"], each["who"]] = Figure(each["samples"], each.get("note", ""))
    return figures


def _summary(figure: Figure) -> dict[str, Any]:
    summary: dict[str, Any] = {"samples": [float(f"{sample:.5g}") for sample in figure.samples]}
    if figure.samples:
        summary["median"] = float(f"{figure.median:.5g}")
    if figure.note:
        summary["note"] = figure.note
    return summary
