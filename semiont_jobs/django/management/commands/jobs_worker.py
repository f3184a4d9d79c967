"""``manage.py jobs_worker``: runs the tasks of a backend in a pool.

It must not know how tasks are run: its options are those of ``db_worker``, where they apply.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from functools import partial
from typing import Any, Final

import django
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV, run_with_reloader

from semiont_jobs.django.compat import FRAMEWORK, InvalidTaskBackend
from semiont_jobs.django.execution import LONGEST_ID, TaskWorker
from semiont_jobs.errors import InvalidValue
from semiont_jobs.events import Event
from semiont_jobs.pool import WorkerPool
from semiont_jobs.worker import POLL_INTERVAL

ENDS: Final = frozenset({"completed", "failed", "retrying", "cancelled", "snoozed"})
"""The events that end a task's attempt."""

_LEVELS: Final = {
    FRAMEWORK: (logging.CRITICAL, logging.INFO, logging.DEBUG),
    # Django's own log has every task's start and end; this one reports errors.
    "semiont_jobs": (logging.CRITICAL, logging.WARNING, logging.DEBUG),
}
"""Levels of the logs, by verbosity."""


class Command(BaseCommand):
    """Defines the options, makes the pool, and ends with its exit code."""

    help = "Run the tasks of a backend until told to stop."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the options."""
        add = parser.add_argument
        add(
            "--queue-name",
            default="default",
            help="the queues to take tasks from, separated by commas; '*' is all "
            "(default: %(default)r)",
        )
        add(
            "--exclude-queues",
            default="",
            help="queues to leave alone, separated by commas; goes with --queue-name '*'",
        )
        add(
            "--interval",
            type=_seconds,
            default=POLL_INTERVAL,
            help="seconds an idle worker waits at most before it looks again; new tasks wake it "
            "sooner (default: %(default)r)",
        )
        add("--batch", action="store_true", help="run what is due, then exit")
        add(
            "--reload",
            action=argparse.BooleanOptionalAction,
            default=settings.DEBUG,
            help="start afresh when code changes, for development (default: DEBUG)",
        )
        add(
            "--no-startup-delay",
            action="store_true",
            help="does nothing: there is no delay, which db_worker has",
        )
        add("--backend", default="default", help="the alias in TASKS (default: %(default)r)")
        add("--max-tasks", type=_count, help="exit after so many attempts at tasks")
        add("--worker-id", type=_id, help="what results show; a number is added for each thread")
        add("--threads", type=_count, default=1, help="tasks at a time in each process")
        add("--processes", type=_count, default=1)

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run; end the process with the pool's exit code unless that is 0.

        :raises CommandError: the options contradict each other, or the backend cannot be used.
        """
        _set_up_logs(options["verbosity"], self.stdout)
        if options["reload"] and not options["batch"] and options["processes"] == 1:
            if os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":
                self._pool(options)  # wrong options end it here, not in every child
            run_with_reloader(partial(self._run, options))
        else:
            self._run(options)

    def _run(self, options: dict[str, Any]) -> None:
        pool = self._pool(options)
        if options["max_tasks"] is not None:
            _stop_after(pool, options["max_tasks"])
        code = pool.run(on_start=lambda: self._tell_of_the_start(options))
        if code:
            sys.exit(code)

    def _tell_of_the_start(self, options: dict[str, Any]) -> None:
        # Tasks of other queues wait, and nothing else would show why.
        if options["verbosity"] > 0:
            names, excluded = options["queue_name"], options["exclude_queues"]
            which = f"any queue but {excluded}" if excluded else "any queue"
            self.stdout.write(f"At work on tasks of {which if '*' in names else f'queue {names}'}")

    def _pool(self, options: dict[str, Any]) -> WorkerPool:
        names = options["queue_name"].split(",")
        excluded = options["exclude_queues"].split(",") if options["exclude_queues"] else []
        if excluded and "*" not in names:
            raise CommandError("--exclude-queues can only be used with --queue-name=*")
        if options["max_tasks"] is not None and options["processes"] > 1:
            raise CommandError("--max-tasks counts the tasks of one process")
        make = partial(
            make_worker,
            options["backend"],
            None if "*" in names else tuple(names),
            tuple(excluded),
            options["worker_id"],
        )
        try:
            queue = make().queue
            return WorkerPool(
                queue,
                [make],
                threads=options["threads"],
                processes=options["processes"],
                burst=options["batch"],
                poll_interval=options["interval"],
                initializer=django.setup,
            )
        except (InvalidTaskBackend, InvalidValue) as error:
            raise CommandError(str(error)) from error


def make_worker(
    backend: str,
    names: tuple[str, ...] | None,
    excluded: tuple[str, ...],
    worker_id: str | None,
) -> TaskWorker:
    """A worker for one thread; the pool's processes find this function by its path."""
    worker = TaskWorker(backend, queue_names=names, exclude=excluded)
    if worker_id is not None:
        # Two threads must not share a name: results would not show which of them ran a task.
        tail = worker.get_worker_name().rpartition("-")[2]
        worker = TaskWorker(
            backend,
            queue_names=names,
            exclude=excluded,
            worker_id=f"{worker_id[: LONGEST_ID - len(tail) - 1]}-{tail}",
        )
    return worker


def _stop_after(pool: WorkerPool, count: int) -> None:
    left = count

    def listen(event: Event) -> None:
        nonlocal left
        if event.name in ENDS:
            left -= 1
            if left == 0:
                pool.stop()

    pool.queue.subscribe(listen)


def _set_up_logs(verbosity: int, stdout: Any) -> None:
    for name, levels in _LEVELS.items():
        logger = logging.getLogger(name)
        logger.setLevel(levels[min(verbosity, 2)])
        # The library's own handler writes nothing.
        if all(isinstance(each, logging.NullHandler) for each in logger.handlers):
            logger.addHandler(logging.StreamHandler(stdout))


def _seconds(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError("a positive number of seconds is needed")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be greater than zero")
    return value


def _id(text: str) -> str:
    if not 0 < len(text) <= LONGEST_ID:
        raise argparse.ArgumentTypeError(f"must have 1 to {LONGEST_ID} characters")
    return text
