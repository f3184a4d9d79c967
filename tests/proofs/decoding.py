"""What must hold of the decoder for any bytes: the judge that the fuzzers share.

It must not know where the bytes come from.
"""

from __future__ import annotations

import json

from attrs import frozen

from semiont_jobs import JobDecodeError
from semiont_jobs.builtin import BUILTIN_JOB_TYPES
from semiont_jobs.codec import Codec, waiting_metadata
from semiont_jobs.job_types import JobTypes
from semiont_jobs.model import AnyJob
from semiont_jobs.stores.files.layout import id_of

CODEC = Codec(JobTypes(BUILTIN_JOB_TYPES))


@frozen
class Verdict:
    """What the decoder made of some bytes; None: it refused them."""

    job: AnyJob | None


def named(data: bytes) -> str:
    """The id in a text that may be no job's: a turn is told only to who asks by that id."""
    try:
        name = json.loads(data)["metadata"]["id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "j"
    # Nobody asks by what is no id: files of such names are not read.
    return name if isinstance(name, str) and id_of(f"{name}.json") else "j"


def judge(data: bytes) -> Verdict:
    """Decode, and raise `AssertionError` where a promise does not hold.

    The answer is a job or `JobDecodeError`; what is accepted is written as JSON, reads back
    equal, and is written the same again; where metadata are told, the job has them.
    """
    refused = ""
    try:
        job = CODEC.decode(data)
    except JobDecodeError as error:
        refused = str(error)
    if refused:
        assert len(refused) < 2000
        assert waiting_metadata(data, job_id=named(data)) is None
        return Verdict(None)
    written = CODEC.encode(job, is_read=True)
    json.loads(written)
    again = CODEC.decode(written)
    assert again == job
    assert CODEC.encode(again, is_read=True) == written
    metadata = waiting_metadata(data, job_id=job.metadata.id)
    if metadata is not None:
        assert job.status == "pending"
        assert metadata == job.metadata
    return Verdict(job)
