"""The JSON of most jobs, written in a third of the time that it takes in general.

It must not know the classes of params. Where it gives an answer, the general way (`strict`) gives
the same; where it gives none, that way decides.
"""

from __future__ import annotations

from json.encoder import encode_basestring as quoted
from typing import Final

from semiont_jobs.codec.strict import instant_text
from semiont_jobs.model import (
    DEFAULT_QUEUE,
    AnyJob,
    Attempt,
    ClaimStamp,
    JobMetadata,
)

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


def metadata_text(metadata: JobMetadata) -> str | None:
    """The JSON of metadata as in a job's document; None: unstructure them instead.

    Then there is something in them that is rare, or that JSON cannot hold.
    """
    try:
        return _metadata_text(metadata)
    except (TypeError, AttributeError, ValueError):
        # A value is not of its declared class, or is a number of thousands of digits.
        return None


def _metadata_text(metadata: JobMetadata) -> str | None:
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
    return text + "\n  }"


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
    """The JSON of a job without `extra`; `part` is that of its progress, result or error."""
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
