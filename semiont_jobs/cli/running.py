"""Commands that do jobs: worker, demo.

They must not know what the jobs do.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from functools import partial
from typing import Any

import click

from semiont_jobs.cli.app import as_json, data_dir, place, store_there
from semiont_jobs.cli.logs import announce, log_to_stderr
from semiont_jobs.cli.pools import pool_options, reloading, run_pool
from semiont_jobs.cli.reloading import Reloader
from semiont_jobs.cli.text import plain
from semiont_jobs.handlers import Handler
from semiont_jobs.job_types import JobType
from semiont_jobs.queue import JobQueue
from semiont_jobs.stores.files.forcing import DURABILITIES
from semiont_jobs.worker import JobWorker


@click.command()
@click.argument("targets", metavar="MODULE:NAME...", nargs=-1, required=True)
@click.option(
    "--durability",
    type=click.Choice(DURABILITIES),
    default="fsync",
    show_default=True,
    help="What outcomes survive: a power cut (fsync, journal), or only a crash (process).",
)
@pool_options
@place
def worker(targets: tuple[str, ...], durability: str, reload: bool, **options: Any) -> None:
    """Run workers until SIGTERM, Ctrl-C or the end of the terminal (SIGHUP).

    Each MODULE:NAME is a JobWorker class, a handler, a function that makes a worker, or a list of
    these; each thread takes the next job that any of them wants. A JobType is registered, so that
    its jobs have typed params. Modules are also looked for in the current directory. Creates a
    missing data directory or schema.

    On the first signal no more jobs are claimed, and running jobs may finish. At the end of the
    grace time, or on a second signal, they are released without using an attempt. Exit codes: 0
    stopped, 3 a job was released, 4 processes died again and again.

    The outcome of every job is a line on standard error, unless a module sets logging up itself.
    """
    sys.path.insert(0, os.getcwd())
    code = reloading(partial(_run, targets, durability, options), reload=reload)
    click.get_current_context().exit(code)


def _run(
    targets: tuple[str, ...], durability: str, options: dict[str, Any], reloader: Reloader | None
) -> int:
    found = [(target, each) for target in targets for each in _load(target)]
    types = [each for _, each in found if isinstance(each, JobType)]
    if len(types) == len(found):
        raise click.UsageError("no worker class among these, only job types")
    log_to_stderr()
    queue = JobQueue(store_there(durability=durability), job_types=types)
    workers = [(target, each) for target, each in found if not isinstance(each, JobType)]
    return run_pool(queue, workers, options, reloader=reloader)


def _show_where(error: BaseException) -> None:
    """Print where in the module's code the error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    # The first frames are ours and Python's own, which find and load modules.
    theirs = [each for each in frames[1:] if not each.filename.startswith("<frozen importlib")]
    outside = [each for each in theirs if each.filename != importlib.__file__]
    for line in traceback.format_list(outside):
        for each in line.splitlines():
            announce(plain(each))


def _load(target: str) -> list[Any]:
    """What a target names; the elements, if it is a list."""
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise click.UsageError(f"{target!r} is not of the form MODULE:NAME")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # an application's module may fail with anything
        _show_where(error)
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
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Processes at work.",
)
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

    Without --data-dir it uses ./semiont-jobs-demo. Creates a missing directory, replaces that of an
    earlier demonstration, and leaves it there. Exit codes: 0 all jobs complete, none lost, no
    outcome recorded twice; 1 otherwise.
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
