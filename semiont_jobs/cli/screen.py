"""What `watch` shows: a view as lines of text that fit the screen in width and number.

It must not know where a view comes from, nor how lines get to the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from semiont_jobs.cli.board import AtWork, Row, View
from semiont_jobs.cli.text import COLOURS, plain
from semiont_jobs.fields import is_number
from semiont_jobs.model import DEFAULT_QUEUE, STATUSES

WIDE: Final = 110
"""Columns from which ids and workers are shown in full, and bars are longer."""
LEAST: Final = 40
"""Columns below which the layout does not shrink further: lines are cut."""
SHARE: Final = 0.4
"""Share of the lines below the heading for types; the rest is for running jobs, which show more."""
FEW: Final = 3
"""Lines that types get at least."""
SHORTEST_NAME: Final = 16
"""Columns for a type's name, before figures are left out to make room for it."""
LONGEST_NAME: Final = 44
"""Columns for it at most: the figures should be near it."""

Cells = Sequence[tuple[object, int, str]]
"""Cells of a line: the value, the width (negative: right-aligned), and the style."""


def lines_of(view: View, *, width: int, height: int | None, title: str = "") -> list[Text]:
    """The lines of a screen of that size; any number of lines if `height` is None."""
    width = max(width, LEAST)
    lines = [*_heading(view, width, title), Text()]
    rows = sorted(view.rows, key=_rank)
    places = len(view.at_work) + bool(view.more_at_work)
    if height is None:
        lines += [*_types(rows, width, len(rows)), Text(), *_running(view, width, places)]
        return [_cut(line, width) for line in lines]
    left = height - len(lines) - 3  # the headings of both tables, and a line between them
    room = max(FEW, int(SHARE * left), left - max(places, 1))
    types = _types(rows, width, min(room, max(left - 1, 1)))
    lines += [*types, Text(), *_running(view, width, left + 1 - len(types))]
    return [_cut(line, width) for line in lines[:height]]


def places_on(height: int | None) -> int:
    """How many running jobs a screen of that height can show at most."""
    return 1000 if height is None else max(height - 6, 1)


# -- the heading -------------------------------------------------------------------------


def _heading(view: View, width: int, title: str) -> Iterator[Text]:
    name = f"semiont-jobs  {plain(title)}" if title else "semiont-jobs"
    clock = f"{view.at.astimezone():%H:%M:%S}"
    yield _line([(name, width - len(clock) - 1, "bold"), (clock, -len(clock), "dim")])
    counts = Text()
    for status in STATUSES:
        number = view.jobs[status]
        counts.append(f"{status} ", style="dim")
        counts.append(f"{number:<8,}", style=COLOURS[status] if number else "dim")
    yield counts
    facts = Text()
    waiting = f"{view.due:,} due, the oldest for {elapsed_text(view.oldest_due_age)}"
    facts.append(f"{waiting if view.due else 'nothing is due':<32}")
    facts.append(f"{view.done:,} done/min   ", style="green" if view.done else "dim")
    facts.append(f"{view.failed:,} failed/min   ", style="red" if view.failed else "dim")
    if view.rescues:
        facts.append(f"{view.rescues:,} rescued   ", style="yellow")
    if view.unreadable:
        facts.append(f"{view.unreadable:,} unreadable", style="red")
    yield facts


# -- types -------------------------------------------------------------------------------

_COLUMNS: Final = {
    "pending": 8,
    "running": 8,
    "complete": 9,
    "failed": 7,
    "retries": 8,
    "done/min": 9,
}
"""Width of each: its heading, a space, and numbers in the millions where they are likely."""


def _rank(row: Row) -> tuple[Any, ...]:
    """Active types come first, the others by name: rows stay where they are."""
    is_quiet = not (row.stored.jobs["running"] or row.stored.jobs["pending"] or row.done)
    return (is_quiet, row.stored.type, row.stored.queue)


def _types(rows: Sequence[Row], width: int, room: int) -> list[Text]:
    has_queues = any(row.stored.queue != DEFAULT_QUEUE for row in rows)
    queue = (9 if width < WIDE else 20) if has_queues else 0
    columns = dict(_COLUMNS)
    for dispensable in ("retries", "complete", "done/min"):
        if width - queue - sum(columns.values()) < SHORTEST_NAME:
            del columns[dispensable]
    names = min(width - queue - sum(columns.values()), LONGEST_NAME)
    heading: list[tuple[object, int, str]] = [("type", names, "bold")]
    heading += [("queue", queue, "bold")] if has_queues else []
    lines = [_line([*heading, *((each, -size, "bold") for each, size in columns.items())])]
    shown = rows if len(rows) <= room else rows[: room - 1]
    for row in shown:
        jobs = row.stored.jobs
        values = {
            **{str(status): (jobs[status], COLOURS[status]) for status in STATUSES},
            "retries": (row.stored.retries, "yellow"),
            "done/min": (row.done, "green"),
        }
        cells: list[tuple[object, int, str]] = [(row.stored.type, names, "")]
        cells += [(row.stored.queue, queue, "")] if has_queues else []
        for name, size in columns.items():
            value, style = values[name]
            cells.append((f"{value:,}", -size, style if value else "dim"))
        lines.append(_line(cells))
    if len(shown) < len(rows):
        lines.append(Text(f"and {len(rows) - len(shown):,} types more", style="dim"))
    return lines


