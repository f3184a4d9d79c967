"""Commands that do jobs: worker, demo.

They must not know what the work is.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

import click

from semiont_jobs.cli.app import as_json, data_dir, place, shown, store_there
from semiont_jobs.cli.logs import log_to_stderr
from semiont_jobs.cli.reloading import Reloader, start_again
from semiont_jobs.cli.text import plain
from semiont_jobs.errors import InvalidValue
from semiont_jobs.handlers import Handler
from semiont_jobs.job_types import JobType
from semiont_jobs.pool import GRACE, STUCK_AFTER, WorkerPool, checked_post
from semiont_jobs.queue import JobQueue
from semiont_jobs.worker import JobWorker


class Size(click.ParamType[int]):
    """A number of bytes such as 500000, 800M or 2G."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,15})([KMG]?)", value)
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no number of bytes: 500000, 800M or 2G", param, ctx)
        return int(found[1]) << 10 * " KMG".index(found[2] or " ")


class Names(click.ParamType[list[str]]):
    """Names, with commas between them."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """Each of them."""
        if isinstance(value, list):
            return value
        names = [name.strip() for name in value.split(",")]
        if not all(names):
            self.fail(f"{value!r} has an empty name in it", param, ctx)
        return names


@click.command()
@click.argument("targets", metavar="MODULE:NAME...", nargs=-1, required=True)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Jobs at a time in each process.",
)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--grace",
    type=click.FloatRange(min=0, max=1e9),
    default=GRACE,
    show_default=True,
    help="Seconds that jobs in hand have after the signal to stop.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, max=1e9, min_open=True),
    help="Seconds an attempt may take where neither job, type nor worker says.",
)
@click.option(
    "--stuck-after",
    type=click.FloatRange(min=0, max=1e9),
    default=STUCK_AFTER,
    show_default=True,
    help="Seconds beyond its time limit after which work that ignores it is given up.",
)
@click.option(
    "--max-jobs", type=click.IntRange(min=1), help="Replace a process after so many jobs."
)
@click.option(
    "--max-rss", type=Size(), metavar="BYTES", help="Replace a process that is larger: 800M, 2G."
)
@click.option("--burst", is_flag=True, help="Leave when there is nothing to do.")
@click.option("--types", type=Names(), metavar="TYPE,...", help="Only these of the workers' types.")
@click.option("--queues", type=Names(), metavar="QUEUE,...", help="Only these named queues.")
@click.option("--reload", is_flag=True, help="Start again when a module changes: for development.")
@place
def worker(targets: tuple[str, ...], reload: bool, **options: Any) -> None:
    """Run workers until SIGTERM or Ctrl-C.

    Each MODULE:NAME is a JobWorker class, a handler, a function that makes a worker, or a list of
    such; each thread takes the next job that any of them wants. One that is a JobType is
    registered, so that its jobs have typed params. Modules are looked for in the current directory
    too.

    On the first signal no more jobs are claimed, and those in hand may finish. At the end of the
    grace time, or on a second signal, they are given back without using an attempt. Exit codes: 0
    stopped, 3 a job was given back, 4 processes died again and again.

    The outcome of every job is a line on standard error, unless a module sets logging up itself.
    """
    sys.path.insert(0, os.getcwd())
    if not reload:
        click.get_current_context().exit(_run(targets, options))
    log_to_stderr()
    reloader, code = Reloader(), 1
    try:
        code = _run(targets, options, reloader=reloader)
    except click.ClickException as error:
        click.echo(f"semiont-jobs: error: {plain(error.format_message())}", err=True)
        click.echo("waiting for a change", err=True)
        reloader.wait(error)
    if reloader.has_changed:
        click.echo("a module has changed: starting again", err=True)
        start_again()
    click.get_current_context().exit(code)


def _run(
    targets: tuple[str, ...], options: dict[str, Any], *, reloader: Reloader | None = None
) -> int:
    found = [(target, each) for target in targets for each in _load(target)]
    types = [each for _, each in found if isinstance(each, JobType)]
    if len(types) == len(found):
        raise click.UsageError("no worker class among these, only job types")
    log_to_stderr()
    queue = JobQueue(store_there(), job_types=types)
    workers = [(target, each) for target, each in found if not isinstance(each, JobType)]
    try:
        made = [checked_post(each, queue, label=target).make(queue) for target, each in workers]
        pool = WorkerPool(
            queue, [each for _, each in workers], initializer=log_to_stderr, **options
        )
    except InvalidValue as error:
        if error.field in options:
            hint = f"--{error.field.replace('_', '-')}"
            raise click.BadParameter(error.reason, param_hint=hint) from error
        raise click.ClickException(error.reason) from error
    queue.initialize()
    if reloader is not None:
        reloader.watch(pool.stop)
    count = options["threads"] * options["processes"]
    names = plain(", ".join(sorted({one.get_worker_name() for one in made})))
    at_work = "1 worker" if count == 1 else f"{count} workers"
    code = pool.run(
        on_start=lambda: click.echo(f"{at_work} at work on {plain(shown())}: {names}", err=True)
    )
    if pool.given_back:
        click.echo(f"given back: {pool.given_back}", err=True)
    queue.close()
    return code


def _load(target: str) -> list[Any]:
    """What a target names; each of them, if it is a list."""
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise click.UsageError(f"{target!r} is not of the form MODULE:NAME")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # an application's module may fail with anything
        told = f"{type(error).__name__}: {error}"
        raise click.ClickException(f"cannot import {module_name}: {told}") from error
    try:
        found = getattr(module, name)
    except AttributeError as error:
        raise click.ClickException(f"module {module_name} has no {name}") from error
    several = list(found) if isinstance(found, list | tuple) else [found]
    for each in several:
        is_worker = isinstance(each, type) and issubclass(each, JobWorker)
        is_factory = callable(each) and not isinstance(each, type)
        if not (is_worker or is_factory or isinstance(each, Handler | JobType)):
            raise click.ClickException(
                f"{target} is neither a JobWorker class nor a JobType, a handler, or a list of such"
            )
    return several


@click.command()
@click.option(
    "--chaos", is_flag=True, help="Kill worker processes with SIGKILL in the middle of jobs."
)
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Threads of each of the six workers in each process.",
)
@as_json
@data_dir
def demo(chaos: bool, processes: int, threads: int, as_json: bool) -> None:
    """Annotate the Python language reference, six jobs for each of its documents.

    Default directory: ./semiont-jobs-demo, made anew; it stays. Exit codes: 0 nothing was lost
    and no outcome recorded twice, 1 otherwise.
    """
    from semiont_jobs.demo.run import main

    folder = click.get_current_context().ensure_object(dict).get("data_dir")
    code = main(
        data_dir=folder or "semiont-jobs-demo",
        chaos=chaos,
        processes=processes,
        threads=threads,
        json=as_json,
    )
    click.get_current_context().exit(code)
