"""What is recorded of attempts, and of the exceptions that end them."""

from __future__ import annotations

from typing import Any

import pytest
from lives import BROKE, STAMP, T0, T1

from semiont_jobs import (
    JobMetadata,
    JobTimeout,
    PendingJob,
    PermanentError,
    RunningJob,
    WorkerCrashed,
    lifecycle,
)
from semiont_jobs.failure import Failure
from semiont_jobs.testing.suite import some

# -- attempts ------------------------------------------------------------------------------


def failing(times: int) -> RunningJob[Any, Any]:
    """A running job that failed so often before, each time with a traceback."""
    job: PendingJob[Any] = PendingJob(metadata=JobMetadata(type="task"), params={})
    for n in range(times):
        failure = Failure(error_type="E", message=f"{n + 1}", traceback=f"stack {n + 1}")
        tried = lifecycle.fail(lifecycle.claim(job, STAMP, T0), failure, T1, retry_at=T1)
        assert isinstance(tried, PendingJob)
        job = tried
    return lifecycle.claim(job, STAMP, T0)


def test_a_failure_says_in_which_module_its_class_is() -> None:
    class Handmade(Exception):
        __module__ = 7  # type: ignore[assignment]

    class Endless(Exception):
        __module__ = "\udc80" + "m" * 1000

    assert Failure.of(JobTimeout("late")).error_module == "semiont_jobs.errors"
    assert Failure.of(ValueError("bad")).error_module is None
    assert Failure.of(Handmade()).error_module is None
    assert Failure.of(Endless()).error_module == "\\udc80" + "m" * 249


def test_the_last_hundred_attempts_are_kept_and_all_are_counted() -> None:
    metadata = lifecycle.complete(failing(120), None, T1).metadata

    assert metadata.attempt_count == 121
    assert [each.number for each in metadata.attempts] == list(range(22, 122))
    assert [each.message for each in metadata.attempts[:2]] == ["22", "23"]


def test_the_last_ten_tracebacks_are_kept() -> None:
    metadata = lifecycle.fail(failing(14), BROKE, T1, retry_at=None).metadata

    assert [each.traceback for each in metadata.attempts] == [
        *[None] * 5,
        *[f"stack {n}" for n in range(6, 15)],
        "Traceback: ...",
    ]
    assert [each.message for each in metadata.attempts[:-1]] == [f"{n}" for n in range(1, 15)]


def test_few_attempts_are_kept_whole() -> None:
    metadata = failing(10).metadata

    assert [each.traceback for each in metadata.attempts] == [f"stack {n}" for n in range(1, 11)]


# -- failures ------------------------------------------------------------------------------


def caught(error: BaseException) -> BaseException:
    """The same error, raised from some depth."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise error

    try:
        deep(3)
    except BaseException as told:
        return told
    raise AssertionError


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken")


class Nested:
    class Error(Exception):
        pass


def test_a_failure_tells_class_message_and_stack() -> None:
    failure = Failure.of(caught(ValueError("bad page")))

    assert (failure.error_type, failure.message) == ("ValueError", "bad page")
    assert failure.outcome == "failed"
    assert failure.traceback is not None
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert failure.traceback.rstrip().endswith("ValueError: bad page")
    assert str(failure) == "ValueError: bad page"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (JobTimeout("x"), "timeout"),
        (WorkerCrashed("x"), "crashed"),
        (TimeoutError("x"), "failed"),
        (PermanentError("x"), "failed"),
        (SystemExit(3), "failed"),
        (KeyboardInterrupt(), "failed"),
    ],
)
def test_the_outcome_of_a_failure_follows_from_its_error(
    error: BaseException, outcome: str
) -> None:
    assert Failure.of(error).outcome == outcome


def test_an_error_that_was_never_raised_has_no_stack() -> None:
    assert Failure.of(ValueError("x")).traceback is None


def test_a_failure_without_a_message_is_told_by_its_class() -> None:
    assert str(Failure.of(KeyboardInterrupt())) == "KeyboardInterrupt"
    assert Failure.of(Nested.Error("x")).error_type == "Nested.Error"


def test_an_error_that_cannot_tell_its_message_is_a_failure_all_the_same() -> None:
    failure = Failure.of(caught(NoText()))

    assert (failure.error_type, failure.message) == ("NoText", "")


def test_texts_of_a_failure_are_cut_to_8_kib_a_stack_at_its_far_end() -> None:
    failure = Failure.of(caught(ValueError("x" * 10_000 + "END")))

    assert failure.message == "x" * 8192
    assert failure.traceback is not None
    assert len(failure.traceback) == 8192
    assert failure.traceback.endswith("END\n")


def test_an_errors_class_name_of_any_length_is_cut_to_255_characters() -> None:
    name = "E\ud800" * 1_000_000
    error = type("E", (Exception,), {"__qualname__": name})("no")

    failure = Failure.of(caught(error))

    assert failure.error_type == ("E\\ud800" * 100)[:255]


def test_texts_of_a_failure_are_no_longer_for_being_made_writable() -> None:
    failure = Failure.of(caught(ValueError("\ud800" * 10_000)))

    assert len(failure.message) == 8192
    assert failure.traceback is not None
    assert len(failure.traceback) == 8192


def test_a_lone_surrogate_in_a_message_is_made_writable() -> None:
    failure = Failure.of(caught(OSError("no file \udcff")))

    assert failure.message == "no file \\udcff"
    assert "\\udcff" in some(failure.traceback)
