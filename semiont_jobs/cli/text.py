"""Jobs as text that a terminal may show: escaped, short, aligned.

It must not know where jobs come from.

A job's texts may hold newlines, terminal controls, or characters that turn the direction of
reading: none of them reaches a terminal as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
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


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> Table:
    """A table whose cells are escaped, and shortened where the terminal is narrow."""
    made = Table(box=box.SIMPLE_HEAD, title=plain(title) or None, pad_edge=False)
    cells = [[c if isinstance(c, Text) else Text(plain(c)) for c in row] for row in rows]
    for heading in headings:
        made.add_column(heading, overflow="ellipsis", no_wrap=True)
    for row in _fitted(headings, cells, console().width):
        made.add_row(*row)
    return made


def _fitted(headings: Sequence[str], rows: list[list[Text]], width: int) -> list[list[Text]]:
    """The rows, their long cells shortened so that all columns fit into `width`. Short columns
    stay whole: left to itself, rich shortens all alike, down to nothing."""
    columns = list(zip(*rows, strict=True))
    natural = [
        max(len(heading), *(len(cell) for cell in column))
        for heading, column in zip(headings, columns, strict=False)
    ]
    spare = width - sum(each for each in natural if each <= SHORT) - GAP * len(natural)
    long = sorted(each for each in natural if each > SHORT)
    allowed = {}
    for left, size in zip(range(len(long), 0, -1), long, strict=True):
        # What a shorter column does not need is for the longer ones.
        allowed[size] = min(size, max(SHORT, spare // left))
        spare -= allowed[size]
    for row in rows:
        for cell, size in zip(row, natural, strict=True):
            if size in allowed:
                cell.truncate(allowed[size], overflow="ellipsis")
    return rows


def status_text(status: JobStatus) -> Text:
    """A status in its colour."""
    return Text(status, style=COLOURS[status])


def document(job: AnyJob, codec: Codec) -> Any:
    """The job as it stands in its file."""
    return json.loads(codec.encode(job, is_read=True))


def json_line(value: Any) -> str:
    """JSON on one line, ASCII only: safe for any terminal and any locale."""
    return json.dumps(value)


def age(since: datetime, now: datetime) -> str:
    """How long ago, in one unit: 45s, 12m, 3h, 9d; a time to come with a plus before it."""
    return span(now - since) if since <= now else f"in {span(since - now)}"


def span(time: timedelta) -> str:
    """A time span in one unit."""
    seconds = int(time.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def counted(count: int, what: str) -> str:
    """How many there are of something: ``3 set aside``, ``none set aside``."""
    return f"{count or 'none'} {what}"


def named(ids: Sequence[str], what: str) -> str:
    """How many there are of something, and the first of them: ``2 in two folders: j-1, j-2``."""
    return f"{counted(len(ids), what)}{': ' if ids else ''}{', '.join(ids[:5])}"
