"""The command for programs that monitor: metrics.

It must not change anything.
"""

from __future__ import annotations

from typing import Any

import click

from semiont_jobs.cli.app import as_json, open_to_look, place
from semiont_jobs.cli.text import json_line
from semiont_jobs.metrics import BOUNDS, Histogram, StoredMetrics
from semiont_jobs.prometheus import prometheus_text


@click.command()
@as_json
@place
def metrics(as_json: bool) -> None:
    """Write figures of the stored jobs in Prometheus' text format.

    By type and named queue: jobs in each status, how many are due and how long the oldest of them
    has waited, retries, rescues, and how long finished jobs waited and ran. All figures come from
    the place itself, where every job is read: 100 000 take some seconds.
    """
    found = open_to_look().metrics()
    if not as_json:
        click.echo(prometheus_text(found), nl=False)
        return
    click.echo(
        json_line(
            {
                "at": found.at.isoformat(),
                "due": found.due,
                "oldestDueAge": found.oldest_due_age,
                "unreadable": found.unreadable,
                "stored": [_document(one) for one in found.stored],
            }
        )
    )


def _document(one: StoredMetrics) -> dict[str, Any]:
    return {
        "type": one.type,
        "queue": one.queue,
        "jobs": dict(one.jobs),
        "due": one.due,
        "oldestDueAge": one.oldest_due_age,
        "retries": one.retries,
        "rescues": one.rescues,
        "failures": one.failures,
        "waitSeconds": _histogram(one.wait),
        "runSeconds": _histogram(one.run),
    }


def _histogram(found: Histogram) -> dict[str, Any]:
    buckets = [
        {"atMost": bound, "count": count} for bound, count in zip(BOUNDS, found.counts, strict=True)
    ]
    return {"count": found.count, "sum": found.sum, "buckets": buckets}
