"""The diagram of the lifecycle, drawn as SVG from `semiont_jobs.lifecycle.TRANSITIONS`.

It must not know Sphinx. Where a status stands and which way an arrow runs is laid out by
hand; which arrows there are, and what they are called, comes from the table. An arrow that
nobody laid out is an error, so the diagram cannot fall behind the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final, NamedTuple

from semiont_jobs.lifecycle import TRANSITIONS, Transition
from semiont_jobs.model import STATUSES, JobStatus

Pair = tuple[JobStatus | None, JobStatus | None]

WIDTH: Final = 940
HEIGHT: Final = 560
BOX_WIDTH: Final = 130
BOX_HEIGHT: Final = 54
LINE: Final = 18

CENTRES: Final[dict[JobStatus, tuple[int, int]]] = {
    "pending": (170, 130),
    "running": (560, 130),
    "complete": (830, 130),
    "failed": (560, 400),
    "cancelled": (170, 400),
}
"""Where each status stands: its box's middle."""

FILLS: Final[dict[JobStatus, str]] = {
    "pending": "#fff4d6",
    "running": "#dbeafe",
    "complete": "#dcfce7",
    "failed": "#fee2e2",
    "cancelled": "#e5e7eb",
}


class Arrow(NamedTuple):
    """The way one arrow runs, and where its labels stand."""

    path: str
    label: tuple[int, int]
    anchor: str = "middle"


ARROWS: Final[dict[Pair, Arrow]] = {
    (None, "pending"): Arrow("M38 122 H105", (66, 112)),
    ("pending", "running"): Arrow("M235 116 H495", (365, 106)),
    ("running", "pending"): Arrow("M495 144 H235", (276, 166), "start"),
    ("running", "running"): Arrow(
        "M535 103 V70 Q535 58 547 58 H573 Q585 58 585 70 V103", (560, 30)
    ),
    ("running", "complete"): Arrow("M625 130 H765", (694, 120)),
    ("running", "failed"): Arrow("M575 157 V373", (587, 250), "start"),
    ("running", "cancelled"): Arrow(
        "M535 157 V310 Q535 322 523 322 H232 Q220 322 220 334 V373", (376, 312)
    ),
    ("pending", "cancelled"): Arrow("M185 157 V373", (197, 250), "start"),
    ("cancelled", "pending"): Arrow("M155 373 V157", (143, 268), "end"),
    ("failed", "pending"): Arrow(
        "M560 427 V508 Q560 520 548 520 H62 Q50 520 50 508 V152 Q50 140 62 140 H105", (320, 510)
    ),
    ("complete", None): Arrow("M830 157 V231", (842, 200), "start"),
    ("failed", None): Arrow("M625 400 H821", (718, 390)),
    ("cancelled", None): Arrow("M170 427 V469", (182, 452), "start"),
}
"""How each arrow runs, by the statuses it leads from and to."""

ENDS: Final[dict[JobStatus, tuple[int, int]]] = {
    "complete": (830, 240),
    "failed": (830, 400),
    "cancelled": (170, 478),
}
"""Where the jobs of a status go when they are removed."""


def grouped(transitions: Iterable[Transition] = TRANSITIONS) -> dict[Pair, list[Transition]]:
    """The transitions by the arrow they share."""
    arrows: dict[Pair, list[Transition]] = {}
    for transition in transitions:
        arrows.setdefault((transition.source, transition.target), []).append(transition)
    return arrows


def draw(transitions: Iterable[Transition] = TRANSITIONS) -> str:
    """The diagram.

    :raises KeyError: a status or an arrow that this module has no place for.
    """
    arrows = grouped(transitions)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' style="max-width: 100%; height: auto; background: #ffffff"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="14">',
        "<title>The lifecycle of a job</title>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8"'
        ' markerHeight="8" orient="auto-start-reverse">'
        '<path d="M0 0 L10 5 L0 10 z" fill="#374151"/></marker></defs>',
        '<circle cx="30" cy="122" r="8" fill="#374151"/>',
    ]
    for pair, sharing in arrows.items():
        parts += _arrow(ARROWS[pair], sharing)
    for status in STATUSES:
        parts += _box(status)
        if (status, None) in arrows:
            parts += _end(*ENDS[status])
    return "\n".join([*parts, "</svg>"])


def _arrow(arrow: Arrow, sharing: list[Transition]) -> list[str]:
    x, y = arrow.label
    labels = [
        f'<text x="{x}" y="{y + number * LINE}" text-anchor="{arrow.anchor}" fill="#111827">'
        f'<tspan font-weight="600">{escape(transition.verb)}</tspan>{_when(transition)}</text>'
        for number, transition in enumerate(sharing)
    ]
    line = (
        f'<path d="{arrow.path}" fill="none" stroke="#374151" stroke-width="1.6"'
        ' marker-end="url(#tip)"/>'
    )
    return [line, *labels]


def _when(transition: Transition) -> str:
    if not transition.when:
        return ""
    return f'<tspan fill="#6b7280" font-size="12.5"> ({escape(transition.when)})</tspan>'


def _box(status: JobStatus) -> list[str]:
    x, y = CENTRES[status]
    return [
        f'<rect x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}" width="{BOX_WIDTH}"'
        f' height="{BOX_HEIGHT}" rx="10" fill="{FILLS[status]}" stroke="#374151"'
        ' stroke-width="1.6"/>',
        f'<text x="{x}" y="{y + 6}" text-anchor="middle" font-size="17" font-weight="600"'
        f' fill="#111827">{escape(status)}</text>',
    ]


def _end(x: int, y: int) -> list[str]:
    return [
        f'<circle cx="{x}" cy="{y}" r="9" fill="#ffffff" stroke="#374151" stroke-width="1.6"/>',
        f'<circle cx="{x}" cy="{y}" r="4.5" fill="#374151"/>',
    ]
