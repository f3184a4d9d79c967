"""The command that shows the jobs live: watch.

It must not change anything.
"""

from __future__ import annotations

import queue as queues
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from semiont_jobs.cli.app import as_json, check_there, location, open_to_look, place, shown
from semiont_jobs.cli.board import Board, Row, View
from semiont_jobs.cli.screen import lines_of, places_on
from semiont_jobs.cli.text import console, document, json_line, plain
from semiont_jobs.fields import now
from semiont_jobs.model import RunningJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.stores import is_url


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Look once and end.")
@as_json
@place
def watch(interval: float, once: bool, as_json: bool) -> None:
    """Show the jobs live, until Ctrl-C. With --json: one line for every look.

    Counts by type, rates of the last minute, how long the oldest due job has waited, and the
    running jobs with their progress: a bar if it has a percentage or counts of done and total.
    """
    queue = open_to_look()
    out = console()
    pause = queues.SimpleQueue[None]()
    # A full screen is redrawn when its size changes, not only at the next look.
    with _noting_resizes(pause) if out.is_terminal and not once else _quietly():
        if as_json:
            _write_lines(queue, pause, interval, once=once)
        elif once or not out.is_terminal:
            _print(queue, out, pause, interval, once=once)
        else:
            _show(queue, out, pause, interval)


def _write_lines(
    queue: JobQueue, pause: queues.SimpleQueue[None], interval: float, *, once: bool
) -> None:
    board = Board(queue, clock=now)
    while True:
        _check_still_there()
        click.echo(json_line(_document(queue, board.look(places_on(None)))))
        if once:
            return
        _wait(pause, interval)


def _print(
    queue: JobQueue, out: Console, pause: queues.SimpleQueue[None], interval: float, *, once: bool
) -> None:
    board = Board(queue, clock=now)
    while True:
        _check_still_there()
        view = board.look(places_on(None))
        out.print(Group(*lines_of(view, width=out.width, height=None)))
        if once:
            return
        out.print()
        _wait(pause, interval)


def _show(queue: JobQueue, out: Console, pause: queues.SimpleQueue[None], interval: float) -> None:
    title = plain(shown())
    # The first look reads every job: a user who waits for it should know why.
    with Live(Text(f"reading {title} ..."), console=out, auto_refresh=False, screen=True) as live:
        live.refresh()
        board = Board(queue, clock=now)
        while True:
            _check_still_there()
            width, height = out.size
            view = board.look(places_on(height))
            live.update(
                Group(*lines_of(view, width=width, height=height, title=title)), refresh=True
            )
            _wait(pause, interval)


def _check_still_there() -> None:
    """Check the directory: a missing one would look like one without jobs. A server that is away
    raises."""
    where = location()
    if not is_url(where):
        check_there(where)


def _wait(pause: queues.SimpleQueue[None], seconds: float) -> None:
    try:
        pause.get(timeout=seconds)
    except queues.Empty:
        return


@contextmanager
def _noting_resizes(pause: queues.SimpleQueue[None]) -> Iterator[None]:
    # Not an event: a signal handler must not set what the main thread waits for (see
    # `pool.signals`).
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: pause.put(None))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def _quietly() -> Iterator[None]:
    yield


def _document(queue: JobQueue, view: View) -> dict[str, Any]:
    found = [queue.get_job(one.id) for one in view.at_work if one is not None]
    return {
        "at": view.at.isoformat(),
        **{str(status): count for status, count in view.jobs.items()},
        "due": view.due,
        "oldestPendingAge": view.oldest_due_age if view.due else None,
        "donePerMinute": view.done,
        "failedPerMinute": view.failed,
        "retries": view.retries,
        "rescues": view.rescues,
        "unreadable": view.unreadable,
        "types": [_row(row) for row in view.rows],
        "runningJobs": [document(job, queue.codec) for job in found if isinstance(job, RunningJob)],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "type": row.stored.type,
        "queue": row.stored.queue,
        **{str(status): count for status, count in row.stored.jobs.items()},
        "due": row.stored.due,
        "oldestPendingAge": row.stored.oldest_due_age if row.stored.due else None,
        "retries": row.stored.retries,
        "rescues": row.stored.rescues,
        "donePerMinute": row.done,
        "failedPerMinute": row.failed,
    }
