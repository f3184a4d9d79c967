"""Commands that do jobs: worker, demo.

They must not know what the work is.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from queue import SimpleQueue
from typing import Any, Final

import click

from semiont_jobs.cli.app import as_json, data_dir, location
from semiont_jobs.cli.logs import log_to_stderr
from semiont_jobs.cli.text import plain
from semiont_jobs.job_types import JobType
from semiont_jobs.queue import JobQueue
from semiont_jobs.worker import JobWorker

GIVEN_BACK: Final = 3
"""Exit code: a job in hand was given back because it did not end within the grace time."""


@click.command()
@click.argument("targets", metavar="MODULE:CLASS...", nargs=-1, required=True)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Workers of each class, one thread each.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="Seconds that a job in hand has after the signal to stop.",
)
@data_dir
def worker(targets: tuple[str, ...], threads: int, grace: float) -> None:
    """Run workers until SIGTERM or Ctrl-C.

    Each MODULE:CLASS is a JobWorker class; a MODULE:NAME that is a JobType is registered, so
    that its jobs have typed params. Modules are looked for in the current directory too.

    On the first signal no more jobs are claimed and those in hand may finish; a second signal,
    or the end of the grace time, gives them back without using an attempt. Exit codes: 0
    stopped, 3 a job was given back.

    The outcome of every job is a line on standard error, unless a module sets logging up itself.
    """
    sys.path.insert(0, os.getcwd())
    found = [(target, _load(target)) for target in targets]
    types = [each for _, each in found if isinstance(each, JobType)]
    if len(types) == len(found):
        raise click.UsageError("no worker class among these, only job types")
    log_to_stderr()
    queue = JobQueue(location(), job_types=types)
    workers = [
        _made(target, each, queue)
        for target, each in found
        if not isinstance(each, JobType)
        for _ in range(threads)
    ]
    names = plain(", ".join(sorted({one.get_worker_name() for one in workers})))
    count = "1 worker" if len(workers) == 1 else f"{len(workers)} workers"
    queue.initialize()
    signals = _Signals()
    click.echo(f"{count} at work on {plain(location())}: {names}", err=True)
    for one in workers:
        one.start()
    signals.wait()
    click.echo("stopping: waiting for the jobs in hand", err=True)
    deadline = time.monotonic() + grace
    stopped = [_stop(one, deadline, signals) for one in workers]
    if not all(stopped):
        click.echo(f"given back: {stopped.count(False)}", err=True)
    queue.close()
    click.get_current_context().exit(0 if all(stopped) else GIVEN_BACK)


class _Signals:
    """SIGTERM and SIGINT, counted.

    Not an event: a handler runs in the midst of whatever the main thread does, and an event that
    is set while its own lock is held, by a wait or by another signal's handler, waits for ever.
    This kind of queue may be put into at any time.
    """

    def __init__(self) -> None:
        self._caught: SimpleQueue[int] = SimpleQueue()
        self._count = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self._count += 1
        self._caught.put(number)

    def wait(self) -> None:
        """Return once the first has come."""
        self._caught.get()

    def is_hurried(self) -> bool:
        """Whether a second one has come."""
        return self._count > 1


def _stop(one: JobWorker, deadline: float, signals: _Signals) -> bool:
    """Wait for a worker's job in hand in short slices, so that a second signal is obeyed."""
    while not one.stop(timeout=0.1):
        if signals.is_hurried() or time.monotonic() >= deadline:
            return False
    return True


def _load(target: str) -> Any:
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise click.UsageError(f"{target!r} is not of the form MODULE:CLASS")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # an application's module may fail with anything
        raise click.ClickException(f"cannot import {module_name}: {_told(error)}") from error
    try:
        found = getattr(module, name)
    except AttributeError as error:
        raise click.ClickException(f"module {module_name} has no {name}") from error
    is_worker = isinstance(found, type) and issubclass(found, JobWorker)
    if not is_worker and not isinstance(found, JobType):
        raise click.ClickException(f"{target} is neither a JobWorker class nor a JobType")
    return found


def _made(target: str, kind: type[JobWorker], queue: JobQueue) -> JobWorker:
    """A worker, checked for what would otherwise end its thread, where nobody looks."""
    try:
        one = kind(queue)
        name: object = one.get_worker_name()
        types: object = one.job_types
    except (Exception, SystemExit) as error:  # an application's class may fail with anything
        raise click.ClickException(f"cannot make a worker of {target}: {_told(error)}") from error
    if not isinstance(name, str) or not name:
        raise click.ClickException(f"{target}: get_worker_name() returns {name!r}, not a name")
    if isinstance(types, str) or not (types is None or isinstance(types, Iterable)):
        raise click.ClickException(f"{target}: job_types is {types!r}, not a list of type names")
    return one


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


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

    signal.signal(signal.SIGTERM, _leave)
    place = click.get_current_context().ensure_object(dict).get("data_dir")
    code = main(
        data_dir=place or "semiont-jobs-demo",
        chaos=chaos,
        processes=processes,
        threads=threads,
        json=as_json,
    )
    click.get_current_context().exit(code)


def _leave(number: int, _frame: object) -> None:
    # Not at once, as SIGTERM would by itself: worker processes are dismissed on the way out.
    sys.exit(128 + number)  # what shells report for a program that a signal ended
