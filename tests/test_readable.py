"""Whatever the API accepts can be read again: a job's file is never of our own unmaking.

In memory a job's text is decoded as soon as it is written, as the next reader of a file would:
a `JobDecodeError` out of a verb is a job that would have gone to quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from semiont_jobs import (
    Attempt,
    ClaimStamp,
    CompleteJob,
    FailedJob,
    InvalidJob,
    InvalidValue,
    JobEncodeError,
    JobMetadata,
    JobQueue,
    PendingJob,
    RunningJob,
    evolve,
)
from semiont_jobs.testing.suite import some

T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
FAR = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))

odd_texts: Final = st.text(max_size=8) | st.sampled_from(["", "\ud800", "a\0b", "x" * 300])
odd_scalars: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    odd_texts,
    st.binary(max_size=4),
    st.sampled_from([object(), int, {1, 2}, T0, datetime(2026, 1, 1), FAR]),
)
odd: Final = st.recursive(
    odd_scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(odd_texts | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=6,
)
"""What a caller may pass by mistake, mostly of the wrong type, some that JSON cannot hold."""


@contextmanager
def unless_refused(*, leaving: JobQueue) -> Iterator[None]:
    """The block is either done or refused as bad input; a job that there was stands as it did."""
    before = leaving.query_jobs()
    try:
        yield
    except (InvalidValue, JobEncodeError):
        assert leaving.query_jobs() == before


def memory() -> closing[JobQueue]:
    return closing(JobQueue("memory:"))


def is_readable(queue: JobQueue, count: int = 1) -> bool:
    return len(queue.query_jobs()) == count


FIELDS: Final = [
    each.name for each in attrs.fields(JobMetadata) if each.name not in ("id", "claim")
]


@given(st.sampled_from(FIELDS), odd)
@example("run", 5)
@example("attempts", (5,))
@example("completed_units", (5,))
@example("completed_units", "ab")
@example("unit_cursors", [])
@example("extra", 5)
def test_a_new_job_with_odd_metadata(field: str, value: Any) -> None:
    with memory() as queue, unless_refused(leaving=queue):
        metadata = JobMetadata(**{"type": "t", "id": "j", field: value})
        queue.create_job(PendingJob(metadata=metadata, params={}))

        assert is_readable(queue)


@given(odd, odd)
@example({}, 5)
@example({}, {"metadata": {"priority": "high"}})
@example({}, {"metadata": {"claim": 5}})
@example({}, {"startedAt": 5, "progress": 5, "status": "lost"})
def test_a_new_job_with_odd_params_and_keys(params: Any, extra: Any) -> None:
    with memory() as queue, unless_refused(leaving=queue):
        queue.create_job(PendingJob(metadata=JobMetadata(type="t"), params=params, extra=extra))
        claim = some(queue.claim_next_job())
        claim.report({"n": 1})

        assert is_readable(queue)


# What can be called says who it is for a job, and may raise what it likes.
@given(odd.filter(lambda worker: not callable(worker)))
@example(5)
@example("")
@example("\ud800")
def test_a_claim_by_a_worker_of_an_odd_name(worker: Any) -> None:
    with memory() as queue:
        queue.enqueue({}, type="t")
        with unless_refused(leaving=queue):
            some(queue.claim_next_job(worker=worker))

            assert is_readable(queue)


@given(
    st.sampled_from(["error", "progress", "result", "queue", "run_after", "timeout", "extra"]), odd
)
@example("error", 5)
@example("extra", 5)
def test_an_update_that_brings_something_odd(field: str, value: Any) -> None:
    with memory() as queue:
        job = queue.enqueue({}, type="t")
        base = queue.update_job(RunningJob(metadata=job.metadata, params={}, started_at=T0))
        told: dict[str, Any] = {"metadata": base.metadata, "params": {}, "started_at": T0}
        with unless_refused(leaving=queue):
            if field == "error":
                queue.update_job(FailedJob(**told, completed_at=T0, error=value))
            elif field == "result":
                queue.update_job(CompleteJob(**told, completed_at=T0, result=value))
            elif field == "progress":
                queue.update_job(RunningJob(**told, progress=value))
            else:
                metadata = evolve(base.metadata, **{field: value})
                queue.update_job(RunningJob(**(told | {"metadata": metadata})))

            assert is_readable(queue)


@given(odd_texts, st.booleans(), odd)
def test_a_failure_with_an_odd_exception(name: str, broken: bool, argument: Any) -> None:
    def text(_self: object) -> str:
        raise RuntimeError("no text")

    body = {"__str__": text} if broken else {}
    error = (
        type(name.replace("\0", "") or "E", (Exception,), body) if name.isprintable() else KeyError
    )
    with memory() as queue:
        queue.enqueue({}, type="t")
        claim = some(queue.claim_next_job())
        claim.fail(error(argument))

        assert is_readable(queue)


@given(odd, st.dictionaries(odd_texts | st.integers(0, 3), odd, max_size=3))
@example(5, {})
@example(["\ud800"], {})
@example([], {"u": float("nan")})
def test_a_checkpoint_of_odd_units_and_cursors(units: Any, cursors: Any) -> None:
    with memory() as queue:
        queue.enqueue({}, type="t")
        claim = some(queue.claim_next_job())
        with unless_refused(leaving=queue):
            claim.checkpoint(units, cursors)
            claim.checkpoint(units, cursors)

            assert is_readable(queue)


@given(odd)
def test_a_progress_and_a_result_of_an_odd_kind(value: Any) -> None:
    with memory() as queue:
        queue.enqueue({}, type="t")
        claim = some(queue.claim_next_job())
        with unless_refused(leaving=queue):
            claim.report(value)
        with unless_refused(leaving=queue):
            claim.complete(value)

            assert is_readable(queue)


@pytest.mark.parametrize("worker", [5, "", "\ud800", "w" * 256, b"w"])
def test_a_worker_whose_name_is_no_text_claims_nothing(tmp_path: Path, worker: Any) -> None:
    with JobQueue(tmp_path, fsync=False) as queue:
        job = queue.enqueue({}, type="t")

        with pytest.raises(InvalidValue) as told:
            queue.claim_next_job(worker=worker)

        assert ("worker", worker) == (told.value.field, told.value.value)
        assert queue.get_job(job.metadata.id) == job


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda bad: JobMetadata(type="t", run=bad), "metadata.run"),
        (lambda bad: JobMetadata(type="t", attempts=(bad,)), "metadata.attempts"),
        (lambda bad: JobMetadata(type="t", completed_units=(bad,)), "metadata.completed_units"),
        (lambda bad: JobMetadata(type="t", unit_cursors=bad), "metadata.unit_cursors"),
        (lambda bad: JobMetadata(type="t", extra=bad), "metadata.extra"),
        (lambda bad: PendingJob(metadata=bad, params={}), "PendingJob.metadata"),
        (
            lambda bad: FailedJob(
                metadata=JobMetadata(type="t"), params={}, completed_at=T0, error=bad
            ),
            "FailedJob.error",
        ),
        (lambda bad: ClaimStamp(token="t", worker=bad, host="h", pid=1), "ClaimStamp.worker"),
        (lambda bad: ClaimStamp(token="t", worker="w", host="h", pid=[bad]), "ClaimStamp.pid"),
        (
            lambda bad: Attempt(number=1, started_at=T0, ended_at=T0, worker=bad, outcome="failed"),
            "Attempt.worker",
        ),
    ],
)
def test_a_part_of_a_job_that_is_not_of_its_kind(make: Any, field: str) -> None:
    with pytest.raises(InvalidJob) as told:
        make(5)

    assert field == told.value.field


def test_a_field_that_cannot_be_written_is_told_with_its_place() -> None:
    @attrs.frozen
    class Anything:
        value: Any

    endless: list[Any] = []
    endless.append(endless)
    with memory() as queue:
        queue.enqueue({}, type="t", id="j")
        claim = some(queue.claim_next_job())
        with pytest.raises(JobEncodeError) as told:
            claim.complete(Anything(endless))

        assert ("j", "result") == (told.value.job_id, told.value.path)
        assert claim.is_open
