"""A pool's workers: classes, factories and handlers, checked before anything starts.

It must not know threads or processes: each thread makes its own workers of the roster.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias, cast

from attrs import field, frozen

from semiont_jobs.errors import InvalidValue
from semiont_jobs.handlers import Handler
from semiont_jobs.queue import JobQueue
from semiont_jobs.worker import JobWorker

Given: TypeAlias = type[JobWorker] | Callable[[], JobWorker] | Handler[..., object]
"""What a pool accepts as a worker: a class, a function that makes one, or a handler."""

_NOT_CALLED: Final = ("start", "run", "stop")
"""How a worker with a thread of its own lives. A pool does not call these, so a class that
overrides one would get jobs without what it prepares there."""


@frozen
class Post:
    """What one worker for every thread is made of. It pickles if `given` does."""

    given: Given
    label: str
    """Its name in errors."""
    place: str
    """The argument it came from."""
    _tried: list[tuple[int, JobWorker]] = field(factory=list, init=False, eq=False, repr=False)
    """With the id of the process that made it: what it has opened must not be shared with a
    fork."""

    def tried(self, queue: JobQueue) -> JobWorker:
        """What the next `make` will return, made now to check that it can be: opening what a worker
        needs may be expensive.

        :raises InvalidValue: as `make`.
        """
        if not self._tried:
            self._tried.append((os.getpid(), self._checked(queue)))
        return self._tried[0][1]

    def make(self, queue: JobQueue) -> JobWorker:
        """A worker that takes jobs from `queue`, which is the same in every call.

        :raises InvalidValue: none can be made, or its attributes are invalid.
        """
        with suppress(IndexError):
            pid, tried = self._tried.pop()
            if pid == os.getpid():
                return tried
        return self._checked(queue)

    def forget_tried(self) -> None:
        """Drop it: workers are made in other processes."""
        self._tried.clear()

    def __reduce__(self) -> tuple[type[Post], tuple[Given, str, str]]:
        return Post, (self.given, self.label, self.place)

    def _checked(self, queue: JobQueue) -> JobWorker:
        try:
            made = self._made(queue)
            if not isinstance(made, JobWorker):
                raise self._refused(f"{self.label} makes {type(made).__qualname__}, not a worker")
            for verb in _NOT_CALLED:
                if getattr(type(made), verb) is not getattr(JobWorker, verb):
                    raise self._refused(
                        f"{self.label} has a {verb}() of its own, which a pool does not call:"
                        " what its work needs it takes up in __init__, once for every thread"
                    )
            made.take_from(queue)
            name: object = made.get_worker_name()
            types: object = made.job_types
        except InvalidValue:
            raise
        except (Exception, SystemExit) as error:
            told = f"{type(error).__name__}: {error}"
            raise self._refused(f"cannot make a worker of {self.label}: {told}") from error
        if not isinstance(name, str) or not name:
            rule = f"{self.label}: get_worker_name() returns {name!r}, not a name"
            raise self._refused(rule)
        if not _are_names(types):
            rule = f"{self.label}: job_types is {types!r}, not a list of type names"
            raise self._refused(rule)
        try:
            made.check()
        except Exception as error:
            raise self._refused(f"{self.label}: {error}") from error
        return made

    def _made(self, queue: JobQueue) -> object:
        if isinstance(self.given, Handler):
            return self.given.make_worker(queue)
        if isinstance(self.given, type) and issubclass(self.given, JobWorker):
            return made_of_class(self.given, queue)
        return self.given()

    def _refused(self, rule: str) -> InvalidValue:
        return InvalidValue(rule, field=self.place, value=self.given)


def made_of_class(kind: type[JobWorker], queue: JobQueue | None) -> JobWorker:
    """A worker of that class, for that queue; None: for the queue that it is given later."""
    # A class may have an __init__ of its own without parameters.
    return kind(queue) if inspect.signature(kind).parameters else kind()


def checked_post(given: object, queue: JobQueue, *, label: str = "", place: str = "worker") -> Post:
    """The post of a worker, after making one worker as a test. A post is returned as it is.

    :raises InvalidValue: it is not a worker, or makes none.
    """
    if isinstance(given, Post):
        return given
    name = label or getattr(given, "__qualname__", None) or repr(given)
    if isinstance(given, JobWorker):
        rule = "every thread makes a worker of its own: give the class, or a function that makes it"
        raise InvalidValue(rule, field=place, value=given)
    if inspect.isfunction(given) and inspect.signature(given).parameters:
        rule = "a function of a job is made a handler with @job_handler(type)"
        raise InvalidValue(rule, field=place, value=given)
    if not callable(given):
        rule = "a JobWorker class, a function that makes one, or a handler is needed"
        raise InvalidValue(rule, field=place, value=given)
    post = Post(cast("Given", given), name, place)
    post.tried(queue)
    return post


def checked_roster(workers: Iterable[object], queue: JobQueue) -> tuple[Post, ...]:
    """The posts of a pool, each of which has made one worker as a test.

    :raises InvalidValue: one of them is not a worker, or two would do the same type of jobs.
    """
    if isinstance(workers, str | type | JobWorker | Handler) or not isinstance(workers, Iterable):
        raise InvalidValue("a list of workers is needed", field="workers", value=workers)
    posts = tuple(
        checked_post(given, queue, place=f"workers[{number}]")
        for number, given in enumerate(workers)
    )
    _check_overlaps([(post, post.tried(queue)) for post in posts])
    return posts


def _check_overlaps(made: Sequence[tuple[Post, JobWorker]]) -> None:
    """Refuse two workers that take the same jobs without looking at them: the second would never
    get one."""
    first: dict[tuple[str, str | None], JobWorker] = {}
    for post, worker in made:
        if worker.is_choosy or worker.job_types is None:
            continue
        for type_name in worker.job_types:
            for queue_name in {worker.queue_name, None}:
                other = first.get((type_name, queue_name))
                if other is not None:
                    rule = f"{other.get_worker_name()} does {type_name!r} jobs already"
                    raise InvalidValue(rule, field=post.place, value=post.given)
            first[type_name, worker.queue_name] = worker


def _are_names(types: object) -> bool:
    if types is None:
        return True
    return not isinstance(types, str) and isinstance(types, Iterable)
