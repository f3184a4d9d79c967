"""Handlers: a function that runs the jobs of one type, and the worker made of it.

It must not know how workers are run.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Generic, ParamSpec, TypeVar

import attrs

from semiont_jobs.errors import InvalidValue, JobTypeExists
from semiont_jobs.job_types import JobType
from semiont_jobs.model import RunningJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.retry import RetryPolicy
from semiont_jobs.settings import checked_policy, checked_timeout
from semiont_jobs.worker import JobWorker

A = ParamSpec("A")
T = TypeVar("T")

EXTRAS: Final = ("job", "claim")
"""Names of the arguments that a handler may have besides the params."""


class Handler(Generic[A, T]):
    """A function marked by `job_handler`; you can still call it as that function.

    It pickles by its import path, as the function would.
    """

    def __init__(
        self,
        function: Callable[A, T],
        job_type: str | JobType[Any, Any, Any],
        *,
        queue: str | None,
        timeout: float | None,
        retry_policy: RetryPolicy | None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name: Final[str] = function.__qualname__
        self.queue_name = queue
        self.timeout = timeout
        self.retry_policy = retry_policy
        params, self._extras = _checked_arguments(function)
        result = _result_class(function)
        self._has_result_class = result is not None
        self.job_type: JobType[Any, Any, Any] | None
        """The type of its jobs, to register: ``JobQueue(..., job_types=[thumbnail.job_type])``.
        None if the params are plain data."""
        if isinstance(job_type, JobType):
            if params is not None and params is not job_type.params:
                raise _refused(function, f"it takes {_name(params)}, {job_type.name!r} jobs have"
                               f" {_name(job_type.params)}")  # fmt: skip
            self.job_type = job_type
        elif params is None:
            self.job_type = None
        else:
            self.job_type = JobType(job_type, params, result=result)
        self.type: Final[str] = job_type.name if isinstance(job_type, JobType) else job_type

    def __call__(self, *args: A.args, **kwargs: A.kwargs) -> T:
        return self.function(*args, **kwargs)

    def __reduce__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<handler {self.name} of {self.type!r} jobs>"

    def register(self, queue: JobQueue) -> None:
        """Have the queue read the params of its jobs as their class, as its worker does.

        :raises InvalidValue: the queue knows a type of that name with other classes.
        :raises JobTypeExists: it knows its params class by another name.
        """
        if self.job_type is None:
            return
        known = queue.job_types.get(self.type)
        if known is None:
            try:
                queue.job_types.register(self.job_type)
            except JobTypeExists:
                known = queue.job_types.get(self.type)
                if known is None:
                    raise  # its params class has another name
                # Else another thread was first, perhaps with a worker of this very handler.
            else:
                return
        for verb, part in (("takes", "params"), ("reports", "progress"), ("returns", "result")):
            ours, theirs = getattr(self.job_type, part), getattr(known, part)
            if ours is not None and ours is not theirs:
                raise _refused(
                    self.function,
                    f"it {verb} {_name(ours)}, but the queue's {self.type!r} jobs have"
                    f" {_name(theirs) if theirs else 'no class for that'}",
                )

    def make_worker(self, queue: JobQueue | None = None) -> JobWorker:
        """Make a worker that calls the function with each job of its type.

        :param queue: default: the queue of `initialize_job_queue`.
        """
        return HandlerWorker(self, queue)

    def do(self, worker: JobWorker, job: RunningJob[Any, Any]) -> object:
        """Call the function with a job that a worker has claimed; return the job's result."""
        given: Mapping[str, Any] = {"job": job, "claim": worker.claim}
        function: Any = self.function
        returned = function(job.params, **{name: given[name] for name in self._extras})
        kind = worker.queue.job_types.get(self.type)
        # Also if its jobs are plain data: an object of the class is written, and read as that.
        is_result = self._has_result_class or (kind is not None and kind.result is not None)
        return returned if is_result else {"value": returned}


class HandlerWorker(JobWorker):
    """The worker of a handler; the handler has the settings that a class would."""

    def __init__(self, handler: Handler[Any, Any], queue: JobQueue | None) -> None:
        super().__init__(queue)
        self._handler = handler
        for name, value in (
            ("job_types", (handler.type,)),
            ("queue_name", handler.queue_name),
            ("retry_policy", handler.retry_policy),
            ("timeout", handler.timeout),
        ):
            setattr(self, name, value)

    def get_worker_name(self) -> str:
        return self._handler.name

    def check(self) -> None:
        self.take_from(self.queue)
        super().check()

    def take_from(self, queue: JobQueue) -> None:
        super().take_from(queue)
        self._handler.register(queue)

    def execute_job(self, job: RunningJob[Any, Any]) -> object:
        return self._handler.do(self, job)


