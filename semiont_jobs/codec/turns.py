"""When a waiting job's turn comes, read from its text in half of the time that the job takes.

It must not know the classes of jobs, nor an index.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from semiont_jobs.codec import jsontext
from semiont_jobs.codec.documents import MAX_JOB_BYTES
from semiont_jobs.codec.strict import REQUIRED_KEYS, structure_instant
from semiont_jobs.errors import JobDecodeError
from semiont_jobs.model import DEFAULT_QUEUE

_PLAIN: Final = REQUIRED_KEYS | {"queue", "priority", "runAfter"}


class Turn(NamedTuple):
    """When a pending job's turn comes, and whose it may be: the metadata of the same names."""

    id: str
    type: str
    queue: str
    priority: int
    created: datetime
    run_after: datetime | None


def turn_of(data: bytes, *, job_id: str) -> Turn | None:
    """The turn of a pending job that has not run yet; None: something about it is not so plain,
    so decode it.

    Whoever indexes a hundred thousand waiting jobs reads each of them for this. Where it
    answers, `Codec.decode` answers too.
    """
    if len(data) > MAX_JOB_BYTES:
        return None
    try:
        document = jsontext.read(data)
        if document["status"] != "pending" or type(document["params"]) is not dict:
            return None
        metadata = document["metadata"]
        if metadata["id"] != job_id or not metadata.keys() <= _PLAIN:
            return None
        type_name, queue = metadata["type"], metadata.get("queue", DEFAULT_QUEUE)
        texts = (type_name, queue, metadata["userId"])
        priority = metadata.get("priority", 0)
        counts = (metadata["retryCount"], metadata["maxRetries"])
        if not (all(texts) and min(counts) >= 0):
            return None
        if {*map(type, texts)} != {str} or {*map(type, (priority, *counts))} != {int}:
            return None
        created = structure_instant(metadata["created"])
        run_after = metadata.get("runAfter")
        run_after = run_after if run_after is None else structure_instant(run_after)
    except (JobDecodeError, KeyError, TypeError, AttributeError):
        return None
    return Turn(job_id, type_name, queue, priority, created, run_after)
