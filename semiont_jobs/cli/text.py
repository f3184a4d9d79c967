"""Jobs as text that a terminal may show: escaped, short, aligned.

It must not know where jobs come from.

A job's strings may contain newlines, terminal controls, or characters that change the reading
direction: none of them reaches a terminal unescaped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from semiont_jobs.codec import Codec
from semiont_jobs.model import AnyJob, JobStatus

COLOURS: Final[dict[JobStatus, str]] = {
    "pending": "yellow",
    "running": "cyan",
    "complete": "green",
    "failed": "red",
    "cancelled": "magenta",
}


SHORT: Final = 12
"""Characters of a column that is never cut: a status, an age, an outcome."""

LEAST: Final = 8
"""Characters below which a remark is useless."""

GAP: Final = 3
"""Characters between two columns of a table."""


def plain(text: object) -> str:
    """`text` on one line, everything unprintable escaped."""
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in str(text)
    )


def console(*, stderr: bool = False) -> Console:
    """A console that interprets nothing in what it prints."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def show_table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], *, folds: bool = False
) -> None:
    """Print a table whose cells are escaped.

    On a narrow terminal the last column, a remark, is cut first, then other long ones; the first,
    which names the row, never. Output to anything else is not cut.

    :param folds: wrap the last column instead of cutting it.
    """
    out = console()
    cells = [[c if isinstance(c, Text) else Text(plain(c)) for c in row] for row in rows]
    natural = [
        max(len(heading), *(len(row[place]) for row in cells))
        for place, heading in enumerate(headings)
    ]
    allowed = _allowed(natural, out.width) if out.is_terminal else natural
    if folds:
        allowed[-1] = min(natural[-1], max(allowed[-1], LEAST))
    shown = [place for place, width in enumerate(allowed) if width]
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place in shown:
        is_folded = folds and place == shown[-1]
        made.add_column(
            headings[place],
            overflow="fold" if is_folded else "ellipsis",
            no_wrap=not is_folded,
            max_width=allowed[place],
            justify="right" if all(isinstance(row[place], int) for row in rows) else "left",
        )
    for row in cells:
        made.add_row(*(row[place] for place in shown))
    # The terminal breaks what does not fit: rich would cut the first column, too.
    out.width = max(out.width, sum(allowed) + GAP * len(allowed))
    out.print(made)


def _allowed(natural: Sequence[int], width: int) -> list[int]:
    """How wide each column may be, so that all fit into `width`; 0: it is left out."""
    *others, remark = natural
    allowed = list(others)
    spare = width - sum(others) - GAP * len(natural)
    if spare < 0:
        longest = sorted(range(1, len(others)), key=lambda place: others[place], reverse=True)
        for place in longest:
            cut = min(-spare, max(0, others[place] - SHORT))
            allowed[place] -= cut
            spare += cut
    return [*allowed, min(remark, spare) if spare >= min(remark, LEAST) else 0]


def status_text(status: JobStatus) -> Text:
    """A status in its colour."""
    return Text(status, style=COLOURS[status])


def document(job: AnyJob, codec: Codec) -> Any:
    """The job as in its file."""
    return json.loads(codec.encode(job, is_read=True))


def json_line(value: Any) -> str:
    """JSON on one line, ASCII only: safe for any terminal and any locale."""
    return json.dumps(value)


def age(since: datetime, now: datetime) -> str:
    """How long ago, in one unit: 45s, 12m, 3h, 9d; for a time in the future ``in 3h``."""
    return span(now - since) if since <= now else f"in {span(since - now)}"


def span(time: timedelta) -> str:
    """A time span in one unit."""
    seconds = int(time.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def counted(count: int, what: str) -> str:
    """How many there are: ``3 set aside``, ``none set aside``."""
    return f"{count or 'none'} {what}"


def named(ids: Sequence[str], what: str) -> str:
    """How many there are, and the first of them: ``2 in two folders: j-1, j-2``."""
    return f"{counted(len(ids), what)}{': ' if ids else ''}{', '.join(ids[:5])}"
