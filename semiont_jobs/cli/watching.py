"""The command that keeps looking: watch.

It must not change anything.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from semiont_jobs.cli.app import as_json, data_dir, open_to_look
from semiont_jobs.cli.text import (
    COLOURS,
    age,
    console,
    document,
    json_line,
    progress_text,
    table,
)
from semiont_jobs.fields import now
from semiont_jobs.model import STATUSES, AnyJob, JobStats
from semiont_jobs.queue import JobQueue


@click.command()
@click.option("--interval", type=click.FloatRange(min=0.1), default=1.0, show_default=True)
@click.option("--once", is_flag=True, help="Look once and end.")
@as_json
@data_dir
def watch(interval: float, once: bool, as_json: bool) -> None:
    """Show counts and running jobs, live, until Ctrl-C. With --json: one line for every look."""
    queue = open_to_look()
    pause = threading.Event()
    if as_json:
        while True:
            click.echo(json_line(_snapshot(queue)))
            if once:
                return
            pause.wait(interval)
    out = console()
    if once:
        out.print(_view(queue))
        return
    with Live(_view(queue), console=out, auto_refresh=False, screen=out.is_terminal) as live:
        while True:
            pause.wait(interval)
            live.update(_view(queue), refresh=True)


def _snapshot(queue: JobQueue) -> dict[str, Any]:
    at = now()
    stats, running, oldest = _look(queue)
    return {
        **{status: getattr(stats, status) for status in STATUSES},
        "oldestPendingAge": None if oldest is None else (at - oldest).total_seconds(),
        "runningJobs": [document(job, queue.codec) for job in running],
    }


def _look(queue: JobQueue) -> tuple[JobStats, list[AnyJob], datetime | None]:
    pending = queue.query_jobs(status="pending", limit=None)
    at = now()
    due = [job.metadata.due for job in pending if job.metadata.is_due(at)]
    return queue.get_stats(), queue.query_jobs(status="running", limit=None), min(due, default=None)


def _view(queue: JobQueue) -> Group:
    at = now()
    stats, running, oldest = _look(queue)
    counts = Text()
    for status in STATUSES:
        counts.append(f"{status} ", style="dim")
        counts.append(f"{getattr(stats, status)}   ", style=COLOURS[status])
    waits = f"oldest waits for {age(oldest, at)}" if oldest else "nothing is due"
    rows = []
    for job in sorted(running, key=lambda each: each.metadata.id):
        found = document(job, queue.codec)
        claim = job.metadata.claim
        started = getattr(job, "started_at", at)
        rows.append(
            (
                job.metadata.id,
                job.metadata.type,
                age(started, at),
                claim.worker if claim else "not ours",
                progress_text(found.get("progress")),
            )
        )
    parts: list[Any] = [counts, Text(waits, style="dim")]
    if rows:
        parts.append(table(("running", "type", "since", "worker", "progress"), rows))
    return Group(*parts)
