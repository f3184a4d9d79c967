"""What an index needs of a waiting job, read from its text in half of the time that the job takes.

It must not know the classes of jobs, nor an index.
"""

from __future__ import annotations

from semiont_jobs.codec import jsontext
from semiont_jobs.codec.documents import MAX_JOB_BYTES
from semiont_jobs.codec.quick import plain_metadata
from semiont_jobs.errors import JobDecodeError
from semiont_jobs.model import JobMetadata


def waiting_metadata(data: bytes, *, job_id: str) -> JobMetadata | None:
    """The metadata in the text of a pending job that has not run yet; None: something about it
    is not so plain, so decode it.

    Whoever indexes a hundred thousand waiting jobs reads each of them for its turn alone.
    Where it answers, `Codec.decode` answers too.
    """
    if len(data) > MAX_JOB_BYTES:
        return None
    try:
        document = jsontext.read(data)
        if document["status"] != "pending" or type(document["params"]) is not dict:
            return None
        metadata = plain_metadata(document["metadata"])
    except (JobDecodeError, KeyError, TypeError):
        return None
    return metadata if metadata is not None and metadata.id == job_id else None
