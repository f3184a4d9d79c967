"""The records of a journal: one revision of a job, or its removal, as bytes.

It must not know files. Everything here is pure.

A record is the length of its body and the body's CRC-32, both of four bytes, and the body::

    kind      1 byte    1: a revision of a job; 2: its removal
    id        1 byte    length of the id
    revision  8 bytes
    at        8 bytes   nanoseconds since the machine was started
    id                  ASCII
    text                the job's file, whole; nothing for a removal

Numbers are little-endian. A length of zero ends the journal, and so does anything that is not a
valid record: a power cut tore it, or the disk changed it. What lies before it counts.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

_FRAME: Final = struct.Struct("<II")
_HEAD: Final = struct.Struct("<BBQQ")
_REVISION: Final = 1
_REMOVAL: Final = 2

MOST_REVISION: Final = 2**64 - 1
"""A foreign program may have written a higher one; the file of such a job is fsynced instead."""

_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""One for all processes of a machine, and never set: of two records the later one is known."""


def moment() -> int:
    """This instant, in nanoseconds since the machine was started."""
    return time.clock_gettime_ns(_CLOCK)


@frozen
class Record:
    """What a journal records of a job."""

    job_id: str
    revision: int
    at: int
    """Nanoseconds since the machine was started."""
    text: bytes | None
    """The content of the job's file; None: the job was removed, all earlier records are void."""


def revision_of(job_id: str, revision: int, at: int, text: bytes) -> bytes:
    """The record of one revision of a job."""
    return _framed(_HEAD.pack(_REVISION, len(job_id), revision, at) + job_id.encode("ascii") + text)


def removal_of(job_id: str, at: int) -> bytes:
    """The record of a job's removal."""
    return _framed(_HEAD.pack(_REMOVAL, len(job_id), 0, at) + job_id.encode("ascii"))


def removals_of(removed: Mapping[str, int]) -> bytes:
    """The records of some removals, each at its moment."""
    return b"".join(map(removal_of, removed, removed.values()))


def _framed(body: bytes) -> bytes:
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def records_in(data: bytes) -> Iterator[Record]:
    """All records from the start of `data` up to the first thing that is not one."""
    start = 0
    while start + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, start)
        begin, end = start + _FRAME.size, start + _FRAME.size + length
        body = data[begin:end]
        if not length or len(body) != length or zlib.crc32(body) != checksum:
            return
        record = _read(body)
        if record is None:
            return
        yield record
        start = end


def _read(body: bytes) -> Record | None:
    if len(body) < _HEAD.size:
        return None
    kind, id_length, revision, at = _HEAD.unpack_from(body)
    text_at = _HEAD.size + id_length
    job_id = body[_HEAD.size : text_at].decode("ascii", "replace")
    if kind not in (_REVISION, _REMOVAL) or len(job_id) != id_length:
        return None
    return Record(job_id, revision, at, body[text_at:] if kind == _REVISION else None)
