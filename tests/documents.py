"""Jobs as JSON documents, spelled out by hand."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

import attrs

from semiont_jobs import (
    BUILTIN_JOB_TYPES,
    AnyJob,
    CancelledJob,
    ClaimStamp,
    CompleteJob,
    DetectionParams,
    FailedJob,
    JobMetadata,
    JobTypes,
    PendingJob,
    RunningJob,
    evolve,
)
from semiont_jobs.codec import Codec

CODEC = Codec(JobTypes(BUILTIN_JOB_TYPES))
T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
META = JobMetadata(id="j", type="task", created=T0)  # type: ignore[arg-type]
STAMP = ClaimStamp(token="t", worker="w", host="h", pid=7)


def document(status: str = "pending", **parts: Any) -> dict[str, Any]:
    """A job's document as the TypeScript package writes it."""
    found: dict[str, Any] = {
        "status": status,
        "metadata": {
            "id": "j",
            "type": "task",
            "userId": "u",
            "created": "2026-01-01T12:00:00.000Z",
            "retryCount": 0,
            "maxRetries": 3,
        },
        "params": {},
    }
    if status in ("running", "complete"):
        found["startedAt"] = "2026-01-01T12:00:01.000Z"
    if status == "running":
        found["progress"] = {}
    elif status != "pending":
        found["completedAt"] = "2026-01-01T12:00:02.000Z"
    if status in ("complete", "failed"):
        found["result" if status == "complete" else "error"] = {} if status == "complete" else "no"
    return found | parts


def with_metadata(**fields: Any) -> dict[str, Any]:
    whole = document()
    whole["metadata"] |= fields
    return whole


def text_of(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")


def decoded(value: Any) -> Any:
    return CODEC.decode(text_of(value))


BARE: dict[str, AnyJob] = {
    "pending": PendingJob(metadata=META, params={}),
    "running": RunningJob(metadata=META, params={}, started_at=T0),
    "complete": CompleteJob(metadata=META, params={}, started_at=T0, completed_at=T0),
    "failed": FailedJob(metadata=META, params={}, started_at=T0, completed_at=T0, error="no"),
    "cancelled": CancelledJob(metadata=META, params={}, started_at=T0, completed_at=T0),
}


def typed(status: str, **parts: Any) -> AnyJob:
    params = DetectionParams(resource_id="r", entity_types=())  # type: ignore[arg-type]
    metadata = evolve(META, type="detection")
    return evolve(BARE[status], metadata=metadata, params=params, **parts)


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Every object of a document, itself first."""
    found = [value] if isinstance(value, dict) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*found, *(each for item in inner for each in objects_in(item))]


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    label: str | None = None


@attrs.frozen(kw_only=True)
class Everything:
    """One field of every kind that people use."""

    text: str = "t"
    whole: int = 1
    number: float = 1.5
    flag: bool = False
    choice: Literal["a", "b"] = "a"
    maybe: str | None = None
    either: int | str = 0
    anything: Any = 0
    items: tuple[str, ...] = ()
    listed: list[int] = attrs.field(factory=list)
    pair: tuple[int, str] = (1, "a")
    table: Mapping[str, int] = attrs.field(factory=dict)
    colour: Colour = Colour.RED
    when: datetime = T0
    day: date = date(2026, 1, 1)
    point: Point = Point(0.5)
    points: tuple[Point, ...] = ()
    many_words_here: str = ""
