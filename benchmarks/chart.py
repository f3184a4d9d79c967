"""Figures as a picture.

It must not know how anything was measured. The only module that imports matplotlib.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from figures import ROWS, Figures

PANELS: Final = ("enqueue", "drain", "drain 2 processes", "wake", "claim")
OURS: Final = "#1f6f4a"
LIMIT: Final = "#b9b9b9"
OTHERS: Final = "#6d8bb0"


def draw(data: dict[str, Any], figures: Figures, path: Path) -> None:
    """Write a picture, of the type its name ends with."""
    import matplotlib as mpl

    mpl.use("Agg")
    # The same figures make the same file.
    mpl.rcParams |= {"svg.hashsalt": "semiont_jobs", "svg.fonttype": "none", "font.size": 8}
    from matplotlib import pyplot as plt

    panels = [(row, values) for row in PANELS if (values := _values(row, data, figures))]
    height = sum(0.55 + 0.21 * len(values) for _row, values in panels)
    figure, all_axes = plt.subplots(
        len(panels),
        figsize=(8, height),
        squeeze=False,
        layout="constrained",
        height_ratios=[len(values) + 2 for _row, values in panels],
    )
    for axes, (row, values) in zip(all_axes[:, 0], panels, strict=True):
        names = [data["kinds"][who]["label"] for who, *_ in values]
        middle = [value for _who, value, _low, _high in values]
        spread = [[v - low for _, v, low, _ in values], [high - v for _, v, _, high in values]]
        colours = [_colour(who) for who, *_ in values]
        axes.barh(names, middle, xerr=spread, color=colours, error_kw={"lw": 0.8, "ecolor": "#333"})
        axes.set_title(_title(row), loc="left", fontsize=9, fontweight="bold")
        axes.set_xscale("log")
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        for name, value in zip(names, middle, strict=True):
            axes.annotate(
                f" {value:,.3g}" if value < 100 else f" {value:,.0f}",
                (value, name),
                va="center",
                xytext=(8, 0),
                textcoords="offset points",
                fontsize=7,
            )
        axes.set_xlim(right=3 * max(middle))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _title(row: str) -> str:
    if row == "claim":
        return "claim+complete with 100 000 pending, times the cost with 1 000 (less is better)"
    wanted = "more" if ROWS[row].is_rate else "less"
    return f"{ROWS[row].title}, {ROWS[row].unit} ({wanted} is better)"


def _values(
    row: str, data: dict[str, Any], figures: Figures
) -> list[tuple[str, float, float, float]]:
    found = []
    for who in data["kinds"]:
        if row == "claim":
            samples = figures.ratios(("claim 100000", who), ("claim 1000", who))
        else:
            figure = figures.of(row, who)
            samples = figure.samples if figure else []
        if samples:
            ordered = sorted(samples)
            low, high = (ordered[0], ordered[-1]) if row != "wake" else _quartiles(ordered)
            found.append((who, ordered[len(ordered) // 2], low, high))
    return sorted(found, key=lambda each: each[1], reverse=row not in ("wake", "claim"))


def _quartiles(ordered: list[float]) -> tuple[float, float]:
    return ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]


def _colour(who: str) -> str:
    return OURS if who.startswith("ours") else LIMIT if who.startswith("bare") else OTHERS
