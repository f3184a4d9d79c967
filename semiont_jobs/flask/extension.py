"""SemiontJobs: the queue of a Flask application, and its workers within the application's context.

It must not start anything: an application is created in the reloader's two processes, in gunicorn's
parent and in every `flask` command, and none of them is a worker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast
from weakref import WeakSet

import flask

from semiont_jobs.errors import InvalidValue, QueueNotInitialized
from semiont_jobs.flask.commands import FlaskJobsGroup
from semiont_jobs.flask.config import read
from semiont_jobs.handlers import Handler, HandlerWorker, job_handler
from semiont_jobs.job_types import JobType
from semiont_jobs.model import PendingJob, RunningJob
from semiont_jobs.pool.roster import made_of_class
from semiont_jobs.queue import JobQueue
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.worker import JobWorker

NAME: Final = "semiont_jobs"
"""The key in ``app.extensions``."""

Doer: TypeAlias = type[JobWorker] | Handler[..., Any]
"""What does jobs: a worker class, or a handler."""

A = ParamSpec("A")
P = TypeVar("P")
T = TypeVar("T")
W = TypeVar("W", bound=type[JobWorker])


class AppJobs:
    """The value of ``app.extensions["semiont_jobs"]``: the jobs of one application."""

    def __init__(self, app: flask.Flask, workers: list[Doer], settings: dict[str, Any]) -> None:
        config = read(app.config, root=app.instance_path)
        self.place: str = config.place
        """The data directory, or the store's URL."""
        self.queue: JobQueue = JobQueue(config.place, **{**settings, **config.queue})
        """The queue. It touches nothing before its first operation, and a forked child starts
        afresh."""
        self._defaults = config.enqueue
        self._app = app
        self._workers = workers
        for worker in workers:
            self.welcome(worker)

    def welcome(self, worker: Doer) -> None:
        """Register the job type of a new handler with the queue.

        :raises InvalidValue: the queue has another type of that name.
        """
        if isinstance(worker, Handler):
            worker.register(self.queue)

    def enqueue(self, params: P, **options: Any) -> PendingJob[P]:
        """Call `JobQueue.enqueue`, with the config's retries and time limit as defaults."""
        return self.queue.enqueue(params, **{**self._defaults, **options})

    def workers(self) -> list[Callable[[], JobWorker]]:
        """Functions that make the application's workers, one each. Their jobs run within its
        context: ``current_app`` works, and functions registered for the context's end run after
        every job. A `WorkerPool` accepts them as they are."""
        return [
            partial(self.make_worker, number, self.queue) for number in range(len(self._workers))
        ]

    def make_worker(self, number: int, queue: JobQueue | None) -> JobWorker:
        """Make one of these, for that queue; None: for the queue of the pool that it is made in."""
        given = self._workers[number]
        if isinstance(given, Handler):
            return within_context(HandlerWorker, self._app)(given, queue)
        return made_of_class(within_context(given, self._app), queue)

    @property
    def worker_names(self) -> list[str]:
        """The workers' names, in the same order."""
        return [
            each.name if isinstance(each, Handler) else each.__qualname__ for each in self._workers
        ]


class SemiontJobs:
    """The Flask extension. Create one beside the application, or for an application factory.

    :param app: the application; else call `init_app`.
    :param settings: arguments of `JobQueue` that a config cannot hold, such as ``job_types`` and
        ``hooks``; the config takes precedence.
    """

    def __init__(self, app: flask.Flask | None = None, **settings: Any) -> None:
        self._settings = settings
        self._workers: list[Doer] = []
        self._apps: WeakSet[AppJobs] = WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Give an application its queue and its commands.

        :raises InvalidValue: its config has no place for the jobs, or an unknown key.
        """
        app.extensions[NAME] = own = AppJobs(app, self._workers, self._settings)
        self._apps.add(own)
        app.cli.add_command(FlaskJobsGroup())

    def worker(self, worker: W) -> W:
        """Decorate a worker class: each application of this extension gets such a worker.

        :raises InvalidValue: it is not a subclass of `JobWorker`.
        """
        if not isinstance(worker, type) or not issubclass(worker, JobWorker):
            raise InvalidValue("a subclass of JobWorker is needed", field="worker", value=worker)
        self._workers.append(worker)
        return worker

    def handler(
        self,
        job_type: str | JobType[Any, Any, Any],
        *,
        queue: str | None = None,
        timeout: float | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> Callable[[Callable[A, T]], Handler[A, T]]:
        """Decorate a function that does the jobs of one type for every application of this
        extension, within its context. Otherwise like `job_handler`.

        From then on the applications' queues know the type of its jobs.
        """
        mark = job_handler(job_type, queue=queue, timeout=timeout, retry_policy=retry_policy)

        def marked(function: Callable[A, T]) -> Handler[A, T]:
            handler = mark(function)
            for own in self._apps:
                own.welcome(handler)
            self._workers.append(handler)
            return handler

        return marked

    @property
    def queue(self) -> JobQueue:
        """The queue of the current application. Raises what `of_current_app` raises."""
        return self.of_current_app().queue

    def enqueue(self, params: P, **options: Any) -> PendingJob[P]:
        """Call `AppJobs.enqueue` of the current application."""
        return self.of_current_app().enqueue(params, **options)

    def of_current_app(self) -> AppJobs:
        """The jobs of the current application.

        :raises RuntimeError: there is no current application.
        :raises QueueNotInitialized: `init_app` was not called for it.
        """
        found = flask.current_app.extensions.get(NAME)
        if found is None:
            raise QueueNotInitialized("call init_app(app) once, where the application is made")
        return cast("AppJobs", found)


def within_context(worker: W, app: flask.Flask) -> W:
    """A worker class that runs the jobs of `worker` within the application's context."""

    def execute_job(self: JobWorker, job: RunningJob[Any, Any]) -> object:
        with app.app_context():
            return worker.execute_job(self, job)

    same = {name: getattr(worker, name) for name in ("__doc__", "__module__", "__qualname__")}
    return cast("W", type(worker.__name__, (worker,), {"execute_job": execute_job, **same}))
