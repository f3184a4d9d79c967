"""A disk that refuses, and how that is told."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from files.places import Unattended, claimed, job

from semiont_jobs import StoreError

ERRNOS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)


def refuse(queue: Unattended, code: int, step: str, *, times: int = 1) -> None:
    verb, place = step.split()
    queue.disk.refuse(code, verb, place, times=times)


def refused(call: Callable[[], object]) -> StoreError:
    with pytest.raises(StoreError) as told:
        call()
    return told.value


def outcome(queue: Unattended, verb: str) -> tuple[Callable[[], object], str]:
    """A claim's outcome to be stored, and the status it leads to."""
    queue.create_job(job(max_retries=0 if verb == "give up" else 3))
    claim = claimed(queue)
    match verb:
        case "complete":
            return lambda: claim.complete({"n": 1}), "complete"
        case "fail":
            return lambda: claim.fail("broke"), "pending"
        case "give up":
            return lambda: claim.fail("broke"), "failed"
        case "release":
            return claim.release, "pending"
        case "snooze":
            return lambda: claim.snooze(0), "pending"
        case _:
            return claim.cancel, "cancelled"
