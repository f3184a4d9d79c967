"""SemiontJobs: the queue of a Flask application, and its workers within the application's context.

It must not start anything: an application is made in the reloader's two processes, in gunicorn's
parent and in every `flask` command, and none of them is a worker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, cast

import flask

from semiont_jobs.errors import InvalidValue, QueueNotInitialized
from semiont_jobs.flask.commands import FlaskJobsGroup
from semiont_jobs.flask.config import read
from semiont_jobs.model import PendingJob, RunningJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.worker import JobWorker

NAME: Final = "semiont_jobs"
"""The key in ``app.extensions``."""

P = TypeVar("P")
W = TypeVar("W", bound=type[JobWorker])


class AppJobs:
    """What stands in ``app.extensions["semiont_jobs"]``: the jobs of one application."""

    def __init__(
        self, app: flask.Flask, workers: list[type[JobWorker]], settings: dict[str, Any]
    ) -> None:
        config = read(app.config, root=app.instance_path)
        self.place = config.place
        """The data directory, or the store's URL."""
        self.queue = JobQueue(config.place, **{**settings, **config.queue})
        """The queue. It touches nothing before its first verb, and a forked child starts
        afresh."""
        self._defaults = config.enqueue
        self._app = app
        self._workers = workers

    def enqueue(self, params: P, **options: Any) -> PendingJob[P]:
        """`JobQueue.enqueue`, with the config's retries and time limit where none are given."""
        return self.queue.enqueue(params, **{**self._defaults, **options})

    def workers(self) -> list[Callable[[], JobWorker]]:
        """What makes the application's workers, one each: their work runs within its context,
        so that ``current_app`` is there, and what hangs on the context's end is tidied up after
        every job."""
        return [partial(within_context(worker, self._app), self.queue) for worker in self._workers]


class SemiontJobs:
    """The Flask extension. Make one beside the application, or for a factory's.

    :param app: the application; else call `init_app`.
    :param settings: those of `JobQueue` that are no values of a config, such as ``job_types`` and
        ``hooks``; the config goes before them.
    """

    def __init__(self, app: flask.Flask | None = None, **settings: Any) -> None:
        self._settings = settings
        self._workers: list[type[JobWorker]] = []
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Give an application its queue and its commands.

        :raises InvalidValue: its config has no place for the jobs, or a key that means nothing.
        """
        app.extensions[NAME] = AppJobs(app, self._workers, self._settings)
        app.cli.add_command(FlaskJobsGroup())

    def worker(self, worker: W) -> W:
        """A decorator of worker classes: each application of this extension has one.

        :raises InvalidValue: it is no class of workers.
        """
        if not isinstance(worker, type) or not issubclass(worker, JobWorker):
            raise InvalidValue("a subclass of JobWorker is needed", field="worker", value=worker)
        self._workers.append(worker)
        return worker

    @property
    def queue(self) -> JobQueue:
        """The queue of the current application. Raises what `of_current_app` raises."""
        return self.of_current_app().queue

    def enqueue(self, params: P, **options: Any) -> PendingJob[P]:
        """See `AppJobs.enqueue`, of the current application."""
        return self.of_current_app().enqueue(params, **options)

    def of_current_app(self) -> AppJobs:
        """The jobs of the current application.

        :raises RuntimeError: there is no current application.
        :raises QueueNotInitialized: it was not given to `init_app`.
        """
        found = flask.current_app.extensions.get(NAME)
        if found is None:
            raise QueueNotInitialized("call init_app(app) once, where the application is made")
        return cast("AppJobs", found)


def within_context(worker: type[JobWorker], app: flask.Flask) -> type[JobWorker]:
    """A worker class that does the work of `worker` within the application's context."""

    def execute_job(self: JobWorker, job: RunningJob[Any, Any]) -> object:
        with app.app_context():
            return worker.execute_job(self, job)

    same = {name: getattr(worker, name) for name in ("__doc__", "__module__", "__qualname__")}
    return type(worker.__name__, (worker,), {"execute_job": execute_job, **same})