def job_handler(
    job_type: str | JobType[Any, Any, Any],
    *,
    queue: str | None = None,
    timeout: float | None = None,
    retry_policy: RetryPolicy | None = None,
) -> Callable[[Callable[A, T]], Handler[A, T]]:
    """Make a function the handler of one type of jobs.

    ::

        @job_handler("thumbnail")
        def thumbnail(params: Thumbnail) -> None: ...

    The function takes the params. It may also have arguments named ``job`` (the `RunningJob`) and
    ``claim`` (its `Claim`, for progress, checkpoints and requests to stop), passed by keyword. The
    annotation gives the class of the params: from an attrs class or a dataclass a `JobType` is
    made, ``thumbnail.job_type``; a dict, or no annotation, means plain data. The return value
    becomes the job's result: unchanged if the return annotation, or the `JobType`, has a result
    class; else as ``{"value": ...}``.

    :param job_type: the name of the type, or a `JobType`.
    :param queue: the only named queue to take jobs from; None: any.
    :param timeout: seconds an attempt may take if neither the job nor its type has a limit.
    :param retry_policy: overrides the job type's and the queue's.
    :raises InvalidValue: no type was given, or the function cannot be called with the params.
    """
    if not isinstance(job_type, JobType) and (not isinstance(job_type, str) or not job_type):
        rule = 'a handler needs the name of its jobs\' type: @job_handler("thumbnail")'
        raise InvalidValue(rule, field="job_type", value=job_type)
    if queue is not None and (not isinstance(queue, str) or not queue):
        raise InvalidValue("the name of a queue is needed", field="queue", value=queue)
    checked_timeout("timeout", timeout)
    checked_policy("retry_policy", retry_policy)

    def mark(function: Callable[A, T]) -> Handler[A, T]:
        if not inspect.isfunction(function):
            raise InvalidValue("a handler is a function", field="function", value=function)
        return Handler(function, job_type, queue=queue, timeout=timeout, retry_policy=retry_policy)

    return mark


# -- reading a function ------------------------------------------------------------------


def _checked_arguments(function: Callable[..., Any]) -> tuple[type[Any] | None, tuple[str, ...]]:
    """The class of the params (None: plain data), and the extra arguments that the function has."""
    if any(is_kind(function) for is_kind in _UNCALLABLE):
        raise _refused(function, "a plain function is needed, not a coroutine or a generator")
    arguments = list(inspect.signature(function).parameters.values())
    if not arguments or arguments[0].kind not in _POSITIONAL:
        raise _refused(function, "its first argument must take the params")
    rest = arguments[1:]
    extras = tuple(each.name for each in rest if each.name in EXTRAS and each.kind in _NAMED)
    for each in rest:
        is_needed = each.default is each.empty and each.kind not in _ANY_NUMBER
        if is_needed and each.name not in extras:
            raise _refused(
                function, f"besides the params it may ask for job and claim, not {each.name}"
            )
    return _params_class(function, arguments[0].annotation), extras


_UNCALLABLE: Final = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
)
_POSITIONAL: Final = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_ANY_NUMBER: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _params_class(function: Callable[..., Any], annotation: Any) -> type[Any] | None:
    if annotation is inspect.Parameter.empty:
        return None
    try:
        found = _resolved(function, annotation)
    except NameError as error:
        raise _refused(function, f"the class of its params cannot be found: {error}") from error
    if _is_record(found):
        return typing.cast("type[Any]", found)
    origin = typing.get_origin(found) or found
    if origin is Any or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return None
    raise _refused(
        function, f"its params are an attrs class, a dataclass or a dict, not {_name(found)}"
    )


def _result_class(function: Callable[..., Any]) -> type[Any] | None:
    """The class in the return annotation, if a job's result can be of it."""
    try:
        found = _resolved(function, function.__annotations__.get("return"))
    except (NameError, AttributeError, TypeError, SyntaxError):
        return None  # imported for type checkers only, say: stored as plain data
    return typing.cast("type[Any]", found) if _is_record(found) else None


def _resolved(function: Callable[..., Any], annotation: Any) -> Any:
    """What an annotation stands for, also if annotations are strings."""
    if not isinstance(annotation, str):
        return annotation
    holder = type("Holder", (), {"__annotations__": {"it": annotation}})
    names = {**function.__globals__, **_enclosed(function)}
    return typing.get_type_hints(holder, globalns=names)["it"]


def _enclosed(function: Any) -> dict[str, Any]:
    """The names that a function uses of the function it was made in."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # still empty, as the function's own is before it has a name
            found[name] = cell.cell_contents
    return found


def _is_record(found: Any) -> bool:
    return isinstance(found, type) and (attrs.has(found) or dataclasses.is_dataclass(found))


def _name(found: Any) -> str:
    return getattr(found, "__qualname__", None) or repr(found)


def _refused(function: Callable[..., Any], rule: str) -> InvalidValue:
    return InvalidValue(rule, field=f"handler {function.__qualname__}", value=function)
