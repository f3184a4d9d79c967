"""A pool as a command runs it: its options, and what is printed about it.

It must not know where the workers come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from semiont_jobs.cli.app import Seconds, shown
from semiont_jobs.cli.logs import announce, log_to_stderr
from semiont_jobs.cli.reloading import Reloader, start_again
from semiont_jobs.cli.text import plain
from semiont_jobs.errors import InvalidValue, JobHeld, StoreError
from semiont_jobs.model import AnyJob
from semiont_jobs.pool import GIVEN_BACK, GRACE, STUCK_AFTER, WorkerPool, checked_post
from semiont_jobs.queue import JobQueue
from semiont_jobs.worker import JobWorker

F = TypeVar("F", bound=Callable[..., Any])


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
    """Names, separated by commas."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        """A list of them."""
        if isinstance(value, list):
            return value
        names = [name.strip() for name in value.split(",")]
        if not all(names):
            self.fail(f"{value!r} has an empty name in it", param, ctx)
        return names


_OPTIONS: Final = (
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Jobs at a time in each process.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Processes at work; one that dies is replaced.",
    ),
    click.option(
        "--grace",
        type=Seconds(),
        default=GRACE,
        show_default=True,
        help="Seconds that running jobs have after the signal to stop.",
    ),
    click.option(
        "--timeout",
        type=Seconds(),
        help="Seconds an attempt may take if job, type and worker set no limit, or 30m, 2h.",
    ),
    click.option(
        "--stuck-after",
        type=Seconds(),
        default=STUCK_AFTER,
        show_default=True,
        help="Seconds beyond the time limit after which code that ignores it counts as stuck.",
    ),
    click.option(
        "--max-jobs", type=click.IntRange(min=1), help="Replace a process after so many jobs."
    ),
    click.option(
        "--max-rss",
        type=Size(),
        metavar="BYTES",
        help="Replace a process that has more memory: 800M, 2G.",
    ),
    click.option("--burst", is_flag=True, help="Leave when there is nothing to do."),
    click.option(
        "--types", type=Names(), metavar="TYPE,...", help="Only these of the workers' types."
    ),
    click.option("--queues", type=Names(), metavar="QUEUE,...", help="Only these named queues."),
    click.option("--reload", is_flag=True, help="Restart when a module changes: for development."),
)


def pool_options(command: F) -> F:
    """Add the options of a command that runs a pool."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_pool(
    queue: JobQueue,
    workers: Sequence[tuple[str, Any]],
    options: dict[str, Any],
    *,
    reloader: Reloader | None,
) -> int:
    """Run a pool until it is stopped, and close its queue; return the exit code.

    :param workers: for each, its name in errors, and what a pool accepts as a worker.
    :raises click.ClickException: a worker or an option is invalid.
    """
    try:
        posts = [checked_post(each, queue, label=label) for label, each in workers]
        made = [post.tried(queue) for post in posts]
        pool = WorkerPool(queue, posts, initializer=log_to_stderr, **options)
    except InvalidValue as error:
        if error.field in options:
            hint = f"--{error.field.replace('_', '-')}"
            raise click.BadParameter(error.reason, param_hint=hint) from error
        raise click.ClickException(error.reason) from error
    queue.initialize()
    if reloader is not None:
        reloader.watch(pool.stop)
    count = options["threads"] * options["processes"]
    at_work = "1 worker" if count == 1 else f"{count} workers"
    names = plain(", ".join(sorted({one.get_worker_name() for one in made})))
    code = pool.run(
        on_start=lambda: announce(f"{at_work} at work on {plain(shown(whole=True))}: {names}")
    )
    if pool.given_back:
        announce(f"not finished: {pool.given_back}")
    if options["burst"]:
        _tell_what_is_left(queue, made, options)
    try:
        queue.close()
    except (StoreError, JobHeld) as error:
        announce(f"the queue could not be closed in order: {plain(error)}")
        code = code or GIVEN_BACK
    return code


def _tell_what_is_left(
    queue: JobQueue, workers: Sequence[JobWorker], options: dict[str, Any]
) -> None:
    def is_nobodys(job: AnyJob) -> bool:
        return not any(_is_for(worker, job, options) for worker in workers)

    left = queue.poll_next_pending_job(accept=is_nobodys)
    if left is not None:
        # The type or queue may be mistyped, and nothing else would show it.
        about = plain(f"{left.metadata.type!r} in queue {left.metadata.queue!r}")
        announce(f"left: jobs are due that no worker here takes, such as of type {about}")
    elif queue.poll_next_pending_job() is not None:
        announce("left: jobs are due still")  # refused by a worker, or all processes died


def _is_for(worker: JobWorker, job: AnyJob, options: dict[str, Any]) -> bool:
    """Whether a job is of a type and in a queue that a worker takes jobs of."""
    type_, queue = job.metadata.type, job.metadata.queue
    return (
        (worker.job_types is None or type_ in worker.job_types)
        and worker.queue_name in (None, queue)
        and (options["types"] is None or type_ in options["types"])
        and (options["queues"] is None or queue in options["queues"])
    )


def reloading(run: Callable[[Reloader | None], int], *, reload: bool) -> int:
    """Run what makes and runs a pool; with `reload`, again whenever a module has changed."""
    if not reload:
        return run(None)
    log_to_stderr()
    reloader, code = Reloader(), 1
    try:
        code = run(reloader)
    except click.ClickException as error:
        command = click.get_current_context().find_root().info_name
        announce(f"{command}: error: {plain(error.format_message())}")
        announce("waiting for a change")
        reloader.wait(error)
    if reloader.has_changed:
        announce("a module has changed: starting again")
        start_again()
    return code
