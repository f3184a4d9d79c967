"""What the demonstration shows while it runs.

It must not know how jobs are run: it is given counts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, Self


class Display(Protocol):
    """Shows the progress of every type."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def show(self, done: Mapping[str, int], *, killed: int) -> None:
        """Show how many jobs of each type have an outcome, and how many processes were killed."""
        ...


def display_for(totals: Mapping[str, int], *, quiet: bool) -> Display:
    """Bars on a terminal if rich is installed, else lines now and then."""
    if quiet:
        return Silence()
    if sys.stderr.isatty():
        try:
            return Bars(totals)
        except ImportError:
            pass
    return Lines(totals)


class Silence(AbstractContextManager["Silence"]):
    """Shows nothing: a program reads the report."""

    def __exit__(self, *exc: object) -> None:
        return None

    def show(self, done: Mapping[str, int], *, killed: int) -> None:
        """Show nothing."""


class Lines(AbstractContextManager["Lines"]):
    """Prints a line for every tenth of the jobs."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        self._total = sum(totals.values())
        self._tenth = 0

    def __exit__(self, *exc: object) -> None:
        return None

    def show(self, done: Mapping[str, int], *, killed: int) -> None:
        """Print a line if another tenth is done."""
        finished = sum(done.values())
        tenth = finished * 10 // self._total
        if tenth > self._tenth:
            self._tenth = tenth
            deaths = f", {killed} worker processes killed" if killed else ""
            print(f"{finished} of {self._total} jobs done{deaths}", file=sys.stderr)


class Bars:
    """Shows one bar for every type, and one for all."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            expand=True,
        )
        self._bars = {
            name: self._progress.add_task(name, total=total) for name, total in totals.items()
        }
        self._all = self._progress.add_task("[bold]all jobs", total=sum(totals.values()))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def show(self, done: Mapping[str, int], *, killed: int) -> None:
        """Move the bars."""
        for name, bar in self._bars.items():
            self._progress.update(bar, completed=done.get(name, 0))
        deaths = f" [red]({killed} killed)" if killed else ""
        self._progress.update(
            self._all, completed=sum(done.values()), description=f"[bold]all jobs[/]{deaths}"
        )
