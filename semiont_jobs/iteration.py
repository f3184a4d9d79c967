"""Works that are generators: after each unit a cursor, which is kept so that the next attempt
goes on there.

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
"""Seconds of work that are done again after a crash, at most: little to lose, and one write in
five seconds is nothing to a disk, however fast the units go by."""
KEY: Final = "iterate_job"
"""Under this name of ``unit_cursors`` the cursor is kept, beside those that works keep."""

Iteration: TypeAlias = Generator[Any, None, Any]
"""What `iterate_job` makes: yields cursors, or pairs of a cursor and a progress; returns the
result."""


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
    """A signal to the worker, which was asked to stop: the rest is for the next one."""


class _Place(NamedTuple):
    """How far the work has come."""

    steps: int
    """Units done in all attempts. It stands before the cursor and grows, so that the later of
    two cursors is the one that counts whatever their order is: names, tokens, dates."""
    cursor: Any


def run_iteration(worker: Iterating, job: RunningJob[Any, Any]) -> object:
    """Run `iterate_job` from where the last attempt came; what it returns.

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
        raise  # where somebody else is at work now, there is nothing to be kept
    except BaseException:
        if place is not saved:
            _save(claim, place, error_backoff=worker.error_backoff)
        raise
    finally:
        _close(units, job)


def _stored_place(job: RunningJob[Any, Any]) -> _Place:
    stored = job.metadata.unit_cursors.get(KEY)
    # Another shape is from somebody else's hand: better the whole work again than none of it.
    if not isinstance(stored, Mapping) or stored.keys() != {"steps", "cursor"}:
        return _Place(0, None)
    steps = stored["steps"]
    return _Place(steps, stored["cursor"]) if isinstance(steps, int) else _Place(0, None)


def _checked(worker: Iterating, given: object) -> tuple[Any, Any]:
    """The cursor and the progress that were yielded, or None for the latter."""
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
    # A copy: the work may go on with the same list, and fail in the middle of the next unit.
    return copy.deepcopy(cursor), progress


def _checkpoint(claim: AnyClaim, place: _Place) -> None:
    claim.checkpoint(cursors={KEY: place._asdict()})


def _try_to_save(claim: AnyClaim, place: _Place) -> bool:
    """Keep the place if the disk takes it; else the work goes on, and the next one may be."""
    try:
        _checkpoint(claim, place)
    except StoreError as error:
        logger.warning("cursor of job %s not stored: %s", claim.job.metadata.id, error)
        return False
    return True


def _save(claim: AnyClaim, place: _Place, *, error_backoff: float) -> None:
    """Keep the place before the attempt ends, as its outcome is kept: when the disk takes it."""
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
    """Let the generator's own ``finally`` run, here and now. What it raises then hides no
    outcome."""
    try:
        units.close()
    except BaseException:  # noqa: BLE001 - user code
        logger.exception("iterate_job of job %s failed when it was closed", job.metadata.id)


def is_meant(kind: type, base: type) -> bool:
    """Whether a worker's class gives `iterate_job` and not `execute_job`: of classes that
    inherit, the most derived one that gives either decides.

    :raises TypeError: one class gives both, or a method that cannot be called as it is meant.
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
        # Called, these would not run, and what they return be taken for a result or a yes.
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
"""What a class may give, and what each is called with."""
