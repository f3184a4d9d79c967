"""Figures and targets as text: for a terminal, and as reStructuredText for the docs.

It must not know how anything was measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, Final

from figures import ROWS, Figure, Figures

RATES: Final = {
    "enqueue": "enqueue",
    "batch": "in batches",
    "drain singly": "drain, each outcome waited for",
    "drain": "drain, made durable together",
    "scaling": "2 processes, times 1",
}
"""The columns of the table of jobs a second."""
THREADS: Final = {
    "enqueue": "enqueue, 1 thread",
    "enqueue 8 threads": "8",
    "drain singly": "drain, each outcome waited for, 1 thread",
    "drain singly 4 threads": "4",
    "drain singly 8 threads": "8",
    "drain": "drain, made durable together, 1 thread",
    "drain 4 threads": "4",
    "drain 8 threads": "8",
}
"""The columns of the table of threads."""
REST: Final = {
    "claim": "claim with 100 000 pending, times 1 000",
    "memory": "memory MB",
    "wake within": "wake-up within a process ms, p50 / p99",
    "wake": "wake-up across processes ms, p50 / p99",
    "contending": "8 processes, all rounds: not run / run again",
    "killed": "worker killed, restarted",
    "rescue": "worker killed beside an idle one",
}
"""The columns of the table of all else that is compared."""
READING: Final = {"list": "lists", "stats": "counts"}
"""The rows of the table of finished jobs, and what names the call of each queue."""
ON_DISKS: Final = (
    *("enqueue", "enqueue 8 threads"),
    *("drain singly", "drain", "drain 4 threads", "drain 8 threads"),
)
"""The rows of the table of disks."""
ON_TMPFS: Final = {
    "enqueue": "enqueue",
    "batch": "in batches",
    "drain singly": "drain",
    "drain 2 processes": "drain, 2 processes",
    "scaling": "2 processes, times 1",
}
"""The columns of the table of a file system in memory, where nothing can be made durable."""
BY_DURABILITY: Final = {"ours": "process", "ours-journal": "journal", "ours-fsync": "fsync"}
RATIOS: Final = {
    "scaling": ("drain 2 processes", "drain 1 process"),
    "claim": ("claim 100000", "claim 1000"),
}
"""Columns that are one row divided by another."""


def measured(row: str, figure: Figure) -> str:
    """A figure with its spread."""
    unit = ROWS[row].unit
    parts = []
    if figure.samples:
        low, high = min(figure.samples), max(figure.samples)
        text = f"{number(figure.median)} {unit}"
        if row.startswith("wake"):
            text += f" (p99 {number(figure.percentile(0.99))})"
        elif high > low:
            text += f" ({number(low)} to {number(high)})"
        parts.append(text)
    return "; ".join([*parts, *([figure.note] if figure.note else [])])


def number(value: float) -> str:
    """Three significant digits."""
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:.3g}"


def lines(data: dict[str, Any], figures: Figures) -> Iterator[str]:
    """What a terminal shows at the end of a run."""
    labels = {name: kind["label"] for name, kind in data["kinds"].items()}
    for row in ROWS:
        found = [(who, figure) for (key, who), figure in figures.by_key.items() if key == row]
        if found:
            yield ""
            yield ROWS[row].title
        for who, figure in found:
            yield f"  {labels[who]:36} {measured(row, figure)}"
    if data["targets"]:
        yield ""
        yield "targets"
    for target in data["targets"]:
        verdict = "met" if target["met"] else "MISSED"
        yield (
            f"  {_titled(target):76} {target['wanted']:>14}  {target['measured']:>12}  "
            f"{verdict:6} ({target['spread']})"
        )
    for name, why in data["absent"].items():
        yield f"not measured: {name}: {why}"


def _titled(target: dict[str, Any]) -> str:
    return ", by ".join(part for part in (target["target"], target["drained"]) if part)


def head(system: dict[str, Any]) -> str:
    """One line: where and with what it was measured."""
    versions = ", ".join(f"{name} {number}" for name, number in system["versions"].items())
    where = f"{system['file system']}{_disk(system, ' where ')}"
    return f"{system['day']}, {where}, {system['cores']} cores; {versions}"


def _disk(system: dict[str, Any], before: str = "") -> str:
    """How long it takes to make something durable."""
    spent = system.get("disk", {}).items()
    return before + ", ".join(f"a {what} takes {ms:.2f} ms" for what, ms in spent) if spent else ""


def rst(data: dict[str, Any], figures: Figures) -> str:
    """The tables of the documentation."""
    own = [
        [ROWS[row].title, measured(row, figure)]
        for row in ROWS
        if (figure := figures.of(row, "ours")) is not None
        and row not in (*RATES, *REST, *READING)
        and not row.startswith("verb ")
    ]
    parts = [
        ".. Made by benchmarks/document.py from performance.json: change neither by hand.",
        f"Measured: {head(data['system'])}; {_rounds(data)}.",
        ".. rubric:: Jobs a second",
        _compared(data, figures, RATES, "jobs"),
        ".. rubric:: Threads of one process, jobs a second",
        _of_threads(data, figures),
        ".. rubric:: A backlog, waiting, crashes",
        _compared(data, figures, REST),
        ".. rubric:: 100 000 finished jobs",
        _read(data, figures),
        ".. rubric:: This library, further",
        _list_table(["``fsync=False``", ""], own),
        *_of_verbs(figures),
        ".. rubric:: Targets",
        _list_table(["", "drained by", "wanted", "measured", "met"], _verdicts(data)),
    ]
    return "\n\n".join(parts) + "\n"


def _compared(data: dict[str, Any], figures: Figures, columns: dict[str, str], *said: str) -> str:
    """A table of queues, with what is said of each."""
    said = ("durability", *said)
    rows = [
        [
            kind["label"],
            *(number(kind[each]) if each == "jobs" else kind[each] for each in said),
            *cells,
        ]
        for name, kind in data["kinds"].items()
        if not kind.get("twin_of")
        if any(cells := [_cell(column, name, figures) for column in columns])
    ]
    return _list_table(["", *said, *columns.values()], rows)


def _of_threads(data: dict[str, Any], figures: Figures) -> str:
    rows = [
        [kind["label"], kind["durability"], *(_cell(column, name, figures) for column in THREADS)]
        for name, kind in data["kinds"].items()
        if figures.of("enqueue 8 threads", name)
    ]
    return _list_table(["", "durability", *THREADS.values()], rows)


def _read(data: dict[str, Any], figures: Figures) -> str:
    rows = []
    for name, kind in data["kinds"].items():
        taken = [_median(row, name, figures) for row in READING]
        if any(taken):
            calls = [kind.get(named, "") for named in READING.values()]
            rows.append([kind["label"], taken[0], calls[0], taken[1], calls[1]])
    return _list_table(["", "list ms", "by", "count ms", "by"], rows)


def _verdicts(data: dict[str, Any]) -> list[list[str]]:
    return [
        [
            *(each["target"], each["drained"], each["wanted"], each["measured"]),
            "yes" if each["met"] else "no",
        ]
        for each in data["targets"]
    ]


def of_disks(runs: Sequence[tuple[dict[str, Any], Figures]]) -> str:
    """The documentation's table of several disks: jobs a second, and targets."""
    header = ["", *(_disk(data["system"]) for data, _figures in runs)]
    labels = {
        name: kind["label"] for data, _figures in runs for name, kind in data["kinds"].items()
    }
    rates = [
        [f"{ROWS[row].title}: {label}", *cells]
        for row in ON_DISKS
        for name, label in labels.items()
        if all(cells := [_median(row, name, figures) for _data, figures in runs])
    ]
    found = [{_titled(each): each for each in data["targets"]} for data, _figures in runs]
    targets = [
        [f"{title} ({target['wanted']})", *(each[title]["measured"] for each in found)]
        for title, target in found[-1].items()
        if all(title in each for each in found)
    ]
    parts = [
        ".. Made by benchmarks/document.py from disks.json: change neither by hand.",
        _list_table(header, [*rates, *targets]),
    ]
    return "\n\n".join(parts) + "\n"


