"""Every error this library raises, as one tree, and the signals that a job's code may raise.

It must not know jobs, stores or queues: only their names and coordinates.

::

    SemiontJobsError
    |-- InvalidValue (ValueError)           an argument or option outside its range
    |   `-- InvalidJob                      a value that no job may have
    |       |-- InvalidJobId
    |       `-- JobTooLarge
    |-- JobEncodeError (TypeError)          a value that JSON cannot hold
    |-- JobDecodeError (ValueError)         stored content that is not a valid job
    |-- JobTypeExists (ValueError)          a job type's name or class registered twice
    |-- JobNotFound (LookupError)
    |-- JobExists (ValueError)
    |-- InvalidTransition (RuntimeError)    the lifecycle has no such step
    |-- StaleJob (RuntimeError)             the job changed since it was read
    |-- JobHeld (RuntimeError)              another process or thread holds the job
    |-- ClaimLost (RuntimeError)            this claim no longer owns its job
    |-- QueueNotInitialized (RuntimeError)
    |-- QueueClosed (RuntimeError)          the queue was closed during a claim or under a loop
    |-- ThreadRefused (RuntimeError)        the system gave no thread to a queue or worker
    |-- StoreError (OSError)                the disk or its file system refused
    |   |-- UnsafeStore                     a place where jobs would not be safe
    |   `-- UnsupportedFormat               written by a newer version
    |-- JobFailed                           an attempt failed, for a reason given as a string
    |   `-- ItemFailed                      an item of `WorkerPool.map` has no result
    |-- JobTimeout (TimeoutError)           an attempt, or a wait, ran out of time
    |-- PermanentError                      raised by a job's code: do not retry
    `-- WorkerCrashed                       recorded for an attempt whose worker died

``Snooze``, ``JobCancelled`` and ``WorkerStopping`` are signals, not errors: a job's code raises
them to end the attempt early.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any


class SemiontJobsError(Exception):
    """Root of all errors of this library. Details are attributes; all errors can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own __reduce__ calls the class with `args`, which keyword-only
        # constructors do not accept: an error raised in a worker process would not reach
        # its parent.
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(
    kind: type[SemiontJobsError], args: tuple[Any, ...], state: dict[str, Any]
) -> SemiontJobsError:
    error = kind.__new__(kind, *args)
    BaseException.__init__(error, *args)
    error.__dict__.update(state)
    return error


class InvalidValue(SemiontJobsError, ValueError):
    """An argument or option outside its range: says which, its value and the rule."""

    def __init__(
        self, reason: str, *, field: str, value: object, job_id: str | None = None
    ) -> None:
        self.reason = reason
        self.field = field
        self.value = value
        self.job_id = job_id
        owner = f"job {job_id}: " if job_id else ""
        super().__init__(f"{owner}{field} = {abridged(value)}: {reason}")

    def __reduce__(self) -> tuple[Any, ...]:
        # The refused value may be anything, also what cannot be pickled; its repr suffices.
        state = self.__dict__ | {"value": abridged(self.value)}
        return (_rebuild, (type(self), self.args, state))


class InvalidJob(InvalidValue):
    """A value that no job may have: says which job, which field, which value."""


class InvalidJobId(InvalidJob):
    """An id that does not match ``^[A-Za-z0-9_-]{1,128}$``."""


class JobTooLarge(InvalidJob):
    """A job whose JSON is larger than any store accepts."""


class JobEncodeError(SemiontJobsError, TypeError):
    """A value that JSON cannot hold; ``path`` says where, such as ``params.pages[3]``."""

    def __init__(self, reason: str, *, path: str, value: object, job_id: str | None = None) -> None:
        self.reason = reason
        self.path = path
        self.value: str = abridged(value)
        self.job_id = job_id
        owner = f"job {job_id}: " if job_id else ""
        super().__init__(f"{owner}{path} = {self.value}: {reason}")


class JobDecodeError(SemiontJobsError, ValueError):
    """Stored content that is not a valid job, or params that do not fit their class.

    ``path`` names the field if it is known, such as ``metadata.retryCount``.
    """

    def __init__(self, reason: str, *, path: str = "", job_id: str | None = None) -> None:
        self.reason = reason
        self.path = path
        self.job_id = job_id
        owner = f"job {job_id}: " if job_id else ""
        place = f"{path}: " if path else ""
        super().__init__(f"{owner}{place}{reason}")


class JobTypeExists(SemiontJobsError, ValueError):
    """A job type whose name or params class is registered already."""

    def __init__(self, name: str, *, reason: str) -> None:
        self.name = name
        super().__init__(f"job type {name!r}: {reason}")


class _AboutJob(SemiontJobsError):
    """An error about one job: a job id and a sentence."""

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id = job_id
        self.reason = reason
        super().__init__(f"job {job_id}: {reason}")


