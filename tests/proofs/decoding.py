"""What must hold of the decoder for any bytes: the judge that the fuzzers share.

It must not know where the bytes come from.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from semiont_jobs import JobDecodeError
from semiont_jobs.builtin import BUILTIN_JOB_TYPES
from semiont_jobs.codec import MAX_JOB_BYTES, Codec, Turn, read_turn
from semiont_jobs.codec.jsontext import text_of
from semiont_jobs.codec.turns import read_fresh
from semiont_jobs.job_types import JobTypes
from semiont_jobs.model import AnyJob, JobMetadata
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


def fresh_of(data: bytes) -> tuple[JobMetadata, dict[str, Any]] | None:
    """What is read quickly of some bytes."""
    try:
        return read_fresh(text_of(data))
    except JobDecodeError:
        return None


def judge(data: bytes) -> Verdict:
    """Decode, and raise `AssertionError` where a promise does not hold.

    The answer is a job or `JobDecodeError`; what is accepted is written as JSON, reads back
    equal, and is written the same again; where a turn or a fresh job is told, it is the job's.
    """
    refused = ""
    try:
        job = CODEC.decode(data)
    except JobDecodeError as error:
        refused = str(error)
    if refused:
        assert len(refused) < 2000
        if len(data) <= MAX_JOB_BYTES:
            assert fresh_of(data) is None
            assert read_turn(data, job_id=named(data)) is None
        return Verdict(None)
    written = CODEC.encode(job, is_read=True)
    json.loads(written)
    again = CODEC.decode(written)
    assert again == job
    assert CODEC.encode(again, is_read=True) == written
    turn = read_turn(data, job_id=job.metadata.id)
    if turn is not None:
        assert job.status == "pending"
        assert turn == Turn.of(job.metadata)
    fresh = fresh_of(data)
    if fresh is not None:
        metadata, params = fresh
        # The same document, laid out as nobody does.
        assert CODEC.decode(data.replace(b"{\n", b"{", 1)) == job
        assert metadata == job.metadata
        assert json.loads(data)["params"] == params
    return Verdict(job)
