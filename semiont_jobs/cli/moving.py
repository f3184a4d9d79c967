"""The command that moves jobs from one place to another.

It must not know how they are moved (`transfer`).
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, Final

import click

from semiont_jobs.cli.app import Duration, as_json, check_shared, check_there, shown_of, store_of
from semiont_jobs.cli.logs import announce
from semiont_jobs.cli.text import json_line, plain
from semiont_jobs.errors import InvalidValue
from semiont_jobs.queue import JobQueue
from semiont_jobs.stores import is_url
from semiont_jobs.transfer import Report, transfer

MOST_NAMED: Final = 10
"""Ids that are printed on one line."""


@click.command("transfer")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--wait",
    type=Duration(),
    default="30s",
    show_default=True,
    help="How long to wait for running jobs to end.",
)
@as_json
def move(source: str, target: str, wait: timedelta, as_json: bool) -> None:
    """Move every job FROM one place TO another: data directories, postgresql:// URLs.

    Creates a missing TO. Ids, revisions and documents stay as they are. Workers may go on on both
    sides: at every moment a job can be worked on in one place only. Run the command again to finish
    an interrupted transfer. Exit codes: 0 all moved, 1 some stay.
    """
    _check(source, target)
    with _opened(source) as one, _opened(target) as other:
        report = transfer(one, other, wait=wait.total_seconds())
        counts = (one.get_stats(), other.get_stats())
    if as_json:
        click.echo(json_line(_told(report)))
    else:
        _tell(report, left=counts[0].total, there=counts[1].total)
    if not report.is_whole:
        click.get_current_context().exit(1)


def _check(source: str, target: str) -> None:
    for place in (source, target):
        check_shared(place)
    check_there(source)
    if _identity(source) == _identity(target):
        raise click.UsageError("FROM and TO are the same place")
    if _lies_among_jobs_of(source, target) or _lies_among_jobs_of(target, source):
        raise click.UsageError("FROM and TO: one lies in the other's 'jobs' folder")


def _lies_among_jobs_of(place: str, other: str) -> bool:
    if is_url(place) or is_url(other):
        return False
    folder = os.path.join(_identity(other), "jobs")
    return os.path.commonpath([_identity(place), folder]) == folder


def _identity(place: str) -> str:
    """The same string for the same place, however it was written."""
    return shown_of(place) if is_url(place) else os.path.realpath(place)


def _opened(place: str) -> JobQueue:
    try:
        return JobQueue(store_of(place))
    except InvalidValue as error:
        raise click.ClickException(f"{place}: {error.reason}") from error


def _told(report: Report) -> dict[str, Any]:
    return {
        "moved": dict(report.moved),
        "resumed": report.resumed,
        "running": report.running,
        "refused": report.refused,
        "waiting": report.waiting,
        "halfway": report.halfway,
    }


def _tell(report: Report, *, left: int, there: int) -> None:
    parts = ", ".join(f"{count} {status}" for status, count in report.moved.items() if count)
    if report.resumed:
        click.echo(f"{report.resumed} of an earlier transfer that was broken off")
    click.echo(f"{sum(report.moved.values())} moved{f': {parts}' if parts else ''}")
    click.echo(f"{there} are there now, {left} stay")
    if report.running:
        named = ", ".join(report.running[:MOST_NAMED])
        more = len(report.running) - MOST_NAMED
        announce(f"still at work: {named}{f' and {more} more' if more > 0 else ''}")
        announce("run this again when they have ended, or with a longer --wait")
    for job_id, reason in report.refused.items():
        announce(f"{job_id} stays: {plain(reason)}")
    for count, way in (
        (report.waiting, "on their way from another place to TO"),
        (report.halfway, "on their way to FROM, or from there to another place"),
    ):
        if count:
            announce(f"{count} more {way}, in a transfer that was broken off: run it again")
