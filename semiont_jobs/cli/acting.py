"""Commands that change jobs: enqueue, retry, cancel, cleanup, remove, rescue.

They must not know how a job is stored.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from semiont_jobs import lifecycle
from semiont_jobs.cli.app import (
    Duration,
    Seconds,
    When,
    as_json,
    each,
    found_jobs,
    open_or_make_queue,
    open_queue,
    place,
    type_of,
)
from semiont_jobs.cli.logs import announce
from semiont_jobs.cli.text import json_line, named, plain
from semiont_jobs.errors import InvalidTransition, JobNotFound, SemiontJobsError
from semiont_jobs.ids import job_id, new_job_id
from semiont_jobs.model import (
    DEFAULT_MAX_RETRIES,
    DEFAULT_QUEUE,
    DEFAULT_USER,
    FINISHED,
    UNFINISHED,
    JobMetadata,
    JobStatus,
    PendingJob,
)
from semiont_jobs.queue import JobQueue

F = TypeVar("F", bound=Callable[..., Any])

RETRIED: Final[Sequence[JobStatus]] = [
    status for status in FINISHED if lifecycle.allows("retry", status)
]


@click.command()
@click.argument("type_", metavar="TYPE")
@click.option(
    "--params",
    metavar="JSON|@FILE|-",
    help="The params: a JSON object, a file with one, or - for standard input. Default: {}.",
)
@click.option("--batch", is_flag=True, help="One params object per line; made durable together.")
@click.option("--id", "id_", metavar="ID", help="Default: a new one, sortable by time.")
@click.option(
    "--user-id", metavar="USER", default=DEFAULT_USER, show_default=True, help="Whose job it is."
)
@click.option(
    "--queue",
    metavar="QUEUE",
    default=DEFAULT_QUEUE,
    show_default=True,
    help="The named queue it is in.",
)
@click.option(
    "--priority",
    type=int,
    default=0,
    show_default=True,
    help="-100 to 100; jobs of a higher priority are claimed first.",
)
@click.option("--run-after", type=When(), help="An ISO 8601 instant, or a time span such as 10m.")
@click.option(
    "--max-retries",
    type=int,
    default=DEFAULT_MAX_RETRIES,
    show_default=True,
    help="Attempts after the first one that fails.",
)
@click.option("--timeout", type=Seconds(), help="Seconds an attempt may take, or 30m, 2h.")
@as_json
@place
def enqueue(
    type_: str, params: str | None, batch: bool, id_: str | None, as_json: bool, **metadata: Any
) -> None:
    """Create a job of TYPE, and print its id. Creates a missing data directory or schema."""
    if batch and id_ is not None:
        raise click.UsageError("--id names one job, --batch makes many")
    if batch and params is None:
        raise click.UsageError("--batch wants --params @FILE, or - for standard input")
    text = "{}" if params is None else _text_of(params)
    documents = [("", text)]
    if batch:
        lines = enumerate(text.split("\n"), start=1)
        documents = [(f"line {number} of ", line) for number, line in lines if line.strip()]
    queue = open_or_make_queue()
    jobs = [
        _new_job(queue, type_, document, id_, metadata, where=where)
        for where, document in documents
    ]
    if len(jobs) == 1:
        queue.create_job(jobs[0])  # a disk error names the job
    else:
        queue.create_jobs(jobs)
    try:
        for job in jobs:
            click.echo(json_line({"id": job.metadata.id}) if as_json else job.metadata.id)
    except BrokenPipeError:
        raise
    except OSError as error:  # it must not look as if the jobs were to be enqueued again
        created = named([job.metadata.id for job in jobs], "created all the same")
        raise click.ClickException(f"standard output: {error.strerror}; {created}") from error


def _text_of(params: str) -> str:
    try:
        if params == "-":
            return _read_stdin()
        return Path(params[1:]).read_text("utf-8") if params.startswith("@") else params
    except UnicodeDecodeError as error:
        raise click.UsageError(f"--params is not UTF-8: {error}") from error


def _read_stdin() -> str:
    try:
        return sys.stdin.read()
    except OSError as error:
        raise click.ClickException(f"standard input: {error.strerror}") from error


def _new_job(
    queue: JobQueue,
    type_: str,
    text: str,
    id_: str | None,
    metadata: dict[str, Any],
    *,
    where: str,
) -> PendingJob[Any]:
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise click.UsageError(f"{where}--params is not JSON: {error}") from error
    except RecursionError as error:
        raise click.UsageError(f"{where}--params is nested too deeply") from error
    if not isinstance(data, dict):
        raise click.UsageError(f"{where}--params must be a JSON object")
    made = JobMetadata(id=new_job_id() if id_ is None else job_id(id_), type=type_, **metadata)
    try:
        job = PendingJob(metadata=made, params=queue.codec.params(type_, data))
        # For the check alone: a job that cannot be encoded, or is too large, is refused before a
        # directory is created.
        queue.codec.encode(job, is_new=True)
    except SemiontJobsError as error:
        if not where:
            raise
        raise click.ClickException(f"{where}--params: {error}") from error
    return job


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number that it knows")


def which(everything: str, statuses: Sequence[JobStatus]) -> Callable[[F], F]:
    """Add the arguments that select jobs: ids, filters, or all; checked by `_chosen`."""
    options = (
        click.argument("ids", metavar="[ID]...", nargs=-1),
        click.option("--all", "everything", is_flag=True, help=everything),
        click.option("--status", type=click.Choice(statuses), help="Only jobs of this status."),
        click.option("--type", metavar="TYPE", help="Only jobs of this type."),
        click.option("--user-id", metavar="USER", help="Only jobs of this user."),
        click.option("--queue", metavar="QUEUE", help="Only jobs of this named queue."),
    )
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def _chosen(ids: tuple[str, ...], everything: bool, filters: dict[str, Any]) -> dict[str, Any]:
    """The filters that were given.

    :raises click.UsageError: the jobs are not selected, or are selected in two ways.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    if ids and (everything or given):
        raise click.UsageError("either name jobs or give filters or --all")
    if not (ids or everything or given):
        raise click.UsageError("name jobs, give filters (--type, --queue, ...), or --all")
    return given


