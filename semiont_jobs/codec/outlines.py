"""The outline of a job, read from its JSON in a fraction of the time that decoding takes.

It must not know the classes of jobs, or what counts them.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, Final

from semiont_jobs.codec import jsontext
from semiont_jobs.codec.documents import MAX_JOB_BYTES
from semiont_jobs.codec.fitting import Codec
from semiont_jobs.codec.strict import REQUIRED_KEYS
from semiont_jobs.errors import JobDecodeError
from semiont_jobs.model import DEFAULT_QUEUE, FINISHED, JobStatus
from semiont_jobs.outline import Outline, milliseconds, outline_of

_STARTED: Final = frozenset({"running", "complete"})


def read_outline(codec: Codec, data: bytes, *, job_id: str, status: JobStatus) -> Outline | None:
    """The outline of the job with that JSON in the folder of that status; None: it is not valid.

    If all that an outline has looks valid, the file is taken for a job; otherwise it is decoded, to
    be sure.
    """
    try:
        if len(data) <= MAX_JOB_BYTES:
            outline = _plain(jsontext.read(data), job_id, status)
            if outline is not None:
                return outline
        return outline_of(codec.decode(data, job_id=job_id, status=status))
    except JobDecodeError:
        return None


def _plain(document: Any, job_id: str, status: JobStatus) -> Outline | None:
    try:
        metadata = document["metadata"]
        if not (
            document["status"] == status
            and metadata["id"] == job_id
            and metadata.keys() >= REQUIRED_KEYS
            and type(document["params"]) is dict
        ):
            return None
        type_name, queue = metadata["type"], metadata.get("queue", DEFAULT_QUEUE)
        user = metadata["userId"]
        revision = metadata.get("revision", 0)
        outcomes = tuple(each["outcome"] for each in metadata.get("attempts", ()))
        if not (
            type(type_name) is type(queue) is type(user) is str and type_name and queue and user
        ):
            return None
        if type(revision) is not int or not all(type(each) is str for each in outcomes):
            return None
        started, completed = document.get("startedAt"), document.get("completedAt")
        if (status in _STARTED and started is None) or (status in FINISHED and completed is None):
            return None
        run_after = metadata.get("runAfter")
        return Outline(
            job_id,
            status,
            # Many jobs have them in common, and hundreds of thousands of outlines are held.
            sys.intern(type_name),
            sys.intern(queue),
            sys.intern(user),
            revision,
            _instant(metadata["created"]),
            None if run_after is None else _instant(run_after),
            None if started is None else _instant(started),
            None if completed is None else _instant(completed),
            outcomes,
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


def _instant(text: str) -> int:
    return milliseconds(datetime.fromisoformat(text))
