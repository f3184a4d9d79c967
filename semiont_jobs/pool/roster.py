"""Who works in a pool: classes, factories and handlers, checked before anything starts.

It must not know threads or processes: each thread makes its own workers of the roster.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, cast

from attrs import frozen

from semiont_jobs.errors import InvalidValue
from semiont_jobs.handlers import Handler
from semiont_jobs.queue import JobQueue
from semiont_jobs.worker import JobWorker

Given: TypeAlias = type[JobWorker] | Callable[[], JobWorker] | Handler[..., object]
"""What a pool takes for a worker: a class, something that makes one, or a handler."""

_NOT_CALLED: Final = ("start", "run", "stop")
"""How a worker with a thread of its own lives. One that does more there would get jobs in a pool
without what it is to have by then."""


@frozen
class Post:
    """One worker for every thread is made of it. It pickles if what was given does."""

    given: Given
    label: str
    """What it is called in errors."""
    place: str
    """The argument it came from."""

    def make(self, queue: JobQueue) -> JobWorker:
        """A worker that takes jobs from `queue`.

        :raises InvalidValue: there is none to be had, or it says of itself what cannot be.
        """
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
        except InvalidValue as error:
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
    """A worker of that class, for that queue; None: for the one that it is told later."""
    # A class may have an __init__ of its own that takes nothing.
    return kind(queue) if inspect.signature(kind).parameters else kind()


def checked_post(given: object, queue: JobQueue, *, label: str = "", place: str = "worker") -> Post:
    """The post of a worker, once it has made one to try.

    :raises InvalidValue: it is no worker, or makes none.
    """
    return _tried(given, queue, label=label, place=place)[0]


def _tried(given: object, queue: JobQueue, *, label: str, place: str) -> tuple[Post, JobWorker]:
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
    return post, post.make(queue)


def tried_roster(
    workers: Iterable[object], queue: JobQueue
) -> tuple[tuple[Post, ...], list[JobWorker]]:
    """The posts of a pool, and the one worker that each has made to try: what a worker takes up
    when it is made may be dear.

    :raises InvalidValue: one of them is no worker, or two would do the same type of jobs.
    """
    if isinstance(workers, str | type | JobWorker | Handler) or not isinstance(workers, Iterable):
        raise InvalidValue("a list of workers is needed", field="workers", value=workers)
    tried = [
        _tried(given, queue, label="", place=f"workers[{number}]")
        for number, given in enumerate(workers)
    ]
    _check_overlaps(tried)
    return tuple(post for post, _ in tried), [worker for _, worker in tried]


def _check_overlaps(made: Sequence[tuple[Post, JobWorker]]) -> None:
    """Two that take the same jobs without looking at them: the second would never get one."""
    first: dict[tuple[str, str | None], Post] = {}
    for post, worker in made:
        if worker.is_choosy or worker.job_types is None:
            continue
        for type_name in worker.job_types:
            for queue_name in {worker.queue_name, None}:
                other = first.get((type_name, queue_name))
                if other is not None:
                    rule = f"{other.label} does {type_name!r} jobs already"
                    raise InvalidValue(rule, field=post.place, value=post.given)
            first[type_name, worker.queue_name] = post


def _are_names(types: object) -> bool:
    if types is None:
        return True
    return not isinstance(types, str) and isinstance(types, Iterable)