class JobNotFound(_AboutJob, LookupError):
    """No job of this id exists in any status."""

    def __init__(self, job_id: str, reason: str = "there is no such job") -> None:
        super().__init__(job_id, reason)


class JobExists(_AboutJob, ValueError):
    """A job of this id exists already, in whatever status."""

    def __init__(self, job_id: str, reason: str = "a job of this id exists already") -> None:
        super().__init__(job_id, reason)


class InvalidTransition(_AboutJob, RuntimeError):
    """The lifecycle has no such step from the job's status."""


class StaleJob(_AboutJob, RuntimeError):
    """The job has changed since the given object was read."""


class JobHeld(_AboutJob, RuntimeError):
    """Another process or thread holds the job at this moment."""

    def __init__(self, job_id: str, reason: str = "somebody else holds it") -> None:
        super().__init__(job_id, reason)


class ClaimLost(_AboutJob, RuntimeError):
    """This claim no longer owns its job, so it may change nothing."""

    def __init__(self, job_id: str, reason: str = "this claim no longer owns the job") -> None:
        super().__init__(job_id, reason)


class QueueNotInitialized(SemiontJobsError, RuntimeError):
    """``get_job_queue()`` was called before ``initialize_job_queue()``."""


class QueueClosed(SemiontJobsError, RuntimeError):
    """The queue was closed during a claim, or under a worker's loop, which must not open it again.
    No job is held."""


class ThreadRefused(SemiontJobsError, RuntimeError):
    """The system gave no thread to a queue or a worker that needs one. Nothing was claimed."""


class StoreError(SemiontJobsError, OSError):
    """The disk refused: ``errno``, ``filename`` and, if it concerns a job, ``job_id``."""

    def __init__(
        self, code: int, reason: str, filename: str | None = None, *, job_id: str | None = None
    ) -> None:
        OSError.__init__(self, code, reason, filename)
        self.job_id = job_id
        self.refused_claim: str | None = None
        """Token of the claim whose checkpoint or check for a request to stop met this error: if it
        ends the attempt, that is not a failure of the job's code."""

    def __str__(self) -> str:
        owner = f"job {self.job_id}: " if self.job_id else ""
        return f"{owner}{OSError.__str__(self)}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            _rebuild_store_error,
            (type(self), self.errno, self.strerror, self.filename, self.job_id),
        )


def _rebuild_store_error(
    kind: type[StoreError], code: int, reason: str, filename: str | None, job_id: str | None
) -> StoreError:
    return kind(code, reason, filename, job_id=job_id)


class UnsafeStore(StoreError):
    """A place where jobs would not be safe.

    Locks that do not exclude each other, a network file system, a folder that others may write to,
    or a platform without the locks that this store needs.
    """


class UnsupportedFormat(StoreError):
    """The directory, or schema, was written by a newer version of this library."""


class JobFailed(SemiontJobsError):
    """An attempt failed, and this string is all that is known of the reason."""


class ItemFailed(JobFailed):
    """The function failed for an item of `WorkerPool.map`, or its job was cancelled.

    ``error_type`` is the name of the exception's class, ``error_traceback`` where it was raised, as
    a string: the exception itself may have been raised in another process, or yesterday.
    """

    def __init__(
        self,
        reason: str,
        *,
        index: int,
        item: object,
        job_id: str,
        error_type: str | None = None,
        error_traceback: str | None = None,
    ) -> None:
        self.reason = reason
        self.index = index
        self.item = item
        self.job_id = job_id
        self.error_type = error_type
        self.error_traceback = error_traceback
        super().__init__(f"item {index} ({abridged(item)}): {reason}")
        if error_traceback:
            self.add_note(error_traceback.rstrip())


class JobTimeout(SemiontJobsError, TimeoutError):
    """An attempt exceeded its time limit, or a wait for a job its time-out."""


class PermanentError(SemiontJobsError):
    """Raise this, or a subclass, in a job's code if every other attempt would fail, too."""


class WorkerCrashed(SemiontJobsError):
    """Recorded, never raised: the process that worked on the job died."""


class Snooze(Exception):
    """Raise this in a job's code to snooze the job until a later time, without using an attempt."""

    def __init__(self, until: datetime | timedelta | float) -> None:
        self.until = until
        super().__init__(until)


class JobCancelled(Exception):
    """Raised by ``raise_if_cancelled()`` after a request to cancel. If a job's code raises it
    without a request, the job is cancelled, too."""


class WorkerStopping(Exception):
    """Raised by ``raise_if_cancelled()`` if the worker stops and the job's time to finish is over.
    The job is released without using an attempt; it was not cancelled."""


def abridged(value: object, limit: int = 120) -> str:
    """``repr(value)`` on one line, cut to `limit` characters: one line of a log holds it."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a foreign __repr__ must not hide the error it appears in
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
