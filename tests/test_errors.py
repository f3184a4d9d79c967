"""Errors: one tree, the builtin a caller would expect, attributes, and crossing processes."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from semiont_jobs import (
    ClaimLost,
    InvalidJob,
    InvalidJobId,
    InvalidTransition,
    InvalidValue,
    ItemFailed,
    JobCancelled,
    JobDecodeError,
    JobEncodeError,
    JobExists,
    JobFailed,
    JobHeld,
    JobNotFound,
    JobTimeout,
    JobTooLarge,
    JobTypeExists,
    PermanentError,
    QueueClosed,
    QueueNotInitialized,
    SemiontJobsError,
    Snooze,
    StaleJob,
    StoreError,
    ThreadRefused,
    UnsafeStore,
    UnsupportedFormat,
    WorkerCrashed,
    errors,
)
from semiont_jobs.errors import abridged


class QuotaExceeded(PermanentError):
    """An application's own, with a constructor of its own."""

    def __init__(self, quota: str, *, used: int) -> None:
        self.quota = quota
        self.used = used
        super().__init__(f"{quota}: {used}")


ALL: tuple[SemiontJobsError, ...] = (
    SemiontJobsError("x"),
    InvalidValue("too low", field="limit", value=-1, job_id="j"),
    InvalidJob("too high", field="metadata.priority", value=101, job_id="j"),
    InvalidJobId("no", field="metadata.id", value="../x"),
    JobTooLarge("too large", field="job", value="17 bytes", job_id="j"),
    JobEncodeError("JSON has no NaN", path="params.x[0]", value=float("nan"), job_id="j"),
    JobDecodeError("missing", path="metadata.id", job_id="j"),
    JobTypeExists("thumbnail", reason="this name is registered already"),
    JobNotFound("j"),
    JobExists("j"),
    InvalidTransition("j", "cannot claim a failed job"),
    StaleJob("j", "read it again"),
    JobHeld("j"),
    ClaimLost("j"),
    QueueNotInitialized("call initialize_job_queue()"),
    StoreError(errno.ENOSPC, "No space left on device", "/data/x", job_id="j"),
    StoreError(errno.EIO, "Input/output error"),
    UnsafeStore(errno.EPERM, "others may write there", "/data/jobs"),
    UnsupportedFormat(errno.EINVAL, "version 9", "/data/jobs/.format"),
    JobFailed("it broke"),
    ItemFailed(
        "ValueError: no",
        index=3,
        item={"page": 1},
        job_id="j",
        error_type="ValueError",
        error_traceback="Traceback",
    ),
    JobTimeout("not within 5 seconds"),
    PermanentError("no", 5),
    WorkerCrashed("killed"),
    QuotaExceeded("pages", used=12),
    QueueClosed("the queue was closed"),
    ThreadRefused("no thread"),
)
BUILTINS = {
    InvalidValue: ValueError,
    InvalidJob: ValueError,
    InvalidJobId: ValueError,
    JobTooLarge: ValueError,
    JobEncodeError: TypeError,
    JobDecodeError: ValueError,
    JobTypeExists: ValueError,
    JobNotFound: LookupError,
    JobExists: ValueError,
    InvalidTransition: RuntimeError,
    StaleJob: RuntimeError,
    JobHeld: RuntimeError,
    ClaimLost: RuntimeError,
    QueueClosed: RuntimeError,
    ThreadRefused: RuntimeError,
    QueueNotInitialized: RuntimeError,
    StoreError: OSError,
    UnsafeStore: OSError,
    UnsupportedFormat: OSError,
    JobTimeout: TimeoutError,
}


