"""Figures as a picture.

It must not know how anything was measured. The only module that imports matplotlib.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from figures import ROWS, Figures

PANELS: Final = ("enqueue", "drain", "drain 4 threads", "drain 2 processes", "wake", "claim")
GROUPS: Final = ("process", "1 s", "power")
"""By durability: bars are compared within a group."""
OURS: Final = "#1f6f4a"
LIMIT: Final = "#b9b9b9"
OTHERS: Final = "#6d8bb0"


class Bar(NamedTuple):
    """One queue in one panel."""

    who: str
    label: str
    group: int
    low: float
    middle: float
    high: float

    @property
    def colour(self) -> str:
        return OURS if self.who.startswith("ours") else LIMIT if "bare" in self.who else OTHERS


def draw(data: dict[str, Any], figures: Figures, path: Path) -> bool:
    """Write a picture, of the type that its name ends with; False if there is nothing to show."""
    panels = [(row, bars) for row in PANELS if (bars := bars_of(row, data, figures))]
    if not panels:
        return False
    import matplotlib as mpl

    mpl.use("Agg")
    # The same figures make the same file.
    mpl.rcParams |= {"svg.hashsalt": "semiont_jobs", "svg.fonttype": "none", "font.size": 8}
    from matplotlib import pyplot as plt

    figure, all_axes = plt.subplots(
        len(panels),
        figsize=(8, sum(0.6 + 0.2 * len(bars) for _row, bars in panels)),
        squeeze=False,
        layout="constrained",
        height_ratios=[len(bars) + 2 for _row, bars in panels],
    )
    for axes, (row, bars) in zip(all_axes[:, 0], panels, strict=True):
        _panel(axes, row, bars)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
    return True


def _panel(axes: Any, row: str, bars: list[Bar]) -> None:
    # A gap between the groups.
    places = [place + 0.6 * bar.group for place, bar in enumerate(bars)]
    axes.barh(
        places,
        [bar.middle for bar in bars],
        xerr=[[bar.middle - bar.low for bar in bars], [bar.high - bar.middle for bar in bars]],
        color=[bar.colour for bar in bars],
        error_kw={"lw": 0.8, "ecolor": "#333333"},
    )
    axes.set_yticks(places, [f"{bar.label} [{GROUPS[bar.group]}]" for bar in bars])
    for place, bar in zip(places, bars, strict=True):
        text = f"{bar.middle:,.3g}" if bar.middle < 100 else f"{bar.middle:,.0f}"
        at = (max(bar.high, bar.middle), place)
        axes.annotate(text, at, xytext=(4, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_title(_title(row), fontsize=9, fontweight="bold", loc="right")
    axes.set_xscale("log")
    # Not from the least on, whose bar would have no length.
    axes.set_xlim(min(bar.low for bar in bars) / 2, 2.5 * max(bar.high for bar in bars))
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _title(row: str) -> str:
    if row == "claim":
        return "claim, 100 000 pending, times 1 000 pending (less is better)"
    wanted = "more" if ROWS[row].is_rate else "less"
    return f"{ROWS[row].title}, {ROWS[row].unit} ({wanted} is better)"


def bars_of(row: str, data: dict[str, Any], figures: Figures) -> list[Bar]:
    """The queues measured in a row: by what their jobs survive, then the best first."""
    bars = []
    for who, kind in data["kinds"].items():
        if kind.get("twin_of") and "threads" not in row:
            continue
        for how, samples in _samples(row, who, figures):
            ordered = sorted(samples)
            # Many samples of one round each: their spread is the range between the quartiles.
            low, high = (ordered[0], ordered[-1]) if row != "wake" else _quartiles(ordered)
            label, group = kind["label"] + how, GROUPS.index(kind["durability"])
            bars.append(Bar(who, label, group, low, statistics.median(ordered), high))
    is_less_better = row == "claim" or not ROWS[row].is_rate
    sign = 1 if is_less_better else -1
    return sorted(bars, key=lambda bar: (bar.group, sign * bar.middle))


def _samples(row: str, who: str, figures: Figures) -> Iterator[tuple[str, list[float]]]:
    """The samples of a queue, with how they were taken if they were taken in two ways."""
    if row == "claim":
        samples = figures.ratios(("claim 100000", who), ("claim 1000", who))
        yield from [("", samples)] if samples else []
        return
    singly = figures.of(row.replace("drain", "drain singly", 1), who) if "drain" in row else None
    if singly and singly.samples:
        yield ", each waited for", singly.samples
    figure = figures.of(row, who)
    if figure and figure.samples:
        yield (", durable together" if singly else ""), figure.samples


def _quartiles(ordered: list[float]) -> tuple[float, float]:
    return ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
