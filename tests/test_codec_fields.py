"""What a field of an application's own params may be, and comes back as."""

from __future__ import annotations

import enum
import json
from dataclasses import make_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest

from semiont_jobs import InvalidJob, JobEncodeError, JobQueue, JobType
from semiont_jobs.testing.suite import some

EXACT = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")


class Colour(enum.Enum):
    RED = "red"


def back(kind: Any, value: Any) -> tuple[Any, Any]:
    """A field's value as a worker gets it, and as it is written."""
    params = make_dataclass("Params", [("field", kind)], frozen=True)
    queue = JobQueue("memory:", job_types=[JobType("t", params)])
    job = queue.enqueue(params(value))
    written = json.loads(queue.codec.encode(job))["params"]["field"]
    worker: Any = some(queue.claim_next_job()).job.params
    return worker.field, written


@pytest.mark.parametrize(
    ("kind", "value", "written"),
    [
        (UUID, ID, str(ID)),
        (UUID | None, ID, str(ID)),
        (dict[UUID, int], {ID: 1}, {str(ID): 1}),
        (Decimal, Decimal("1.10"), "1.10"),
        (list[Decimal], [Decimal("-Infinity")], ["-Infinity"]),
        (datetime, EXACT, "2026-07-01T12:00:00.123456Z"),
        (datetime, EXACT.replace(microsecond=123000), "2026-07-01T12:00:00.123Z"),
        (
            datetime,
            EXACT.replace(tzinfo=timezone(timedelta(hours=2))),
            "2026-07-01T10:00:00.123456Z",
        ),
        (date, date(2026, 7, 1), "2026-07-01"),
        (Path, Path("a/b"), "a/b"),
        (Colour, Colour.RED, "red"),
        (Literal["a", "b"], "b", "b"),
    ],
)
def test_it_comes_back_as_it_was(kind: Any, value: Any, written: Any) -> None:
    assert back(kind, value) == (value, written)


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (datetime, datetime(2026, 7, 1), "without a time zone"),
        (time, time(1), "cannot hold a time"),
        (timedelta, timedelta(1), "cannot hold a timedelta"),
        (set[int], {1}, "cannot hold a set"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(kind: Any, value: Any, why: str) -> None:
    with pytest.raises(JobEncodeError, match=why) as told:
        back(kind, value)

    assert told.value.path == "params.field"


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (Literal["a", "b"], "c", "one of a, b is needed"),
        (Literal["a", "b"] | None, "c", "one of a, b is needed"),
        (UUID, "no id", "'no id' is no UUID"),
        (Decimal, "1,5", "'1,5' is no Decimal"),
        (Decimal, 1.5, "a text is needed"),
    ],
)
def test_a_value_of_another_kind_is_refused_where_the_job_is_made(
    kind: Any, value: Any, why: str
) -> None:
    with pytest.raises(InvalidJob, match=why) as told:
        back(kind, value)

    assert told.value.field == "params.field"


def test_a_choice_that_another_program_has_written_is_read() -> None:
    params = make_dataclass("Params", [("field", Literal["a", "b"])], frozen=True)
    queue = JobQueue("memory:")
    queue.enqueue({"field": "c"}, type="t", id="a")
    typed = JobQueue(queue.store, job_types=[JobType("t", params)])
    data = queue.codec.encode(some(queue.get_job("a")))

    read: Any = typed.codec.decode(data).params

    assert read == params("c")
