"""The diagram of the modules, drawn as SVG: each room in a row below all that import it.

It must not know Sphinx, nor what is in a room (`rooms`). An arrow is left out where other
arrows lead the same way: what a room imports is at the end of some path of arrows.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final, NamedTuple

from layers import imports, owned
from rooms import ROOMS, Needs, arrows, home_of, needs, rows

WIDTH: Final = 900
ROW_GAP: Final = 30
"""Between two rows: as much as an arrow needs to be seen as one."""
GAP: Final = 36
"""Beside each box of a row: arrows that pass the row go through it."""
LANE: Final = 7
"""Between two arrows in one gap."""
LONE_WIDTH: Final = 470
LINE: Final = 17
LETTER: Final = 6.9
"""Pixels that a letter of the small texts takes, at most."""


class Box(NamedTuple):
    """Where a room stands."""

    left: float
    top: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.left + self.width / 2


def draw(imported: Mapping[str, frozenset[str]] | None = None) -> str:
    """The diagram; of the library as it is, or of other imports."""
    rooms = needs(imports() if imported is None else imported)
    stack = rows(rooms)
    boxes, height = _placed(stack)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img"'
        f' style="max-width: {WIDTH}px; width: 100%; height: auto"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="13">',
        "<title>The modules of the library</title>",
        '<defs><marker id="import" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="#374151"/>'
        "</marker></defs>",
        # Its own ground, so that it can be read on a dark page too.
        f'<rect width="{WIDTH}" height="{height:g}" rx="10" fill="#ffffff"/>',
    ]
    for way in _ways(stack, boxes, arrows(rooms)):
        parts.append(
            f'<path d="{way}" fill="none" stroke="#374151" stroke-width="1.4"'
            ' marker-end="url(#import)"/>'
        )
    for room, box in boxes.items():
        parts += _drawn(room, box)
    return "\n".join([*parts, "</svg>"])


def _names(room: str, width: float) -> list[str]:
    """The names of its modules, in lines that fit; nothing where they are the room's own."""
    names = ROOMS[room].modules
    if names == (room.lower(),):
        return []
    return textwrap.wrap("  ".join(names), int((width - 24) / LETTER))


def _uses(room: str, width: float) -> list[str]:
    """The dependencies that few rooms may import, this one among them, in lines that fit."""
    used = sorted({name for name, owner in owned() if home_of(owner) == room})
    return textwrap.wrap(f"uses {', '.join(used)}", int((width - 24) / LETTER)) if used else []


def _placed(stack: list[list[str]]) -> tuple[dict[str, Box], float]:
    boxes: dict[str, Box] = {}
    top = 16.0
    for row in stack:
        width = min(LONE_WIDTH, (WIDTH - GAP) / len(row) - GAP)
        left = (WIDTH - (width + GAP) * len(row) + GAP) / 2
        lines = max(len(_names(room, width)) + len(_uses(room, width)) for room in row)
        height = 34 + LINE * lines
        for place, room in enumerate(row):
            boxes[room] = Box(left + place * (width + GAP), top, width, height)
        top += height + ROW_GAP
    return boxes, top - ROW_GAP + 16


def _ways(stack: list[list[str]], boxes: Mapping[str, Box], drawn: Needs) -> Iterator[str]:
    """The way of each arrow: from under one box to the top of another, between the boxes of
    the rows that it passes."""
    row_of = {room: number for number, row in enumerate(stack) for room in row}
    used: Counter[tuple[int, float]] = Counter()
    passes: dict[tuple[str, str], list[float]] = {}
    for room, other in sorted(
        ((room, other) for room, others in drawn.items() for other in others),
        key=lambda arrow: (-boxes[arrow[0]].top, boxes[arrow[1]].middle),
    ):
        passes[room, other] = through = [boxes[room].middle]
        for row in range(row_of[room] + 1, row_of[other]):
            gap = _gap([boxes[each] for each in stack[row]], through[-1], boxes[other].middle)
            through.append(gap + LANE * used[row, gap])
            used[row, gap] += 1
    for (room, other), through in passes.items():
        begin, end = boxes[room], boxes[other]
        out = sorted((boxes[end].middle, end) for begin, end in passes if begin == room)
        into = sorted((passes[pair][-1], pair) for pair in passes if pair[1] == other)
        x = _port(begin, out.index((end.middle, other)), len(out))
        y = begin.top + begin.height
        way = [f"M{x:g} {y:g}"]
        for row, to_x in enumerate(through[1:], row_of[room] + 1):
            beside = boxes[stack[row][0]]
            way.append(f"{_bend(x, y, to_x, beside.top)} V{beside.top + beside.height:g}")
            x, y = to_x, beside.top + beside.height
        last = _port(end, into.index((through[-1], (room, other))), len(into))
        yield " ".join([*way, _bend(x, y, last, end.top - 1)])


def _port(box: Box, number: int, count: int) -> float:
    return box.left + box.width * (number + 1) / (count + 1)


def _gap(beside: list[Box], x: float, to_x: float) -> float:
    """Where to pass a row: the least way round, and rather outside than between."""
    first, last = beside[0], beside[-1]
    gaps = [box.left + box.width + GAP / 2 for box in beside[:-1]]
    gaps += [first.left - GAP / 2, last.left + last.width + GAP / 2]
    return min(gaps, key=lambda gap: (abs(gap - x) + abs(gap - to_x), -abs(gap - WIDTH / 2)))


def _bend(x: float, y: float, to_x: float, to_y: float) -> str:
    """From one point down to another, upright at both ends."""
    middle = (y + to_y) / 2
    return f"C{x:g} {middle:g} {to_x:g} {middle:g} {to_x:g} {to_y:g}"


def _drawn(room: str, box: Box) -> list[str]:
    about, _modules, fill = ROOMS[room]
    left = box.left + 12
    parts = [
        f'<rect x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}"'
        f' rx="8" fill="{fill}" stroke="#374151" stroke-width="1.2"/>',
        f'<text x="{left:g}" y="{box.top + 21:g}" fill="#111827"><tspan font-size="15"'
        f' font-weight="600">{escape(room)}</tspan>'
        f'<tspan dx="10" fill="#4b5563">{escape(about)}</tspan></text>',
    ]
    y = box.top + 22 + LINE
    for line in _names(room, box.width):
        parts.append(
            f'<text x="{left:g}" y="{y:g}" font-family="Menlo, Consolas, monospace"'
            f' font-size="11" fill="#111827" xml:space="preserve">{escape(line)}</text>'
        )
        y += LINE
    for line in _uses(room, box.width):
        parts.append(
            f'<text x="{left:g}" y="{y:g}" font-size="12" font-style="italic"'
            f' fill="#4b5563">{escape(line)}</text>'
        )
        y += LINE
    return parts
