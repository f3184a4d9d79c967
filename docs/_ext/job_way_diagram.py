"""The diagram of a job's way, drawn as SVG: one line for each station, below its caller.

It must not know Sphinx, nor how the run is recorded (`job_way`). Colours are those of the
rooms in the diagram of the modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from job_run import WORK, run
from job_way import Phase, Stop, parts, stops
from rooms import ROOMS, home_of

WIDTH: Final = 900
LINE: Final = 25
BOX_HEIGHT: Final = 19
STEP: Final = 20
"""From a caller to what it calls, to the right."""
LETTER: Final = 6.9
"""Pixels that a letter of a function's name takes, at most."""
ABOUT: Final = 482
FOLDERS: Final = 884
MARGIN: Final = 16


def way() -> Iterator[tuple[Phase, list[Stop]]]:
    """A real run's stations, by phases."""
    for phase, calls in parts(run()):
        yield phase, stops(phase, calls)


def draw(phases: Iterable[tuple[Phase, list[Stop]]] | None = None) -> str:
    """The diagram; of a run that is made now, or of what it came to."""
    drawn: list[str] = []
    y = 14.0
    for phase, stations in way() if phases is None else phases:
        drawn.append(
            f'<text x="{MARGIN}" y="{y + 16:g}" font-size="15" font-weight="600"'
            f' fill="#111827">{escape(phase.title)}</text>'
        )
        y += 26
        callers: list[float] = []
        for stop in stations:
            drawn += _station(stop, y, callers)
            callers = [*callers[: stop.depth], y]
            y += LINE
        y += 14
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:g}" role="img"'
            f' style="max-width: {WIDTH}px; width: 100%; height: auto"'
            ' font-family="Helvetica, Arial, sans-serif" font-size="13">',
            "<title>A job's way through the library</title>",
            # Its own ground, so that it can be read on a dark page too.
            f'<rect width="{WIDTH}" height="{y:g}" rx="10" fill="#ffffff"/>',
            *drawn,
            "</svg>",
        ]
    )


def _station(stop: Stop, y: float, callers: list[float]) -> list[str]:
    left = MARGIN + STEP * stop.depth
    drawn = []
    if stop.depth:
        x = left - STEP / 2
        dashes = "" if stop.is_direct else ' stroke-dasharray="3 2"'
        drawn.append(
            '<g fill="none" stroke="#6b7280" stroke-width="1.2">'
            f'<path d="M{x:g} {callers[stop.depth - 1] + BOX_HEIGHT:g} V{y + BOX_HEIGHT / 2:g}"/>'
            f'<path d="M{x:g} {y + BOX_HEIGHT / 2:g} H{left:g}"{dashes}/></g>'
        )
    drawn.append(
        f'<rect x="{left:g}" y="{y:g}" width="{len(stop.name) * LETTER + 14:g}"'
        f' height="{BOX_HEIGHT}" rx="5" fill="{_fill(stop.name)}" stroke="#374151"/>'
    )
    drawn.append(
        f'<text x="{left + 7:g}" y="{y + 13.5:g}" font-family="Menlo, Consolas, monospace"'
        f' font-size="11" fill="#111827">{escape(stop.name)}</text>'
    )
    if stop.about:
        drawn.append(f'<text x="{ABOUT}" y="{y + 14:g}" fill="#4b5563">{escape(stop.about)}</text>')
    if stop.moved is not None:
        _before, after = stop.moved
        drawn.append(
            f'<text x="{FOLDERS}" y="{y + 14:g}" text-anchor="end" font-weight="600"'
            f' fill="#111827">{escape(" + ".join(after))}</text>'
        )
    return drawn


def _fill(name: str) -> str:
    room = None if name == WORK else home_of(name)
    return ROOMS[room].fill if room else "#ffffff"
