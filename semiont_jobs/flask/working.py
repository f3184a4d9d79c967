"""``flask jobs worker``: the workers of an application in a pool, in this process or in several.

It must not know what the jobs do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import click
from attrs import frozen
from flask import Flask, current_app
from flask.cli import ScriptInfo

from semiont_jobs.cli.logs import log_to_stderr
from semiont_jobs.cli.pools import pool_options, reloading, run_pool
from semiont_jobs.cli.reloading import Reloader
from semiont_jobs.flask.extension import NAME, AppJobs
from semiont_jobs.worker import JobWorker


@frozen
class Post:
    """Makes one of an application's workers, in any process."""

    import_path: str | None
    """As for ``flask --app``; None: what `flask` finds without it."""
    create_app: Callable[..., Flask] | None
    """Of a command line that has an application of its own."""
    number: int

    def __call__(self) -> JobWorker:
        return _jobs_of(self.import_path, self.create_app).make_worker(self.number, None)


@cache
def _jobs_of(import_path: str | None, create_app: Callable[..., Flask] | None) -> AppJobs:
    app = ScriptInfo(import_path, create_app).load_app()
    return cast("AppJobs", app.extensions[NAME])


@click.command()
@pool_options
def worker(reload: bool, **options: Any) -> None:
    """Run the application's workers until SIGTERM or Ctrl-C.

    They are those registered with the extension by @jobs.worker and @jobs.handler. Each thread
    takes the next job that any of them wants, and does it within the application's context.

    On the first signal no more jobs are claimed, and running jobs may finish. At the end of the
    grace time, or on a second signal, they are released without using an attempt. Exit codes: 0
    stopped, 3 a job was released, 4 processes died again and again.

    The outcome of every job is a line on standard error, unless the application sets logging up
    itself.
    """
    code = reloading(partial(_run, options), reload=reload)
    click.get_current_context().exit(code)


def _run(options: dict[str, Any], reloader: Reloader | None) -> int:
    own: AppJobs = current_app.extensions[NAME]
    names = own.worker_names
    if not names:
        raise click.ClickException(
            "the application has no workers: give them to the extension with @jobs.worker or"
            " @jobs.handler, in a module that it imports"
        )
    log_to_stderr()
    info = click.get_current_context().find_object(ScriptInfo)
    posts: list[Any] = own.workers()
    has_children = options["processes"] > 1 or options["max_jobs"] or options["max_rss"]
    if has_children and info is not None:
        posts = [Post(info.app_import_path, info.create_app, n) for n in range(len(names))]
    return run_pool(own.queue, list(zip(names, posts, strict=True)), options, reloader=reloader)