def test_these_are_all_errors_there_are() -> None:
    public = {
        kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, SemiontJobsError) and not name.startswith("_")
    }

    assert {type(error) for error in ALL} - {QuotaExceeded} == public


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_every_error_has_the_one_root_and_is_caught_as_its_builtin(
    error: SemiontJobsError,
) -> None:
    assert isinstance(error, SemiontJobsError)
    assert isinstance(error, BUILTINS.get(type(error), Exception))


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_crosses_processes_whole(error: SemiontJobsError, protocol: int) -> None:
    crossed = pickle.loads(pickle.dumps(error, protocol))

    assert type(crossed) is type(error)
    assert (str(crossed), crossed.args) == (str(error), error.args)
    attributes = {**error.__dict__}
    if isinstance(error, InvalidValue):
        attributes["value"] = repr(error.value)
    assert crossed.__dict__ == attributes


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_an_error_can_be_copied(error: SemiontJobsError) -> None:
    assert str(copy.copy(error)) == str(error)


def test_a_store_error_that_crossed_still_has_its_number_and_file() -> None:
    crossed = pickle.loads(pickle.dumps(ALL[15]))

    assert isinstance(crossed, StoreError)
    assert (crossed.errno, crossed.strerror) == (errno.ENOSPC, "No space left on device")
    assert (crossed.filename, crossed.job_id) == ("/data/x", "j")


def test_a_refused_value_that_cannot_be_pickled_crosses_as_text() -> None:
    error = InvalidValue("no", field="params", value=lambda: 0)

    crossed = pickle.loads(pickle.dumps(error))

    assert crossed.value == repr(error.value)
    assert str(crossed) == str(error)


def test_notes_and_attributes_of_an_error_cross_too() -> None:
    error = JobFailed("it broke")
    error.add_note("on page 3")

    assert pickle.loads(pickle.dumps(error)).__notes__ == ["on page 3"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (InvalidValue("r", field="limit", value=-1), "limit = -1: r"),
        (InvalidJob("r", field="metadata.x", value="v", job_id="j"), "job j: metadata.x = 'v': r"),
        (JobEncodeError("r", path="params.a", value={1}, job_id="j"), "job j: params.a = {1}: r"),
        (JobDecodeError("r"), "r"),
        (JobDecodeError("r", path="metadata.id"), "metadata.id: r"),
        (JobDecodeError("r", path="params", job_id="j"), "job j: params: r"),
        (JobTypeExists("t", reason="r"), "job type 't': r"),
        (JobNotFound("j"), "job j: there is no such job"),
        (JobExists("j"), "job j: a job of this id exists already"),
        (JobHeld("j"), "job j: somebody else holds it"),
        (ClaimLost("j"), "job j: this claim no longer owns the job"),
        (StoreError(5, "r", "/x", job_id="j"), "job j: [Errno 5] r: '/x'"),
        (StoreError(5, "r"), "[Errno 5] r"),
    ],
)
def test_an_error_says_which_job_which_field_and_what_is_wrong(
    error: SemiontJobsError, text: str
) -> None:
    assert str(error) == text


def test_an_error_fits_a_line_whatever_the_value() -> None:
    error = InvalidJob("r", field="params", value="x\n\x1b[31m" * 1000)

    assert len(str(error)) < 200
    assert str(error).isprintable()


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("broken")


def test_a_value_that_cannot_show_itself_is_told_by_its_class() -> None:
    assert abridged(NoRepr()) == "<NoRepr>"
    assert str(InvalidValue("r", field="f", value=NoRepr())) == "f = <NoRepr>: r"


def test_a_text_is_abridged_to_its_limit() -> None:
    assert abridged("x" * 118) == "'" + "x" * 118 + "'"
    assert abridged("x" * 119) == "'" + "x" * 116 + "..."
    assert abridged("abcdef", 6) == "'ab..."


@pytest.mark.parametrize(
    "signal",
    [
        Snooze(5),
        Snooze(timedelta(minutes=1)),
        Snooze(datetime(2026, 1, 1, tzinfo=UTC)),
        JobCancelled("asked"),
    ],
    ids=repr,
)
def test_a_signal_is_no_error_and_crosses_processes(signal: Exception) -> None:
    crossed = pickle.loads(pickle.dumps(signal))

    assert not isinstance(signal, SemiontJobsError)
    assert (type(crossed), crossed.args, crossed.__dict__) == (
        type(signal),
        signal.args,
        signal.__dict__,
    )