@click.command()
@which("Every failed job.", RETRIED)
@as_json
@place
def retry(ids: tuple[str, ...], everything: bool, as_json: bool, **filters: Any) -> None:
    """Give failed or cancelled jobs another try, with a fresh budget of retries.

    Selects the jobs named, the failed jobs that match all filters, or with --all every failed job.
    For cancelled jobs give --status cancelled.
    """
    chosen = _chosen(ids, everything, filters)
    queue = open_queue()
    if ids:
        _tell_each(each(ids, queue.retry_job), lambda _id: "retried", as_json=as_json)
        return
    chosen.setdefault("status", "failed")
    count = _done_to_all(queue, queue.retry_jobs, lambda id_: bool(queue.retry_job(id_)), chosen)
    click.echo(json_line({"retried": count}) if as_json else f"{count} retried")


@click.command()
@which("Every pending or running job.", UNFINISHED)
@as_json
@place
def cancel(ids: tuple[str, ...], everything: bool, as_json: bool, **filters: Any) -> None:
    """Cancel pending jobs at once; ask the code of running ones to stop.

    Selects the jobs named, those that match all filters, or all with --all.
    """
    chosen = _chosen(ids, everything, filters)
    queue = open_queue()
    if ids:
        outcomes: dict[str, str] = {}
        rows = each(ids, lambda one: _cancelled(queue, one, outcomes))
        _tell_each(rows, outcomes.__getitem__, as_json=as_json)
        return
    count = _done_to_all(queue, queue.cancel_jobs, queue.cancel_job, chosen)
    click.echo(
        json_line({"cancelled": count}) if as_json else f"{count} cancelled or asked to stop"
    )


def _done_to_all(
    queue: JobQueue,
    verb: Callable[..., int],
    to_one: Callable[[str], bool],
    chosen: dict[str, Any],
) -> int:
    """Act on all that match; one by one if users know job types by other names."""
    if "type" not in chosen or type_of() is None:
        return verb(**chosen)
    filters = {name: value for name, value in chosen.items() if name != "type"}
    jobs = found_jobs(queue, type_=chosen["type"], **filters)
    return sum(to_one(job.metadata.id) for job in jobs)


def _cancelled(queue: JobQueue, id_: str, outcomes: dict[str, str]) -> bool:
    if queue.cancel_job(id_):
        job = queue.get_job(id_)
        # One that was asked may be anything by now: complete, or pending to be tried again.
        is_over = job is None or job.status == "cancelled"
        outcomes[id_] = "cancelled" if is_over else "asked to stop"
        return True
    job = queue.get_job(id_)
    reason = "there is no such job" if job is None else f"it is {job.status} already"
    raise InvalidTransition(id_, reason)


@click.command()
@click.option(
    "--older-than",
    type=Duration(),
    required=True,
    help="Only jobs that ended so long ago: 90s, 12h, 7d, 2w.",
)
@click.option("--cancelled", is_flag=True, help="Cancelled jobs too.")
@click.option("--status", type=click.Choice(FINISHED), help="Only jobs with this outcome.")
@as_json
@place
def cleanup(
    older_than: timedelta, cancelled: bool, status: JobStatus | None, as_json: bool
) -> None:
    """Remove complete and failed jobs that ended long ago."""
    if cancelled and status is not None:
        raise click.UsageError("either --cancelled or --status")
    queue = open_queue()
    count = queue.cleanup_completed_jobs(older_than, cancelled=cancelled, status=status)
    click.echo(json_line({"removed": count}) if as_json else f"{count} removed")


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@place
def remove(ids: tuple[str, ...], as_json: bool) -> None:
    """Remove finished jobs for good, even if they ended recently.

    Cancel pending or running jobs first.
    """
    queue = open_queue()
    rows = each(ids, lambda one: _removed(queue, one))
    _tell_each(rows, lambda _id: "removed", as_json=as_json)


def _removed(queue: JobQueue, id_: str) -> bool:
    if queue.remove_job(id_):
        return True
    raise JobNotFound(id_)


@click.command()
@as_json
@place
def rescue(as_json: bool) -> None:
    """Make the jobs of dead workers pending again. Workers do this by themselves."""
    count = open_queue().rescue_orphans()
    click.echo(json_line({"rescued": count}) if as_json else f"{count} rescued")


def _tell_each(
    rows: Iterable[dict[str, Any]], outcome: Callable[[str], str], *, as_json: bool
) -> None:
    failed = False
    for row in rows:
        failed = failed or not row["done"]
        if as_json:
            click.echo(json_line(row))
        elif row["done"]:
            click.echo(f"{plain(row['id'])} {outcome(row['id'])}")
        else:
            announce(f"semiont-jobs: error: {plain(row['error'])}")
    if failed:
        click.get_current_context().exit(1)
