"""Commands that only read: list, show, stats.

They must not change anything.
"""

from __future__ import annotations

from typing import Any, Final

import click
from click.core import ParameterSource
from rich.console import Console
from rich.text import Text

from semiont_jobs.cli.app import as_json, found_jobs, open_to_look, place, type_of
from semiont_jobs.cli.logs import announce
from semiont_jobs.cli.text import (
    age,
    console,
    document,
    json_line,
    plain,
    show_table,
    status_text,
)
from semiont_jobs.fields import now
from semiont_jobs.model import STATUSES, AnyJob, ClaimStamp, JobStatus

LONGEST: Final = 2000
"""Characters of a value on a terminal: about a screen, so that the rest of the job stays
visible."""


@click.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only jobs of this status.")
@click.option("--type", "type_", metavar="TYPE", help="Only jobs of this type.")
@click.option("--user-id", metavar="USER", help="Only jobs of this user.")
@click.option("--queue", metavar="QUEUE", help="Only jobs of this named queue.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="0 lists none."
)
@click.option("--all", "everything", is_flag=True, help="No limit.")
@click.option(
    "--offset",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many of the newest to leave out.",
)
@as_json
@place
def list_jobs(
    status: JobStatus | None,
    type_: str | None,
    user_id: str | None,
    queue: str | None,
    limit: int,
    everything: bool,
    offset: int,
    as_json: bool,
) -> None:
    """List jobs, newest first. With --json: one job a line, as in its file."""
    source = open_to_look()
    jobs = found_jobs(
        source,
        status=status,
        type_=type_,
        user_id=user_id,
        queue=queue,
        limit=None if everything else limit + 1,
        offset=offset,
    )
    if not everything and len(jobs) > limit:
        jobs = jobs[:limit]
        context = click.get_current_context()
        if context.get_parameter_source("limit") is ParameterSource.DEFAULT:
            context.call_on_close(
                lambda: announce(f"these are the newest {limit}: --all lists all")
            )
    if as_json:
        for job in jobs:
            click.echo(json_line(document(job, source.codec)))
        return
    at = now()
    known = type_of()
    rows = [
        (
            job.metadata.id,
            status_text(job.status),
            job.metadata.type if known is None else known(job),
            age(job.metadata.created, at),
            f"{job.metadata.retry_count}/{job.metadata.max_retries}",
            _remark(job),
        )
        for job in jobs
    ]
    if rows:
        show_table(("id", "status", "type", "age", "retries", ""), rows)
    else:
        click.echo("no jobs")


def _remark(job: AnyJob) -> str:
    if job.status == "failed":
        return job.error
    if job.status == "running" and job.metadata.claim is not None:
        return _holder(job.metadata.claim)
    if job.status == "pending" and job.metadata.run_after is not None:
        return f"due {age(job.metadata.run_after, now())}"
    return ""


def _holder(claim: ClaimStamp) -> str:
    return f"{claim.worker} (pid {claim.pid} on {claim.host})"


@click.command()
@click.argument("job_id", metavar="ID")
@as_json
@place
def show(job_id: str, as_json: bool) -> None:
    """Show one job: its state, its params, and its attempts."""
    queue = open_to_look()
    job = queue.get_job(job_id)
    if job is None:
        raise click.ClickException(f"there is no job {job_id}")
    if as_json:
        click.echo(json_line(document(job, queue.codec)))
        return
    out = console()
    found = document(job, queue.codec)
    for key, value in _facts(job, found):
        out.print(Text.assemble((f"{key:<12} ", "bold"), plain(value)), soft_wrap=True)
    for name in ("params", "progress", "result"):
        if found.get(name):
            out.print(Text(f"{name}", style="bold"))
            for key, value in (
                found[name].items() if isinstance(found[name], dict) else [("", found[name])]
            ):
                text = value if isinstance(value, str) else json_line(value)
                # rich takes minutes to break a line of some megabytes: the terminal breaks lines
                # instead.
                out.print(Text(f"  {plain(key)}: {_cut(text, out)}"), soft_wrap=True)
    _show_attempts(job, out)


def _cut(text: str, out: Console) -> str:
    """A value, escaped; on a terminal only the beginning of a long one."""
    more = len(text) - LONGEST
    if more <= 0 or not out.is_terminal:
        return plain(text)
    return f"{plain(text[:LONGEST])}... {more:,} more characters: --json shows all"


def _facts(job: AnyJob, found: dict[str, Any]) -> list[tuple[str, object]]:
    metadata = job.metadata
    facts: list[tuple[str, object]] = [
        ("id", metadata.id),
        ("status", job.status),
        ("type", metadata.type),
        ("user", metadata.user_id),
        ("created", found["metadata"]["created"]),
        ("retries", f"{metadata.retry_count} of {metadata.max_retries}"),
    ]
    facts += [
        (label, found[key])
        for key, label in (("startedAt", "started"), ("completedAt", "ended"), ("error", "error"))
        if key in found
    ]
    if metadata.claim is not None:
        facts.append(("worker", _holder(metadata.claim)))
    if metadata.completed_units:
        facts.append(("done units", ", ".join(metadata.completed_units)))
    return facts


def _show_attempts(job: AnyJob, out: Console) -> None:
    if not job.metadata.attempts:
        return
    rows = [
        (
            attempt.number,
            attempt.outcome,
            f"{attempt.started_at:%Y-%m-%d %H:%M:%S}",
            # After a clock was set back, a negative time would mislead.
            f"{max(0.0, (attempt.ended_at - attempt.started_at).total_seconds()):.1f}s",
            attempt.worker,
            attempt.error or "",
        )
        for attempt in job.metadata.attempts
    ]
    show_table(("attempt", "outcome", "started (UTC)", "took", "worker", ""), rows, folds=True)
    last = job.metadata.attempts[-1]
    if last.traceback:
        out.print(Text("traceback of the last", style="bold"))
        for line in last.traceback.splitlines():
            out.print(Text(f"  {plain(line)}"), soft_wrap=True)


@click.command()
@as_json
@place
def stats(as_json: bool) -> None:
    """Count the jobs in each status."""
    found = open_to_look().get_stats()
    counts = {status: getattr(found, status) for status in STATUSES}
    if as_json:
        click.echo(json_line({**counts, "total": found.total}))
        return
    rows: list[tuple[object, object]] = [(status_text(each), counts[each]) for each in STATUSES]
    show_table(("status", "jobs"), [*rows, ("all", found.total)])
