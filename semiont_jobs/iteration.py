"""Jobs whose code is a generator: it yields a cursor after each unit, which is kept so that the
next attempt continues there.

It must not know how workers are run, nor what a cursor means.
"""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Generator, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from semiont_jobs.claim import AnyClaim
from semiont_jobs.errors import (
    ClaimLost,
    InvalidJob,
    InvalidValue,
    JobEncodeError,
    StoreError,
)
from semiont_jobs.events import logger
from semiont_jobs.model import RunningJob
from semiont_jobs.queue import JobQueue
from semiont_jobs.retry import error_pace
from semiont_jobs.threads import pause

CHECKPOINT_INTERVAL: Final = 5.0
"""Seconds of work that are repeated after a crash, at most: little to lose, and one write in five
seconds is nothing to a disk, however fast the units are."""
KEY: Final = "iterate_job"
"""The name in ``unit_cursors`` under which the cursor is kept, beside those of user code."""

Iteration: TypeAlias = Generator[Any, None, Any]
"""What `iterate_job` returns: a generator that yields cursors, or pairs of a cursor and a progress,
and returns the result."""


class Iterating(Protocol):
    """What is needed of the worker that runs the generator."""

    checkpoint_interval: float
    error_backoff: float

    @property
    def claim(self) -> AnyClaim: ...

    @property
    def queue(self) -> JobQueue: ...

    @property
    def is_stopping(self) -> bool: ...

    def iterate_job(self, job: RunningJob[Any, Any], cursor: Any) -> Iteration: ...


class GivenBack(Exception):
    """A signal to the worker, which was asked to stop: the job is to be released."""


class _Place(NamedTuple):
    """How far the job's code has come."""

    steps: int
    """Units done in all attempts. It comes before the cursor and grows, so that the later of two
    cursors counts, in whatever order the cursors are: names, tokens, dates."""
    cursor: Any


def run_iteration(worker: Iterating, job: RunningJob[Any, Any]) -> object:
    """Run `iterate_job` from where the last attempt ended; return what it returns.

    :raises GivenBack: the worker was asked to stop.
    """
    claim = worker.claim
    saved = place = _stored_place(job)
    saved_at = time.monotonic()
    units = worker.iterate_job(job, place.cursor)
    if not isinstance(units, Generator):
        raise InvalidValue("a generator is needed: yield in it", field="iterate_job", value=units)
    try:
        while True:
            try:
                given = next(units)
            except StopIteration as end:
                return end.value
            cursor, progress = _checked(worker, given)
            place = _Place(place.steps + 1, cursor)
            claim.raise_if_cancelled()
            if worker.is_stopping:
                raise GivenBack
            if progress is not None:
                claim.report(progress)
            if time.monotonic() - saved_at >= worker.checkpoint_interval:
                if _try_to_save(claim, place):
                    saved = place
                saved_at = time.monotonic()
    except ClaimLost:
        raise  # another worker may have the job now: store nothing
    except BaseException:
        if place is not saved:
            _save(claim, place, error_backoff=worker.error_backoff)
        raise
    finally:
        _close(units, job)


def _stored_place(job: RunningJob[Any, Any]) -> _Place:
    stored = job.metadata.unit_cursors.get(KEY)
    # Another shape comes from another program: better to repeat all units than to do none.
    if not isinstance(stored, Mapping) or stored.keys() != {"steps", "cursor"}:
        return _Place(0, None)
    steps = stored["steps"]
    return _Place(steps, stored["cursor"]) if isinstance(steps, int) else _Place(0, None)


def _checked(worker: Iterating, given: object) -> tuple[Any, Any]:
    """The cursor and the progress that were yielded; None if there is no progress."""
    cursor: Any = given
    progress: Any = None
    if isinstance(given, tuple):
        if len(given) != 2:
            rule = "yield a cursor (a list, if it has parts), or a pair of it and a progress"
            raise InvalidValue(rule, field="iterate_job", value=given)
        cursor, progress = given
    if cursor is None:
        rule = "yield a cursor: None is where a work begins that has done nothing"
        raise InvalidValue(rule, field="iterate_job", value=given)
    if isinstance(cursor, int):
        return cursor, progress
    # Now, and not at some later yield, when it is to be written.
    worker.queue.codec.check(cursor, "cursor", job_id=worker.claim.job.metadata.id)
    # A copy: the code may go on with the same list, and fail in the middle of the next unit.
    return copy.deepcopy(cursor), progress


def _checkpoint(claim: AnyClaim, place: _Place) -> None:
    claim.checkpoint(cursors={KEY: place._asdict()})


def _try_to_save(claim: AnyClaim, place: _Place) -> bool:
    """Store the place if the disk accepts it; if not, a later one may be stored."""
    try:
        _checkpoint(claim, place)
    except StoreError as error:
        logger.warning("cursor of job %s not stored: %s", claim.job.metadata.id, error)
        return False
    return True


def _save(claim: AnyClaim, place: _Place, *, error_backoff: float) -> None:
    """Store the place before the attempt ends: retry until the disk accepts it, as for an
    outcome."""
    pace = error_pace(error_backoff)
    errors = 0
    while claim.is_open:
        try:
            _checkpoint(claim, place)
        except StoreError as error:
            errors += 1
            logger.error("cursor not stored yet: %s", error)
            pause(pace(errors))
        except ClaimLost:
            return
        except (InvalidJob, JobEncodeError) as error:
            logger.error("cursor not stored: %s", error)  # too large: the one before counts
            return
        else:
            return


def _close(units: Iteration, job: RunningJob[Any, Any]) -> None:
    """Run the generator's own ``finally`` here and now. An error in it then hides no outcome."""
    try:
        units.close()
    except BaseException:  # noqa: BLE001 - user code
        logger.exception("iterate_job of job %s failed when it was closed", job.metadata.id)


def is_meant(kind: type, base: type) -> bool:
    """Whether a worker's class defines `iterate_job` and not `execute_job`.

    Of classes that inherit, the most derived one that defines either decides.

    :raises TypeError: one class defines both, or a method that cannot be called as intended.
    """
    _check_methods(kind)
    for each in kind.__mro__[: kind.__mro__.index(base)]:
        gives = {"iterate_job", "execute_job"} & vars(each).keys()
        if len(gives) == 2 and vars(each)["execute_job"] is not run_iteration:
            raise TypeError(f"{each.__qualname__} gives execute_job and iterate_job: one of them")
        if gives:
            return "iterate_job" in gives
    return False


def _check_methods(kind: type) -> None:
    for name, given in _METHODS.items():
        function = getattr(kind, name)
        whose = f"{kind.__qualname__}.{name}"
        # A call would not run them, and what it returns would count as a result or a yes.
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{whose} is async, and a worker is a thread: call asyncio.run in it")
        if name != "iterate_job" and inspect.isgeneratorfunction(function):
            raise TypeError(f"{whose} yields: what works unit by unit is called iterate_job")
        if inspect.isfunction(inspect.getattr_static(kind, name)):
            try:
                inspect.signature(function, follow_wrapped=False).bind("self", *given)
            except TypeError as error:
                call = f"{name}(self, {', '.join(given)})"
                raise TypeError(f"{whose} cannot be called: {call} is meant ({error})") from None


_METHODS: Final = {
    "execute_job": ("job",),
    "iterate_job": ("job", "cursor"),
    "can_process_job": ("job",),
}
"""What a class may define, and the arguments of each call."""
