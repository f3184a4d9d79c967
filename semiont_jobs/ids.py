"""Branded ids: strings that a type checker distinguishes, checked when they are made.

It must not know jobs.
"""

from __future__ import annotations

import os
import re
import threading
import time
from typing import Final, NewType

from semiont_jobs.errors import InvalidJob, InvalidJobId

JobId = NewType("JobId", str)
UserId = NewType("UserId", str)
ResourceId = NewType("ResourceId", str)
AnnotationId = NewType("AnnotationId", str)
EntityType = NewType("EntityType", str)

# A file name on every file system, a path segment, a command-line word: nothing to quote.
_JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Ten bits at a time from a table: half the steps of one character at a time.
_PAIRS: Final = [high + low for high in _CROCKFORD for low in _CROCKFORD]


def job_id(value: str) -> JobId:
    """Check and brand a job id: letters, digits, ``_`` and ``-``, 1 to 128 of them.

    Raises `InvalidJobId` (a `ValueError`) before the value reaches any system call.
    """
    # fullmatch, not $: the latter accepts a trailing newline.
    if not isinstance(value, str) or _JOB_ID.fullmatch(value) is None:
        rule = "an id is 1 to 128 letters, digits, '_' or '-'"
        if hasattr(value, "metadata"):
            rule = "a job's id is meant: job.metadata.id"
        raise InvalidJobId(rule, field="metadata.id", value=value)
    return JobId(value)


def user_id(value: str) -> UserId:
    """Brand the id of the user a job belongs to: any string but the empty one."""
    return UserId(_text(value, "user id"))


def resource_id(value: str) -> ResourceId:
    """Brand a resource id; refuses ``/``: a whole URI was passed where an id belongs."""
    return ResourceId(_bare(value, "resource id"))


def annotation_id(value: str) -> AnnotationId:
    """Brand an annotation id; refuses ``/``: a whole URI was passed where an id belongs."""
    return AnnotationId(_bare(value, "annotation id"))


def entity_type(value: str) -> EntityType:
    """Brand the name of an entity type, such as ``Person``."""
    return EntityType(_text(value, "entity type"))


def _text(value: str, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidJob(f"a {what} is a text of at least one character", field=what, value=value)
    return value


def _bare(value: str, what: str) -> str:
    if "/" in _text(value, what):
        raise InvalidJob(f"a {what} has no '/': pass the id, not a URI", field=what, value=value)
    return value


class _Ulids:
    """Time-sortable ids: 48 bits of milliseconds and 80 random bits, in 26 characters.

    The ids of one process strictly increase, so that a batch keeps its order: within one
    millisecond, or after the clock was set back, the next id is the last one plus one.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> str:
        fresh = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
        with self._lock:
            if fresh >> 80 <= self._last >> 80:
                fresh = self._last + 1
            self._last = fresh
        return "".join([_PAIRS[fresh >> shift & 1023] for shift in range(120, -1, -10)])


_ulids: Final = _Ulids()
if hasattr(os, "register_at_fork"):
    # A lock that another thread held at the fork would never be released in the child.
    os.register_at_fork(after_in_child=_ulids.reset)


def new_job_id() -> JobId:
    """A new id, ``job-`` and a ULID: ids sort by the time they were made."""
    return JobId(f"job-{_ulids.next()}")