def of_tmpfs(run: tuple[dict[str, Any], Figures] | None) -> str:
    """The documentation's table of a file system in memory; without a run of it, none."""
    parts = [".. Made by benchmarks/document.py from tmpfs.json: change neither by hand."]
    if run is not None:
        data, figures = run
        kinds = {
            name: kind for name, kind in data["kinds"].items() if kind["durability"] == "process"
        }
        parts += [
            ".. rubric:: On a file system in memory",
            f"Measured: {head(data['system'])}; {_rounds(data)}. Jobs a second; no call waits for a"
            " disk, and a power cut takes everything.",
            _compared(data | {"kinds": kinds}, figures, ON_TMPFS, "jobs"),
        ]
    return "\n\n".join(parts) + "\n"


def _of_verbs(figures: Figures) -> Iterator[str]:
    rows = [
        [row.removeprefix("verb "), *(_median(row, who, figures) for who in BY_DURABILITY)]
        for row in ROWS
        if row.startswith("verb ") and figures.of(row, "ours")
    ]
    if rows:
        yield ".. rubric:: A call, by durability, in microseconds"
        yield _list_table(["", *BY_DURABILITY.values()], rows)


def _median(row: str, who: str, figures: Figures) -> str:
    figure = figures.of(row, who)
    return number(figure.median) if figure and figure.samples else ""


def _rounds(data: dict[str, Any]) -> str:
    if data["quick"]:
        named = "a tenth of the jobs that are named"
        return f"a quick look with {named}, whose figures are not to be quoted"
    return f"{data['rounds']} rounds"


def _cell(column: str, who: str, figures: Figures) -> str:
    if column in RATIOS:
        over, under = RATIOS[column]
        ratios = figures.ratios((over, who), (under, who))
        return number(statistics.median(ratios)) if ratios else ""
    if column == "contending":
        return _contended(who, figures)
    if column.startswith("drain") and column in THREADS:
        return _drained(column, who, figures)
    figure = figures.of(column, who)
    if column in ("killed", "rescue") and figure is not None:
        if not figure.samples:
            return figure.note
        return f"run again after {number(figure.median)} {ROWS[column].unit}"
    if figure is None or not figure.samples:
        return ""
    if column.startswith("wake"):
        return f"{number(figure.median)} / {number(figure.percentile(0.99))}"
    return number(figure.median)


def _contended(who: str, figures: Figures) -> str:
    """The jobs of all rounds, since one that is lost in one of them is lost."""
    lost, again = figures.of("not run", who), figures.of("run again", who)
    counted = f"{sum(lost.samples):.0f} / {sum(again.samples):.0f}" if lost and again else ""
    rate = figures.of("contending", who)
    return "; ".join(part for part in (counted, rate.note if rate else "") if part)


def _drained(column: str, who: str, figures: Figures) -> str:
    """Most queues have one way only, in which each outcome is waited for."""
    if figures.of("drain singly", who) is not None:
        return _median(column, who, figures)
    return _median(column.replace(" singly", ""), who, figures) if "singly" in column else ""


def _list_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (header, *rows):
        for index, cell in enumerate(row):
            lines.append(f"   {'* -' if index == 0 else '  -'} {cell}".rstrip())
    return "\n".join(lines)