# -- running jobs ------------------------------------------------------------------------


def _running(view: View, width: int, room: int) -> Iterator[Text]:
    """Running jobs in at most so many lines, below their heading."""
    is_wide = width >= WIDE
    sizes = (32, 22, 18, 8, 22) if is_wide else (12, 19, 0, 8, 14)
    job, kind, worker, since, bar = sizes
    heading: list[tuple[object, int, str]] = [("running", job, "bold"), ("type", kind, "bold")]
    heading += [("worker", worker, "bold")] if is_wide else []
    left = width - sum(sizes)
    yield _line([*heading, ("since", -(since - 2), "bold"), ("", 2, ""), ("progress", bar, "bold")])
    places = list(view.at_work)
    more = view.more_at_work
    if len(places) + bool(more) > room:
        more += sum(each is not None for each in places[max(room - 1, 0) :])
        places = places[: max(room - 1, 0)]
    if not any(places) and not more:
        yield Text("nothing runs", style="dim")
        return
    for one in places:
        if one is None:
            yield Text()
            continue
        id_ = one.id if is_wide else f"…{one.id[-9:]}" if len(one.id) > 11 else one.id
        cells: list[tuple[object, int, str]] = [(id_, job, ""), (one.type, kind, "")]
        cells += [(one.worker, worker, "dim")] if is_wide else []
        line = _line([*cells, (elapsed_text(one.elapsed), -(since - 2), ""), ("", 2, "")])
        line.append_text(_bar(one, bar - 2))
        again = f"attempt {one.attempt} " if one.attempt > 1 else ""
        line.append_text(_line([("", 2, ""), (f"{told(one.progress)} {again}", left, "")]))
        yield line
    if more:
        yield Text(f"and {more:,} more", style="dim")


def _bar(one: AtWork, width: int) -> Text:
    """How far a job is; if it does not report that, something that moves as long as it runs."""
    share = fraction_of(one.progress)
    if share is not None:
        full = int(share * width)
        return Text.assemble(("━" * full, "cyan"), ("─" * (width - full), "dim"))
    at = int(one.elapsed) % width
    return Text.assemble(("·" * at, "dim"), ("━", "cyan"), ("·" * (width - at - 1), "dim"))


_PAIRS: Final = (("done", "of"), ("done", "total"), ("completed", "total"), ("current", "total"))
"""Keys of progress values that count done of total, besides ``processedX`` of ``totalX``."""


def fraction_of(progress: object) -> float | None:
    """How much of a job is done, from 0 to 1; None: the progress does not show it.

    It is a ``percentage``, or the ``processed...`` of ``total...`` of Semiont's progress classes.
    """
    if not isinstance(progress, Mapping):
        return None
    percentage = _number(progress.get("percentage"))
    if percentage is not None:
        return min(max(percentage / 100, 0.0), 1.0)
    totals = [key.removeprefix("total") for key in progress if str(key).startswith("total")]
    for done_key, total_key in (
        *((f"processed{each}", f"total{each}") for each in totals),
        *_PAIRS,
    ):
        done, total = _number(progress.get(done_key)), _number(progress.get(total_key))
        if done is not None and total is not None and total > 0:
            return min(max(done / total, 0.0), 1.0)
    return None


_WORDS: Final = ("stage", "message", "currentCategory", "currentEntityType")
"""Keys of progress values that are meant for people."""


def told(progress: object) -> str:
    """A progress in a few words, its percentage first."""
    if not isinstance(progress, Mapping):
        return "" if progress is None else str(progress)
    share = fraction_of(progress)
    words = [str(progress[key]) for key in _WORDS if progress.get(key)]
    if share is not None:
        return " ".join([f"{100 * share:.0f}%", *words])
    return " ".join(words or [f"{key} {value}" for key, value in progress.items()])


def _number(value: object) -> float | None:
    return float(value) if is_number(value) and value == value else None


def elapsed_text(seconds: float) -> str:
    """A time in two units at most: 7s, 2m05s, 3h07m, 9d04h."""
    whole = int(seconds)
    for size, unit, part, smaller in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02}{smaller}"
    return f"{whole}s"


# -- lines -------------------------------------------------------------------------------


def _line(cells: Cells) -> Text:
    line = Text(no_wrap=True)
    for value, width, style in cells:
        line.append(_fitted(plain(value), width), style=style)
    return line


def _fitted(text: str, width: int) -> str:
    """`text` in exactly so many columns; the last one is empty if the text is cut or fills them."""
    room = abs(width)
    if width < 0:
        return set_cell_size(" " * max(room - cell_len(text), 0) + text, room)
    if cell_len(text) >= room > 1:
        text = set_cell_size(text, room - 2).rstrip() + "…"
    return set_cell_size(text, room)


def _cut(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.truncate(width)
    return line
