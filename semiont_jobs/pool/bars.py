"""A progress bar on a terminal, drawn by rich if that is installed.

It must not know what makes progress.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(label: str, total: int | None, *, is_wanted: bool) -> Iterator[Callable[[], object]]:
    """Yield a function to call for each step that is done. Nothing is shown unless standard error
    is a terminal and rich is installed."""
    if not is_wanted or not sys.stderr.isatty():
        yield _nothing
        return
    try:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
        from rich.text import Text
    except ModuleNotFoundError:
        yield _nothing
        return
    columns = (*Progress.get_default_columns()[:3], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(Text(label).markup, total=total)
        yield lambda: progress.advance(task)


def _nothing() -> None:
    """A step is done; no bar shows it."""
