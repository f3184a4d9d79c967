"""The metadata of most jobs, read and written in a third of the time that it takes in general.

It must not know the classes of params, nor an index. Where it answers, the general way
(`strict`) answers the same; where it does not, that way decides.
"""

from __future__ import annotations

from json.encoder import encode_basestring as quoted
from typing import Any, Final

from attrs import fields

from semiont_jobs.codec.jsontext import Written
from semiont_jobs.codec.strict import REQUIRED_KEYS, instant_text, structure_instant
from semiont_jobs.errors import InvalidJob, JobDecodeError
from semiont_jobs.fields import to_instant
from semiont_jobs.ids import job_id as checked_id
from semiont_jobs.model import (
    DEFAULT_QUEUE,
    AnyJob,
    Attempt,
    ClaimStamp,
    JobMetadata,
    made_of,
)

# -- reading -----------------------------------------------------------------------------

_PLAIN_KEYS: Final = REQUIRED_KEYS | {"queue", "priority", "runAfter"}
_ABSENT: Final = {
    each.name: each.default
    for each in fields(JobMetadata)
    if each.name not in ("id", "user_id", "created", "unit_cursors", "extra")
}


def plain_metadata(data: Any) -> JobMetadata | None:
    """The metadata of a job that has not run; None: something about them is not so plain."""
    try:
        if not data.keys() <= _PLAIN_KEYS:
            return None
        type_name, queue = data["type"], data.get("queue", DEFAULT_QUEUE)
        texts = (type_name, queue, data["userId"])
        priority = data.get("priority", 0)
        retry_count, max_retries = data["retryCount"], data["maxRetries"]
        if not (all(texts) and retry_count >= 0 and max_retries >= 0):
            return None
        if not type(type_name) is type(queue) is type(data["userId"]) is str:
            return None
        if not type(priority) is type(retry_count) is type(max_retries) is int:
            return None
        run_after = data.get("runAfter")
        return made_of(
            JobMetadata,
            {
                **_ABSENT,
                "id": checked_id(data["id"]),
                "type": type_name,
                "user_id": data["userId"],
                "created": to_instant(structure_instant(data["created"])),
                "retry_count": retry_count,
                "max_retries": max_retries,
                "queue": queue,
                "priority": priority,
                "run_after": None
                if run_after is None
                else to_instant(structure_instant(run_after)),
                "unit_cursors": {},
                "extra": {},
            },
        )
    except (JobDecodeError, InvalidJob, KeyError, TypeError, AttributeError):
        return None


# -- writing -----------------------------------------------------------------------------

_HEAD: Final = """{
    "id": %s,
    "type": %s,
    "userId": %s,
    "created": "%s",
    "retryCount": %d,
    "maxRetries": %d"""
_CLAIM: Final = """,
    "claim": {
      "token": %s,
      "worker": %s,
      "host": %s,
      "pid": %d
    }"""
_ATTEMPT: Final = """
      {
        "number": %d,
        "startedAt": "%s",
        "endedAt": "%s",
        "worker": %s,
        "outcome": %s"""


def metadata_text(metadata: JobMetadata) -> Written | None:
    """The text of metadata as it stands in a job's document; None: there is something in them
    that is seldom there, or that JSON cannot hold, so unstructure them."""
    try:
        return _metadata_text(metadata)
    except (TypeError, AttributeError, ValueError):
        # Not of the class that a type checker would see, or a number of thousands of digits.
        return None


def _metadata_text(metadata: JobMetadata) -> Written | None:
    if metadata.extra or metadata.unit_cursors or metadata.completed_units or metadata.timeout:
        return None
    text = _HEAD % (
        quoted(metadata.id),
        quoted(metadata.type),
        quoted(metadata.user_id),
        instant_text(metadata.created),
        metadata.retry_count,
        metadata.max_retries,
    )
    if metadata.revision:
        text += f',\n    "revision": {metadata.revision:d}'
    if metadata.queue != DEFAULT_QUEUE:
        text += f',\n    "queue": {quoted(metadata.queue)}'
    if metadata.priority:
        text += f',\n    "priority": {metadata.priority:d}'
    if metadata.run_after is not None:
        text += f',\n    "runAfter": "{instant_text(metadata.run_after)}"'
    if metadata.claim is not None:
        claim = _claim_text(metadata.claim)
        if claim is None:
            return None
        text += claim
    if metadata.run is not None:
        text += f',\n    "run": {quoted(metadata.run)}'
    if metadata.attempts:
        attempts = _attempts_text(metadata.attempts)
        if attempts is None:
            return None
        text += attempts
    if metadata.attempt_count:
        text += f',\n    "attemptCount": {metadata.attempt_count:d}'
    if metadata.crash_count:
        text += f',\n    "crashCount": {metadata.crash_count:d}'
    return Written(text + "\n  }")


def _claim_text(claim: ClaimStamp) -> str | None:
    if claim.extra:
        return None
    values = (quoted(claim.token), quoted(claim.worker), quoted(claim.host), claim.pid)
    return _CLAIM % values


def _attempts_text(attempts: tuple[Attempt, ...]) -> str | None:
    texts = []
    for attempt in attempts:
        if attempt.extra:
            return None
        text = _ATTEMPT % (
            attempt.number,
            instant_text(attempt.started_at),
            instant_text(attempt.ended_at),
            quoted(attempt.worker),
            quoted(attempt.outcome),
        )
        if attempt.error_type is not None:
            text += f',\n        "errorType": {quoted(attempt.error_type)}'
        if attempt.error_module is not None:
            text += f',\n        "errorModule": {quoted(attempt.error_module)}'
        if attempt.message is not None:
            text += f',\n        "message": {quoted(attempt.message)}'
        if attempt.traceback is not None:
            text += f',\n        "traceback": {quoted(attempt.traceback)}'
        texts.append(text + "\n      }")
    return f',\n    "attempts": [{",".join(texts)}\n    ]'


def job_text(job: AnyJob, metadata: str, params: str, part: str | None) -> str:
    """The text of a job without `extra`; `part` is that of its progress, result or error."""
    text = f'{{\n  "status": "{job.status}",\n  "metadata": {metadata},\n  "params": {params}'
    if job.status != "pending":
        if job.started_at is not None:
            text += f',\n  "startedAt": "{instant_text(job.started_at)}"'
        if job.status == "running":
            text += f',\n  "progress": {part}'
        else:
            text += f',\n  "completedAt": "{instant_text(job.completed_at)}"'
            if part is not None:
                text += f',\n  "{_PARTS[job.status]}": {part}'
    return text + "\n}"


_PARTS: Final = {"complete": "result", "failed": "error"}
